"""A group of rules, evaluated again and again."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nexa_node.core.alerting.evaluation import Evaluated, Point, evaluate_group
from nexa_node.core.alerting.life import Active
from nexa_node.core.alerting.rules import Group, load
from nexa_node.core.history import TICK_MS, History, Sample
from nexa_node.core.promql.samples import Budget, Matcher, Series

START = 1_760_000_400


def group(*rules: str, limit: int = 0) -> Group:
    text = "\n".join(f"  - {rule}" for rule in rules)
    return load(f"groups:\n- name: g\n  limit: {limit}\n  rules:\n{text}\n", file="x")[
        0
    ]


def history(**values: list[float]) -> History:
    made = History()
    for at in range(max(map(len, values.values()))):
        made.append(
            (START + at * 10) * 1000,
            [
                Sample({"__name__": name, "node": "a"}, row[at], "gauge")
                for name, row in values.items()
                if at < len(row)
            ],
        )
    return made


def run(made: Group, samples: History, ticks: int) -> list[Evaluated]:
    active: Mapping[str, Mapping[str, Active]] = {}
    told: list[Evaluated] = []
    for at in range(ticks):
        told.append(evaluate_group(made, samples, active, now=START + at * 10))
        active = told[-1].active
    return told


def test_a_rule_sees_what_one_before_it_recorded() -> None:
    made = group("{record: twice, expr: load * 2}", "{alert: High, expr: twice > 15}")

    told = run(made, history(load=[5.0, 8.0, 1.0]), 3)

    assert [len(each.active["1"]) for each in told] == [0, 1, 0]
    assert told[1].recorded[0] == ({"__name__": "twice", "node": "a"}, 16.0)


def test_an_alert_is_published_back_so_that_hysteresis_works() -> None:
    rule = (
        "{alert: High, expr: 'load > 80 or (load > 60 and on (node)"
        ' ALERTS{alertname="High"})\'}'
    )
    loads = [50.0, 70.0, 85.0, 70.0, 65.0, 55.0, 70.0]
    made, samples = group(rule), History()
    active: Mapping[str, Mapping[str, Active]] = {}
    recorded: tuple[Point, ...] = ()
    firing = []
    for at, heat in enumerate(loads):
        points = [({"__name__": "load", "node": "a"}, heat), *recorded]
        samples.append(
            (START + at * 10) * 1000, [Sample(*point, "gauge") for point in points]
        )
        told = evaluate_group(made, samples, active, now=START + at * 10)
        active, recorded = told.active, told.recorded
        firing.append(bool(active["0"]))

    assert firing == [False, False, True, True, True, False, False]


def test_a_rule_that_fails_is_told_and_resolves_nothing() -> None:
    made = group("{alert: High, expr: load > 0}", "{alert: Odd, expr: a + on () b}")
    samples = history(load=[1.0, 1.0])
    first = evaluate_group(made, samples, {}, now=START)

    broken = evaluate_group(
        made, samples, first.active, now=START + 10, budget=lambda: Budget(samples=0)
    )

    assert [fault.rule.name for fault in broken.faults] == ["High", "Odd"]
    assert broken.active["0"] == first.active["0"]
    assert broken.changes == ()


def test_more_than_the_limit_is_a_fault() -> None:
    samples = History()
    samples.append(
        START * 1000,
        [Sample({"__name__": "up", "node": n}, 0.0, "gauge") for n in "abc"],
    )
    made = group("{alert: Down, expr: up == 0}", "{record: copy, expr: up}", limit=2)

    told = evaluate_group(made, samples, {}, now=START)

    assert len(told.faults) == 2
    assert "limit of 2" in told.faults[0].message


def test_a_rule_that_matches_nothing_is_named() -> None:
    made = group("{alert: A, expr: nothing > 1}", "{alert: B, expr: load > 100}")

    told = evaluate_group(made, history(load=[1.0]), {}, now=START)

    assert [rule.name for rule in told.empty] == ["A"]


def test_a_rule_whose_expression_another_one_had_is_named_as_well() -> None:
    rules = [
        f"{{alert: {name}, expr: sum(nothing) > {at}}}" for at, name in enumerate("AB")
    ]

    told = evaluate_group(group(*rules), history(load=[1.0]), {}, now=START)

    assert [rule.name for rule in told.empty] == ["A", "B"]


@dataclass
class Counted:
    """Counts what is asked of a source."""

    source: History
    asked: int = 0

    def select(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
    ) -> list[Series]:
        self.asked += 1
        return self.source.select(matchers, start_ms, end_ms)


def test_a_figure_that_several_rules_ask_for_is_computed_once() -> None:
    warning = "{alert: Warning, expr: 'sum by (node) (rate(load[1m])) > 0.5'}"
    critical = "{alert: Critical, expr: 'sum by (node) (rate(load[1m])) > 0.6'}"
    source = Counted(history(load=[1.0, 30.0, 60.0]))

    told = evaluate_group(group(warning, critical), source, {}, now=START + 20)

    assert source.asked == 1
    assert [len(told.active[key]) for key in "01"] == [1, 1]


def test_what_is_known_is_forgotten_when_its_series_is_recorded() -> None:
    made = group(
        "{alert: Before, expr: 'sum(twice) > 1'}",
        "{record: twice, expr: load * 2}",
        "{alert: After, expr: 'sum(twice) > 1'}",
    )

    told = evaluate_group(made, history(load=[5.0]), {}, now=START)

    assert [len(told.active[key]) for key in "02"] == [0, 1]


def test_two_results_that_become_one_are_a_fault() -> None:
    samples = History()
    samples.append(
        START * 1000,
        [Sample({"__name__": "up", "node": n}, 0.0, "gauge") for n in "ab"],
    )
    made = group("{record: one, expr: up, labels: {node: same}}")

    assert len(evaluate_group(made, samples, {}, now=START).faults) == 1


def test_every_change_is_told_once() -> None:
    made = group("{alert: High, expr: load > 5, for: 10s}")

    told = run(made, history(load=[1.0, 9.0, 9.0, 9.0, 1.0, 1.0]), 6)

    assert [
        [(change.before, change.alert.condition) for _, change in each.changes]
        for each in told
    ] == [
        [],
        [(None, "pending")],
        [("pending", "firing")],
        [],
        [("firing", "resolved")],
        [],
    ]


def test_the_moment_of_an_evaluation_need_be_no_tick() -> None:
    samples = history(load=[9.0, 9.0])
    made = group("{alert: High, expr: load > 5}")

    told = evaluate_group(made, samples, {}, now=START + TICK_MS / 1000 + 3.7)

    assert np.isfinite(next(iter(told.active["0"].values())).value)
