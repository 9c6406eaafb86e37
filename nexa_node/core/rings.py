"""Rings of columns: a place for each moment, found by the moment itself.

A column's place is its time divided by the ring's beat, so that what two nodes measured
at a moment lies in one column whichever came first, and a gap needs no room.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nexa_node.core.promql.samples import STALE_BITS, Floats, Mask, Times

ABSENT = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])
"""Where a series has no sample; in single precision any NaN is that."""
_GROW = 4


@dataclass(frozen=True, slots=True)
class Resolution:
    """How one ring keeps things."""

    every_ms: int
    slots: int

    @property
    def span_ms(self) -> int:
        """How long it keeps them."""
        return self.every_ms * self.slots


class Axis:
    """The moments of a ring."""

    def __init__(self, resolution: Resolution) -> None:
        """No moment yet."""
        self.resolution = resolution
        self.times: Times = np.full(resolution.slots, -1, np.int64)
        self.newest = -1

    def place(self, at_ms: int) -> int:
        """Where the column of a moment lies."""
        return (at_ms // self.resolution.every_ms) % self.resolution.slots

    def open(self, at_ms: int) -> int:
        """Begin a column; its place, the column of a whole turn before is gone."""
        place = self.place(at_ms)
        self.times[place] = at_ms
        self.newest = max(self.newest, at_ms)
        return place

    def forget_after(self, at_ms: int) -> None:
        """Drop what is later than `at_ms`."""
        self.times[self.times > at_ms] = -1
        self.newest = int(self.times.max())

    def columns(self, start_ms: int, end_ms: int) -> Times:
        """Places of the columns from `start_ms` to `end_ms`, the oldest first."""
        oldest = max(start_ms, self.newest - self.resolution.span_ms + 1, 0)
        inside = np.flatnonzero((self.times >= oldest) & (self.times <= end_ms))
        return inside[np.argsort(self.times[inside])]


class Rows:
    """What a row is of at each moment of an axis."""

    def __init__(self, slots: int, dtype: Any) -> None:
        """No row yet."""
        self.values = np.zeros((0, slots), dtype)
        self._nothing = ABSENT if self.values.dtype == np.float64 else np.nan

    def reach(self, rows: int) -> None:
        """Have at least so many rows; new ones are of nothing."""
        have = len(self.values)
        if rows > have:
            more = max(rows - have, _GROW, have // 16)
            shape = (more, self.values.shape[1])
            room = np.full(shape, self._nothing, self.values.dtype)
            self.values = np.concatenate((self.values, room))

    def clear(self, *, row: int | None = None, column: int | None = None) -> None:
        """Make a row or a column one of nothing."""
        if row is not None:
            self.values[row] = self._nothing
        if column is not None:
            self.values[:, column] = self._nothing

    def read(self, rows: Times, columns: Times) -> Floats:
        """A copy; what is not there is `ABSENT`."""
        turn = int(np.argmax(columns)) + 1 if len(columns) else 0
        parts = [part for part in (columns[:turn], columns[turn:]) if len(part)]
        if parts and all(part[-1] - part[0] == len(part) - 1 for part in parts):
            # Columns in order of time are one stretch of the ring, or its end and its
            # beginning: whole stretches are copied ten times as fast as single places.
            found = np.concatenate(
                [self.values[rows, part[0] : part[-1] + 1] for part in parts], axis=1
            )
        else:
            found = self.values[rows[:, None], columns[None, :]]
        if found.dtype == np.float64:
            return found
        wide = found.astype(np.float64)
        return np.where(np.isnan(wide), ABSENT, wide)


class Presence:
    """At which moments each owner told anything at all."""

    def __init__(self, slots: int) -> None:
        """No owner yet."""
        self.marks: Mask = np.zeros((0, slots), np.bool_)

    def reach(self, owners: int) -> None:
        """Have at least so many owners."""
        more = owners - len(self.marks)
        if more > 0:
            room = np.zeros((more, self.marks.shape[1]), np.bool_)
            self.marks = np.concatenate((self.marks, room))
