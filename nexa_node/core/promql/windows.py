"""Functions over a range of samples: `rate(x[5m])`, `avg_over_time(x[1h])`.

Rules of extrapolation and of counter resets: Prometheus 2.42, promql/functions.go.
Each function gets the samples of one series and, for each step, where its window begins
and ends in them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from nexa_node.core.promql.samples import Floats, Mask, Series, Table, Times, is_stale

_THRESHOLD = 1.1
"""Of the average distance of samples: nearer to the window's edge than that, the series
is taken to go on to it."""


@dataclass(frozen=True, slots=True)
class Windows:
    """One series and its windows."""

    times: Times
    values: Floats
    first: Times
    """Index of each window's first sample."""
    past: Times
    """Index behind its last one."""
    starts: Times
    """When each window begins, offset included."""
    ends: Times
    steps: Times
    """The moments that are asked about, without the offset."""

    @property
    def counts(self) -> Times:
        """Samples in each window."""
        return self.past - self.first

    def reduce(self, function: np.ufunc, values: Floats) -> Floats:
        """Apply `function` to each window that is not empty; others are anything."""
        padded = np.append(values, 0.0)
        edges = np.empty(2 * len(self.first), np.intp)
        edges[0::2] = np.minimum(self.first, len(values))
        edges[1::2] = np.minimum(self.past, len(values))
        found: Floats = function.reduceat(padded, edges)[0::2]
        return found


def tables(found: Sequence[Series]) -> list[Table]:
    """Neighbours that have the same times, together."""
    made: list[Table] = []
    for _, mates in groupby(found, key=lambda one: id(one.times)):
        alike = list(mates)
        values = np.stack([one.values for one in alike])
        labels = tuple(one.labels for one in alike)
        made.append(Table(labels, alike[0].times, values))
    return made


def joined(found: Sequence[Table], *, start: int, end: int, step: Any) -> Windows:
    """Of each series the samples from `start` to `end`, as one window each."""
    times: list[Times] = []
    values: list[Floats] = []
    counts: list[int] = []
    for one in found:
        first, past = np.searchsorted(one.times, (start, end + 1), side="left")
        there, table = one.times[first:past], one.values[:, first:past]
        alive = ~is_stale(np.ascontiguousarray(table))
        if alive.all():
            counts += [len(there)] * len(table)
            values.append(table.ravel())
            times.append(np.tile(there, len(table)))
            continue
        counts += alive.sum(axis=1).tolist()
        values.append(table[alive])
        times.append(np.broadcast_to(there, table.shape)[alive])
    ends = np.cumsum(np.array(counts, np.int64))
    many = len(counts)
    return Windows(
        times=np.concatenate(times),
        values=np.concatenate(values),
        first=ends - np.array(counts, np.int64),
        past=ends,
        starts=np.full(many, start, np.int64),
        ends=np.full(many, end, np.int64),
        steps=np.full(many, step, np.int64),
    )


Answer = tuple[Floats, Mask]
WindowFunction = Callable[[Windows, Floats], Answer]
"""Windows and, for each step, the function's number if it takes one."""


def _at(values: Any, index: Times) -> Any:
    return values[np.clip(index, 0, max(0, len(values) - 1))]


def _extrapolated(windows: Windows, *, counter: bool, per_second: bool) -> Answer:
    enough = windows.counts >= 2
    values = windows.values
    last = windows.past - 1
    begin, end = _at(windows.times, windows.first), _at(windows.times, last)
    initial = _at(values, windows.first)
    grown = _at(values, last) - initial
    if counter:
        grown = grown + _lost(windows)
    sampled = (end - begin) / 1000.0
    average = sampled / (windows.counts - 1)
    to_start = (begin - windows.starts) / 1000.0
    to_end = (windows.ends - end) / 1000.0
    if counter:
        to_zero = sampled * (initial / grown)
        falls = (grown > 0) & (initial >= 0) & (to_zero < to_start)
        to_start = np.where(falls, to_zero, to_start)
    limit = average * _THRESHOLD
    reach = sampled + np.where(to_start < limit, to_start, average / 2)
    reach = reach + np.where(to_end < limit, to_end, average / 2)
    factor = reach / sampled
    if per_second:
        factor = factor / ((windows.ends - windows.starts) / 1000.0)
    return grown * factor, enough


def _lost(windows: Windows) -> Floats:
    """What a counter lost in each window, each time that it began anew."""
    values = windows.values
    drops = np.zeros(len(values) + 1)
    drops[1:-1] = np.where(values[1:] < values[:-1], values[:-1], 0.0)
    if not drops.any():
        return np.zeros(len(windows.first))
    edges = np.empty(2 * len(windows.first), np.intp)
    edges[0::2] = np.minimum(windows.first + 1, len(values))
    edges[1::2] = np.minimum(windows.past, len(values))
    lost: Floats = np.add.reduceat(drops, edges)[0::2]
    return lost


def _instant(windows: Windows, *, rate: bool) -> Answer:
    enough = windows.counts >= 2
    last, before = windows.past - 1, windows.past - 2
    newest, older = _at(windows.values, last), _at(windows.values, before)
    apart = (_at(windows.times, last) - _at(windows.times, before)) / 1000.0
    change = newest - older
    if not rate:
        return change, enough
    change = np.where(newest < older, newest, change)
    return change / apart, enough & (apart != 0)


def _count_where(windows: Windows, happened: Mask) -> Floats:
    """How often something happened between two neighbours inside each window."""
    marks = np.zeros(len(windows.values) + 1)
    marks[1:-1] = np.cumsum(happened.astype(np.float64)) if len(happened) else 0.0
    if len(windows.values):
        marks[-1] = marks[-2]
    total: Floats = _at(marks, windows.past - 1) - _at(marks, windows.first)
    return total


def _changes(windows: Windows, _: Floats) -> Answer:
    now, then = windows.values[1:], windows.values[:-1]
    happened = (now != then) & ~(np.isnan(now) & np.isnan(then))
    return _count_where(windows, happened), windows.counts > 0


def _resets(windows: Windows, _: Floats) -> Answer:
    happened = windows.values[1:] < windows.values[:-1]
    return _count_where(windows, happened), windows.counts > 0


def _each(
    function: Callable[[Floats, int], float], *, least: int = 1
) -> WindowFunction:
    """Apply `function` to the samples of each window, one by one."""

    def apply(windows: Windows, _: Floats) -> Answer:
        found = np.zeros(len(windows.first))
        enough = windows.counts >= least
        for step in np.flatnonzero(enough):
            part = windows.values[windows.first[step] : windows.past[step]]
            found[step] = function(part, int(step))
        return found, enough

    return apply


def _reduced(function: np.ufunc) -> WindowFunction:
    def apply(windows: Windows, _: Floats) -> Answer:
        return windows.reduce(function, windows.values), windows.counts > 0

    return apply


def _mean(windows: Windows, _: Floats) -> Answer:
    total = windows.reduce(np.add, windows.values)
    mean = total / windows.counts
    # A sum that overflows has a mean all the same.
    over = np.isinf(total) & (windows.counts > 0)
    for step in np.flatnonzero(over):
        part = windows.values[windows.first[step] : windows.past[step]]
        if np.isfinite(part).all():
            mean[step] = float(np.sum(part / len(part)))
    return mean, windows.counts > 0


def _last(windows: Windows, _: Floats) -> Answer:
    return _at(windows.values, windows.past - 1), windows.counts > 0


def _count(windows: Windows, _: Floats) -> Answer:
    return windows.counts.astype(np.float64), windows.counts > 0


def _present(windows: Windows, _: Floats) -> Answer:
    return np.ones(len(windows.first)), windows.counts > 0


def _line(windows: Windows, step: int, at_ms: int) -> tuple[float, float]:
    """Slope a second, and the height at `at_ms`, of the line of least squares."""
    part = slice(windows.first[step], windows.past[step])
    heights = windows.values[part]
    if (heights == heights[0]).all():
        if np.isinf(heights[0]):
            return float("nan"), float("nan")
        return 0.0, float(heights[0])
    when = (windows.times[part] - at_ms) / 1000.0
    mean_x, mean_y = when.mean(), heights.mean()
    over = ((when - mean_x) * (heights - mean_y)).sum()
    under = ((when - mean_x) ** 2).sum()
    slope = float(np.float64(over) / np.float64(under))
    return slope, float(mean_y - slope * mean_x)


def _deriv(windows: Windows, _: Floats) -> Answer:
    found, enough = np.zeros(len(windows.first)), windows.counts >= 2
    for step in np.flatnonzero(enough):
        at = int(windows.times[windows.first[step]])
        found[step] = _line(windows, int(step), at)[0]
    return found, enough


def _predict(windows: Windows, ahead: Floats) -> Answer:
    found, enough = np.zeros(len(windows.first)), windows.counts >= 2
    for step in np.flatnonzero(enough):
        slope, height = _line(windows, int(step), int(windows.steps[step]))
        found[step] = slope * ahead[step] + height
    return found, enough


def _quantile_over_time(windows: Windows, share: Floats) -> Answer:
    found, enough = np.zeros(len(windows.first)), windows.counts > 0
    for step in np.flatnonzero(enough):
        part = windows.values[windows.first[step] : windows.past[step]]
        found[step] = quantile(float(share[step]), part)
    return found, enough


def quantile(share: float, values: Floats) -> float:
    """The value below which `share` of `values` are, interpolated (φ of Prometheus)."""
    if len(values) == 0 or np.isnan(share):
        return float("nan")
    if share < 0:
        return float("-inf")
    if share > 1:
        return float("inf")
    # NaN sorts first, as Prometheus has it.
    ordered = np.concatenate(
        (values[np.isnan(values)], np.sort(values[~np.isnan(values)]))
    )
    rank = share * (len(ordered) - 1)
    low = int(max(0, np.floor(rank)))
    high = int(min(len(ordered) - 1, low + 1))
    weight = rank - np.floor(rank)
    return float(ordered[low] * (1 - weight) + ordered[high] * weight)


WINDOW_FUNCTIONS: Mapping[str, WindowFunction] = {
    "rate": lambda w, _: _extrapolated(w, counter=True, per_second=True),
    "increase": lambda w, _: _extrapolated(w, counter=True, per_second=False),
    "delta": lambda w, _: _extrapolated(w, counter=False, per_second=False),
    "irate": lambda w, _: _instant(w, rate=True),
    "idelta": lambda w, _: _instant(w, rate=False),
    "deriv": _deriv,
    "predict_linear": _predict,
    "changes": _changes,
    "resets": _resets,
    "avg_over_time": _mean,
    "min_over_time": _reduced(np.fmin),
    "max_over_time": _reduced(np.fmax),
    "sum_over_time": _reduced(np.add),
    "count_over_time": _count,
    "last_over_time": _last,
    "present_over_time": _present,
    "stddev_over_time": _each(lambda part, _: float(np.std(part))),
    "stdvar_over_time": _each(lambda part, _: float(np.var(part))),
    "quantile_over_time": _quantile_over_time,
}
KEEP_NAME = frozenset({"last_over_time"})
NUMBER_AT: Mapping[str, int] = {"predict_linear": 1, "quantile_over_time": 0}
"""Which argument is a number, of those that take one; the range is the other."""
