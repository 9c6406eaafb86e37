"""The audit: who did what to what, from where, and what came of it."""

from datetime import datetime
from typing import Literal

import msgspec

from nexa_node.contract.tasks import Json

Outcome = Literal["done", "denied", "failed", "begun"]
"""`begun`: it was written down before it was done, and its end never was."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did, or tried."""

    time: datetime
    event: str
    """By OWASP's logging vocabulary where it has a word: `authn_login_fail`,
    `authz_fail`, `authn_token_revoked`; else the action's own, `nodes:drain`."""
    actor: str
    """`token:<id>`, or empty: nobody had said who they are."""
    name: str = ""
    """Of the actor, as it was then."""
    role: str = ""
    address: str = ""
    """IP address of the caller."""
    request: str = ""
    """The request's id, as the caller and the log have it."""
    action: str = ""
    """`resource:verb`, as roles name it."""
    resource: str = ""
    """To what: `node/alpha`, `token/k3v9`."""
    outcome: Outcome = "done"
    reason: str = ""
    """Why it was denied, or failed."""
    before: dict[str, Json] = {}
    """What was the case, where something changed; secrets are left out."""
    after: dict[str, Json] = {}


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An entry in its place in a node's chain."""

    v: int
    chain: str
    """`<node>/<epoch>`: a node that begins anew begins another chain."""
    seq: int
    """From 1, without holes."""
    entry: AuditEntry
    prev: str
    """The hash of the record before; of the first one, 64 zeros."""
    hash: str
    """SHA-256 over `prev` and all of the above; 64 hexadecimal digits."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far a chain had come, signed by its node and kept by the others."""

    chain: str
    seq: int
    hash: str
    time: datetime
    key: str
    """The node's public Ed25519 key, base64."""
    signature: str
    """Over the other fields, base64."""


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying found."""

    status: Literal["ok", "broken", "incomplete"]
    """`incomplete`: what is there is whole, but it could not all be read."""
    records: int
    first_bad: int | None = None
    """The number of the first record that is not as it was written."""
    reason: str = ""
    chain: str = ""
    """Whose, if one is broken."""
    checkpoints: int = 0
    """That were compared."""
    witnesses: int = 0
    """Other nodes whose own copies of checkpoints were compared, too."""
