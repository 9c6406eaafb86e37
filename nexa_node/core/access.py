"""Tokens as text, and who may do what: one pure `authorize`, asked for every call.

Roles hold permissions `resource:verb`, each over a pattern of resource names; there
are no deny rules, so an action nobody was allowed is refused. Actions are named as
callers know them: a `NodeApi` call by its name (`submit`), a method of the agent
protocol by its own (`task.submit`). An action without a mapped permission is refused to
everybody, and a test finds it.

A token is `nxa_<id>_<43 base62><6 base62>`: a public id to look its record up by, 256
secret bits, and a CRC-32 of all before it that finds a mistyped one without a look-up.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from nexa_node.contract.access import Identity, RoleName
from nexa_node.contract.errors import Forbidden

TOKEN_ENTROPY = 40
"""Bytes that `make_token` needs: 8 for the id, 32 for the secret."""

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"nxa_([a-z0-9-]{1,40})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
_ID_ENTROPY = 8


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token that is whole; whether anybody knows it is another question."""

    id: str
    text: str


def make_token(entropy: bytes) -> TokenText:
    """Make a token of at least `TOKEN_ENTROPY` random bytes.

    Raises:
        ValueError: Too few bytes.
    """
    if len(entropy) < TOKEN_ENTROPY:
        raise ValueError(f"a token needs {TOKEN_ENTROPY} random bytes")
    token_id = _base62(entropy[:_ID_ENTROPY], 11, alphabet=_BASE62[:10] + _BASE62[36:])
    secret = _base62(entropy[_ID_ENTROPY:TOKEN_ENTROPY], 43)
    body = f"nxa_{token_id}_{secret}"
    return TokenText(token_id, body + _checksum(body))


def parse_token(text: str) -> TokenText | None:
    """Take a token apart; None if it is malformed or its checksum is wrong."""
    found = _TOKEN.fullmatch(text)
    if found is None or _checksum(text[:-6]) != found[3]:
        return None
    return TokenText(found[1], text)


def hash_token(text: str) -> str:
    """What is kept of a token: SHA-256 of its text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def same_token(text: str, sha256: str) -> bool:
    """Say whether `text` is the token with that hash, in constant time."""
    return hmac.compare_digest(hash_token(text).encode(), sha256.encode())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `authorize` decided, and by which rule: logged, audited and shown."""

    allowed: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission, over the resources that match a NATS-style pattern."""

    permission: str
    pattern: str = ">"


PUBLIC = "public"
"""Of actions that anybody may ask for: they are how one becomes somebody."""

API_ACTIONS: Mapping[str, str] = {
    "authenticate": PUBLIC,
    "ready": PUBLIC,
    "status": "node:read",
    "cluster": "cluster:read",
    "agents": "agents:read",
    "agent": "agents:read",
    "disconnect": "agents:disconnect",
    "submit": "tasks:submit",
    "tasks": "tasks:read",
    "task": "tasks:read",
    "explain": "tasks:read",
    "cancel": "tasks:cancel",
    "queues": "tasks:read",
    "redrive": "tasks:redrive",
    "purge": "tasks:purge",
    "send": "messages:send",
    "posted": "messages:read",
    "put_object": "objects:write",
    "get_object": "objects:read",
    "events": "events:read",
    "selftest": "selftest:read",
    "run_selftest": "selftest:run",
    "metrics": "metrics:read",
    "create_token": "tokens:create",
    "list_tokens": "tokens:read",
    "revoke_token": "tokens:revoke",
    "feed": "feed:read",
    "drain": "node:drain",
    "maintain": "node:maintain",
    "growth": "cluster:read",
    "join_token": "cluster:join",
    "leave": "cluster:change",
    "remove_node": "cluster:change",
    "set_replicas": "cluster:change",
    "backup": "cluster:backup",
    "restore": "cluster:restore",
    "connect_agent": "sessions:open",
}
"""Every call of `services.api.NodeApi`."""

METHOD_ACTIONS: Mapping[str, str] = {
    "session.hello": "sessions:open",
    "session.refresh": "sessions:open",
    "session.bye": "sessions:open",
    "agent.report": "sessions:open",
    "agents.find": "agents:read",
    "message.send": "messages:send",
    "message.request": "messages:send",
    "topic.subscribe": "messages:receive",
    "topic.unsubscribe": "messages:receive",
    "inbox.ack": "messages:receive",
    "inbox.nack": "messages:receive",
    "inbox.term": "messages:receive",
    "flow.credit": "sessions:open",
    "task.submit": "tasks:submit",
    "task.get": "tasks:read",
    "task.list": "tasks:read",
    "task.cancel": "tasks:cancel",
    "task.watch": "tasks:read",
    "task.unwatch": "tasks:read",
    "task.progress": "tasks:work",
    "task.complete": "tasks:work",
    "task.fail": "tasks:work",
    "task.release": "tasks:work",
}
"""Every method of the agent protocol, agent → node."""

ACTIONS: Mapping[str, str] = {**API_ACTIONS, **METHOD_ACTIONS}

_READ = (
    "node:read",
    "cluster:read",
    "agents:read",
    "tasks:read",
    "events:read",
    "selftest:read",
    "metrics:read",
    "feed:read",
)
_OPERATE = (
    "agents:disconnect",
    "tasks:submit",
    "tasks:cancel",
    "tasks:redrive",
    "tasks:purge",
    "messages:send",
    "messages:read",
    "objects:read",
    "objects:write",
    "selftest:run",
    "node:drain",
    "node:maintain",
)
_WORK = (
    "sessions:open",
    "agents:read",
    "tasks:read",
    "tasks:submit",
    "tasks:cancel",
    "tasks:work",
    "messages:send",
    "messages:receive",
    "messages:read",
    "objects:read",
    "objects:write",
)
_GOVERN = (
    "tokens:create",
    "tokens:read",
    "tokens:revoke",
    "cluster:join",
    "cluster:change",
    "cluster:backup",
    "cluster:restore",
)


def _grants(*permissions: str) -> tuple[Grant, ...]:
    return tuple(Grant(permission) for permission in dict.fromkeys(permissions))


ROLE_GRANTS: Mapping[RoleName, tuple[Grant, ...]] = {
    "viewer": _grants(*_READ),
    "operator": _grants(*_READ, *_OPERATE),
    "admin": _grants(*_READ, *_OPERATE, *_WORK, *_GOVERN),
    "auditor": _grants(*_READ, "tokens:read"),
    "agent": _grants(*_WORK),
    "node": _grants("node:read", "cluster:read"),
}
"""What each role may do. An admin is an agent too: `nexa agent run` on the node's own
machine finds the admin's token and no other."""


def authorize(identity: Identity, action: str, resource: str = "*") -> Verdict:
    """Decide whether `identity` may do `action` on `resource`.

    Args:
        identity: A caller that proved who it is; whether it still may call at all
            (expiry, revocation) is settled before.
        action: A key of `ACTIONS`.
        resource: Its dotted name, `<namespace>.<id>` say; `*` when there is no single one.
    """
    permission = ACTIONS.get(action)
    if permission is None:
        return Verdict(False, f"no permission is mapped to {action}")
    if permission == PUBLIC:
        return Verdict(True, f"{action} is open to anybody")
    for grant in ROLE_GRANTS[identity.role]:
        if grant.permission == permission and _matches(grant.pattern, resource):
            return Verdict(True, f"{identity.role} has {permission} on {grant.pattern}")
    return Verdict(False, f"{identity.role} lacks {permission}")


def demand(identity: Identity, action: str, resource: str = "*") -> None:
    """Let an allowed call pass.

    Raises:
        Forbidden: `authorize` said no; the remedy names a role that may.
    """
    verdict = authorize(identity, action, resource)
    if verdict.allowed:
        return
    role = _least_role(action, resource)
    remedy = (
        f"use a token of the role {role}: an admin makes one with"
        f" nexa token create --role {role}"
        if role
        else None
    )
    raise Forbidden(f"{identity.id} may not {action}: {verdict.rule}", remedy=remedy)


_BY_REACH: tuple[RoleName, ...] = ("viewer", "operator", "agent", "auditor", "admin")
"""Roles to advise, the narrowest that a person would hold first."""


def _least_role(action: str, resource: str) -> RoleName | None:
    permission = ACTIONS.get(action)
    for role in _BY_REACH:
        for grant in ROLE_GRANTS[role]:
            if grant.permission == permission and _matches(grant.pattern, resource):
                return role
    return None


def _matches(pattern: str, resource: str) -> bool:
    """Match dotted names as NATS does: `*` is one token, `>` all that are left."""
    wanted, given = pattern.split("."), resource.split(".")
    for at, part in enumerate(wanted):
        if part == ">":
            return len(given) > at
        if at >= len(given) or part not in ("*", given[at]):
            return False
    return len(wanted) == len(given)


def _base62(raw: bytes, length: int, *, alphabet: str = _BASE62) -> str:
    number, digits = int.from_bytes(raw, "big"), ""
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        digits = alphabet[digit] + digits
    return digits


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()).to_bytes(4, "big"), 6)
