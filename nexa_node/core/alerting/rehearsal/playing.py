"""A test played: time goes by over made-up samples, rules are evaluated, checks are held.

Rules that no check depends on are not evaluated; what depends on what, their expressions
say.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nexa_node.core.alerting.evaluation import ALERTS, evaluate_group, points_of
from nexa_node.core.alerting.life import NAME_LABEL, Active
from nexa_node.core.alerting.rehearsal.memory import Memory
from nexa_node.core.alerting.rehearsal.notation import samples
from nexa_node.core.alerting.rehearsal.script import (
    AlertCheck,
    ExpressionCheck,
    Script,
    Test,
)
from nexa_node.core.alerting.rules import Group, Rule, RuleError
from nexa_node.core.promql.durations import duration_s
from nexa_node.core.promql.evaluate import evaluate
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.parsing import conditions, parse, selectors
from nexa_node.core.promql.samples import Budget, QueryError, Source
from nexa_node.core.promql.vectors import key_of

EVALUATIONS_MAX = 50_000
"""Moments of one test."""
ALERTS_STATE = "ALERTS_FOR_STATE"
Watch = Callable[[float, str, Mapping[str, Active], Source], object]
"""Told at each moment (seconds), for each alerting rule evaluated: its alerts, and the
samples there are."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A check that did not hold."""

    line: int
    message: str


def play(
    script: Script,
    test: Test,
    groups: Sequence[Group],
    *,
    file: str,
    watch: Watch | None = None,
) -> tuple[Miss, ...]:
    """Play one test of a file.

    Args:
        script: The file.
        test: One of its tests.
        groups: The rules of its rule files.
        file: Its name, for messages.
        watch: Sees every evaluation.

    Raises:
        RuleError: The test itself is wrong.
    """
    return tuple(_Play(script, test, groups, file).run(watch))


class _Play:
    def __init__(
        self, script: Script, test: Test, groups: Sequence[Group], file: str
    ) -> None:
        self._test, self._file = test, file
        self._step_ms = self._span(script.evaluation_interval, test.line)
        self._memory = Memory()
        self._active: dict[str, Mapping[str, Mapping[str, Active]]] = {}
        order = {name: at for at, name in enumerate(script.group_eval_order)}
        needed = _needed(test, [rule for group in groups for rule in group.rules])
        pruned = (
            replace(
                group,
                rules=tuple(r for r in group.rules if (r.alerts, r.name) in needed),
            )
            for group in groups
        )
        self._groups = sorted(
            (group for group in pruned if group.rules),
            key=lambda group: order.get(group.name, len(order)),
        )

    def run(self, watch: Watch | None) -> Iterator[Miss]:
        test = self._test
        self._fill()
        waiting = sorted(
            (
                (self._span(one.eval_time, one.line), one)
                for one in test.alert_rule_test
            ),
            key=lambda pair: pair[0],
        )
        later = [
            (self._span(one.eval_time, one.line), one) for one in test.promql_expr_test
        ]
        end_ms = max([0, *(at for at, _ in waiting), *(at for at, _ in later)])
        if end_ms / self._step_ms > EVALUATIONS_MAX:
            raise RuleError(
                f"a test takes at most {EVALUATIONS_MAX} evaluations",
                file=self._file,
                line=test.line,
            )
        for at_ms in range(0, end_ms + 1, self._step_ms):
            yield from self._evaluate(at_ms, watch)
            while waiting and waiting[0][0] < at_ms + self._step_ms:
                yield from self._alerts(waiting.pop(0)[1])
        for at_ms, check in later:
            yield from self._expression(check, at_ms)

    def _span(self, text: str, line: int) -> int:
        try:
            return max(0, round(duration_s(text) * 1000))
        except ValueError:
            raise RuleError(
                f'not a valid duration string: "{text}"', file=self._file, line=line
            ) from None

    def _fill(self) -> None:
        test = self._test
        every_ms = (
            self._span(test.interval, test.line) if test.interval else self._step_ms
        )
        for one in test.input_series:
            try:
                labels = labels_of(one.series)
                times, values = samples(one.values, every_ms)
            except (QueryError, ValueError) as error:
                raise RuleError(
                    f"{one.series}: {error}", file=self._file, line=test.line
                ) from None
            self._memory.put(labels, times, values)

    def _evaluate(self, at_ms: int, watch: Watch | None) -> Iterator[Miss]:
        for group in self._groups:
            done = evaluate_group(
                group, self._memory, self._active.get(group.name, {}), now=at_ms / 1000
            )
            self._active[group.name] = done.active
            self._memory.record(group.name, done.recorded, at_ms)
            for fault in done.faults:
                where = f"at {at_ms / 1000:g}s {fault.rule.name}"
                yield Miss(self._test.line, f"{where}: {fault.message}")
            for place, rule in enumerate(group.rules):
                if watch is not None and rule.alerts:
                    alerts = done.active[str(place)]
                    watch(at_ms / 1000, rule.name, alerts, self._memory)

    def _alerts(self, check: AlertCheck) -> Iterator[Miss]:
        got = sorted(
            (key_of(_shown(alert.labels)), key_of(alert.annotations))
            for group in self._groups
            for place, rule in enumerate(group.rules)
            if rule.alerts and rule.name == check.alertname
            for alert in self._active[group.name][str(place)].values()
            if alert.is_on
        )
        expected = sorted(
            (key_of(_shown(one.exp_labels)), key_of(one.exp_annotations))
            for one in check.exp_alerts
        )
        if got != expected:
            yield Miss(
                check.line,
                f"alertname: {check.alertname}, time: {check.eval_time},"
                f" exp: {_told(expected)}, got: {_told(got)}",
            )

    def _expression(self, check: ExpressionCheck, at_ms: int) -> Iterator[Miss]:
        try:
            steps = np.array([at_ms], np.int64)
            value = evaluate(parse(check.expr), self._memory, steps, Budget())
            got = sorted(
                ((key_of(labels), number) for labels, number in points_of(value)),
                key=lambda pair: pair[0],
            )
            expected = sorted(
                (
                    (key_of(labels_of(one.labels)), one.value)
                    for one in check.exp_samples
                ),
                key=lambda pair: pair[0],
            )
        except QueryError as error:
            yield Miss(check.line, f"expr: {check.expr}: {error}")
            return
        if not _same(got, expected):
            yield Miss(
                check.line,
                f"expr: {check.expr}, time: {check.eval_time},"
                f" exp: {_told(expected)}, got: {_told(got)}",
            )


def labels_of(text: str) -> dict[str, str]:
    """Read a series' labels: `up{job="nexa"}`, or `{}`.

    Raises:
        QueryError: It names no single series.
    """
    if text.strip() in ("", "{}"):
        return {}
    found = list(selectors(parse(text)))
    wanted = conditions(found[0]) if len(found) == 1 else ()
    if not wanted or any(one.kind != "=" for one in wanted):
        raise QueryError(f"{text[:80]!r} is no series")
    return {one.label: one.value for one in wanted if one.value}


def _needed(test: Test, rules: Sequence[Rule]) -> set[tuple[bool, str]]:
    """The rules that checks depend on: whether it is an alert, and its name."""
    everything = {(rule.alerts, rule.name) for rule in rules}
    wanted: list[tuple[bool, str]] = [
        (True, check.alertname) for check in test.alert_rule_test
    ]
    for check in test.promql_expr_test:
        try:
            wanted += _depends(parse(check.expr))
        except QueryError:
            continue  # told when it is evaluated
    by_name: dict[tuple[bool, str], list[Rule]] = {}
    for rule in rules:
        by_name.setdefault((rule.alerts, rule.name), []).append(rule)
    found: set[tuple[bool, str]] = set()
    while wanted:
        key = wanted.pop()
        if key[1] == "":
            return everything
        if key in found or key not in by_name:
            continue
        found.add(key)
        for rule in by_name[key]:
            wanted += _depends(rule.expression)
    return found


def _depends(expression: Any) -> Iterator[tuple[bool, str]]:
    """What an expression reads; an empty name: it may be anything."""
    for selector in selectors(expression):
        equal = {
            one.label: one.value for one in conditions(selector) if one.kind == "="
        }
        name = equal.get(NAME, "")
        if name in (ALERTS, ALERTS_STATE):
            yield True, equal.get(NAME_LABEL, "")
        else:
            yield False, name


def _shown(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in labels.items() if name != NAME_LABEL}


def _same(got: Sequence[Any], expected: Sequence[Any]) -> bool:
    return [key for key, _ in got] == [key for key, _ in expected] and all(
        math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-12)
        or (math.isnan(mine) and math.isnan(theirs))
        for (_, mine), (_, theirs) in zip(got, expected, strict=True)
    )


def _told(rows: Iterable[Any]) -> str:
    return "[" + ", ".join(_one(row) for row in rows) + "]"


def _one(row: Any) -> str:
    labels, rest = row
    text = "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"
    if isinstance(rest, float):
        return f"{text} {rest:g}"
    return f"{text} {dict(rest)}"
