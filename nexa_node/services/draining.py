"""Ending in order: nothing new, agents asked to move, work in hand let finish."""

import asyncio
from dataclasses import dataclass, field

from nexa_node.contract.errors import Draining, Unavailable
from nexa_node.ports import Clock
from nexa_node.services.api import Journal
from nexa_node.services.condition import Condition
from nexa_node.services.feed import Feed
from nexa_node.services.parts import DispatchDesk, SessionDesk, Spawn, TaskDesk

DRAIN_S = 25.0
"""For the work in hand; what is left then is given to others by its lease's end."""
LOOK_EVERY_S = 0.1
CLOSE_S = 0.3
"""For the last frames to reach agents and consoles."""


@dataclass(slots=True, kw_only=True, eq=False)
class Drain:
    """The way out, walked once."""

    sessions: SessionDesk
    """Told to send agents away, and in the end to close."""
    dispatch: DispatchDesk
    """Told to take nothing more from the queue."""
    tasks: TaskDesk
    """Told to take nothing more in."""
    feed: Feed
    """Ended last, so that consoles see the node drain."""
    condition: Condition
    """Told that the node is stopping."""
    clock: Clock
    """Counts the wait."""
    journal: Journal
    spawn: Spawn
    """Walks the way beside the services."""
    wait_s: float = DRAIN_S
    """How long work in hand may take to finish."""
    begun: bool = field(default=False, init=False)
    """Nothing new is taken any more."""
    done: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set when the process may end."""

    def begin(self, why: str) -> None:
        """Begin to end, and return at once. Idempotent; fit for a signal's callback.

        Args:
            why: Journaled: `drained by token:ab12`, `SIGTERM`.
        """
        if self.begun:
            return
        self.begun = True
        self.journal.record(
            "node.draining",
            subject=f"node/{self.condition.card.name}",
            message=f"{self.condition.card.name} takes nothing new: {why}",
            severity="warning",
        )
        self.dispatch.stop_taking()
        self.tasks.stop_taking()
        self.sessions.go_away("the node is draining")
        self.condition.enter("stopping")
        try:
            self.spawn("drain", self._finish())
        except Unavailable:  # the services have stopped already: nothing to wait for
            self.done.set()

    async def _finish(self) -> None:
        try:
            left = await self._let_work_finish()
            told = f"{left} tasks were still in hand" if left else "nothing was in hand"
            self.journal.record(
                "node.drained",
                subject=f"node/{self.condition.card.name}",
                message=f"{self.condition.card.name} is drained: {told}",
                severity="warning" if left else "info",
                data={"in_hand": left},
            )
            self.sessions.close_all("the node is going away")
            self.feed.end_all(Draining("the node is going away"))
            await self.clock.sleep(CLOSE_S)
        finally:
            self.done.set()

    async def _let_work_finish(self) -> int:
        """Wait for what agents have in hand; how much is left."""
        end = self.clock.monotonic() + self.wait_s
        while (left := self.dispatch.in_hand()) and self.clock.monotonic() < end:
            await self.clock.sleep(LOOK_EVERY_S)
        return left
