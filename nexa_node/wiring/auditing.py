"""The audit, joined: this node's files and key, checkpoints that the others keep."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta

from nexa_node.adapters.files.audit import AuditFiles
from nexa_node.adapters.files.audit_key import AuditKey
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.ports import Clock
from nexa_node.services.access.audit import Audit
from nexa_node.services.access.audit_desk import AuditDesk
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
        self.desk = AuditDesk(
            self._files,
            checkpoints=store.checkpoints,
            calls=store.calls,
            node=name,
            living=fellowship.members.living,
        )
        self.desk.serve()

    @property
    def loops(self) -> tuple[tuple[str, Loop], ...]:
        """What runs on every node."""
        return (
            ("audit", self.writer.run),
            ("audit-checkpoints", self.writer.keep_up),
            ("audit-retention", self._retire),
        )

    async def _retire(self) -> None:
        while True:
            await self._clock.sleep(RETIRE_EVERY_S)
            kept = timedelta(days=self._policy.audit_days)
            await self._files.retire(
                older_than=(self._clock.now() - kept).timestamp(),
                more_than_bytes=self._policy.audit_max_bytes,
            )
