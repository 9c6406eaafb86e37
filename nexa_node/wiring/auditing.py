"""The audit, joined: this node's files and key, checkpoints that the others keep."""

import secrets
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from nexa_node.adapters.files.audit import AuditFiles
from nexa_node.adapters.files.audit_key import AuditKey
from nexa_node.adapters.files.witness import Witness
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.core.exposition import Family
from nexa_node.ports import Clock
from nexa_node.services.access.audit import Audit
from nexa_node.services.access.audit_desk import AuditDesk
from nexa_node.services.access.login_audit import LoginAudit
from nexa_node.services.access.witness import WitnessService
from nexa_node.services.metrics.auditing import families
from nexa_node.wiring.fellowship import Fellowship
from nexa_node.wiring.place import Place

RETIRE_EVERY_S = 3600.0
Loop = Callable[[], Awaitable[None]]


class Auditing:
    """Who writes, who reads, and what is retired."""

    def __init__(
        self, place: Place, store: NatsStore, fellowship: Fellowship, clock: Clock
    ) -> None:
        """Join them; nothing is written before the loops run."""
        self._policy = place.loaded.settings.retention
        self._clock = clock
        self._files = AuditFiles(place.folder.path / "audit")
        key = AuditKey(place.folder.path / "audit.key")
        name = place.identity.name
        self.writer = Audit(
            self._files,
            checkpoints=store.checkpoints,
            clock=clock,
            node=name,
            epoch=secrets.token_hex(4),
            sign=key.sign,
            public_key=key.public,
        )
        self.logins = LoginAudit(self.writer, clock)
        """Who came, and who did not get in."""
        self._witness = WitnessService(
            store.checkpoints,
            Witness(place.folder.path / "witness.jsonl"),
            node=name,
            journal=fellowship.journal,
        )
        self.desk = AuditDesk(
            self._files,
            checkpoints=store.checkpoints,
            calls=store.calls,
            node=name,
            living=fellowship.members.living,
            witness=self._witness,
            kept_since=self._kept_since,
            remembered=self.writer.remembered,
        )
        self.desk.serve()

    def families(self) -> Iterable[Family]:
        """What the audit counts."""
        return families(self.writer)

    @property
    def loops(self) -> tuple[tuple[str, Loop], ...]:
        """What runs on every node."""
        return (
            ("audit", self.writer.run),
            ("audit-checkpoints", self.writer.keep_up),
            ("audit-retention", self._retire),
            ("audit-witness", self._witness.run),
        )

    def _kept_since(self) -> datetime:
        return self._clock.now() - timedelta(days=self._policy.audit_days)

    async def _retire(self) -> None:
        while True:
            await self._clock.sleep(RETIRE_EVERY_S)
            await self._files.retire(
                older_than=self._kept_since().timestamp(),
                more_than_bytes=self._policy.audit_max_bytes,
            )
