"""Partitions told afterwards: what each side did while neither knew of the other.

A side without a majority stores nothing, so there is nothing to merge; but people want to
know what was refused here and what was decided there. The first node by name of the side
that was cut off writes it down once it is back: from the event log, which by then has the
events of both.
"""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from nexa_node.contract.errors import NexaError
from nexa_node.contract.events import Event
from nexa_node.contract.shared import ConflictRecord, Side
from nexa_node.ports import Clock, ConflictLog, EventLog
from nexa_node.services.api import Journal

LOOK_S = 0.5
AFTER_S = 1.0
"""Without a quorum for so long, it is no hiccup."""
BESIDE_S = 2.0
"""Heard for so long without a quorum, a node was cut off with this one. When the network
heals, others are heard for a moment before it is known that they are enough."""
SETTLED_S = 5.0
"""After a quorum is back: what others kept back has been stored by then."""
BEFORE = timedelta(seconds=5)
"""Others may have noticed so much sooner."""
READ = 1000
TOLD = 50
"""Events told of each side; more are counted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Partitions:
    """Notices that this node was cut off, and writes down both histories."""

    clustered: Callable[[], bool]
    """Whether this node is a member, by its own files."""
    has_quorum: Callable[[], bool]
    """Whether this node can have things stored, from memory."""
    heard: Callable[[], Collection[str]]
    """Names of all nodes that this one hears, itself included."""
    refused: Callable[[], int]
    """How many writes were refused for want of a quorum, so far."""
    events: EventLog
    """What happened, on both sides."""
    conflicts: ConflictLog
    """Where it is written down."""
    clock: Clock
    journal: Journal
    """Told that there is something to read."""
    node: str
    """This node's name."""

    async def run(self) -> None:
        """Wait for partitions, and tell of each, for ever. A service's loop."""
        while True:
            # A cluster that has not come together yet is not torn.
            if not await self._holds(self._is_one, SETTLED_S):
                continue
            refused = self.refused()
            while self._is_one():
                refused = self.refused()
                await self.clock.sleep(LOOK_S)
            began = self.clock.now()
            if not await self._holds(self._is_cut_off, AFTER_S):
                continue
            mine = await self._until_healed()
            ended = self.clock.now() - timedelta(seconds=SETTLED_S)
            if self.node == min(mine):
                await self._write_down(began, ended, mine, self.refused() - refused)

    async def _until_healed(self) -> set[str]:
        """Wait until a quorum is back to stay; names of those that were cut off, too."""
        mine = {self.node}
        looks: deque[tuple[float, Collection[str]]] = deque()
        while not await self._holds(self.has_quorum, SETTLED_S):
            if self.has_quorum():
                looks.clear()
                continue
            now = self.clock.monotonic()
            looks.append((now, self.heard()))
            while now - looks[0][0] >= BESIDE_S:
                mine.update(looks.popleft()[1])
        return mine

    def _is_one(self) -> bool:
        return self.clustered() and self.has_quorum()

    def _is_cut_off(self) -> bool:
        return self.clustered() and not self.has_quorum()

    async def _holds(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether something is so for a while; False as soon as it is not."""
        end = self.clock.monotonic() + seconds
        while condition():
            if self.clock.monotonic() >= end:
                return True
            await self.clock.sleep(LOOK_S)
        await self.clock.sleep(LOOK_S)
        return False

    async def _write_down(
        self, began: datetime, ended: datetime, mine: set[str], refused: int
    ) -> None:
        while True:
            try:
                events = await self.events.recent(limit=READ)
                record = self._record(began, ended, mine, refused, events)
                await self.conflicts.add(record)
            except NexaError:
                await self.clock.sleep(LOOK_S)  # the store is away: soon again
            else:
                break
        self.journal.record(
            "partition.healed",
            subject=record.subject,
            message=f"{record.message} (nexa cluster conflicts show {record.id})",
            severity="warning",
            data={"conflict": record.id, "nodes": sorted(mine)},
        )

    def _record(
        self,
        began: datetime,
        ended: datetime,
        mine: set[str],
        refused: int,
        events: Collection[Event],
    ) -> ConflictRecord:
        inside = [
            each
            for each in events
            if began - BEFORE <= each.time <= ended and each.severity != "debug"
        ]
        here = [each for each in inside if each.node in mine]
        there = [each for each in inside if each.node not in mine]
        names = ", ".join(sorted(mine))
        lasted = (ended - began).total_seconds()
        writes = f"{self.node} refused {refused} writes, and stored nothing"
        return ConflictRecord(
            id=f"partition-{began:%Y%m%dt%H%M%S}-{self.node}"[:63],
            time=ended,
            kind="partition",
            subject=f"node/{self.node}",
            message=f"{names} heard too few others for {lasted:.0f} s, and is back",
            sides=(
                Side(name=names, kept=False, did=(writes, *_words(here))),
                Side(name="the others", kept=True, did=_words(there)),
            ),
        )


def _words(events: Collection[Event]) -> tuple[str, ...]:
    told = sorted(events, key=lambda each: each.time)
    words = [f"{each.time:%H:%M:%S} {each.node}: {each.message}" for each in told]
    if len(words) > TOLD:
        left = len(words) - TOLD
        words = [*words[:TOLD], f"and {left} more: nexa events"]
    return tuple(words)
