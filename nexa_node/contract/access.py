"""Who may call, as what, and how far that reaches."""

from datetime import datetime
from typing import Literal

import msgspec

from nexa_node.contract.quotas import BudgetView, Quota

BuiltInRole = Literal["viewer", "operator", "admin", "auditor", "agent", "node"]
RoleName = str
"""One of `ROLES`, or a custom role of the cluster: a slug."""
ROLES: tuple[BuiltInRole, ...] = (
    "viewer",
    "operator",
    "admin",
    "auditor",
    "agent",
    "node",
)


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a role may do. There are no denials: what nobody allowed is refused."""

    allow: str
    """`resource:verb`, `tasks:read` say; either half may be `*`."""
    on: str = ">"
    """Which ones: dotted names as NATS has them, the namespace first. `*` is one token,
    `>` all that are left: `team-a.>`, `*.topic.orders.>`."""


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a token reaches within what its role may. Empty: as far as the role."""

    namespaces: tuple[str, ...] = ()
    """Nothing outside of these exists for the holder; none named: all."""
    may_send: tuple[str, ...] | None = None
    """Messages go only to these: `topic:orders.>`, `agent:bob`, `capability:wc`,
    `broadcast`."""
    may_receive: tuple[str, ...] | None = None
    """Only these: `topic:orders.>` to subscribe to, `capability:wc` to get tasks for. Its
    own inbox an agent always reads."""
    may_submit: tuple[str, ...] | None = None
    """Tasks of these types only: `capability:wc`."""


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """What its holders may do."""

    name: RoleName
    permissions: tuple[Permission, ...]
    built_in: bool = False


class NewRole(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/roles; one of that name is replaced."""

    name: RoleName
    permissions: tuple[Permission, ...]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A caller that proved who it is."""

    id: str
    """`token:<id>`."""
    role: RoleName
    name: str
    expires: datetime | None = None
    scope: Scope = Scope()
    permissions: tuple[Permission, ...] | None = None
    """Of a custom role; None of a built-in one."""
    generation: int = 0
    """How often the token had been rotated when it was shown."""
    session: str = ""
    """`token:<id>` of the short-lived token by which it calls, after a login."""


class AccessDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether somebody may do something, and by which rule."""

    who: str
    action: str
    resource: str
    allowed: bool
    rule: str


class NamespaceView(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace, as far as the asker may know of it."""

    name: str
    agents: int
    tasks: int
    quota: Quota | None = None
    """What was set for it."""
    budget: BudgetView | None = None
    """How it stands, if it has one."""


VOUCHED = "oidc-"
"""How the ids begin of tokens for people another vouches for."""


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it may be shown: never the secret."""

    id: str
    role: RoleName
    name: str
    created: datetime
    expires: datetime | None
    last_used: datetime | None = None
    """To about ten minutes; None if never."""
    scope: Scope = Scope()
    rotated: datetime | None = None
    """When it got its present secret, if that is not its first."""
    overlap_until: datetime | None = None
    """Till then the secret before opens the node, too."""
    public_key: str = ""
    """Its holder proves it by this Ed25519 key, base64; then there is no secret."""
    of: str = ""
    """A short-lived one: the id of the token whose key logged in."""
    certificates: tuple[str, ...] = ()
    """Its holder proves it by showing one of these, SHA-256; then there is no secret."""


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/tokens."""

    role: RoleName
    name: str = ""
    expires_s: int | None = None
    """From now, in seconds; None takes the role's default (30 d, agents 90 d)."""
    scope: Scope = Scope()
    public_key: str | None = None
    """An Ed25519 key, 32 bytes in base64: its holder logs in by signatures, and no
    secret is made."""


class RotateToken(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/tokens/{id}/rotate."""

    overlap_s: int = 600
    """How long the secret before goes on working; at most a day."""


class TokenCreated(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: the only time the token itself is told."""

    id: str
    token: str
    """Empty of one with a public key: it has no secret."""
    role: RoleName
    name: str
    expires: datetime | None
    scope: Scope = Scope()


class NewCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/certificates: exactly one of `csr` and `certificate`."""

    role: RoleName
    csr: str | None = None
    """A signing request, PEM, for an EC P-256 key that its maker keeps: of all it says
    the public key alone counts."""
    certificate: str | None = None
    """A certificate of another authority that the node trusts (`[tls] client_ca_file`)."""
    name: str = ""
    expires_s: int | None = None
    """From now, in seconds; None takes the role's default (30 d, agents 90 d)."""
    scope: Scope = Scope()


class RenewCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/certificates/{id}/renew."""

    csr: str


class CertificateIssued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that proves who its holder is."""

    id: str
    """As a token has one: by it what the holder does is told, and it is revoked."""
    certificate: str
    """PEM; empty of one that was made elsewhere."""
    authorities: str
    """PEM of those by which the cluster's nodes are known; empty where the operator
    brought the nodes' certificates."""
    role: RoleName
    name: str
    expires: datetime
    scope: Scope = Scope()
