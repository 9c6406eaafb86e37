"""Tokens as text, and which permission each action needs; `core.authorization` decides.

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

from nexa_node.contract.access import BuiltInRole, Permission

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


def make_token(entropy: bytes, *, token_id: str | None = None) -> TokenText:
    """Make a token of at least `TOKEN_ENTROPY` random bytes; a new secret with an id.

    Raises:
        ValueError: Too few bytes.
    """
    if len(entropy) < TOKEN_ENTROPY:
        raise ValueError(f"a token needs {TOKEN_ENTROPY} random bytes")
    token_id = token_id or _base62(
        entropy[:_ID_ENTROPY], 11, alphabet=_BASE62[:10] + _BASE62[36:]
    )
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


_NOBODYS_HASH = "0" * 64
"""Stands in where there is no token: comparing with nothing would be quicker."""


def same_token(text: str, sha256: str) -> bool:
    """Say whether `text` is the token with that hash, in constant time.

    An empty hash is nobody's, and is compared as long as any other.
    """
    kept = sha256 or _NOBODYS_HASH
    return hmac.compare_digest(hash_token(text).encode(), kept.encode())


PUBLIC = "public"
"""Of actions that anybody may ask for: they are how one becomes somebody."""

API_ACTIONS: Mapping[str, str] = {
    "authenticate": PUBLIC,
    "authenticate_certificate": PUBLIC,
    "ready": PUBLIC,
    "login_ways": PUBLIC,
    "challenge": PUBLIC,
    "login": PUBLIC,
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
    "list_topics": "messages:read",
    "list_inboxes": "messages:read",
    "peek": "messages:read",
    "put_object": "objects:write",
    "get_object": "objects:read",
    "buckets": "shared:read",
    "declare_bucket": "shared:declare",
    "shared_values": "shared:read",
    "shared_value": "shared:read",
    "write_value": "shared:write",
    "delete_value": "shared:write",
    "conflicts": "shared:read",
    "conflict": "shared:read",
    "events": "events:read",
    "config": "config:read",
    "logs": "logs:read",
    "selftest": "selftest:read",
    "run_selftest": "selftest:run",
    "metrics": "metrics:read",
    "prometheus": "metrics:read",
    "targets": "metrics:read",
    "create_token": "tokens:create",
    "list_tokens": "tokens:read",
    "revoke_token": "tokens:revoke",
    "rotate_token": "tokens:rotate",
    "issue_certificate": "tokens:create",
    "renew_certificate": "tokens:rotate",
    "certificates": "tokens:read",
    "roles": "roles:read",
    "create_role": "roles:write",
    "delete_role": "roles:write",
    "explain_access": "roles:read",
    "namespaces": "namespaces:read",
    "set_namespace": "namespaces:write",
    "delete_namespace": "namespaces:write",
    "feed": "feed:read",
    "drain_agent": "agents:drain",
    "drain": "node:drain",
    "maintain": "node:maintain",
    "profile": "node:profile",
    "growth": "cluster:read",
    "join_token": "cluster:join",
    "leave": "cluster:change",
    "remove_node": "cluster:change",
    "set_replicas": "cluster:change",
    "rotate_keys": "cluster:change",
    "backup": "cluster:backup",
    "restore": "cluster:restore",
    "notifications": "notifications:read",
    "test_receivers": "notifications:test",
    "watchdog": "watchdog:call",
    "alerts": "alerts:read",
    "alert": "alerts:read",
    "alert_history": "alerts:read",
    "handover": "alerts:read",
    "ack_alert": "alerts:ack",
    "unack_alert": "alerts:ack",
    "note_alert": "alerts:ack",
    "dismiss_alert": "alerts:ack",
    "silences": "silences:read",
    "preview_silence": "silences:read",
    "create_silence": "silences:write",
    "expire_silence": "silences:write",
    "rules": "rules:read",
    "reload_rules": "rules:reload",
    "audit": "audit:read",
    "verify_audit": "audit:verify",
    "connect_agent": "sessions:open",
    "plan": PUBLIC,  # asks for the permission of what is planned
}
"""Every call of `services.api.NodeApi`."""

METHOD_ACTIONS: Mapping[str, str] = {
    "session.challenge": PUBLIC,
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
    "alerts:read",
    "silences:read",
    "rules:read",
    "notifications:read",
    "shared:read",
    "roles:read",
    "namespaces:read",
)
_OPERATE = (
    "shared:declare",
    "shared:write",
    "agents:disconnect",
    "agents:drain",
    "tasks:submit",
    "tasks:cancel",
    "tasks:redrive",
    "tasks:purge",
    "messages:send",
    "messages:read",
    "objects:read",
    "objects:write",
    "selftest:run",
    "alerts:ack",
    "silences:write",
    "rules:reload",
    "notifications:test",
    "watchdog:call",
    "config:read",
    "logs:read",
    "node:drain",
    "node:maintain",
    "node:profile",
)
_WORK = (
    "shared:read",
    "shared:write",
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
    "watchdog:call",
)
_AUDIT = ("audit:read", "audit:verify", "logs:read", "config:read")
_GOVERN = (
    "tokens:create",
    "tokens:read",
    "tokens:revoke",
    "tokens:rotate",
    "roles:write",
    "namespaces:write",
    "cluster:join",
    "cluster:change",
    "cluster:backup",
    "cluster:restore",
)


def _grants(*permissions: str) -> tuple[Permission, ...]:
    return tuple(Permission(allow=each) for each in dict.fromkeys(permissions))


ROLE_GRANTS: Mapping[BuiltInRole, tuple[Permission, ...]] = {
    "viewer": _grants(*_READ),
    "operator": _grants(*_READ, *_OPERATE),
    "admin": _grants(*_READ, *_OPERATE, *_WORK, *_GOVERN, *_AUDIT),
    "auditor": _grants(*_READ, *_AUDIT, "tokens:read"),
    "agent": _grants(*_WORK),
    "node": _grants("node:read", "cluster:read"),
}
"""What each role may do. An admin is an agent too: `nexa agent run` on the node's own
machine finds the admin's token and no other."""


def _base62(raw: bytes, length: int, *, alphabet: str = _BASE62) -> str:
    number, digits = int.from_bytes(raw, "big"), ""
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        digits = alphabet[digit] + digits
    return digits


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()).to_bytes(4, "big"), 6)
