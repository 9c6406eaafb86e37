"""Graces: an agent whose connection is lost has a while to come back for its session."""

import heapq
import itertools

from nexa_node.ports import Clock
from nexa_node.services.sessions.live import LiveAgent


class Graces:
    """Who is away, and until when."""

    def __init__(self, *, clock: Clock, grace_s: float) -> None:
        """Nobody is away; each will have `grace_s` seconds."""
        self._clock = clock
        self._grace_s = grace_s
        self._due: list[tuple[float, int, LiveAgent]] = []
        self._order = itertools.count()

    def begin(self, live: LiveAgent) -> None:
        """Count from now."""
        due = self._clock.monotonic() + self._grace_s
        heapq.heappush(self._due, (due, next(self._order), live))

    def over(self) -> list[LiveAgent]:
        """Take those whose grace is over and who have not come back on their session."""
        now = self._clock.monotonic()
        gone: list[LiveAgent] = []
        while self._due and self._due[0][0] <= now:
            _, _, live = heapq.heappop(self._due)
            if live.connection is None:
                gone.append(live)
        return gone
