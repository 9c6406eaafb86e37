"""No metric stands still for ever: each is moved by what it tells of."""

import re
from pathlib import Path

import pytest

from nexa_node.core.exposition import Counter, Histogram, render
from nexa_node.core.instruments import CHILDREN_MAX, OTHER, Instruments, gauge
from tests.node.services.metrics.moving import CONSTANT, MOVES, Rig

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", sorted(MOVES))
def test_it_is_moved_by_what_it_tells_of(name: str) -> None:
    rig = Rig()
    before = rig.families()[name]
    before = rig.families()[name]  # what counts changes has seen the first state

    MOVES[name](rig)
    after = rig.families()[name]

    assert after != before


def test_no_metric_is_without_a_test_that_moves_it() -> None:
    assert Rig().families().keys() == MOVES.keys() | CONSTANT


def test_counters_only_grow_and_histograms_have_a_child_from_the_start() -> None:
    rig = Rig()
    before = {
        one.name: one for one in rig.families().values() if isinstance(one, Counter)
    }
    for name, move in MOVES.items():
        if name in before and "cpu" not in name:
            move(rig)
    for name, one in rig.families().items():
        if name in before and isinstance(one, Counter):
            old = {tuple(s.labels.items()): s.value for s in before[name].samples}
            new = {tuple(s.labels.items()): s.value for s in one.samples}
            shrunk = [key for key in old if new.get(key, old[key]) < old[key]]
            assert not shrunk, name


def test_no_id_is_a_label() -> None:
    rig = Rig()
    for move in MOVES.values():
        move(rig)
    text = render(rig.families().values()).decode()

    labels = set(re.findall(r'[{,](\w+)="', text))
    assert not {label for label in labels if label.endswith("_id") or label == "id"}
    assert "wc-1" not in text


def test_what_has_too_many_labels_is_counted_under_other_and_told_once() -> None:
    told: list[str] = []
    instruments = Instruments()
    instruments.on_capped(told.append)
    made = instruments.counter("nexa_any_total", "Any.", ("kind",))
    for number in range(CHILDREN_MAX + 10):
        made.add(f"kind-{number}")

    assert made.value(OTHER) == 10
    assert instruments.dropped.value("nexa_any_total") == 10
    assert told == ["nexa_any_total"]
    assert len(made.family().samples) == CHILDREN_MAX + 1  # type: ignore[arg-type]


def test_a_histogram_is_bounded_too_and_long_labels_are_cut() -> None:
    instruments = Instruments()
    made = instruments.histogram("nexa_any_seconds", "Any.", (1.0,), ("kind",))
    for number in range(CHILDREN_MAX + 5):
        made.observe(0.5, f"{number:03}" + "x" * 200)
    family = made.family()

    assert isinstance(family, Histogram)
    assert made.count(OTHER) == 5
    assert max(len(one.labels["kind"]) for one in family.series) <= 64


def test_a_gauge_is_bounded() -> None:
    over: list[int] = []
    values = {(f"queue-{number}",): 1.0 for number in range(CHILDREN_MAX + 5)}

    made = gauge("nexa_any", "Any.", values, ("queue",), over=lambda: over.append(1))

    assert len(made.samples) == CHILDREN_MAX
    assert len(over) == 5


def test_an_instrument_of_a_name_is_made_once() -> None:
    instruments = Instruments()
    one = instruments.counter("nexa_any_total", "Any.")
    one.add()

    assert instruments.counter("nexa_any_total", "Any.").value() == 1
    assert instruments.histogram("nexa_b", "B.", (1,)) is instruments.histogram(
        "nexa_b", "B.", (1,)
    )
