"""Ending in order: nothing new, agents asked to move, work in hand let finish."""

import asyncio

from nexa_node.contract.errors import Draining
from nexa_node.ports import Clock
from nexa_node.services.api import Journal
from nexa_node.services.condition import Condition
from nexa_node.services.feed import Feed
from nexa_node.services.parts import DispatchDesk, SessionDesk, Spawn

DRAIN_S = 25.0
"""For the work in hand; what is left then is given to others by its lease's end."""
LOOK_EVERY_S = 0.1
CLOSE_S = 0.3
"""For the last frames to reach agents and consoles."""


class Drain:
    """The way out, walked once."""

    def __init__(
        self,
        *,
        sessions: SessionDesk,
        dispatch: DispatchDesk,
        feed: Feed,
        condition: Condition,
        clock: Clock,
        journal: Journal,
        spawn: Spawn,
        wait_s: float = DRAIN_S,
    ) -> None:
        """Do nothing yet.

        Args:
            sessions: Told to send agents away, and in the end to close.
            dispatch: Told to take nothing more.
            feed: Ended last, so that consoles see the node drain.
            condition: Told that the node is stopping.
            clock: Counts the wait.
            journal: Told of the beginning and the end.
            spawn: Walks the way beside the services.
            wait_s: How long work in hand may take to finish.
        """
        self._sessions = sessions
        self._dispatch = dispatch
        self._feed = feed
        self._clock = clock
        self._journal = journal
        self._spawn = spawn
        self._condition = condition
        self._node = condition.card.name
        self._wait_s = wait_s
        self.begun = False
        """Nothing new is taken any more."""
        self.done = asyncio.Event()
        """Set when the process may end."""

    def begin(self, why: str) -> None:
        """Begin to end, and return at once. Idempotent; fit for a signal's callback.

        Args:
            why: Journaled: `drained by token:ab12`, `SIGTERM`.
        """
        if self.begun:
            return
        self.begun = True
        self._journal.record(
            "node.draining",
            subject=f"node/{self._node}",
            message=f"{self._node} takes nothing new: {why}",
            severity="warning",
        )
        self._dispatch.stop_taking()
        self._sessions.go_away("the node is draining")
        self._condition.enter("stopping")
        self._spawn("drain", self._finish())

    async def _finish(self) -> None:
        try:
            left = await self._let_work_finish()
            told = f"{left} tasks were still in hand" if left else "nothing was in hand"
            self._journal.record(
                "node.drained",
                subject=f"node/{self._node}",
                message=f"{self._node} is drained: {told}",
                severity="warning" if left else "info",
                data={"in_hand": left},
            )
            self._sessions.close_all("the node is going away")
            self._feed.end_all(Draining("the node is going away"))
            await self._clock.sleep(CLOSE_S)
        finally:
            self.done.set()

    async def _let_work_finish(self) -> int:
        """Wait for what agents have in hand; how much is left."""
        end = self._clock.monotonic() + self._wait_s
        while (left := self._dispatch.in_hand()) and self._clock.monotonic() < end:
            await self._clock.sleep(LOOK_EVERY_S)
        return left
