"""Ending in order: nothing new, agents asked to move, work in hand let finish.

Agents that have somewhere to go take their work along, and what anybody asks for until
the port is closed is done as ever: what is submitted is safe in the store, and others do
it. So nobody's call fails. A node that is alone refuses what would have to wait for its
return.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from nexa_node.contract.errors import Draining, NexaError, Unavailable
from nexa_node.ports import Clock
from nexa_node.services.api import Journal
from nexa_node.services.health.condition import Condition
from nexa_node.services.journal.feed import Feed
from nexa_node.services.parts import DispatchDesk, SessionDesk, Spawn, TaskDesk

DRAIN_S = 25.0
"""For the work in hand; what is left then is given to others by its lease's end."""
LOOK_EVERY_S = 0.1
MOVE_S = 5.0
"""For agents to go to another node by themselves; those that do lose no call."""
CLOSE_S = 0.3
"""For the last frames to reach agents and consoles."""


async def nothing() -> None:
    """Do it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Drain:
    """The way out, walked once."""

    sessions: SessionDesk
    """Told to send agents away, and in the end to close."""
    dispatch: DispatchDesk
    """Told to take nothing more from the queue."""
    tasks: TaskDesk
    """Told to take nothing more in, if nobody else is there to do it."""
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
    others: Callable[[], bool] = lambda: False
    """Whether there is another node for agents to go to."""
    step_down: Callable[[], Awaitable[None]] = nothing
    """Gives this node's leaderships in the store to others, so that its end is no news."""
    begun: bool = field(default=False, init=False)
    """Nothing new is taken any more."""
    again: bool = field(default=False, init=False)
    """The process starts anew after its end."""
    done: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set when the process may end."""

    @property
    def refuses(self) -> bool:
        """Whether nothing may be submitted here any more, since nobody would do it."""
        return self.begun and not self.others()

    def begin(self, why: str, *, again: bool = False) -> None:
        """Begin to end, and return at once. Idempotent; fit for a signal's callback.

        Args:
            why: Journaled: `drained by token:ab12`, `SIGTERM`.
            again: Whether the process is to start anew then.
        """
        if self.begun:
            return
        self.begun, self.again = True, again
        self.journal.record(
            "node.draining",
            subject=f"node/{self.condition.card.name}",
            message=f"{self.condition.card.name} takes nothing new: {why}",
            severity="warning",
        )
        self.dispatch.stop_taking()
        if self.refuses:
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
            with suppress(NexaError):
                await self.step_down()
            if self.refuses:
                self.tasks.stop_taking()
            self.sessions.close_all("the node is going away")
            self.feed.end_all(Draining("the node is going away"))
            await self.clock.sleep(CLOSE_S)
        finally:
            self.done.set()

    async def _let_work_finish(self) -> int:
        """Wait for what agents have in hand, and for them to go; how much is left."""
        began = self.clock.monotonic()
        while (waited := self.clock.monotonic() - began) < self.wait_s:
            agents_go = self.others() and waited < MOVE_S
            if not self.dispatch.in_hand() and not (
                agents_go and self.sessions.connected()
            ):
                break
            await self.clock.sleep(LOOK_EVERY_S)
        return self.dispatch.in_hand()
