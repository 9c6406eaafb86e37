"""Alerts that a Prometheus evaluates: taken for what an evaluation of ours would say."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nexa_node.core.alerting.keeping import Origin
from nexa_node.core.alerting.life import NAME_LABEL, Active
from nexa_node.ports import ForeignAlert

ByRule = Mapping[str, Mapping[str, Active]]


def taken_over(
    alerts: Iterable[ForeignAlert], before: ByRule, *, now: float
) -> tuple[dict[str, dict[str, Active]], dict[str, tuple[Active, ...]]]:
    """What is on now and what is over since, by rule.

    Args:
        alerts: All that the Prometheus has.
        before: What this gave the last time.
        now: Seconds since 1970.
    """
    active: dict[str, dict[str, Active]] = {rule: {} for rule in before}
    for alert in alerts:
        rule = f"{alert.group}/{alert.labels.get(NAME_LABEL, '')}"
        active.setdefault(rule, {})[alert.fingerprint] = Active(
            fingerprint=alert.fingerprint,
            labels=alert.labels,
            annotations=alert.annotations,
            value=alert.value,
            condition="firing" if alert.firing else "pending",
            since=alert.since,
            fired=alert.fired if alert.fired is not None or not alert.firing else now,
        )
    over = {
        rule: tuple(
            replace(one, condition="resolved", resolved=now)
            for key, one in alerts_before.items()
            if key not in active[rule] and one.is_on
        )
        for rule, alerts_before in before.items()
    }
    return active, over


def origin(rule: str) -> Origin:
    """Where such an alert comes from; its expression is in the Prometheus."""
    return Origin(rule=rule, expression="", group=rule.rpartition("/")[0])
