"""Examples of the audit, for the API's description."""

from datetime import UTC, datetime

from nexa_node.contract.audit import AuditEntry, AuditRecord, AuditVerdict
from nexa_node.contract.rest import Page

RECORDS = Page(
    items=(
        AuditRecord(
            v=1,
            chain="alpha/4f1c",
            seq=812,
            entry=AuditEntry(
                time=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
                event="nodes:drain",
                actor="token:k3v9",
                name="ada",
                role="operator",
                address="192.0.2.7",
                request="6b1f0c9a2d3e4f50",
                action="nodes:drain",
                resource="/v1/nodes/gamma/drain",
                outcome="done",
            ),
            prev="5e" * 32,
            hash="a1" * 32,
        ),
    ),
    next_cursor=None,
)
VERDICT = AuditVerdict(status="ok", records=812, checkpoints=3)
