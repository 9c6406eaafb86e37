"""Figures over time: bounded rings, rates, quantiles and histograms.

Time is an argument, in monotonic seconds. Nothing here grows with the number of
observations: latencies are counted in geometric buckets 5 % apart, so a quantile is
right to ±2.5 %, and cheap enough to ask for on every beat.
"""

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_GROWTH = math.log(1.05)
_SMALLEST = 1e-3
"""Milliseconds; anything below counts as this."""


class Ring(Generic[T]):
    """The newest `size` items, oldest first."""

    def __init__(self, size: int) -> None:
        """Keep up to `size` items, at least one."""
        self._items: deque[T] = deque(maxlen=max(1, size))

    def append(self, item: T) -> None:
        """Add the newest; the oldest goes when there is no room."""
        self._items.append(item)

    def items(self) -> tuple[T, ...]:
        """All of them."""
        return tuple(self._items)

    @property
    def newest(self) -> T | None:
        """The last one added."""
        return self._items[-1] if self._items else None


class Rate:
    """Per second, of a total that grows, between two readings."""

    def __init__(self, now: float) -> None:
        """Begin at zero."""
        self._total, self._at = 0.0, now

    def read(self, total: float, now: float) -> float:
        """What was added per second since the last reading; 0 when no time has passed."""
        added, elapsed = total - self._total, now - self._at
        if elapsed <= 0:
            return 0.0
        self._total, self._at = total, now
        return max(0.0, added) / elapsed


class Window:
    """Quantiles of what was observed in the last `seconds`.

    Kept in twelve slices that leave one by one, so the window is at most a twelfth
    longer than asked for.
    """

    _SLICES = 12

    def __init__(self, seconds: float = 60.0) -> None:
        """Begin empty."""
        self._width = seconds / self._SLICES
        self._slices: deque[tuple[int, Counter[int]]] = deque()

    def observe(self, value_ms: float, now: float) -> None:
        """Count one observation, in milliseconds."""
        slot = int(now // self._width)
        if not self._slices or self._slices[-1][0] < slot:
            self._slices.append((slot, Counter()))
            self._forget(now)
        bucket = math.floor(math.log(max(value_ms, _SMALLEST)) / _GROWTH)
        self._slices[-1][1][bucket] += 1

    def quantiles(self, *wanted: float, now: float) -> tuple[float, ...] | None:
        """The value below which each wanted share lies; None without observations."""
        self._forget(now)
        merged: Counter[int] = Counter()
        for _, counts in self._slices:
            merged.update(counts)
        if not merged:
            return None
        return tuple(_quantile(merged, share) for share in wanted)

    def _forget(self, now: float) -> None:
        oldest = int(now // self._width) - self._SLICES
        while self._slices and self._slices[0][0] < oldest:
            self._slices.popleft()


class Buckets:
    """A histogram with fixed bounds, as Prometheus counts: never forgets."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Begin at zero.

        Args:
            bounds: Upper bounds, ascending, without infinity.
        """
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation, in the unit of the bounds."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def counts(self) -> tuple[int, ...]:
        """Of each bucket alone, the last one beyond the last bound."""
        return tuple(self._counts)

    @property
    def count(self) -> int:
        """Of all observations."""
        return sum(self._counts)


def _quantile(counts: Counter[int], share: float) -> float:
    rank = max(1, math.ceil(share * counts.total()))
    for bucket, below in _cumulative(counts):
        if below >= rank:
            return math.exp((bucket + 0.5) * _GROWTH)
    raise ValueError(f"a share is between 0 and 1: {share}")


def _cumulative(counts: Counter[int]) -> Iterator[tuple[int, int]]:
    below = 0
    for bucket in sorted(counts):
        below += counts[bucket]
        yield bucket, below
