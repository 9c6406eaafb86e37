"""From what a rule's expression gives to alerts: pending, firing, recovering, over.

The same as Prometheus 2.42 (rules/alerting.go): an alert is its labels; `for` counts
from the first evaluation that gave it; `keep_firing_for` from the first that did not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from nexa_node.core.alerting.fingerprint import fingerprint
from nexa_node.core.alerting.templates import expand
from nexa_node.core.promql.names import NAME

if TYPE_CHECKING:  # reading rule files takes what a node may never need
    from nexa_node.core.alerting.rules import Rule

Condition = Literal["pending", "firing", "recovering", "resolved"]
NAME_LABEL = "alertname"
REOPEN_ABOVE, REOPEN_BELOW = "nexa_reopen_above", "nexa_reopen_below"
"""Annotations with a limit: an acknowledged alert whose value passes it is open again."""
ACK_TIMEOUT = "nexa_ack_timeout"
"""The annotation that says when an alert is escalated; `0` or `off`: never."""


class TooManyAlerts(Exception):
    """A rule made more alerts than its group allows."""


class SameLabels(Exception):
    """Two results of a rule have the same labels once it has put its own on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """An alert that is on, or was just now."""

    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float
    condition: Condition
    since: float
    """When it was given first."""
    fired: float | None = None
    clear_since: float | None = None
    """Of a recovering one: since when it is not given any more."""
    resolved: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether others are to be told that it fires."""
        return self.condition in ("firing", "recovering")


@dataclass(frozen=True, slots=True)
class Change:
    """An alert went from one condition to another."""

    before: Condition | None
    """None: there was none."""
    alert: Active


def advance(
    rule: "Rule",
    results: Iterable[tuple[Mapping[str, str], float]],
    active: Mapping[str, Active],
    *,
    now: float,
    limit: int = 0,
) -> tuple[dict[str, Active], tuple[Change, ...]]:
    """Take one evaluation in.

    Args:
        rule: An alerting rule.
        results: What its expression gave: labels and values.
        active: What it had before, by fingerprint.
        now: When it was evaluated, seconds since 1970.
        limit: Alerts it may have; 0: any number.

    Returns:
        What it has now, those just resolved not among them, and what changed.

    Raises:
        TooManyAlerts, SameLabels: Then nothing has changed.
    """
    given = _given(rule, results)
    if limit and len(given) > limit:
        raise TooManyAlerts(f"exceeded limit of {limit} with {len(given)} alerts")
    kept: dict[str, Active] = {}
    changes: list[Change] = []
    for key, (labels, annotations, value) in given.items():
        before = active.get(key)
        alert = _seen(rule, key, labels, annotations, value, before, now)
        kept[key] = alert
        if before is None or before.condition != alert.condition:
            changes.append(Change(None if before is None else before.condition, alert))
    for key, before in active.items():
        if key in given:
            continue
        alert = _missed(rule, before, now)
        if alert is not None and alert.condition != "resolved":
            kept[key] = alert
        if alert is not None and alert.condition != before.condition:
            changes.append(Change(before.condition, alert))
    return kept, tuple(changes)


def _given(
    rule: "Rule", results: Iterable[tuple[Mapping[str, str], float]]
) -> dict[str, tuple[dict[str, str], dict[str, str], float]]:
    found: dict[str, tuple[dict[str, str], dict[str, str], float]] = {}
    for series, value in results:
        labels = {name: text for name, text in series.items() if name != NAME}
        own = {name: expand(text, labels, value) for name, text in rule.labels.items()}
        annotations = {
            name: expand(text, labels, value) for name, text in rule.annotations.items()
        }
        merged = {**labels, **own, NAME_LABEL: rule.name}
        merged = {name: text for name, text in merged.items() if text}
        key = fingerprint(merged)
        if key in found:
            raise SameLabels(
                "vector contains metrics with the same labelset after applying alert"
                " labels"
            )
        found[key] = merged, annotations, value
    return found


def _seen(
    rule: "Rule",
    key: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    value: float,
    before: Active | None,
    now: float,
) -> Active:
    alert = before or Active(
        fingerprint=key,
        labels=labels,
        annotations=annotations,
        value=value,
        condition="pending",
        since=now,
    )
    condition, fired = alert.condition, alert.fired
    if condition == "recovering":
        condition = "firing"
    if condition == "pending" and now - alert.since >= rule.for_s:
        condition, fired = "firing", now
    return replace(
        alert,
        annotations=annotations,
        value=value,
        condition=condition,
        fired=fired,
        clear_since=None,
    )


def _missed(rule: "Rule", before: Active, now: float) -> Active | None:
    """What becomes of an alert that was not given; None of one that only was pending."""
    if before.condition == "pending":
        return None
    since = now if before.clear_since is None else before.clear_since
    if rule.keep_firing_s > 0 and now - since < rule.keep_firing_s:
        return replace(before, condition="recovering", clear_since=since)
    return replace(before, condition="resolved", resolved=now)
