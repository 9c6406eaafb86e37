"""A node's figures over time: nothing invented, nothing lost before its time."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nexa_node.core.history import TICK_MS, History, Sample
from nexa_node.core.promql.evaluate import evaluate, steps_of
from nexa_node.core.promql.parsing import parse
from nexa_node.core.promql.samples import Budget, Matcher, Series, is_stale, matcher
from nexa_node.core.promql.vectors import Vector

START = 1_760_000_400_000
DAY_MS = 24 * 3600 * 1000


def named(name: str) -> tuple[Matcher, ...]:
    return (matcher("__name__", "=", name),)


def kept(history: History, name: str, since: int = 0, until: int = 2**60) -> Series:
    (found,) = history.select(named(name), since, until)
    alive = ~is_stale(found.values)
    return Series(found.labels, found.times[alive], found.values[alive])


def run(history: History, ticks: int, *, first: int = 0) -> None:
    for tick in range(first, first + ticks):
        history.append(
            START + tick * TICK_MS,
            [
                Sample({"__name__": "sent_total"}, float(7 * tick), "counter"),
                Sample({"__name__": "load"}, float(tick % 6), "gauge"),
            ],
        )


def test_the_newest_hour_is_kept_as_it_was_read() -> None:
    history = History()
    run(history, 400)

    hour = kept(history, "load", START + 40 * TICK_MS)

    assert hour.values.tolist() == [float(tick % 6) for tick in range(40, 400)]
    assert set(np.diff(hour.times)) == {TICK_MS}


def test_what_is_older_is_kept_by_the_minute_and_then_by_five() -> None:
    history = History()
    run(history, 8640)

    times = kept(history, "load").times

    apart = np.diff(times)
    assert set(apart.tolist()) == {300_000, 60_000, TICK_MS}
    assert (np.diff(apart) <= 0).all()
    assert times[-1] - times[0] > DAY_MS - 300_000 - TICK_MS


def test_a_gauge_keeps_average_least_and_most_where_it_is_coarse() -> None:
    history = History()
    run(history, 720)
    until = START + 300 * TICK_MS

    folds = {
        fold: set(
            history.select(named("load"), START, until, fold=fold)[0].values.tolist()
        )
        for fold in ("avg", "min", "max")
    }

    assert folds == {"avg": {2.5}, "min": {0.0}, "max": {5.0}}


@pytest.mark.parametrize("span", ["5m", "1h", "6h", "20h"])
def test_the_rate_of_a_counter_is_right_over_any_span(span: str) -> None:
    history = History()
    run(history, 8640)
    now = START + 8639 * TICK_MS

    found = evaluate(
        parse(f"rate(sent_total[{span}])"), history, steps_of(now, now, 1), Budget()
    )

    assert isinstance(found, Vector)
    assert found.values[0, 0] == pytest.approx(0.7, rel=0.01)


def test_a_series_that_went_and_one_that_came_late_have_no_samples_between() -> None:
    history = History()
    one, other = {"__name__": "one"}, {"__name__": "other"}
    for tick in range(30):
        labels = one if tick < 10 or tick >= 20 else other
        history.append(START + tick * TICK_MS, [Sample(labels, float(tick), "gauge")])

    assert kept(history, "one").values.tolist() == [
        *map(float, range(10)),
        *map(float, range(20, 30)),
    ]
    assert kept(history, "other").values.tolist() == list(map(float, range(10, 20)))


def test_a_series_that_went_is_not_taken_for_what_is() -> None:
    history = History()
    for tick in range(10):
        labels = {"__name__": "up", "node": "a" if tick < 5 else "b"}
        history.append(START + tick * TICK_MS, [Sample(labels, 1.0, "gauge")])
    at = START + 9 * TICK_MS

    found = evaluate(parse("up"), history, steps_of(at, at, 1), Budget())

    assert isinstance(found, Vector)
    assert [labels["node"] for labels in found.labels] == ["b"]


def test_a_tick_that_is_no_newer_is_ignored() -> None:
    history = History()
    run(history, 3)
    history.append(START, [Sample({"__name__": "load"}, 99.0, "gauge")])

    assert 99.0 not in kept(history, "load").values


def test_too_many_series_are_refused_and_counted() -> None:
    history = History(limit=5)
    for tick in range(2):
        history.append(
            START + tick * TICK_MS,
            [Sample({"__name__": f"n{i}"}, 1.0, "gauge") for i in range(8)],
        )

    assert len(history) == 5
    assert history.dropped == 6


def test_a_hundred_series_take_less_than_a_megabyte() -> None:
    history = History()
    for tick in range(100):
        history.append(
            START + tick * TICK_MS,
            [
                Sample({"__name__": f"n{i}"}, 1.0, "counter" if i % 2 else "gauge")
                for i in range(100)
            ],
        )

    assert history.bytes < 2**20


def test_what_was_dumped_is_loaded_and_goes_on() -> None:
    history = History()
    run(history, 500)

    again = History.load(history.dump())
    run(again, 10, first=500)
    run(history, 10, first=500)

    for name in ("sent_total", "load"):
        assert kept(again, name).values.tolist() == kept(history, name).values.tolist()


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"format": 2},
        {"format": 1, "series": 3, "rings": {}},
        {"format": 1, "series": [], "rings": {}},
        {"format": 1, "series": [["gauge", {"a": "b"}]], "rings": {"fine": (1, 2, 3)}},
    ],
)
def test_what_is_no_history_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no history|format"):
        History.load(broken)


@given(
    st.lists(
        st.floats(width=32, allow_nan=True, allow_infinity=True),
        min_size=1,
        max_size=50,
    )
)
def test_every_value_comes_back_as_it_was(values: list[float]) -> None:
    history = History()
    for tick, value in enumerate(values):
        history.append(
            START + tick * TICK_MS, [Sample({"__name__": "any"}, value, "gauge")]
        )

    found = kept(history, "any").values.tolist()

    assert len(found) == len(values)
    for got, given_ in zip(found, values, strict=True):
        assert got == given_ or (math.isnan(got) and math.isnan(given_))
