"""Rule files: Prometheus' format, every fault told with its place."""

import pytest
from hypothesis import given, strategies as st

from nexa_node.core.alerting.rules import RuleError, load
from nexa_node.core.promql.durations import duration_s

GOOD = """
groups:
- name: nodes
  interval: 30s
  rules:
  - record: node:load:avg
    expr: avg(load)
    labels: {kind: short}
  - alert: NodeDown
    expr: up == 0
    for: 1m
    keep_firing_for: 2m30s
    labels:
      severity: critical
    annotations:
      summary: "{{ $labels.instance }} is down ({{ $value }})"
- name: later
"""


def test_a_file_is_read_whole() -> None:
    nodes, later = load(GOOD, file="good.yml")

    record, alert = nodes.rules
    assert (nodes.interval_s, later.rules) == (30.0, ())
    assert (record.alerts, record.name, record.labels) == (
        False,
        "node:load:avg",
        {"kind": "short"},
    )
    assert (alert.alerts, alert.for_s, alert.keep_firing_s) == (True, 60.0, 150.0)
    assert alert.line == 9


def test_an_empty_file_has_no_groups() -> None:
    assert load("", file="x") == load("# nothing\n", file="x") == ()


def rule(text: str) -> str:
    return f"groups:\n- name: g\n  rules:\n  - {text}\n"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("groups: 3", 1, "groups is a list"),
        ("- a", 1, "a rule file is a mapping"),
        ("groups:\n- name: g\n- name: g", 0, "repeated"),
        ("groups:\n- rules: []", 2, "must not be empty"),
        ("group: []", 1, "field group not found"),
        ("groups:\n- name: g\n  interval: 5 minutes", 3, "not a valid duration"),
        ("groups:\n- name: g\n  interval: 0s", 3, "more than 0"),
        ("groups:\n- name: g\n  limit: many", 3, "limit is a number"),
        ("groups: [", 1, "expected the node content"),
        (rule("expr: up"), 4, "one of 'record' and 'alert'"),
        (rule("{alert: A, record: b, expr: up}"), 4, "one of"),
        (rule("alert: A"), 4, "A: field 'expr' must be set"),
        (rule("{alert: A, expr: 'rate(x)'}"), 4, "A: could not parse expression"),
        (rule("{alert: A, expr: 'deg(x)'}"), 4, "deg is not supported"),
        (rule("{alert: A, expr: 'x[5m:1m]'}"), 4, "could not parse"),
        (rule("{alert: A, expr: 'sum(x[1h:1m])'}"), 4, "could not parse"),
        (rule("{alert: A, expr: up, for: soon}"), 4, "not a valid duration"),
        (rule("{alert: A, expr: up, labels: {__name__: x}}"), 4, "invalid label name"),
        (rule("{alert: A, expr: up, labels: {'a-b': x}}"), 4, "invalid name"),
        (rule("{alert: A, expr: up, annotations: {a: '{{ $nope }}'}}"), 4, "A: a: "),
        (rule("{alert: A, expr: up, annotations: {a: '{{ $value'}}"), 4, "not closed"),
        (rule("{record: a-b, expr: up}"), 4, "invalid recording rule name"),
        (rule("{record: a, expr: up, for: 1m}"), 4, "invalid field 'for'"),
        (rule("{alert: A, expr: up, alert: B}"), 4, "twice"),
        (rule("{alert: A, expr: up, severity: high}"), 4, "field severity not found"),
        (rule("{alert: A, expr: {a: b}}"), 4, "expr is a text"),
        ("a: &a [*a]", 1, ""),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, line: int, said: str) -> None:
    with pytest.raises(RuleError) as told:
        load(text, file="bad.yml")

    assert told.value.line == line
    assert said in str(told.value)
    assert str(told.value).startswith("bad.yml")


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
    )
    for text in (bomb, "[" * 100_000, "groups: [" + "1," * 200_000 + "]"):
        with pytest.raises(RuleError):
            load(text, file="bomb.yml")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("15ms", 0.015)],
)
def test_durations_are_prometheus_own(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@given(st.text(max_size=300))
def test_nothing_but_its_own_error_escapes(text: str) -> None:
    for candidate in (text, rule(text), rule(f"{{alert: A, expr: '{text}'}}")):
        try:
            load(candidate, file="any.yml")
        except RuleError:
            continue
