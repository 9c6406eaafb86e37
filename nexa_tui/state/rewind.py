"""The pictures of a while ago: what the console saw, to be looked at once more.

Pictures share what did not change between them, so an hour of a quiet cluster costs
next to nothing. Of a busy one fewer are kept: when there are too many, or they hold too
many rows, every second one goes, and the next are taken half as often.
"""

from bisect import bisect_right
from collections import deque

import msgspec

from nexa_tui.state.store import ClusterState

EVERY_S = 2.0
"""Between two pictures, at first: as often as a node speaks."""
PICTURES_MAX = 240
ROWS_MAX = 400_000
"""Entries of copied mappings; about 100 bytes each."""
SPAN_S = 3600.0
"""Older pictures go in any case."""


class Picture(msgspec.Struct, frozen=True):
    """What was known at one time."""

    at: float
    """When it was taken, on the clock of ages."""
    state: ClusterState
    rows: int
    """Entries that the picture before does not share with it."""


class Past:
    """Keeps pictures, the newest last."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._pictures: deque[Picture] = deque()
        self._every_s = EVERY_S
        self._rows = 0

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._pictures)

    def keep(self, state: ClusterState, at: float) -> None:
        """Take a picture, unless the last one is too new for that."""
        last = self._pictures[-1] if self._pictures else None
        if last is not None and at - last.at < self._every_s:
            return
        self._append(state, at)
        while self._pictures[0].at < at - SPAN_S:
            self._rows -= self._pictures.popleft().rows
        if len(self._pictures) > PICTURES_MAX or self._rows > ROWS_MAX:
            self._thin()

    def find(self, at: float) -> Picture | None:
        """The newest picture that was there at a time; the oldest if none was."""
        if not self._pictures:
            return None
        index = bisect_right(self._pictures, at, key=lambda one: one.at)
        return self._pictures[max(0, index - 1)]

    def forget(self) -> None:
        """Drop all: another cluster is looked at."""
        self._pictures.clear()
        self._every_s = EVERY_S
        self._rows = 0

    def _append(self, state: ClusterState, at: float) -> None:
        before = self._pictures[-1].state if self._pictures else None
        rows = _rows(state, before)
        self._pictures.append(Picture(at, state, rows))
        self._rows += rows

    def _thin(self) -> None:
        kept = list(self._pictures)[::-2][::-1]
        self._every_s = min(self._every_s * 2, SPAN_S / 4)
        self._pictures.clear()
        self._rows = 0
        for one in kept:
            self._append(one.state, one.at)


def _rows(state: ClusterState, before: ClusterState | None) -> int:
    pairs = (
        (state.agents, None if before is None else before.agents),
        (state.tasks, None if before is None else before.tasks),
        (state.alerts, None if before is None else before.alerts),
        (state.events, None if before is None else before.events),
        (state.history, None if before is None else before.history),
    )
    return sum(len(now) for now, then in pairs if now is not then)
