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
BYTES_MAX = 24_000_000
"""What all pictures together may weigh, about."""
SPAN_S = 3600.0
"""Older pictures go in any case."""
_ENTRY, _REFERENCE, _RECORD = 36, 8, 900
"""Bytes: of a mapping's entry, of a sequence's, of a record that no picture before has."""
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
    weight: int
    """Bytes, about, that the picture before does not share with it."""


class Past:
    """Keeps pictures, the newest last."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._pictures: deque[Picture] = deque()
        self._sparse = _SPARSE
        self._weight = 0

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
            self._forget_oldest()
        if len(self._pictures) > PICTURES_MAX or self._weight > BYTES_MAX:
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
        self._weight = 0

    def _append(self, state: ClusterState, at: float) -> None:
        before = self._pictures[-1].state if self._pictures else None
        weight = _weight(state, before)
        self._pictures.append(Picture(at, state, weight))
        self._weight += weight

    def _thin(self, now: float) -> None:
        """Have fewer: until they fit, each time with longer pauses between them."""
        self._sparse = max(_SPARSE, self._sparse / 2)
        while True:
            kept = _spread(self._pictures, now, self._sparse)
            self._pictures.clear()
            self._weight = 0
            for one in kept:
                self._append(one.state, one.at)
            light = self._weight <= BYTES_MAX * _LESS
            if light and len(kept) <= PICTURES_MAX * _LESS:
                return
            if self._sparse >= _SPARSEST:
                break
            self._sparse *= 2
        while self._weight > BYTES_MAX * _LESS and len(self._pictures) > 2:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """What the next one shared with it, that one has alone from now on."""
        gone = self._pictures.popleft()
        self._weight -= gone.weight
        if self._pictures:
            first = self._pictures.popleft()
            weight = _weight(first.state, None)
            self._weight += weight - first.weight
            self._pictures.appendleft(Picture(first.at, first.state, weight))


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


def _weight(state: ClusterState, before: ClusterState | None) -> int:
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
    new = sum(map(is_not, now.values(), map(then.get, now)))
    return _ENTRY * len(now) + _RECORD * new


def _listed(now: Sequence[object], then: Sequence[object]) -> int:
    """Both are of one growing list, whose oldest are dropped."""
    if now is then or not now:
        return 0
    last = then[-1] if then else None
    fresh = next((n for n, one in enumerate(reversed(now)) if one is last), len(now))
    return _REFERENCE * len(now) + _RECORD * fresh
