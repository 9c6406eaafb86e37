"""Being a witness: what other nodes said of their audits is kept on this node's disk.

A node can write the store's copy of its own checkpoints anew, and sign them; it can't
reach what another node wrote down when it first heard of them. What does not agree with
what was heard before is kept, too, and told.
"""

import asyncio
from typing import Any

import structlog

from nexa_node.contract.audit import Checkpoint
from nexa_node.contract.errors import NexaError
from nexa_node.core.audit import is_signed
from nexa_node.ports import Checkpoints, WitnessFile
from nexa_node.services.api import Journal

log: Any = structlog.get_logger("nexa_node.audit")

Place = tuple[str, int]


class WitnessService:
    """Listens, and answers for what it heard."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        file: WitnessFile,
        *,
        node: str,
        journal: Journal,
    ) -> None:
        """Keep what others than `node` say in `file`."""
        self._checkpoints = checkpoints
        self._file = file
        self._node = node
        self._journal = journal
        self._known: dict[Place, set[tuple[str, str]]] | None = None
        self._keys: dict[str, str] = {}

    async def run(self) -> None:
        """Listen, for ever. A service's loop."""
        async for point in self._checkpoints.watch():
            if _node_of(point) == self._node:
                continue
            try:
                await self.hear(point)
            except NexaError as error:
                log.warning("witness_not_kept", cause=error.message)

    async def hear(self, point: Checkpoint) -> None:
        """Keep a checkpoint that is signed, once.

        Raises:
            Unavailable: It can't be written.
        """
        if not await asyncio.to_thread(is_signed, point):
            return
        known = await self._read()
        heard = known.setdefault((point.chain, point.seq), set())
        key = self._keys.setdefault(point.chain, point.key)
        if (point.hash, point.key) in heard:
            return
        if key != point.key or any(other != point.hash for other, _ in heard):
            self._tell(point)
        await self._file.keep(point)
        heard.add((point.hash, point.key))

    async def heard(self) -> list[Checkpoint]:
        """What was heard of other nodes' audits: of each chain, by its first key only."""
        keys: dict[str, str] = {}
        return [
            point
            for point in await self._file.all()
            if keys.setdefault(point.chain, point.key) == point.key
        ]

    async def _read(self) -> dict[Place, set[tuple[str, str]]]:
        if self._known is None:
            known: dict[Place, set[tuple[str, str]]] = {}
            for point in await self._file.all():
                known.setdefault((point.chain, point.seq), set()).add(
                    (point.hash, point.key)
                )
                self._keys.setdefault(point.chain, point.key)
            self._known = known
        return self._known

    def _tell(self, point: Checkpoint) -> None:
        node = _node_of(point)
        self._journal.record(
            "audit.contradiction",
            subject=f"node/{node}",
            message=f"{node} tells another story of its audit than before"
            f" (record {point.seq}): nexa audit verify",
            severity="critical",
            data={"chain": point.chain, "seq": point.seq},
        )


def _node_of(point: Checkpoint) -> str:
    return point.chain.partition("/")[0]
