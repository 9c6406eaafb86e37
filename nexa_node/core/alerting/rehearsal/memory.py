"""Made-up samples, and what rules record over them."""

from collections.abc import Iterable, Mapping

import numpy as np

from nexa_node.core.alerting.rehearsal.notation import STALE
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.samples import Floats, Labels, Matcher, Series, Times, meets
from nexa_node.core.promql.vectors import Key, key_of


class Memory:
    """A source of samples that grows."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._fixed: dict[str, list[Series]] = {}
        self._grown: dict[str, dict[Key, tuple[Labels, list[int], list[float]]]] = {}
        self._alive: dict[str, set[Key]] = {}

    def put(self, labels: Labels, times: Times, values: Floats) -> None:
        """Hold a series."""
        series = Series(dict(labels), times, values)
        self._fixed.setdefault(labels.get(NAME, ""), []).append(series)

    def record(
        self, who: str, points: Iterable[tuple[Mapping[str, str], float]], at_ms: int
    ) -> None:
        """Append what `who` gave at a moment; what it gave before and not now ends."""
        now: set[Key] = set()
        for labels, value in points:
            now.add(self._append(labels, value, at_ms))
        for key in self._alive.get(who, set()) - now:
            self._append(dict(key), STALE, at_ms)
        self._alive[who] = now

    def select(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
    ) -> Iterable[Series]:
        """See `samples.Source`."""
        named = [one.value for one in matchers if one.label == NAME and one.kind == "="]
        names = named[:1] or list(dict.fromkeys([*self._fixed, *self._grown]))
        for name in names:
            for one in self._of(name, matchers):
                low, high = np.searchsorted(one.times, (start_ms, end_ms + 1))
                if low < high:
                    yield Series(one.labels, one.times[low:high], one.values[low:high])

    def _of(self, name: str, matchers: tuple[Matcher, ...]) -> Iterable[Series]:
        for one in self._fixed.get(name, ()):
            if meets(one.labels, matchers):
                yield one
        for labels, times, values in self._grown.get(name, {}).values():
            if meets(labels, matchers):
                yield Series(labels, np.array(times, np.int64), np.array(values))

    def _append(self, labels: Mapping[str, str], value: float, at_ms: int) -> Key:
        key = key_of(labels)
        series = self._grown.setdefault(labels.get(NAME, ""), {})
        _, times, values = series.setdefault(key, (dict(labels), [], []))
        times.append(at_ms)
        values.append(value)
        return key
