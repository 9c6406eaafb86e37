"""The pictures of a while ago: what the console saw, to be looked at once more.

Pictures share what did not change between them, so an hour of a quiet cluster costs
next to nothing. When there are too many, or they hold too much, some go: the longer ago
the picture, the longer the time to the next one.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import is_not
from typing import Any

import msgspec

from nexa_tui.state.store import ClusterState

EVERY_S = 2.0
"""Between two pictures: as often as a node speaks."""
PICTURES_MAX = 240
ROWS_MAX = 400_000
"""What all pictures together may weigh, in entries of a mapping: about 100 bytes."""
SPAN_S = 3600.0
"""Older pictures go in any case."""
_RECORD = 8
"""What a record weighs that no picture before has."""
_REFERENCES = 12
"""So many references of a sequence weigh as much as one entry."""
_LESS = 0.75
"""To this part of what they may be they are thinned: not again for each picture."""
_SPARSE = 1 / 128
"""At first, to the next picture: this part of its age."""
_SPARSEST = 0.5
_ROWS_EACH = 20_000
"""A cluster with so many rows has a picture half as often, and so on."""


class Picture(msgspec.Struct, frozen=True):
    """What was known at one time."""

    at: float
    """When it was taken, on the clock of ages."""
    state: ClusterState
    rows: int
    """What the picture before does not share with it, by `ROWS_MAX`'s measure."""


class Past:
    """Keeps pictures, the newest last."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._pictures: deque[Picture] = deque()
        self._sparse = _SPARSE
        self._rows = 0

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._pictures)

    def keep(self, state: ClusterState, at: float) -> None:
        """Take a picture, unless the last one is too new for that."""
        last = self._pictures[-1] if self._pictures else None
        if last is not None and at - last.at < _pause_s(state):
            return
        self._append(state, at)
        while self._pictures[0].at < at - SPAN_S:
            self._rows -= self._pictures.popleft().rows
        if len(self._pictures) > PICTURES_MAX or self._rows > ROWS_MAX:
            self._thin(at)

    def find(self, at: float) -> Picture | None:
        """The newest picture that was there at a time; the oldest if none was."""
        if not self._pictures:
            return None
        index = bisect_right(self._pictures, at, key=lambda one: one.at)
        return self._pictures[max(0, index - 1)]

    def forget(self) -> None:
        """Drop all: another cluster is looked at."""
        self._pictures.clear()
        self._sparse = _SPARSE
        self._rows = 0

    def _append(self, state: ClusterState, at: float) -> None:
        before = self._pictures[-1].state if self._pictures else None
        rows = _rows(state, before)
        self._pictures.append(Picture(at, state, rows))
        self._rows += rows

    def _thin(self, now: float) -> None:
        """Have fewer: until they fit, each time with longer pauses between them."""
        self._sparse = max(_SPARSE, self._sparse / 2)
        while True:
            kept = _spread(self._pictures, now, self._sparse)
            self._pictures.clear()
            self._rows = 0
            for one in kept:
                self._append(one.state, one.at)
            fit = len(kept) <= PICTURES_MAX * _LESS and self._rows <= ROWS_MAX * _LESS
            if fit or self._sparse >= _SPARSEST:
                return
            self._sparse *= 2


def _pause_s(state: ClusterState) -> float:
    return EVERY_S * (1 + (len(state.tasks) + len(state.agents)) // _ROWS_EACH)


def _spread(pictures: Sequence[Picture], now: float, sparse: float) -> list[Picture]:
    """Those between which there is time enough for their age; first and last stay."""
    kept = [pictures[-1]]
    for one in islice(reversed(pictures), 1, None):
        if kept[-1].at - one.at >= sparse * (now - kept[-1].at):
            kept.append(one)
    if kept[-1] is not pictures[0]:
        kept.append(pictures[0])
    return kept[::-1]


def _rows(state: ClusterState, before: ClusterState | None) -> int:
    then = before or ClusterState()
    maps: tuple[tuple[Mapping[Any, object], Mapping[Any, object]], ...] = (
        (state.agents, then.agents),
        (state.tasks, then.tasks),
        (state.alerts, then.alerts),
    )
    lists: tuple[tuple[Sequence[object], Sequence[object]], ...] = (
        (state.events, then.events),
        (state.history, then.history),
    )
    return sum(_mapped(now, then) for now, then in maps) + sum(
        _listed(now, then) for now, then in lists
    )


def _mapped(now: Mapping[Any, object], then: Mapping[Any, object]) -> int:
    if now is then:
        return 0
    return len(now) + _RECORD * sum(map(is_not, now.values(), map(then.get, now)))


def _listed(now: Sequence[object], then: Sequence[object]) -> int:
    """Both are of one growing list, whose oldest are dropped."""
    if now is then or not now:
        return 0
    last = then[-1] if then else None
    fresh = next((n for n, one in enumerate(reversed(now)) if one is last), len(now))
    return len(now) // _REFERENCES + _RECORD * fresh
