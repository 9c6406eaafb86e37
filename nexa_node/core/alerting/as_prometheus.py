"""Rules and alerts in the shape of Prometheus' HTTP API (2.42, web/api/v1/api.go)."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from nexa_node.contract.alerts import Alert, Rule

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: not evaluated yet."""


def groups(rules: Iterable[Rule], alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """The `groups` of `/api/v1/rules`, in the order of the rules."""
    by_rule: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        if alert.state != "resolved":
            by_rule.setdefault((alert.group, alert.name), []).append(alert)
    found: list[dict[str, Any]] = []
    ordered = sorted(rules, key=lambda rule: (rule.file, rule.group))
    for (file, name), members in groupby(ordered, lambda rule: (rule.file, rule.group)):
        listed = list(members)
        found.append(
            {
                "name": name,
                "file": file,
                "interval": listed[0].interval_s,
                "limit": 0,
                "rules": [
                    _rule(one, by_rule.get((name, one.name), [])) for one in listed
                ],
                "evaluationTime": sum(one.duration_ms for one in listed) / 1000,
                "lastEvaluation": _latest(listed),
            }
        )
    return found


def active(alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """The `alerts` of `/api/v1/alerts`: those that are pending or fire."""
    return [_alert(one) for one in alerts if one.state != "resolved"]


def _rule(rule: Rule, alerts: list[Alert]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": rule.name,
        "query": rule.expression,
        "labels": rule.labels,
        "health": rule.health,
        "evaluationTime": rule.duration_ms / 1000,
        "lastEvaluation": _time(rule.evaluated),
        "type": rule.kind,
    }
    if rule.error:
        told["lastError"] = rule.error
    if rule.kind == "recording":
        return told
    mine = [one for one in alerts if _is_of(one, rule)]
    states = {one.state for one in mine}
    firing = "firing" in states or "recovering" in states
    return told | {
        "state": "firing" if firing else "pending" if mine else "inactive",
        "duration": rule.for_s,
        "keepFiringFor": rule.keep_firing_for_s,
        "annotations": rule.annotations,
        "alerts": [_alert(one) for one in mine],
    }


def _is_of(alert: Alert, rule: Rule) -> bool:
    """Tell rules of one name apart by what they put on their alerts for certain."""
    return all(
        alert.labels.get(name) == text
        for name, text in rule.labels.items()
        if "{{" not in text
    )


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": "pending" if alert.state == "pending" else "firing",
        "activeAt": _time(alert.since),
        "value": _value(alert.value),
    }


def _value(value: float | None) -> str:
    """As Go's FormatFloat(…, 'e', -1, 64)."""
    if value is None or value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    texts = (f"{value:.{precision}e}" for precision in range(17))
    return next((text for text in texts if float(text) == value), f"{value:.17e}")


def _latest(rules: list[Rule]) -> str:
    known = [one.evaluated for one in rules if one.evaluated is not None]
    return _time(max(known)) if known else NEVER


def _time(moment: datetime | None) -> str:
    return NEVER if moment is None else moment.isoformat().replace("+00:00", "Z")
