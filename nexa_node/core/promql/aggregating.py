"""Aggregations over series: `sum by (node) (…)`, `topk(3, …)`, `histogram_quantile`."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.samples import (
    Floats,
    Labels,
    Mask,
    QueryError,
    Shared,
    Times,
    learned,
)
from nexa_node.core.promql.vectors import (
    Key,
    Vector,
    empty,
    key_but,
    key_by,
    key_of,
    rows,
    with_present,
)
from nexa_node.core.promql.windows import quantile

BUCKET = "le"


def aggregate(
    operator: str, vector: Vector, *, labels: Sequence[str], by: bool, number: Floats
) -> Vector:
    """Apply an aggregation that makes one series of each group.

    Args:
        operator: Its name.
        vector: What is aggregated.
        labels: The labels of `by` or `without`.
        by: Whether it is `by`.
        number: For each step, the parameter of `quantile`.
    """
    steps = vector.values.shape[1]
    found = groups(vector, labels, by=by)
    if operator in _FOLDED and found:
        what = "order", tuple(labels), by
        return _folded(
            operator, vector, learned(vector.labels, what, lambda: _Order.of(found))
        )
    made: list[Labels] = []
    values: list[Floats] = []
    present: list[Mask] = []
    for key, places in found.items():
        mask = vector.present[places]
        made.append(dict(key))
        present.append(np.any(mask, axis=0))
        if operator == "quantile":
            values.append(_quantiles(vector.values[places], mask, number))
        else:
            values.append(_FOLDS[operator](vector.values[places], mask))
    return rows(made, values, present, steps)


@dataclass(frozen=True, slots=True)
class _Order:
    """Rows, group by group."""

    rows: Times
    begins: Times
    """Where each group begins in them."""
    labels: Shared
    """Of the groups."""

    @staticmethod
    def of(groups: Mapping[Key, list[int]]) -> "_Order":
        """Put rows in order."""
        return _Order(
            np.array([at for places in groups.values() for at in places], np.intp),
            np.cumsum([0, *map(len, groups.values())])[:-1],
            Shared(dict(key) for key in groups),
        )


def _folded(operator: str, vector: Vector, order: _Order) -> Vector:
    """Aggregate all groups at once."""
    begins, mask = order.begins, vector.present[order.rows]
    function, nothing = _FOLDED[operator]
    known = np.where(mask, vector.values[order.rows], nothing)
    whole = Vector(
        order.labels,
        function.reduceat(known, begins, axis=0),
        np.logical_or.reduceat(mask, begins, axis=0),
    )
    return with_present(whole, whole.present)


def groups(vector: Vector, labels: Sequence[str], *, by: bool) -> dict[Key, list[int]]:
    """Which rows belong together."""
    what = "groups", tuple(labels), by
    return learned(vector.labels, what, lambda: _groups(vector, labels, by=by))


def _groups(vector: Vector, labels: Sequence[str], *, by: bool) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = {}
    names = sorted(set(labels))
    dropped = {*labels, NAME}
    if by and len(names) <= 1:
        return _by_one(vector, *names)
    for at, mine in enumerate(vector.labels):
        key = key_by(mine, names) if by else key_but(mine, dropped)
        found.setdefault(key, []).append(at)
    return found


def _by_one(vector: Vector, name: str = "") -> dict[Key, list[int]]:
    """Groups by one label, or all as one: what most expressions ask for."""
    texts: dict[str, list[int]] = {}
    for at, mine in enumerate(vector.labels):
        texts.setdefault(mine.get(name, ""), []).append(at)
    return {((name, text),) if text else (): at for text, at in texts.items()}


def ranked(
    vector: Vector, *, labels: Sequence[str], by: bool, count: Floats, largest: bool
) -> Vector:
    """Keep the `count` largest, or smallest, samples of each group at each step."""
    kept = np.zeros_like(vector.present)
    for places in groups(vector, labels, by=by).values():
        index = np.asarray(places, np.intp)
        for step in range(vector.values.shape[1]):
            limit = _whole(count[step])
            there = index[vector.present[index, step]]
            if limit < 1 or not len(there):
                continue
            values = vector.values[there, step]
            order = np.argsort(-values if largest else values, kind="stable")
            kept[there[order[:limit]], step] = True
    return with_present(vector, kept)


def counted(vector: Vector, *, labels: Sequence[str], by: bool, label: str) -> Vector:
    """Count the series of each group by their value, which becomes a label."""
    steps = vector.values.shape[1]
    tallies: dict[Key, Floats] = {}
    for key, places in groups(vector, labels, by=by).items():
        for at in places:
            for step in np.flatnonzero(vector.present[at]):
                named = {**dict(key), label: written(float(vector.values[at, step]))}
                tally = tallies.setdefault(key_of(named), np.zeros(steps))
                tally[step] += 1
    made: list[Labels] = [dict(key) for key in tallies]
    values = list(tallies.values())
    return rows(made, values, [tally > 0 for tally in values], steps)


def histogram_quantile(share: Floats, vector: Vector) -> Vector:
    """Estimate quantiles from cumulative buckets (Prometheus 2.42, promql/quantile.go)."""
    steps = vector.values.shape[1]
    buckets = learned(vector.labels, "buckets", lambda: _buckets(vector))
    made: list[Labels] = []
    values: list[Floats] = []
    present: list[Mask] = []
    for key, places in buckets.items():
        found, mask = np.zeros(steps), np.zeros(steps, np.bool_)
        for step in range(steps):
            there = sorted(
                (bound, float(vector.values[at, step]))
                for bound, at in places
                if vector.present[at, step]
            )
            if there:
                found[step], mask[step] = _estimate(float(share[step]), there), True
        made.append(dict(key))
        values.append(found)
        present.append(mask)
    return rows(made, values, present, steps) if made else empty(steps)


def _buckets(vector: Vector) -> dict[Key, list[tuple[float, int]]]:
    """Bounds and rows of each histogram."""
    found: dict[Key, list[tuple[float, int]]] = {}
    for at, labels in enumerate(vector.labels):
        bound = _bound(labels.get(BUCKET))
        if bound is not None:
            key = key_but(labels, (BUCKET, NAME))
            found.setdefault(key, []).append((bound, at))
    return found


def written(value: float) -> str:
    """A number as Prometheus writes it."""
    if not math.isfinite(value):
        if math.isnan(value):
            return "NaN"
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    mantissa, sign, exponent = text.partition("e")
    if not sign:
        return text
    number = int(exponent)
    return f"{mantissa}e{'-' if number < 0 else '+'}{abs(number):02d}"


def _bound(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _estimate(share: float, buckets: list[tuple[float, float]]) -> float:
    if not 0 <= share <= 1:
        return share if np.isnan(share) else float(np.copysign(np.inf, share))
    if buckets[-1][0] != np.inf:
        return float("nan")
    buckets = _monotonic(_joined(buckets))
    observed = buckets[-1][1]
    if len(buckets) < 2 or observed == 0 or np.isnan(observed):
        return float("nan")
    rank = share * observed
    at = next(
        (i for i, (_, count) in enumerate(buckets[:-1]) if count >= rank),
        len(buckets) - 1,
    )
    if at == len(buckets) - 1:
        return buckets[-2][0]
    return _inside(buckets, at, rank)


def _inside(buckets: list[tuple[float, float]], at: int, rank: float) -> float:
    """Where in its bucket the rank is, if observations lie evenly in it."""
    end, count = buckets[at]
    if at == 0 and end <= 0:
        return end
    start, before = buckets[at - 1] if at else (0.0, 0.0)
    share = np.float64(rank - before) / np.float64(count - before)
    return float(start + (end - start) * share)


def _joined(buckets: list[tuple[float, float]]) -> list[tuple[float, float]]:
    made: list[tuple[float, float]] = []
    for bound, count in buckets:
        if made and made[-1][0] == bound:
            made[-1] = bound, made[-1][1] + count
        else:
            made.append((bound, count))
    return made


def _monotonic(buckets: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if all(one[1] <= other[1] for one, other in pairwise(buckets)):
        return buckets
    highest, made = buckets[0][1], [buckets[0]]
    for bound, count in buckets[1:]:
        highest = max(highest, count)
        made.append((bound, highest))
    return made


def _whole(count: float) -> int:
    if np.isnan(count):
        raise QueryError("Scalar value NaN overflows int64")
    return int(max(-1e15, min(1e15, count)))


def _sum(values: Floats, mask: Mask) -> Floats:
    total: Floats = np.where(mask, values, 0.0).sum(axis=0)
    return total


def _count(_: Floats, mask: Mask) -> Floats:
    return mask.sum(axis=0).astype(np.float64)


def _mean(values: Floats, mask: Mask) -> Floats:
    count = mask.sum(axis=0)
    total = _sum(values, mask)
    mean = total / count
    over = np.isinf(total) & np.isfinite(np.where(mask, values, 0.0)).all(axis=0)
    return np.where(over, _sum(values / np.maximum(count, 1), mask), mean)


def _variance(values: Floats, mask: Mask) -> Floats:
    """Welford's, as Prometheus computes it: a single infinity varies by 0."""
    steps = values.shape[1]
    count, mean, total = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    for row, there in zip(values, mask, strict=True):
        first = there & (count == 0)
        count = count + there
        delta = row - mean
        moved = mean + delta / np.maximum(count, 1)
        more = there & ~first
        total = np.where(more, total + delta * (row - moved), total)
        mean = np.where(first, row, np.where(more, moved, mean))
    return total / np.maximum(count, 1)


_FOLDED: Mapping[str, tuple[np.ufunc, float]] = {
    "sum": (np.add, 0.0),
    "min": (np.fmin, np.nan),
    "max": (np.fmax, np.nan),
}
"""What can be done for all groups at once, and what stands for no sample."""
_FOLDS: Mapping[str, Callable[[Floats, Mask], Floats]] = {
    "avg": _mean,
    "count": _count,
    "group": lambda values, _: np.ones(values.shape[1]),
    "stddev": lambda values, mask: np.sqrt(_variance(values, mask)),
    "stdvar": _variance,
}


def _quantiles(values: Floats, mask: Mask, share: Floats) -> Floats:
    steps = values.shape[1]
    return np.array(
        [
            quantile(float(share[step]), values[mask[:, step], step])
            for step in range(steps)
        ]
    )
