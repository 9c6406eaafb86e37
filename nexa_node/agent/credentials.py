"""Where an agent's token comes from: never an argument, never logged."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from nexa_node.contract.errors import Invalid

TOKEN_VARIABLE = "NEXA_TOKEN"  # noqa: S105  # the name of a variable
TOKEN_FILE_VARIABLE = "NEXA_TOKEN_FILE"  # noqa: S105  # the name of a variable
URL_VARIABLE = "NEXA_URL"
_OTHERS = 0o077

TokenSource = Callable[[], str | None]
"""Asked before each connection, so that a renewed token is used. May raise Invalid."""


def token_source(
    token: str | TokenSource | None, environ: Mapping[str, str]
) -> TokenSource:
    """Choose where the token comes from.

    Args:
        token: The token itself, or something to ask for it; None looks for `NEXA_TOKEN`
            and then for the file named by `NEXA_TOKEN_FILE`.
        environ: Read now; the file is read for each connection.
    """
    if callable(token):
        return token
    fixed = token or environ.get(TOKEN_VARIABLE)
    if fixed:
        return lambda: fixed
    path = environ.get(TOKEN_FILE_VARIABLE)
    return from_file(Path(path)) if path else lambda: None


def from_file(path: Path) -> TokenSource:
    """Read the token from a file of mode 0600, each time it is asked for."""
    return lambda: _read(path)


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise Invalid(
                    f"the token file {path} is readable by other users",
                    remedy=f"chmod 600 {path}",
                )
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"the token file {path} can't be read: {error}", remedy=f"ls -l {path}"
        ) from None
    if not token or not token.isascii() or not token.isprintable():
        raise Invalid(
            f"the token file {path} holds no token",
            remedy="make one with `nexa token create --role agent`",
        )
    return token
