"""Who may do what: one pure `authorize`, asked for every call and again at fan-out.

A role's permissions say what its holders may do and on what; a token's scope narrows
that. There are no denials: what nothing allows is refused, and what no permission is
mapped to, too. Resources are dotted names that begin with their namespace:

    team-a.wc-1                  an agent
    team-a.wc                    a task, by its type
    team-a.topic.orders.eu       a topic; `agent.<id>`, `capability.<name>`, `broadcast`

`ANY` asks whether there is something at all that the caller may do it to: a list may be
asked for, and then each of its items is asked about by name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from nexa_node.contract.access import BuiltInRole, Identity, Permission, Scope
from nexa_node.contract.errors import Forbidden
from nexa_node.core.access import ACTIONS, PUBLIC, ROLE_GRANTS

ANY = "*"

WITHIN = frozenset(
    (
        "agents:read",
        "agents:disconnect",
        "agents:drain",
        "events:read",
        "feed:read",
        "messages:read",
        "messages:receive",
        "messages:send",
        "namespaces:read",
        "objects:read",
        "objects:write",
        "sessions:open",
        "tasks:cancel",
        "tasks:purge",
        "tasks:read",
        "tasks:redrive",
        "tasks:submit",
        "tasks:work",
    )
)
"""Permissions over what lies in a namespace, asked again about each single thing."""

OF_ALL = frozenset(("cluster:read", "node:read", "selftest:read", "watchdog:call"))
"""Permissions over the cluster itself that a token confined to namespaces keeps, since
nothing of any namespace is told by them. All others reach over every namespace."""

_FOUND: dict[
    tuple[int, str], tuple[tuple[Permission, ...], tuple[Permission, ...]]
] = {}
_FOUND_MAX = 4096
_LIMITS: Mapping[str, Callable[[Scope], tuple[str, ...] | None]] = {
    "messages:send": lambda scope: scope.may_send,
    "messages:receive": lambda scope: scope.may_receive,
    "messages:read": lambda scope: scope.may_receive,
    "tasks:work": lambda scope: scope.may_receive,
    "tasks:submit": lambda scope: scope.may_submit,
}
"""What a token's scope may narrow, by permission."""
_KNOWN = tuple(sorted(frozenset(ACTIONS.values()) - {PUBLIC}))


@dataclass(frozen=True, slots=True)
class Decision:
    """What `authorize` decided, and by which rule: logged, audited and shown."""

    allowed: bool
    rule: str


def authorize(identity: Identity, action: str, resource: str = ANY) -> Decision:
    """Decide whether `identity` may do `action` on `resource`.

    Args:
        identity: A caller that proved who it is; whether it still may call at all
            (expiry, revocation) is settled before.
        action: A key of `core.access.ACTIONS`, or a permission itself, `tasks:read`.
        resource: Its dotted name, the namespace first; `ANY` for a list, or when there
            is no single one.
    """
    permission = action if ":" in action else ACTIONS.get(action)
    if permission is None:
        return Decision(False, f"no permission is mapped to {action}")
    if permission == PUBLIC:
        return Decision(True, f"{action} is open to anybody")
    granted = _granting(identity, permission, resource)
    if granted is None:
        where = "" if resource == ANY else f" on {resource}"
        return Decision(False, f"{identity.role} lacks {permission}{where}")
    outside = _outside(identity, permission, resource)
    if outside is not None:
        return Decision(False, outside)
    return Decision(True, f"{identity.role} has {granted.allow} on {granted.on}")


def demand(identity: Identity, action: str, resource: str = ANY) -> None:
    """Let an allowed call pass.

    Raises:
        Forbidden: `authorize` said no; the remedy names a role that may.
    """
    decision = authorize(identity, action, resource)
    if decision.allowed:
        return
    permission = action if ":" in action else ACTIONS.get(action, "")
    remedy = _remedy(identity, permission, resource)
    raise Forbidden(f"{identity.id} may not {action}: {decision.rule}", remedy=remedy)


def permissions_of(identity: Identity) -> tuple[Permission, ...]:
    """What the caller's role may do, before the token's scope narrows it."""
    if identity.permissions is not None:
        return identity.permissions
    return ROLE_GRANTS.get(cast("BuiltInRole", identity.role), ())


def sees_namespace(identity: Identity, namespace: str) -> bool:
    """Say whether a namespace exists at all, as far as the caller is told."""
    within = identity.scope.namespaces
    return not within or namespace in within


def exceeds(wanted: Iterable[Permission], identity: Identity) -> Permission | None:
    """The first permission that somebody would hand on without having it; else None.

    Whoever may make tokens or roles makes none that may do more than he himself.
    """
    held = permissions_of(identity)
    for one in wanted:
        # `tasks:*` is what it names now: who has all of that has it.
        named = [each for each in _KNOWN if _names(one.allow, each)] or [one.allow]
        for permission in named:
            if not any(
                _names(mine.allow, permission) and covers(mine.on, one.on)
                for mine in held
            ):
                return Permission(allow=permission, on=one.on)
    return None


@lru_cache(maxsize=1024)
def covers(pattern: str, other: str) -> bool:
    """Say whether all that `other` matches, `pattern` matches, too.

    Both are dotted names in which `*` stands for one token and `>`, at the end, for one
    or more; a name without them is the pattern of itself.
    """
    wanted, given = pattern.split("."), other.split(".")
    for at, part in enumerate(wanted):
        if part == ">":
            return len(given) > at
        if at >= len(given) or given[at] == ">":
            return False
        if part not in ("*", given[at]):
            return False
    return len(wanted) == len(given)


def least_role(permission: str) -> str | None:
    """The role to advise for a permission, the narrowest that a person would hold."""
    for role in ("viewer", "operator", "agent", "auditor", "admin"):
        if any(grant.allow == permission for grant in ROLE_GRANTS[role]):
            return role
    return None


def _remedy(identity: Identity, permission: str, resource: str) -> str | None:
    """Which token to ask for: of another role, or with a wider scope."""
    if _granting(identity, permission, resource) is not None:
        return "the role may: use a token whose scope does not shut it out"
    role = least_role(permission)
    if role is None:
        return None
    return (
        f"use a token of the role {role}: an admin makes one with"
        f" nexa token create --role {role}"
    )


def _granting(identity: Identity, permission: str, resource: str) -> Permission | None:
    for grant in _naming(permissions_of(identity), permission):
        if resource == ANY:
            if grant.on == ">" or permission in WITHIN:
                return grant
        elif grant.on == ">" or covers(grant.on, resource):
            return grant
    return None


def _naming(grants: tuple[Permission, ...], permission: str) -> tuple[Permission, ...]:
    """Those of a role's grants that name the permission: looked for once.

    A role's grants are one tuple for all its holders, so it is known by its identity; it
    is kept with what was found, so that no other can get its place in memory.
    """
    known = _FOUND.get((id(grants), permission))
    if known is not None:
        return known[1]
    if len(_FOUND) >= _FOUND_MAX:
        _FOUND.clear()
    found = tuple(grant for grant in grants if _names(grant.allow, permission))
    _FOUND[id(grants), permission] = grants, found
    return found


def _outside(identity: Identity, permission: str, resource: str) -> str | None:
    """Why the token's scope does not reach so far; None if it does."""
    scope = identity.scope
    if scope.namespaces and permission not in WITHIN | OF_ALL:
        return (
            f"{permission} reaches over all namespaces, and the token is for"
            f" {', '.join(scope.namespaces)} only"
        )
    if resource == ANY or permission not in WITHIN:
        return None
    namespace, _, rest = resource.partition(".")
    if not sees_namespace(identity, namespace):
        return f"the token is not for the namespace {namespace}"
    limits = _LIMITS.get(permission)
    allowed = None if limits is None else limits(scope)
    if allowed is None:
        return None
    if permission in ("tasks:submit", "tasks:work"):
        rest = f"capability.{rest}"
    for one in allowed:
        if covers(one.replace(":", ".", 1), rest):
            return None
    named = ", ".join(allowed) or "nothing"
    return f"the token's scope has {permission} on {named} only"


def _names(grant: str, permission: str) -> bool:
    """Whether a grant's `resource:verb`, in which `*` is any, names the permission."""
    resource, _, verb = grant.partition(":")
    wanted, _, wanted_verb = permission.partition(":")
    return resource in ("*", wanted) and verb in ("*", wanted_verb)
