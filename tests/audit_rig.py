"""The audit over files in a folder, with checkpoints and other nodes in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from nexa_node.adapters.files.audit import AuditFiles
from nexa_node.adapters.files.audit_key import AuditKey
from nexa_node.adapters.files.witness import Witness
from nexa_node.contract.audit import Checkpoint
from nexa_node.contract.errors import Unavailable
from nexa_node.ports import Handler
from nexa_node.services.access.audit import Audit
from nexa_node.services.access.audit_desk import AuditDesk
from nexa_node.services.access.witness import WitnessService
from tests.fakes import FakeClock, RecordingJournal


class MemoryCheckpoints:
    """`ports.Checkpoints`."""

    def __init__(self) -> None:
        self.kept: list[Checkpoint] = []
        self.away = False
        self._news = asyncio.Event()

    async def put(self, point: Checkpoint) -> None:
        if self.away:
            raise Unavailable("no quorum")
        self.kept.append(point)
        self._news.set()

    async def watch(self) -> AsyncIterator[Checkpoint]:
        told = 0
        while True:
            while told < len(self.kept):
                told += 1
                yield self.kept[told - 1]
            self._news.clear()
            await self._news.wait()

    async def all(self) -> list[Checkpoint]:
        return list(self.kept)


class MemoryCalls:
    """`ports.NodeCalls` between nodes of one process."""

    def __init__(self) -> None:
        self.handlers: dict[tuple[str, str], Handler] = {}

    async def ask(
        self, node: str, what: str, payload: bytes, *, timeout_s: float
    ) -> bytes:
        if (node, what) not in self.handlers:
            raise Unavailable(f"{node} does not answer")
        return await self.handlers[node, what](payload)

    def serve(self, node: str, what: str, handler: Handler) -> None:
        self.handlers[node, what] = handler


class Town:
    """Nodes that audit, each in a folder of its own."""

    def __init__(self, folder: Path, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.checkpoints = MemoryCheckpoints()
        self.calls = MemoryCalls()
        self.names: list[str] = []
        self.journal = RecordingJournal()
        self.witnesses: dict[str, WitnessService] = {}
        self.folder = folder

    def node(self, name: str, files: Any = None) -> tuple[Audit, AuditDesk]:
        """One more node, or the same one after a restart."""
        home = self.folder / name
        kept = files or AuditFiles(home / "audit")
        home.mkdir(exist_ok=True)
        key = AuditKey(home / "audit.key")
        if name not in self.names:
            self.names.append(name)
        writer = Audit(
            kept,
            checkpoints=self.checkpoints,
            clock=self.clock,
            node=name,
            epoch="e1",
            sign=key.sign,
            public_key=key.public,
        )
        self.witnesses[name] = WitnessService(
            self.checkpoints,
            Witness(home / "witness.jsonl"),
            node=name,
            journal=self.journal,
        )
        desk = AuditDesk(
            kept,
            checkpoints=self.checkpoints,
            calls=self.calls,
            node=name,
            living=self._living(),
            witness=self.witnesses[name],
            kept_since=lambda: self.clock.now() - timedelta(days=400),
            remembered=writer.remembered,
        )
        desk.serve()
        return writer, desk

    def _living(self) -> Callable[[], list[str]]:
        return lambda: list(self.names)
