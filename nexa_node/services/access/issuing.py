"""What a token that is asked for must be, and how long it lives. Pure."""

from collections.abc import Callable

from nexa_node.contract.access import (
    ROLES,
    BuiltInRole,
    NewToken,
    Permission,
    RoleName,
)
from nexa_node.contract.errors import Invalid
from nexa_node.core.public_keys import check_public_key
from nexa_node.core.scopes import check_scope

DAY_S = 24 * 60 * 60
DEFAULT_EXPIRY_S: dict[BuiltInRole, int] = {
    "viewer": 30 * DAY_S,
    "operator": 30 * DAY_S,
    "admin": 30 * DAY_S,
    "auditor": 30 * DAY_S,
    "agent": 90 * DAY_S,
    "node": 90 * DAY_S,
}
"""How long a token lives when its maker does not say; the first one of a node for ever."""
EXPIRY_MAX_S = 10 * 365 * DAY_S
NAME_MAX = 100

Rights = Callable[[RoleName], tuple[Permission, ...] | None]
"""What a custom role may do; None of a built-in one."""


def lifetime_s(wanted: NewToken, rights: Rights) -> int:
    """The lifetime of a token to be made, in seconds, if all about it makes sense.

    Raises:
        Invalid: The role, the scope, the name, the key or the expiry makes none.
    """
    if wanted.role not in ROLES and not rights(wanted.role):
        raise Invalid(
            f"no role {wanted.role[:80]!r}",
            remedy=f"choose one of {', '.join(ROLES)}, or see nexa role list",
        )
    check_scope(wanted.scope)
    if wanted.public_key is not None:
        check_public_key(wanted.public_key)
    if len(wanted.name) > NAME_MAX:
        raise Invalid(f"a token's name has at most {NAME_MAX} characters")
    expires_s = wanted.expires_s
    if expires_s is None:
        return next(
            (each for role, each in DEFAULT_EXPIRY_S.items() if role == wanted.role),
            30 * DAY_S,
        )
    if not 0 < expires_s <= EXPIRY_MAX_S:
        raise Invalid(
            f"a token lives from 1 to {EXPIRY_MAX_S} seconds, not {expires_s}",
            remedy="give --expires 30d, say",
        )
    return expires_s


def remedy_for(reason: str, role: RoleName | None) -> str:
    """How somebody who was refused gets in."""
    make = f"nexa token create --role {role or 'operator'}"
    if reason == "missing":
        return f"log in: nexa login URL with a token that an admin makes with: {make}"
    return f"log in again: nexa login URL with a new token, made with: {make}"
