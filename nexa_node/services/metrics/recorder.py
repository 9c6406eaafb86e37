"""Every ten seconds this node's figures become samples, and all nodes hear of them.

A tick is at a whole multiple of ten seconds, so what nodes measured at the same moment
stands in the same column of the history, whoever told it first. Each node keeps the
series of all: an expression over the cluster needs nobody else, and a dead node's past
is still there. A node that starts loads its own past from its file and asks the others
for theirs.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from nexa_node.contract.errors import Invalid, NexaError, Unavailable
from nexa_node.core.exposition import Family
from nexa_node.ports import Clock, HistoryFile, NodeCalls, Tick, Ticks
from nexa_node.services.api import Journal
from nexa_node.services.metrics.samples import OnTick

if TYPE_CHECKING:  # numpy is loaded by the first tick, not by the node's start
    from nexa_node.core.history import Sample
    from nexa_node.services.metrics.keeping import Keeper, Snapshot, View

EVERY_MS = 10_000
GRACE_S = 1.0
"""How long a tick waits for what others measured at its moment."""
_LOOK_S = 0.02
SAVE_S = 300.0
FORGET_S = 300.0
CALL = "metrics_history"
CALL_S = 5.0
PIECE = 512 * 1024
"""Bytes of one answer to another node."""
PIECES_MAX = 256


class _Ask(msgspec.Struct, frozen=True):
    tag: str
    """Of the snapshot that this is a piece of; empty: a new one."""
    offset: int


class _Piece(msgspec.Struct, frozen=True):
    tag: str
    size: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fellows:
    """Other nodes."""

    ticks: Ticks
    calls: NodeCalls
    members: Callable[[], Collection[str]]
    """Names of all nodes on record, this one included, dead ones, too."""
    living: Callable[[], Collection[str]]
    """Names of those that are not known to be dead."""


class Recorder:
    """`samples.Samples`: what all nodes measured, and what was computed from it."""

    def __init__(
        self,
        *,
        node: str,
        run: str,
        read: Callable[[], Iterable[Family]],
        fellows: Fellows,
        file: HistoryFile,
        clock: Clock,
        journal: Journal,
    ) -> None:
        """Record nothing before `run`.

        Args:
            node: This node's name.
            run: Names this run of its process.
            read: Its figures now.
            fellows: The other nodes.
            file: Where its own history outlives the process.
            clock: Ticks are by its wall time.
            journal: Told of a history that can't be read.
        """
        self.node = node
        self._run_of_process = run
        self._read = read
        self._fellows = fellows
        self._file = file
        self._clock = clock
        self._journal = journal
        self._keeper: Keeper | None = None
        self._open = asyncio.Event()
        self._listeners: list[OnTick] = []
        self._pieces: tuple[str, bytes] = ("", b"")
        self._met: set[str] = set()
        """Nodes that were heard, and asked for their past."""
        self._unknown: dict[str, None] = {}
        """Nodes to be asked for all they have."""
        self._ahead_s: dict[str, float] = {}
        """How far this node's clock is ahead of each other one's."""

    # -- what others ask -------------------------------------------------------

    async def keeper(self, wait_s: float = 0.0) -> "Keeper":
        """What is kept; waits so long for it to be loaded.

        Raises:
            Unavailable: It is not loaded yet.
        """
        if self._keeper is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._open.wait()
        return self._kept()

    @property
    def local(self) -> "View":
        """This node's own series and what it recorded."""
        return self._kept().local

    @property
    def cluster(self) -> "View":
        """The series of all nodes."""
        return self._kept().cluster

    @property
    def newest_ms(self) -> int | None:
        """The time of the newest tick; None before the first."""
        return None if self._keeper is None else self._keeper.history.newest_ms

    @property
    def series(self) -> int:
        """How many series this node tells; 0 before the first tick."""
        return 0 if self._keeper is None else self._keeper.own_series

    @property
    def dropped(self) -> int:
        """Samples that were not kept, since a node has too many series."""
        return 0 if self._keeper is None else self._keeper.history.dropped

    @property
    def clock_offset_s(self) -> float:
        """How far this node's clock is ahead of the median of all."""
        living = self._fellows.living()
        known = [ahead for name, ahead in self._ahead_s.items() if name in living]
        return median([0.0, *known])

    def on_tick(self, listener: OnTick) -> None:
        """Have `listener` called on the loop after each tick."""
        self._listeners.append(listener)

    def record(self, source: str, samples: "Sequence[Sample]", *, at_ms: int) -> None:
        """Publish what was computed at a tick; see `samples.Samples.record`."""
        self._kept().record(source, samples, at_ms)

    # -- the loops -------------------------------------------------------------

    async def run(self) -> None:
        """Record, listen and save, for ever. A service's loop."""
        arrivals = self._fellows.ticks.arrivals()
        await self.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(arrivals))
            group.create_task(self._catch_up())
            group.create_task(self._save())
            group.create_task(self._tick())

    async def begin(self) -> None:
        """Load what was saved, and answer other nodes from now on."""
        if self._keeper is None:
            self._keeper = await asyncio.to_thread(self._load)
            self._open.set()
        self._fellows.calls.serve(self.node, CALL, self._asked)

    async def stop(self) -> None:
        """Save what is kept."""
        if self._keeper is not None:
            await asyncio.to_thread(self._save_now)

    async def _tick(self) -> None:
        while True:
            at_ms = (self._now_ms() // EVERY_MS + 1) * EVERY_MS
            await self._clock.sleep((at_ms - self._now_ms()) / 1000)
            # A loop that was held up measures for the moment that it is now.
            await self.tick(max(at_ms, self._now_ms() // EVERY_MS * EVERY_MS))

    async def tick(self, at_ms: int) -> None:
        """Measure, tell the others, and write down what all measured at that moment."""
        keeper = self._kept()
        samples = keeper.measured(self._read(), at_ms)
        if len(self._fellows.members()) > 1:
            told = keeper.tick(at_ms, samples)
            with contextlib.suppress(NexaError):  # the others mark this node as silent
                now_s = self._clock.now().timestamp()
                await self._fellows.ticks.send(
                    msgspec.structs.replace(told, sent=now_s)
                )
            await self._wait_for_others(at_ms)
        if keeper.commit(at_ms, samples, self._fellows.members()):
            for listener in self._listeners:
                listener(at_ms)

    async def _wait_for_others(self, at_ms: int) -> None:
        keeper, until = self._kept(), self._clock.monotonic() + GRACE_S
        while self._clock.monotonic() < until:
            if not keeper.waits_for(at_ms, self._fellows.living()):
                return
            await self._clock.sleep(_LOOK_S)

    async def _save(self) -> None:
        while True:
            await self._clock.sleep(SAVE_S)
            self._kept().forget(self._now_ms())
            await asyncio.to_thread(self._save_now)

    def _save_now(self) -> None:
        try:
            self._file.write(self._kept().packed())
        except NexaError as error:
            self._journal.record(
                "metrics.unsaved",
                subject=f"node/{self.node}",
                message=f"the history of figures was not saved: {error.message}",
                severity="warning",
            )

    # -- other nodes -----------------------------------------------------------

    async def _listen(self, arrivals: AsyncIterator[Tick]) -> None:
        async for tick in arrivals:
            self.hear(tick)

    def hear(self, tick: Tick) -> None:
        """Take what another node told; one that is not understood is asked for more."""
        if tick.node == self.node:
            return
        if tick.sent:
            self._ahead_s[tick.node] = self._clock.now().timestamp() - tick.sent
        understood = self._kept().hear(tick, self._now_ms())
        if not understood or tick.node not in self._met:
            self._met.add(tick.node)
            self._unknown[tick.node] = None

    async def _catch_up(self) -> None:
        while True:
            await self.catch_up()
            await self._clock.sleep(1.0)

    async def catch_up(self) -> None:
        """Ask one node after another for what it told before we listened."""
        for node in list(self._unknown):
            self._unknown.pop(node, None)
            try:
                snapshot = await self._fetch(node)
                await asyncio.to_thread(self._kept().understand, node, snapshot)
            except (NexaError, ValueError):
                self._met.discard(node)  # its next tick has it asked again

    async def _fetch(self, node: str) -> "Snapshot":
        from nexa_node.services.metrics.keeping import Snapshot

        tag, whole = "", bytearray()
        for _ in range(PIECES_MAX):
            asked = msgspec.msgpack.encode(_Ask(tag, len(whole)))
            told = await self._fellows.calls.ask(node, CALL, asked, timeout_s=CALL_S)
            piece = msgspec.msgpack.decode(told, type=_Piece)
            whole += piece.data
            tag = piece.tag
            if len(whole) >= piece.size or not piece.data:
                return msgspec.msgpack.decode(bytes(whole), type=Snapshot)
        raise Unavailable(f"{node} has more history than one node can have")

    async def _asked(self, payload: bytes) -> bytes:
        try:
            said = msgspec.msgpack.decode(payload, type=_Ask)
        except msgspec.MsgspecError as error:
            raise Invalid(
                f"a node asked for {CALL} in words unknown: {error}"
            ) from None
        if not said.tag:
            whole = await asyncio.to_thread(
                lambda: msgspec.msgpack.encode(self._kept().snapshot())
            )
            self._pieces = f"{self._now_ms()}", whole
        tag, whole = self._pieces
        if said.tag not in ("", tag):
            raise Unavailable("there is a newer one: begin anew")
        piece = whole[said.offset : said.offset + PIECE]
        return msgspec.msgpack.encode(_Piece(tag, len(whole), piece))

    # -- parts -----------------------------------------------------------------

    def _kept(self) -> "Keeper":
        if self._keeper is None:
            raise Unavailable("the node has not measured anything yet")
        return self._keeper

    def _load(self) -> "Keeper":
        from nexa_node.core.history_bytes import HistoryDamaged
        from nexa_node.services.metrics.keeping import Keeper

        keeper = Keeper(self.node, self._run_of_process)
        packed = self._file.read()
        if packed is not None:
            try:
                keeper.load(packed)
            except HistoryDamaged as error:
                aside = self._file.set_aside()
                self._journal.record(
                    "metrics.history_lost",
                    subject=f"node/{self.node}",
                    message=f"the history of figures is begun anew: {error}; what there"
                    f" was is {aside}",
                    severity="warning",
                )
        return keeper

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)
