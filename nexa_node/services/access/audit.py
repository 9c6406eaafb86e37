"""The audit of this node: what was done is written down before it is answered.

A change that can't be written down is refused. What happens anyway (a login that fails,
a call that is denied) is noted in the background; if that can't be written, how many
were missed is the next thing that is.
"""

import asyncio
import base64
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from nexa_node.contract.audit import AuditEntry, Checkpoint
from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.core.audit import chained, entry_of, line, signed_part
from nexa_node.ports import AuditFiles, AuditTail, Checkpoints, Clock

WAITING_MAX = 10_000
AT_ONCE = 256
"""Records that share one sync of the disk."""
CHECKPOINT_EVERY_S = 60.0
CHECKPOINT_EVERY = 1000
"""Records: whichever comes first."""
LOOK_EVERY_S = 5.0
"""How late a checkpoint may be when no record follows."""
RETRY_S = 1.0

log: Any = structlog.get_logger("nexa_node.audit")

Waiting = tuple[AuditEntry, asyncio.Future[None] | None]


class Audit:
    """Writes one chain."""

    def __init__(
        self,
        files: AuditFiles,
        *,
        checkpoints: Checkpoints,
        clock: Clock,
        node: str,
        epoch: str,
        sign: Callable[[bytes], bytes],
        public_key: Callable[[], bytes],
    ) -> None:
        """Write nothing yet: `run` does.

        Args:
            files: The node's own disk.
            checkpoints: Kept by the others.
            clock: Stamps entries.
            node: This node's name.
            epoch: Of a chain that would have to be begun.
            sign: Signs checkpoints with the node's Ed25519 key.
            public_key: Tells the key that belongs to it, raw.
        """
        self._files = files
        self._checkpoints = checkpoints
        self._clock = clock
        self._new_chain = f"{node}/{epoch}"
        self._sign = sign
        self._public_key = public_key
        self._waiting: asyncio.Queue[Waiting] = asyncio.Queue(WAITING_MAX)
        self._tail: AuditTail | None = None
        self._pointed = 0
        self._pointed_at = float("-inf")
        self._missed = 0
        self.records = 0
        """Written since the start."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """Written since the start, by event and outcome."""
        self.missed = 0
        """Noted, and never written, since the start."""
        self.healthy = True
        """Whether the last write succeeded."""

    @property
    def tail(self) -> AuditTail | None:
        """How far the chain is; None before it was opened."""
        return self._tail

    async def record(self, **fields: Any) -> None:
        """Write an entry down; back when it is on the disk.

        Args:
            fields: Of an `AuditEntry`, without its time.

        Raises:
            Unavailable: It can't be written: what it is about must not be done.
        """
        written = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((self._entry(fields), written))
        except asyncio.QueueFull as error:
            raise _unwritten("too many records wait") from error
        await written

    def note(self, **fields: Any) -> None:
        """Write an entry down in the background; never raises."""
        try:
            self._waiting.put_nowait((self._entry(fields), None))
        except asyncio.QueueFull:
            self._miss(1)

    async def run(self) -> None:
        """Write what comes, for ever. A service's loop."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._write(batch)
            await self._point()

    async def keep_up(self) -> None:
        """Have the others know of the last records, too, when none follow. A loop."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self._point()

    async def remembered(self) -> Checkpoint | None:
        """How far the chain is, as far as this process itself wrote it.

        What is cut off while it runs is found by that, whatever the others know yet.
        """
        tail = self._tail
        return None if tail is None else await asyncio.to_thread(self._signed, tail)

    async def _write(self, batch: list[Waiting]) -> None:
        entries = [entry for entry, _ in batch]
        if self._missed:
            told = self._entry({"event": "audit_gap", "actor": ""})
            entries.insert(0, _counted(told, self._missed))
        try:
            if self._tail is None:
                self._tail = await self._files.open(self._new_chain)
            lines, tail = _lines(self._tail, entries)
            await self._files.append(lines, tail)
        except NexaError as error:
            self._fail(batch, error)
            return
        self._tail, self._missed, self.healthy = tail, 0, True
        self.records += len(entries)
        self.counts.update((entry.event, entry.outcome) for entry in entries)
        for _, written in batch:
            if written is not None and not written.done():
                written.set_result(None)

    def _fail(self, batch: list[Waiting], error: NexaError) -> None:
        if self.healthy:
            log.error("audit_not_written", cause=error.message)
        self.healthy = False
        for _, written in batch:
            if written is None:
                self._miss(1)
            elif not written.done():
                written.set_exception(_unwritten(error.message))

    async def _point(self) -> None:
        """Have the others keep how far the chain is, now and then."""
        tail, now = self._tail, self._clock.monotonic()
        if tail is None or tail.seq == self._pointed:
            return
        many = tail.seq - self._pointed >= CHECKPOINT_EVERY
        if not many and now - self._pointed_at < CHECKPOINT_EVERY_S:
            return
        self._pointed_at = now
        try:
            await self._checkpoints.put(await asyncio.to_thread(self._signed, tail))
        except NexaError as error:
            log.warning("checkpoint_not_kept", cause=error.message)
        else:
            self._pointed = tail.seq

    def _signed(self, tail: AuditTail) -> Checkpoint:
        bare = Checkpoint(
            chain=tail.chain,
            seq=tail.seq,
            hash=tail.head,
            time=self._clock.now(),
            key=base64.b64encode(self._public_key()).decode(),
            signature="",
        )
        signature = base64.b64encode(self._sign(signed_part(bare))).decode()
        return msgspec.structs.replace(bare, signature=signature)

    def _entry(self, fields: dict[str, Any]) -> AuditEntry:
        return entry_of(time=self._clock.now(), **fields)

    def _miss(self, count: int) -> None:
        self._missed += count
        self.missed += count


def _lines(tail: AuditTail, entries: list[AuditEntry]) -> tuple[list[bytes], AuditTail]:
    lines: list[bytes] = []
    seq, head = tail.seq, tail.head
    for entry in entries:
        seq += 1
        record = chained(tail.chain, seq, head, entry)
        head = record.hash
        lines.append(line(record))
    return lines, AuditTail(tail.chain, seq, head)


def _counted(entry: AuditEntry, missed: int) -> AuditEntry:
    reason = f"{missed} entries could not be written"
    return msgspec.structs.replace(entry, outcome="failed", reason=reason)


def _unwritten(why: str) -> Unavailable:
    return Unavailable(
        f"the audit can't be written, so nothing is changed: {why}",
        remedy="nexa doctor; free space on the disk of the state folder",
    )
