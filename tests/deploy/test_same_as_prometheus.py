"""Every panel, every built-in rule: Debian's Prometheus gives the same answer as nexa.

Both have the same made-up samples of everything that nexa measures.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from nexa_node.core.promql.evaluate import evaluate, steps_of
from nexa_node.core.promql.parsing import parse
from nexa_node.core.promql.samples import Budget
from nexa_node.core.promql.vectors import Scalar, Vector, key_of
from tests.deploy.dashboards import EVERYTHING, asked
from tests.deploy.town_samples import SPAN_S, STEP_S, samples
from tests.node.core.promql.prometheus import (
    START_S,
    Prometheus,
    installed,
    number,
    prometheus,
    same,
)
from tests.node.rules.test_builtin import GROUPS

START, END, STEP = START_S + 600, START_S + SPAN_S - STEP_S, 120
RULES = [rule for group in GROUPS for rule in group.rules]
WITHOUT_DATA = {
    "cluster: Copies missing",  # a difference of what is said of streams: may be none
}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if not installed():
        pytest.skip("there is no Prometheus, and Debian's can't be installed here")
    with prometheus(tmp_path_factory.mktemp("prometheus"), samples()) as running:
        yield running


Answer = dict[Any, dict[float, float]]


def ours(text: str) -> Answer:
    steps = steps_of(START * 1000, END * 1000, STEP * 1000)
    found = evaluate(parse(text), samples(), steps, Budget())
    if isinstance(found, Scalar):
        return {(): dict(zip(steps / 1000, found.values, strict=True))}
    assert isinstance(found, Vector)
    return {
        key_of(labels): {
            at: float(value)
            for at, value, there in zip(steps / 1000, values, present, strict=True)
            if there
        }
        for labels, values, present in zip(
            found.labels, found.values, found.present, strict=True
        )
        if any(present)
    }


def theirs(truth: Prometheus, text: str) -> Answer:
    told = truth.ask("query_range", query=text, start=START, end=END, step=STEP)
    assert not isinstance(told, str), told
    return {
        key_of(one["metric"]): {at: number(value) for at, value in one["values"]}
        for one in told["result"]
    }


def compared(truth: Prometheus, text: str) -> Answer:
    """The answer that both give."""
    mine, their = ours(text), theirs(truth, text)
    assert mine.keys() == their.keys(), text
    for labels, expected in their.items():
        assert mine[labels].keys() == expected.keys(), (text, labels)
        for at, value in expected.items():
            assert same(mine[labels][at], value), (text, labels, at)
    return mine


@pytest.mark.parametrize("one", asked(), ids=lambda one: one.id)
def test_a_panel_shows_the_same_on_both(truth: Prometheus, one: Any) -> None:
    answer = compared(truth, one.expression())
    few = compared(truth, one.expression({**EVERYTHING, "instance": "(alpha|gamma)"}))

    assert answer or one.id in WITHOUT_DATA, "it shows nothing, whatever there is"
    assert few or one.id in WITHOUT_DATA
    for labels in answer:
        told = {name for name, _ in labels}
        wanted = set(re.findall(r"\{\{(\w+)\}\}", one.legend))
        assert wanted <= told, f"the legend names {wanted - told}"
        if one.legend and wanted:
            fixed = set(re.findall(r'(\w+)="', one.text))
            beyond = told - wanted - fixed - {"__name__", "instance"}
            assert not beyond, f"lines that look the same: {beyond}"


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_a_rule_gives_the_same_on_both(truth: Prometheus, rule: Any) -> None:
    compared(truth, rule.text)
