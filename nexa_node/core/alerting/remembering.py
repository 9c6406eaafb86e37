"""Alerts as samples remember them: `ALERTS_FOR_STATE`, when no board can be read.

As Prometheus does after a restart (rules/manager.go, RestoreForState): since when an
alert is given outlives the process, so its `for` does not begin anew.
"""

from collections.abc import Iterable, Iterator

from nexa_node.core.alerting.evaluation import ALERTS, ALERTS_FOR_STATE
from nexa_node.core.alerting.fingerprint import fingerprint
from nexa_node.core.alerting.life import NAME_LABEL, Active
from nexa_node.core.alerting.resuming import resumed
from nexa_node.core.alerting.rules import Rule
from nexa_node.core.alerting.ruling import Part
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.samples import Source, is_stale, matcher

OUTAGE_S = 300.0
"""What is older is not gone on with."""
STATE = "alertstate"


def remembered(
    parts: Iterable[Part], source: Source, *, newest: float, now: float
) -> dict[str, dict[str, Active]]:
    """Find the alerts that were on until just now, by the rule's name.

    Args:
        parts: Rules whose alerts are looked for.
        source: This evaluator's own samples.
        newest: When the newest samples are of, seconds since 1970.
        now: The moment, which is later than that by the outage.
    """
    firing = {
        fingerprint(labels)
        for labels, _, _ in _newest(source, ALERTS, newest)
        if labels.pop(STATE, "") == "firing"
    }
    found: dict[str, dict[str, Active]] = {}
    by_name = {
        (rule.name, key): (rule, part.group.interval_s)
        for part in parts
        for rule, key in zip(part.group.rules, part.keys, strict=True)
        if rule.alerts
    }
    for labels, since, seen in _newest(source, ALERTS_FOR_STATE, newest):
        key = fingerprint(labels)
        for (name, rule_key), (rule, interval_s) in by_name.items():
            if name == labels.get(NAME_LABEL) and _is_of(labels, rule):
                on = key in firing
                active = resumed(
                    Active(
                        fingerprint=key,
                        labels=labels,
                        annotations={},
                        value=0.0,
                        condition="firing" if on else "pending",
                        since=since,
                        fired=since + rule.for_s if on else None,
                    ),
                    for_s=rule.for_s,
                    interval_s=interval_s,
                    seen=seen,
                    now=now,
                )
                if active is not None:
                    found.setdefault(rule_key, {})[key] = active
                break
    return found


def _newest(
    source: Source, name: str, newest: float
) -> Iterator[tuple[dict[str, str], float, float]]:
    """Labels, the newest value, and when it was recorded, seconds since 1970."""
    end = round(newest * 1000)
    start = end - round(OUTAGE_S * 1000)
    for series in source.select((matcher(NAME, "=", name),), start, end):
        there = ~is_stale(series.values)
        if there.any():
            labels = {key: text for key, text in series.labels.items() if key != NAME}
            values, times = series.values[there], series.times[there]
            yield labels, float(values[-1]), float(times[-1]) / 1000


def _is_of(labels: dict[str, str], rule: Rule) -> bool:
    return all(
        labels.get(name) == text
        for name, text in rule.labels.items()
        if "{{" not in text
    )
