"""The figures of one node over time: rings of three resolutions, a column for each tick.

The newest hour is kept as it was read, each ten seconds; six hours by the minute, a day
by five minutes. Of a counter the coarser rings keep the newest value, so that `rate` is
right over any span; of a gauge they keep average, least and most. A hundred series take
less than a megabyte. It is a `promql.samples.Source`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from nexa_node.core.promql.samples import (
    STALE_BITS,
    Floats,
    Labels,
    Mask,
    Matcher,
    Series,
    Times,
    is_stale,
    meets,
)
from nexa_node.core.promql.vectors import Key, key_of

Kind = Literal["counter", "gauge"]
Fold = Literal["avg", "min", "max"]
TICK_MS = 10_000
SERIES_MAX = 2000
"""Series kept; what comes above that is counted as dropped, and told."""
FORMAT = 1
"""Of what `dump` gives."""
ABSENT = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])
"""Where a series has no sample; in single precision any NaN is that."""
_GROW = 16


@dataclass(frozen=True, slots=True)
class Resolution:
    """How one ring keeps things."""

    every_ms: int
    slots: int


FINE = Resolution(TICK_MS, 360)
COARSE = (Resolution(60_000, 360), Resolution(300_000, 288))


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at a tick."""

    labels: Labels
    """Its name included."""
    value: float
    kind: Kind


class Ring:
    """A row for each series, a column for each moment; the oldest is written over."""

    def __init__(self, slots: int, dtype: Any) -> None:
        """Keep `slots` moments of nothing yet."""
        self.times: Times = np.full(slots, -1, np.int64)
        self.values = np.zeros((0, slots), dtype)
        self.next = 0
        self._nothing = ABSENT if self.values.dtype == np.float64 else np.nan

    @property
    def bytes(self) -> int:
        """What it takes."""
        return self.values.nbytes + self.times.nbytes

    def append(self, at_ms: int, column: Floats) -> None:
        """Write a moment. A column may be longer than those before it, never shorter."""
        more = len(column) - len(self.values)
        if more > 0:
            room = np.full(
                (max(more, _GROW), len(self.times)), self._nothing, self.values.dtype
            )
            self.values = np.concatenate((self.values, room))
        self.times[self.next] = at_ms
        self.values[: len(column), self.next] = column
        self.values[len(column) :, self.next] = self._nothing
        self.next = (self.next + 1) % len(self.times)

    def read(self, row: int, start_ms: int, end_ms: int) -> tuple[Times, Floats]:
        """A series' samples of that time, both ends included, the oldest first.

        Behind the last one before a gap stands a mark that the series ended
        (`samples.is_stale`): what went is not taken for what is.
        """
        if row >= len(self.values):
            return np.zeros(0, np.int64), np.zeros(0)
        order = np.roll(np.arange(len(self.times)), -self.next)
        times, values = self.times[order], self.values[row, order]
        wide = np.ascontiguousarray(values, np.float64)
        there = ~self._absent(wide)
        ended = np.zeros(len(there), np.bool_)
        ended[1:] = there[:-1] & ~there[1:]
        wide = np.where(ended, ABSENT, wide)
        wanted = (times >= max(0, start_ms)) & (times <= end_ms) & (there | ended)
        return times[wanted], wide[wanted]

    def _absent(self, values: Floats) -> Mask:
        exact = self.values.dtype == np.float64
        return is_stale(values) if exact else np.isnan(values)


class Gathering:
    """What is to become one column of a coarser ring."""

    def __init__(self) -> None:
        """Nothing came yet."""
        self._columns: list[Floats] = []

    def add(self, column: Floats) -> None:
        """Take a tick in."""
        self._columns.append(column)

    def close(self, size: int) -> dict[Fold | Literal["newest"], Floats]:
        """Fold what came, and begin anew."""
        stack = np.full((len(self._columns), size), ABSENT)
        for at, column in enumerate(self._columns):
            stack[at, : len(column)] = column
        self._columns.clear()
        there = ~is_stale(stack)
        some = there.any(axis=0)
        last = len(stack) - 1 - np.argmax(there[::-1], axis=0)
        known = np.where(there, stack, np.nan)
        with np.errstate(all="ignore"):
            total = np.where(there, stack, 0.0).sum(axis=0) / there.sum(axis=0)
            return {
                "newest": np.where(some, stack[last, np.arange(size)], ABSENT),
                "avg": np.where(some, total, np.nan),
                "min": np.fmin.reduce(known, axis=0),
                "max": np.fmax.reduce(known, axis=0),
            }


class Tier:
    """One coarser resolution: newest values of counters, three folds of gauges."""

    def __init__(self, resolution: Resolution) -> None:
        """Keep nothing yet."""
        self._every_ms = resolution.every_ms
        self._gathering = Gathering()
        self.newest = Ring(resolution.slots, np.float64)
        self.folds: dict[Fold, Ring] = {
            fold: Ring(resolution.slots, np.float32) for fold in ("avg", "min", "max")
        }

    def add(self, at_ms: int, column: Floats, counters: Times, gauges: Times) -> None:
        """Take a tick in; the last one of a slot closes it."""
        self._gathering.add(column)
        if (at_ms + TICK_MS) // self._every_ms == at_ms // self._every_ms:
            return
        told = self._gathering.close(len(column))
        self.newest.append(at_ms, told["newest"][counters])
        for fold, ring in self.folds.items():
            ring.append(at_ms, told[fold][gauges])


class History:
    """All series of one node."""

    def __init__(self, *, limit: int = SERIES_MAX) -> None:
        """Know nothing yet; keep at most `limit` series."""
        self.dropped = 0
        """Samples refused because there were too many series."""
        self._limit = limit
        self._rows: dict[Key, int] = {}
        self._labels: list[Labels] = []
        self._of_kind: dict[Kind, list[int]] = {"counter": [], "gauge": []}
        self._places: list[tuple[Kind, int]] = []
        """A series' kind, and its row among those of its kind in the coarser rings."""
        self._fine = Ring(FINE.slots, np.float64)
        self._tiers = tuple(Tier(resolution) for resolution in COARSE)

    def __len__(self) -> int:
        """How many series are kept."""
        return len(self._labels)

    @property
    def bytes(self) -> int:
        """What the rings take."""
        return sum(ring.bytes for _, ring in self._rings())

    @property
    def newest_ms(self) -> int | None:
        """When the last tick was."""
        newest = int(self._fine.times.max())
        return None if newest < 0 else newest

    def labels(self) -> tuple[Labels, ...]:
        """The labels of every series."""
        return tuple(self._labels)

    def append(self, at_ms: int, samples: Sequence[Sample]) -> None:
        """Take what was read at a tick. One that is no newer than the last is ignored."""
        newest = self.newest_ms
        if newest is not None and at_ms <= newest:
            return
        rows = [self._row(sample) for sample in samples]
        column = np.full(len(self._labels), ABSENT)
        for row, sample in zip(rows, samples, strict=True):
            if row is not None:
                column[row] = sample.value
        self._fine.append(at_ms, column)
        counters = np.asarray(self._of_kind["counter"], np.int64)
        gauges = np.asarray(self._of_kind["gauge"], np.int64)
        for tier in self._tiers:
            tier.add(at_ms, column, counters, gauges)

    def select(
        self,
        matchers: Sequence[Matcher],
        start_ms: int,
        end_ms: int,
        *,
        fold: Fold = "avg",
    ) -> list[Series]:
        """Series that meet `matchers`, each moment at the best resolution there is.

        Args:
            matchers: All must be met.
            start_ms: The first moment.
            end_ms: The last one.
            fold: What stands for a gauge where only a fold of it is kept.
        """
        found: list[Series] = []
        for row, labels in enumerate(self._labels):
            if meets(labels, matchers):
                times, values = self._samples(row, start_ms, end_ms, fold)
                if len(times):
                    found.append(Series(labels, times, values))
        return found

    def dump(self) -> dict[str, Any]:
        """All of it: plain values, and arrays by the names of the rings."""
        return {
            "format": FORMAT,
            "series": [
                [kind, dict(labels)]
                for labels, (kind, _) in zip(self._labels, self._places, strict=True)
            ],
            "rings": {
                name: (ring.times, ring.values, ring.next)
                for name, ring in self._rings()
            },
        }

    @classmethod
    def load(cls, dumped: Mapping[str, Any], *, limit: int = SERIES_MAX) -> Self:
        """Make it again from what `dump` gave.

        Raises:
            ValueError: It is something else, or of another format.
        """
        history = cls(limit=limit)
        try:
            if dumped["format"] != FORMAT:
                raise ValueError(f"format {dumped['format']}, not {FORMAT}")
            for kind, labels in dumped["series"]:
                history._row(Sample(labels, 0.0, kind))
            for name, ring in history._rings():
                times, values, following = dumped["rings"][name]
                if times.shape != ring.times.shape or values.shape[1] != len(times):
                    raise ValueError(f"ring {name} has another size")
                ring.times = times.astype(np.int64)
                ring.values = values.astype(ring.values.dtype)
                ring.next = int(following) % len(times)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"it is no history: {error!r}") from error
        return history

    def _row(self, sample: Sample) -> int | None:
        key = key_of(sample.labels)
        row = self._rows.get(key)
        if row is not None:
            return row
        if len(self._labels) >= self._limit:
            self.dropped += 1
            return None
        row = self._rows[key] = len(self._labels)
        mates = self._of_kind[sample.kind]
        self._places.append((sample.kind, len(mates)))
        mates.append(row)
        self._labels.append(dict(sample.labels))
        return row

    def _rings(self) -> Iterator[tuple[str, Ring]]:
        yield "fine", self._fine
        for at, tier in enumerate(self._tiers):
            yield f"{at}.newest", tier.newest
            for fold, ring in tier.folds.items():
                yield f"{at}.{fold}", ring

    def _samples(
        self, row: int, start_ms: int, end_ms: int, fold: Fold
    ) -> tuple[Times, Floats]:
        kind, place = self._places[row]
        rings = [(self._fine, row)]
        for tier in self._tiers:
            coarse = tier.newest if kind == "counter" else tier.folds[fold]
            rings.append((coarse, place))
        parts: list[tuple[Times, Floats]] = []
        for ring, at in rings:
            times, values = ring.read(at, start_ms, end_ms)
            if len(times):
                parts.append((times, values))
                end_ms = int(times[0]) - 1  # the rest is older
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0)
        return (
            np.concatenate([times for times, _ in reversed(parts)]),
            np.concatenate([values for _, values in reversed(parts)]),
        )
