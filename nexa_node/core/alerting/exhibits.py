"""What of samples belongs to an alert's evidence: the series its expression reads."""

from collections.abc import Iterable, Mapping
from typing import Any

from nexa_node.contract.alerts import EvidenceSeries
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.parsing import conditions, selectors
from nexa_node.core.promql.samples import Labels, Series, Source, is_stale

SERIES_MAX, POINTS_MAX = 12, 181
_NEVER = frozenset(("ALERTS", "ALERTS_FOR_STATE"))
_OF_RULE = frozenset(("alertname", "severity"))
"""Labels that a rule puts on its alerts, of which series may have others."""


def exhibits(
    expression: Any,
    labels: Mapping[str, str],
    source: Source,
    start_ms: int,
    end_ms: int,
) -> tuple[EvidenceSeries, ...]:
    """Find the series of an alert's expression, those of the alert itself first.

    Args:
        expression: As `parse` gave it.
        labels: The alert's: a series that has one of another value is another's.
        source: Samples.
        start_ms: From when, milliseconds since 1970.
        end_ms: Until when.
    """
    found: list[EvidenceSeries] = []
    seen: set[tuple[tuple[str, str], ...]] = set()
    for selector in selectors(expression):
        for series in _ordered(
            source.select(conditions(selector), start_ms, end_ms), labels
        ):
            key = tuple(sorted(series.labels.items()))
            if key in seen or series.labels.get(NAME) in _NEVER:
                continue
            seen.add(key)
            found.append(_shown(series))
            if len(found) == SERIES_MAX:
                return tuple(found)
    return tuple(found)


def joined(
    before: tuple[EvidenceSeries, ...], after: tuple[EvidenceSeries, ...]
) -> tuple[EvidenceSeries, ...]:
    """Put what came later behind what was frozen; of what was frozen nothing changes."""
    later = {tuple(sorted(one.labels.items())): one for one in after}
    return tuple(
        _longer(one, later.get(tuple(sorted(one.labels.items())))) for one in before
    )


def _longer(one: EvidenceSeries, more: EvidenceSeries | None) -> EvidenceSeries:
    if more is None:
        return one
    last = one.times[-1] if one.times else float("-inf")
    kept = [
        pair for pair in zip(more.times, more.values, strict=True) if pair[0] > last
    ]
    return EvidenceSeries(
        labels=one.labels,
        times=(*one.times, *(time for time, _ in kept)),
        values=(*one.values, *(value for _, value in kept)),
    )


def _ordered(series: Iterable[Series], labels: Labels) -> list[Series]:
    """Leave out what is another alert's: a label in which the two differ."""
    own = [one for one in series if _agree(one.labels, labels)]
    return sorted(own, key=lambda one: tuple(sorted(one.labels.items())))


def _agree(series: Labels, alert: Labels) -> bool:
    return all(
        series.get(name, value) == value
        for name, value in alert.items()
        if name not in _OF_RULE
    )


def _shown(series: Series) -> EvidenceSeries:
    step = max(1, -(-len(series.times) // POINTS_MAX))
    times, values = series.times[::step], series.values[::step]
    gone = is_stale(values) | (values != values)
    return EvidenceSeries(
        labels=dict(series.labels),
        times=tuple(float(time) / 1000 for time in times),
        values=tuple(
            None if missing else float(value)
            for value, missing in zip(values, gone, strict=True)
        ),
    )
