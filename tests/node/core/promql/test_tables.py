"""What is remembered of labels changes no answer, however the series come and go."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from nexa_node.core.history import TICK_MS, History, Sample
from nexa_node.core.promql.evaluate import evaluate
from nexa_node.core.promql.parsing import parse
from nexa_node.core.promql.samples import (
    Budget,
    Matcher,
    QueryError,
    Series,
    Shared,
    learned,
)
from nexa_node.core.promql.vectors import Vector

START_MS = 1_760_000_400_000
NODES = ("a", "b", "c")
EXPRESSIONS = (
    "load",
    "-load",
    "load * 2 > 3",
    "rate(sent_total[1m])",
    "sum by (node) (rate(sent_total[1m]))",
    "sum without (node) (load)",
    "avg(load)",
    "max by (zone, node) (load)",
    "count by (zone) (load) > 1",
    "topk by (zone) (1, load)",
    "sum by (node) (load) / sum by (node) (size)",
    "load / size",
    "load > size",
    "load / on (node) group_left (zone) info",
    "info * on (node) group_right () load",
    "load * on (node) size",
    "load and on (node) info",
    "load and size",
    "load unless on (node) info{zone='z0'}",
    "load unless nothing",
    "load or size",
    "nothing or load",
    "load or on (node) nothing",
    "{node='a'} * 1",
    "histogram_quantile(0.9, took_bucket)",
    "histogram_quantile(0.5, sum by (le) (took_bucket))",
    "nothing",
    "sum(nothing)",
    "rate(nothing[1m])",
    "absent(nothing)",
)


@dataclass
class Rows:
    """The same samples without tables."""

    history: History

    def select(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
    ) -> list[Series]:
        return self.history.select(matchers, start_ms, end_ms)


def told(node: int, tick: int) -> Iterator[Sample]:
    """A node's samples; what is told changes from tick to tick."""
    name = {"node": NODES[node]}
    yield Sample({"__name__": "load", **name}, node + tick / 4, "gauge")
    yield Sample({"__name__": "size", **name}, 2.0, "gauge")
    if (node, tick) != (1, 5):
        zone = "z0" if node == 0 else "z1"
        yield Sample({"__name__": "info", **name, "zone": zone}, 1.0, "gauge")
    if tick >= 4:
        yield Sample({"__name__": "load", **name, "of": "late"}, 9.0, "gauge")
    yield Sample({"__name__": "sent_total", **name}, tick * (node + 1.0), "counter")
    for at, bound in enumerate(("0.1", "1", "+Inf")):
        labels = {"__name__": "took_bucket", **name, "le": bound}
        yield Sample(labels, tick * (at + node + 1.0), "counter")


def answer(text: str, source: History | Rows, at_ms: int) -> object:
    steps = np.array([at_ms], np.int64)
    try:
        found = evaluate(parse(text), source, steps, Budget())
    except QueryError as error:
        return str(error)
    assert isinstance(found, Vector)
    return [
        (repr(sorted(labels.items())), str(value[0]), bool(there[0]))
        for labels, value, there in zip(
            found.labels, found.values, found.present, strict=True
        )
    ]


def test_a_table_and_its_rows_give_the_same_at_every_tick() -> None:
    history = History()
    for tick in range(8):
        at_ms = START_MS + tick * TICK_MS
        assert history.open(at_ms)
        for node, name in enumerate(NODES):
            if (node, tick) != (2, 6):  # it told nothing at all
                history.fill(told(node, tick), owner=name)
        for text in EXPRESSIONS * 2:
            mine = answer(text, history, at_ms)
            assert mine == answer(text, Rows(history), at_ms), (text, tick)


def test_what_follows_from_shared_labels_is_found_out_once() -> None:
    labels = Shared([{"node": "a"}])
    found: list[int] = []

    for number in range(3):
        learned(labels, "what", lambda n=number: found.append(n))
        learned(tuple(labels), "what", lambda n=number: found.append(10 + n))

    assert found == [0, 10, 11, 12]


@pytest.mark.parametrize("asked", [65, 200])
def test_only_so_much_is_remembered(asked: int) -> None:
    labels = Shared([{"node": "a"}])

    answers = [learned(labels, what, lambda w=what: w) for what in range(asked)]

    assert answers == list(range(asked))
    assert len(labels.known) <= 64
