"""Handover, evidence and Prometheus' shape: what is told of alerts, and how."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from nexa_node.contract.alerts import Alert, AlertChange, Note, Rule
from nexa_node.core.alerting import as_prometheus
from nexa_node.core.alerting.exhibits import POINTS_MAX, exhibits, joined
from nexa_node.core.alerting.handover import handover
from nexa_node.core.alerting.rules import load
from nexa_node.core.alerting.ruling import ack_after_s, parts, unreachable
from nexa_node.core.promql.parsing import parse
from nexa_node.core.promql.samples import Series, meets
from tests.alerting import NOW, ack, alert


class Fixed:
    """A source of given series."""

    def __init__(self, *series: Series) -> None:
        self.series = series

    def select(self, matchers: Any, start_ms: int, end_ms: int) -> list[Series]:
        return [one for one in self.series if meets(one.labels, matchers)]


def series(labels: dict[str, str], count: int = 3) -> Series:
    times = np.arange(count, dtype=np.int64) * 1000
    return Series(labels, times, np.arange(count, dtype=np.float64))


def found(expression: str, labels: dict[str, str], *given: Series) -> Any:
    return exhibits(parse(expression), labels, Fixed(*given), 0, 10**12)


def test_evidence_has_the_series_of_the_alert_and_of_none_of_its_siblings() -> None:
    own = series({"__name__": "depth", "queue": "wc"})
    other = series({"__name__": "depth", "queue": "sum"})
    rest = series({"__name__": "workers"})
    told = found(
        "sum by (queue) (depth) > on () workers",
        {"alertname": "A", "queue": "wc", "severity": "warning"},
        own,
        other,
        rest,
    )
    assert {one.labels["__name__"] for one in told} == {"depth", "workers"}
    assert all(one.labels.get("queue", "wc") == "wc" for one in told)


def test_evidence_is_of_a_bounded_size() -> None:
    many = [series({"__name__": "a", "i": str(n)}, 1000) for n in range(50)]
    told = found("a > 0", {"alertname": "A"}, *many)
    assert len(told) == 12
    assert all(len(one.times) <= POINTS_MAX for one in told)


def test_what_came_later_is_put_behind_and_changes_nothing_of_what_was() -> None:
    (before,) = found("a", {}, series({"__name__": "a"}, 3))
    (after,) = found("a", {}, series({"__name__": "a"}, 6))
    (both,) = joined((before,), (after,))
    assert both.times == (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    assert joined((before,), ()) == (before,)


def test_a_handover_is_markdown_in_which_foreign_text_stays_text() -> None:
    hostile = alert(
        "Down",
        annotations={"summary": "[click](http://x)\n# <b>\x1b[31m"},
        notes=(Note(by="a*b", at=NOW, text="`x`"),),
    )
    told = handover(
        [hostile, alert("Quiet", ack=ack("anna", until=NOW), flapping=True)],
        [],
        [],
        since=NOW - timedelta(hours=8),
        now=NOW,
    )
    assert "\x1b" not in told.text
    assert "\\[click\\]" in told.text
    assert "\n# <b>" not in told.text
    assert "anna has it until" in told.text
    assert "[flapping]" in told.text
    assert [one.name for one in told.open] == ["Down"]


def test_a_handover_says_that_a_node_is_in_maintenance() -> None:
    rests = alert("Slow", silenced_by=("maintenance:beta",))
    both = alert("Full", silenced_by=("maintenance:beta", "s-1"), ack=ack("anna"))
    told = handover([rests, both], [], [], since=NOW - timedelta(hours=1), now=NOW)

    assert "[maintenance of beta]" in told.text
    assert "[silenced, maintenance of beta]" in told.text


def test_a_handover_names_what_was_loudest_first() -> None:
    changes = [
        AlertChange(
            id=str(number),
            time=NOW,
            fingerprint="0" * 16,
            name=name,
            severity="warning",
            change="firing",
        )
        for number, name in enumerate(["A", "B", "B"])
    ]
    told = handover([], changes, [], since=NOW - timedelta(hours=1), now=NOW)
    assert told.noisiest == (("B", 2), ("A", 1))
    assert told.text.count("nothing") == 4


def rule(name: str, **over: Any) -> Rule:
    fields: dict[str, Any] = {
        "kind": "alerting",
        "expression": "up == 0",
        "group": "g",
        "file": "f",
        "for_s": 60.0,
        "keep_firing_for_s": 0.0,
        "interval_s": 10.0,
        "labels": {},
        "annotations": {},
        "health": "ok",
        **over,
    }
    return Rule(name=name, **fields)


def told_rules(rules: list[Rule], alerts: list[Alert]) -> list[dict[str, Any]]:
    (group,) = as_prometheus.groups(rules, alerts)
    return group["rules"]


def test_a_rules_state_is_its_alerts() -> None:
    firing = alert("A", group="g")
    pending = alert("B", group="g", state="pending")
    over = alert("C", group="g", state="resolved")
    recording = rule("r:x", kind="recording", health="err", error="why")
    rules = [rule("A"), rule("B"), rule("C"), recording]
    told = told_rules(rules, [firing, pending, over])
    assert [one.get("state") for one in told] == ["firing", "pending", "inactive", None]
    assert told[0]["alerts"][0]["activeAt"].endswith("Z")
    assert told[3]["lastError"] == "why"
    assert told[3]["lastEvaluation"] == as_prometheus.NEVER
    assert [one["state"] for one in as_prometheus.active([firing, pending, over])] == [
        "firing",
        "pending",
    ]


def test_rules_of_one_name_have_their_own_alerts() -> None:
    mild = rule("A", labels={"severity": "warning"})
    grave = rule("A", labels={"severity": "critical"})
    told = told_rules([mild, grave], [alert("A", group="g")])
    assert [one["state"] for one in told] == ["inactive", "firing"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1e+00"),
        (0.25, "2.5e-01"),
        (12000.0, "1.2e+04"),
        (0.1, "1e-01"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
        (None, "NaN"),
    ],
)
def test_values_are_written_as_go_writes_them(value: float | None, text: str) -> None:
    (told,) = as_prometheus.active([alert("A", value=value)])
    assert told["value"] == text


RULES = """
groups:
- name: g
  rules:
  - alert: A
    expr: a > 0
    annotations: {nexa_local: "true", nexa_ack_timeout: 5m}
  - alert: A
    expr: b > 0
    annotations: {nexa_ack_timeout: "off"}
  - alert: B
    expr: c > 0
    annotations: {nexa_ack_timeout: soon}
"""


def test_each_nodes_own_rules_are_apart_and_names_stay_theirs() -> None:
    cluster, local = parts(load(RULES, file="f"))
    assert (cluster.local, cluster.keys) == (False, ("g/A#2", "g/B"))
    assert (local.local, local.keys) == (True, ("g/A",))
    assert cluster.name != local.name
    assert cluster.group.limit == 500


def test_when_an_alert_is_escalated_its_rule_says_or_its_severity() -> None:
    groups = load(RULES, file="f")
    first, second, third = groups[0].rules
    assert ack_after_s(first, "info") == 300
    assert ack_after_s(second, "critical") is None
    assert ack_after_s(third, "critical") is None
    plain = load("groups: [{name: g, rules: [{alert: A, expr: a}]}]", file="f")
    assert ack_after_s(plain[0].rules[0], "critical") == 900
    assert ack_after_s(plain[0].rules[0], "info") is None
    assert unreachable(groups) == ["f:11: B: nexa_ack_timeout is no duration: 'soon'"]


@pytest.mark.parametrize("text", ["much", "nan", ""])
def test_a_limit_that_is_no_number_is_warned_of(text: str) -> None:
    rules = (
        "groups: [{name: g, rules: [{alert: A, expr: up, annotations:"
        f" {{nexa_reopen_above: '{text}', nexa_reopen_below: '{{{{ $value }}}}'}}}}]}}]"
    )
    (warning,) = unreachable(load(rules, file="mine.yaml"))
    assert "nexa_reopen_above is no number" in warning
