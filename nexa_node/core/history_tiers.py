"""Where a series is kept, and the coarser resolutions: by the minute and by five.

Of a counter the newest value of each slot is kept, of a gauge average, least and most.
A slot is closed by the first tick behind it, from what the finest ring has of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nexa_node.core.promql.samples import Floats, Labels, Mask, Shared, Times, is_stale
from nexa_node.core.promql.vectors import Key
from nexa_node.core.rings import ABSENT, Axis, Presence, Resolution, Rows

Kind = Literal["counter", "gauge"]
KINDS: tuple[Kind, ...] = ("counter", "gauge")
Fold = Literal["avg", "min", "max"]
FOLDS: tuple[Fold, ...] = ("avg", "min", "max")
TICK_MS = 10_000
FINE = Resolution(TICK_MS, 360)
COARSE = (Resolution(60_000, 360), Resolution(300_000, 288))


@dataclass(slots=True)
class Entry:
    """One series, and where it is kept."""

    owner: int
    labels: Labels
    key: Key
    kind: Kind
    rested: float = ABSENT
    """Its value while it rests: as long as it has had no other one."""
    since: int = -1
    """When it was told first; -1 before that."""
    row: int = -1
    """In the fine ring; -1 while it rests."""
    place: int = -1
    """Among the coarse rows of its kind."""
    seen: int = -1
    """When it was told last; kept up once it rests no more."""


class Chosen:
    """Series of one kind that are read together, and what is known of all at once."""

    def __init__(self, kind: Kind, entries: Sequence[Entry]) -> None:
        """Hold `entries`, which are in the order of their labels."""
        self.kind: Kind = kind
        self.entries = entries
        self.labels = Shared(one.labels for one in entries)
        self.keys = tuple(one.key for one in entries)
        self.twins = len(set(self.keys)) < len(self.keys)
        """Whether several owners tell the same."""
        self._moved = -1
        self.rows = self.places = self.owners = self.since = np.zeros(0, np.int64)
        self.rested = np.zeros(0)

    def catch_up(self, moved: int) -> None:
        """Know where the series lie, and what those are that rest.

        Args:
            moved: How often any series moved or was told first; see `History.moved`.
        """
        if moved == self._moved:
            return
        self._moved = moved
        self.rows = _numbers(one.row for one in self.entries)
        self.places = _numbers(one.place for one in self.entries)
        self.owners = _numbers(one.owner for one in self.entries)
        self.since = _numbers(one.since for one in self.entries)
        self.rested = np.fromiter((one.rested for one in self.entries), np.float64)


class Places:
    """Numbers of rows; those that are given back are used again."""

    def __init__(self) -> None:
        """All are free."""
        self.size = 0
        self._free: list[int] = []

    @property
    def taken(self) -> int:
        """How many are in use."""
        return self.size - len(self._free)

    def take(self) -> int:
        """A free one."""
        if self._free:
            return self._free.pop()
        self.size += 1
        return self.size - 1

    def give(self, place: int) -> None:
        """Give one back."""
        self._free.append(place)


class Fine:
    """The finest ring: each tick as it was."""

    def __init__(self) -> None:
        """No tick yet."""
        self.axis = Axis(FINE)
        self.rows = Rows(FINE.slots, np.float64)
        self.present = Presence(FINE.slots)

    def read(self, chosen: Chosen, start_ms: int, end_ms: int) -> tuple[Times, Floats]:
        """Ticks of that time, and what the series were then."""
        columns = self.axis.columns(start_ms, end_ms)
        times = self.axis.times[columns]
        return times, _kept(
            chosen, chosen.rows, self.rows, self.present, times, columns
        )


class Tier:
    """One coarser resolution."""

    def __init__(self, resolution: Resolution) -> None:
        """Keep nothing yet."""
        slots = resolution.slots
        self.axis = Axis(resolution)
        self.present = Presence(slots)
        self.newest = Rows(slots, np.float64)
        self.folds = {fold: Rows(slots, np.float32) for fold in FOLDS}

    def rows_of(self, kind: Kind) -> Sequence[Rows]:
        """What is kept of series of a kind."""
        return (self.newest,) if kind == "counter" else tuple(self.folds.values())

    def is_over(self, newest_ms: int, at_ms: int) -> bool:
        """Whether the slot of `newest_ms` is over at `at_ms`."""
        every = self.axis.resolution.every_ms
        return newest_ms // every != at_ms // every

    def close(self, fine: Fine, entries: Iterable[Entry]) -> None:
        """Fold the slot of the newest tick."""
        newest_ms, every = fine.axis.newest, self.axis.resolution.every_ms
        columns = fine.axis.columns(newest_ms // every * every, newest_ms)
        place = self.axis.open(newest_ms)
        self.present.marks[:, place] = fine.present.marks[:, columns].any(axis=1)
        by_kind: dict[Kind, list[Entry]] = {kind: [] for kind in KINDS}
        for entry in entries:
            if entry.row >= 0:
                by_kind[entry.kind].append(entry)
        for kind, mine in by_kind.items():
            for rows in self.rows_of(kind):
                rows.clear(column=place)
            if mine:
                ticks = fine.rows.read(_numbers(one.row for one in mine), columns)
                places = _numbers(one.place for one in mine)
                self._store(kind, place, places, ticks)

    def _store(self, kind: Kind, place: int, places: Times, ticks: Floats) -> None:
        there = ~is_stale(ticks)
        if kind == "counter":
            last = ticks.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
            newest = ticks[np.arange(len(ticks)), last]  # absent if none is there
            self.newest.values[places, place] = newest
            return
        some = there.any(axis=1)
        known = np.where(there, ticks, np.nan)
        with np.errstate(all="ignore"):
            total = np.where(there, ticks, 0.0).sum(axis=1) / there.sum(axis=1)
            folded = {
                "avg": np.where(some, total, np.nan),
                "min": np.fmin.reduce(known, axis=1),
                "max": np.fmax.reduce(known, axis=1),
            }
            for fold, rows in self.folds.items():
                rows.values[places, place] = folded[fold]

    def settle(self, entry: Entry) -> None:
        """Write what a series was while it rested."""
        marks = self.present.marks[entry.owner] & (self.axis.times >= entry.since)
        for rows in self.rows_of(entry.kind):
            rows.values[entry.place, marks] = entry.rested

    def has(self, start_ms: int, end_ms: int) -> bool:
        """Whether there is any slot of that time."""
        return bool(((self.axis.times >= start_ms) & (self.axis.times <= end_ms)).any())

    def read(
        self, chosen: Chosen, start_ms: int, end_ms: int, fold: Fold
    ) -> tuple[Times, Floats]:
        """Slots of that time, and what the series were in them."""
        columns = self.axis.columns(start_ms, end_ms)
        kept = self.newest if chosen.kind == "counter" else self.folds[fold]
        times = self.axis.times[columns]
        return times, _kept(chosen, chosen.places, kept, self.present, times, columns)


def _numbers(found: Iterable[int]) -> Times:
    return np.fromiter(found, np.int64)


def _kept(
    chosen: Chosen,
    rows: Times,
    kept: Rows,
    present: Presence,
    times: Times,
    columns: Times,
) -> Floats:
    """What series were at some columns, those that rest, too."""
    awake, resting = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
    if not len(resting):
        return kept.read(rows, columns)
    values = np.full((len(rows), len(columns)), ABSENT)
    if len(awake):
        values[awake] = kept.read(rows[awake], columns)
    since = chosen.since[resting][:, None]
    there: Mask = present.marks[chosen.owners[resting][:, None], columns[None, :]]
    there = there & (times[None, :] >= since) & (since >= 0)
    values[resting] = np.where(there, chosen.rested[resting][:, None], ABSENT)
    return values
