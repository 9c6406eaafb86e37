"""Handing on rights: nobody gives what he has not, and an admin stays. Pure.

A token's rights are its role's permissions, narrowed by its scope. Making a token or a
role, giving a token a new secret, ending one: each asks here whether that would give the
caller more than he has, or take from somebody who has more than he.
"""

from collections.abc import Iterable

from nexa_node.contract.access import ROLES, Identity, Permission, RoleName, Scope
from nexa_node.core.access import ROLE_GRANTS
from nexa_node.core.authorization import covers, exceeds

ADMIN = "admin"


def beyond(permissions: Iterable[Permission], scope: Scope, by: Identity) -> str | None:
    """Say what of these rights `by` has not himself; None if he has all of them.

    Args:
        permissions: Of the role.
        scope: That narrows them.
        by: Who would hand them on, or take them.
    """
    more = exceeds(permissions, by)
    if more is not None:
        on = "" if more.on == ">" else f" on {more.on}"
        return f"{by.role} lacks {more.allow}{on}"
    return _wider(scope, by.scope)


def granted_to(
    role: RoleName, custom: tuple[Permission, ...] | None
) -> tuple[Permission, ...]:
    """What a role may: `custom`, if it is one of the cluster's own."""
    if custom is not None:
        return custom
    return next((ROLE_GRANTS[one] for one in ROLES if one == role), ())


def is_admin(role: RoleName, scope: Scope) -> bool:
    """Say whether a token's holder may do everything: the built-in role, unconfined.

    A custom role that happens to hold as much does not count: it can be rewritten.
    """
    return role == ADMIN and scope == Scope()


def _wider(wanted: Scope, mine: Scope) -> str | None:
    if mine.namespaces:
        if not wanted.namespaces:
            return f"the token is for {', '.join(mine.namespaces)} only"
        for namespace in wanted.namespaces:
            if namespace not in mine.namespaces:
                return f"the token is not for the namespace {namespace}"
    for name in ("may_send", "may_receive", "may_submit"):
        limits: tuple[str, ...] | None = getattr(mine, name)
        asked: tuple[str, ...] | None = getattr(wanted, name)
        if limits is None:
            continue
        if asked is None:
            return f"the token's scope limits {name}"
        for target in asked:
            if not any(_covers(limit, target) for limit in limits):
                return f"the token's scope has no {name} {target}"
    return None


def _covers(limit: str, target: str) -> bool:
    kind, _, pattern = limit.partition(":")
    other, _, wanted = target.partition(":")
    return kind == other and (pattern == wanted or covers(pattern, wanted))
