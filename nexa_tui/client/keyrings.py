"""The system's keyring, for contexts' tokens, where Python's `keyring` package is installed.

Only used for tokens that people log in with; where there is none that is safe and opens
without a screen, they are kept in files of mode 0600 instead, and the login says which.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any, cast

from nexa_node.contract.errors import Invalid

SERVICE = "nexa"
OFF_VARIABLE = "NEXA_KEYRING"
_OFF = frozenset(("0", "off", "no", "false"))
_UNSAFE = ("fail", "null", "plaintext", "chainer")


def keyring_of(environ: Mapping[str, str]) -> Any | None:
    """The system's keyring; None if there is none, or it was switched off."""
    if environ.get(OFF_VARIABLE, "").lower() in _OFF:
        return None
    if importlib.util.find_spec("keyring") is None:
        return None
    found: Any = cast("Any", importlib.import_module("keyring")).get_keyring()
    words = f"{type(found).__module__}.{type(found).__name__}".lower()
    chained = [one for one in getattr(found, "backends", ()) if not _is_unsafe(one)]
    if "chainer" in words and chained:
        return chained[0]
    return None if _is_unsafe(found) else found


def keep(ring: Any, account: str, token: str) -> bool:
    """Keep a token; False if the keyring does not take it."""
    try:
        ring.set_password(SERVICE, account, token)
        return bool(ring.get_password(SERVICE, account) == token)
    except Exception:  # noqa: BLE001  # backends raise what they like: then it is a file
        return False


def read(ring: Any | None, account: str, *, context: str) -> str | None:
    """Read a token that is in the keyring.

    Raises:
        Invalid: The keyring is gone, or locked.
    """
    remedy = f"unlock it, or log in again: nexa login URL --name {context}"
    if ring is None:
        raise Invalid(
            f"the token of {context} is in a keyring that is not here",
            remedy=remedy,
        )
    try:
        found: str | None = ring.get_password(SERVICE, account)
    except Exception as error:
        raise Invalid(f"the keyring can't be read: {error}", remedy=remedy) from error
    return found


def forget(ring: Any | None, account: str) -> None:
    """Remove a token, if it is there."""
    if ring is not None:
        try:
            ring.delete_password(SERVICE, account)
        except Exception:  # noqa: BLE001  # gone already
            return


def _is_unsafe(ring: Any) -> bool:
    words = f"{type(ring).__module__}.{type(ring).__name__}".lower()
    return any(word in words for word in _UNSAFE)
