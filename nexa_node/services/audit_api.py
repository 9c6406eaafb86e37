"""The driving side of the audit: a part of `api.NodeApi`, in a file of its own."""

from datetime import datetime
from typing import Any, Protocol

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.audit import AuditEntry, AuditRecord, AuditVerdict, Outcome
from nexa_node.contract.rest import Page


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records to list, the newest first."""

    event: str | None = None
    """A prefix: `authn_` finds all of them."""
    actor: str | None = None
    """`token:<id>`, or a name."""
    outcome: Outcome | None = None
    resource: str | None = None
    """A part of it."""
    node: str | None = None
    address: str | None = None
    text: str | None = None
    """A part of any of its words, whatever the case."""
    since: datetime | None = None
    limit: int = 100
    before: datetime | None = None
    """Only what was earlier: where the next page begins."""

    def takes(self, entry: AuditEntry) -> bool:
        """Say whether a record is wanted, whatever its time."""
        return (
            (self.event is None or entry.event.startswith(self.event))
            and (self.actor is None or self.actor in {entry.actor, entry.name})
            and (self.outcome is None or entry.outcome == self.outcome)
            and (self.resource is None or self.resource in entry.resource)
            and (self.address is None or self.address == entry.address)
            and (self.text is None or _has(entry, self.text.lower()))
        )


def _has(entry: AuditEntry, wanted: str) -> bool:
    words = (
        entry.event, entry.actor, entry.name, entry.role, entry.address, entry.request,
        entry.action, entry.resource, entry.reason,
    )  # fmt: skip
    return any(wanted in word.lower() for word in words)


class Auditor(Protocol):
    """Where edges write down what is done through them."""

    async def record(self, **fields: Any) -> None:
        """Write an entry down, durably; `Unavailable` if that can't be done."""
        ...

    def note(self, **fields: Any) -> None:
        """Write an entry down in the background."""
        ...


class AuditApi(Protocol):
    """What a node answers about the audit."""

    async def audit(self, identity: Identity, query: AuditFilter) -> Page[AuditRecord]:
        """List what was written down, on all nodes that answer, the newest first."""
        ...

    async def verify_audit(self, identity: Identity) -> AuditVerdict:
        """Verify the chains of all nodes."""
        ...
