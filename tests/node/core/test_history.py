"""A node's figures over time: nothing invented, nothing lost before its time."""

import hashlib
import math
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nexa_node.core.history import TICK_MS, History, Sample
from nexa_node.core.history_bytes import FORMAT, MAGIC, HistoryDamaged, absorb, pack
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


def test_what_was_packed_is_taken_again_and_goes_on() -> None:
    history, again = History(), History()
    run(history, 500)

    absorb(again, "", pack(history, ""))
    run(again, 10, first=500)
    run(history, 10, first=500)

    for name in ("sent_total", "load"):
        mine, theirs = kept(again, name), kept(history, name)
        assert mine.times.tolist() == theirs.times.tolist()
        assert mine.values.tolist() == theirs.values.tolist()


def test_what_came_meanwhile_stands_beside_what_is_taken() -> None:
    far, near = History(), History()
    run(far, 400)
    for history in (far, near):
        for tick in range(400, 410):
            if history.open(START + tick * TICK_MS):
                history.fill([Sample({"__name__": "load"}, 9.0, "gauge")], owner="")
                history.fill([Sample({"__name__": "mine"}, 1.0, "gauge")], owner="me")

    absorb(near, "", pack(far, ""))

    assert kept(near, "load").values.tolist() == kept(far, "load").values.tolist()
    assert len(kept(near, "mine").values) == 10


def test_a_series_that_never_moves_takes_no_room_and_has_its_past_when_it_does() -> (
    None
):
    history = History()
    still = {"__name__": "errors_total"}
    for tick in range(800):
        history.append(START + tick * TICK_MS, [Sample(still, 0.0, "counter")])
    assert history.moving == 0
    before = kept(history, "errors_total")
    history.append(START + 800 * TICK_MS, [Sample(still, 3.0, "counter")])

    after = kept(history, "errors_total")

    assert history.moving == 1
    # One column of the finest ring has made room for the newest tick.
    assert after.values.tolist() == [0.0] * (len(after.values) - 1) + [3.0]
    assert len(after.values) >= len(before.values) - 1
    assert set(before.times.tolist()) - set(after.times.tolist()) <= {
        START + 440 * TICK_MS
    }


def test_where_an_owner_told_nothing_its_series_end() -> None:
    history = History()
    for tick in range(10):
        history.open(START + tick * TICK_MS)
        for node in ("a", "b"):
            if node == "a" or tick < 5:
                sample = Sample({"__name__": "up", "instance": node}, 1.0, "gauge")
                history.fill([sample], owner=node)
    at = START + 9 * TICK_MS

    found = evaluate(parse("up"), history, steps_of(at, at, 1), Budget())

    assert isinstance(found, Vector)
    assert [labels["instance"] for labels in found.labels] == ["a"]
    assert history.moving == 0


def test_what_several_told_under_the_same_labels_is_one_series() -> None:
    history = History()
    alert = {"__name__": "ALERTS", "alertname": "X"}
    for tick in range(10):
        history.open(START + tick * TICK_MS)
        owner = "a" if tick < 5 else "b"
        history.fill([Sample(alert, float(tick), "gauge")], owner=owner)
        if owner == "b":
            history.fill([], owner="a")

    assert kept(history, "ALERTS").values.tolist() == [*map(float, range(10))]
    (mine,) = history.select(named("ALERTS"), 0, 2**60, owner="b")
    assert np.nanmin(mine.values) == 5.0


Tick = tuple[int, dict[str, dict[str, float]]]
TICKS = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 2, 40, -20]),
        st.dictionaries(
            st.sampled_from("ab"),
            st.dictionaries(st.sampled_from("xyz"), st.sampled_from([0.0, 1.0, 2.0])),
        ),
    ),
    min_size=1,
    max_size=12,
)
"""By how many ticks time goes on, and what which owner tells then of which series."""


def tell(history: History, at_ms: int, told: dict[str, dict[str, float]]) -> None:
    if history.open(at_ms):
        for owner, values in told.items():
            samples = [
                Sample(
                    {"__name__": "load", "of": of, "by": owner * (of == "x")},
                    value,
                    "gauge",
                )
                for of, value in values.items()
            ]
            history.fill(samples, owner=owner)


def read(history: History, owner: str | None) -> list[tuple[str, list[int], list[str]]]:
    """Values as words, so that no sample equals no sample."""
    return [
        (repr(one.labels), one.times.tolist(), [str(v) for v in one.values.tolist()])
        for one in history.select(named("load"), 0, 2**60, owner=owner)
    ]


def table(
    history: History, owner: str | None
) -> list[tuple[str, list[int], list[str]]]:
    found = history.table(named("load"), 0, 2**60, owner=owner)
    if found is None:  # no table, or nothing
        return read(history, owner)
    rows = [[str(v) for v in row] for row in found.values.tolist()]
    times = found.times.tolist()
    return [
        (repr(one), times, row) for one, row in zip(found.labels, rows, strict=True)
    ]


@given(TICKS, st.integers(0, 12))
def test_what_was_read_before_changes_nothing_and_a_table_says_the_same(
    ticks: list[Tick], moved_after: int
) -> None:
    asked, unasked = History(), History()
    at = START
    for number, (on, told) in enumerate(ticks):
        at += on * TICK_MS
        for history in (asked, unasked):
            tell(history, at, told)
            if number == moved_after:  # a past of a comes from elsewhere
                other = History()
                tell(other, at - TICK_MS, {"a": {"x": 5.0, "y": 6.0}})
                absorb(history, "a", pack(other, "a"))
        for owner in ("a", "b", None):
            assert table(asked, owner) == read(asked, owner)

    for owner in ("a", "b", None):
        assert read(asked, owner) == read(unasked, owner)


def test_a_clock_that_went_back_far_begins_anew_there() -> None:
    history = History()
    run(history, 400)
    run(history, 20, first=100)

    found = kept(history, "load")

    assert found.times[-1] == START + 119 * TICK_MS
    assert len(found.times) == len(set(found.times.tolist()))


def test_series_that_ended_long_ago_are_forgotten() -> None:
    history = History()
    for tick in range(20):
        name = "old" if tick < 5 else "new"
        history.append(
            START + tick * TICK_MS, [Sample({"__name__": name}, float(tick), "gauge")]
        )

    assert history.forget(START + 10 * TICK_MS) == 1
    assert [each["__name__"] for each in history.labels()] == ["new"]


def test_a_new_series_takes_the_place_of_one_that_ended() -> None:
    history = History(limit=3)
    for tick in range(20):
        history.append(
            START + tick * TICK_MS,
            [
                Sample({"__name__": f"n{tick // 5}"}, float(tick), "gauge"),
                Sample({"__name__": "always"}, 1.0, "gauge"),
            ],
        )

    assert history.dropped == 0
    assert kept(history, "n3").values.tolist() == [15.0, 16.0, 17.0, 18.0, 19.0]


@pytest.fixture(scope="module")
def packed() -> bytes:
    history = History()
    run(history, 500)
    history.append(START + 500 * TICK_MS, [Sample({"__name__": "x"}, 1.0, "gauge")])
    return pack(history, "")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda packed: b"", "no history"),
        (lambda packed: b"x" + packed, "no history"),
        (lambda packed: packed.replace(b"y\x01", b"y\x02", 1), "another format"),
        (lambda packed: packed[:-1], "check sum"),
        (lambda packed: packed[:-9] + b"?" + packed[-8:], "check sum"),
    ],
)
def test_what_is_damaged_is_refused_whole(
    packed: bytes, harm: Callable[[bytes], bytes], why: str
) -> None:
    history = History()

    with pytest.raises(HistoryDamaged, match=why):
        absorb(history, "", harm(packed))

    assert len(history) == 0


def sealed(body: bytes) -> bytes:
    inner = zlib.compress(body)
    return MAGIC + bytes([FORMAT]) + hashlib.sha256(inner).digest() + inner


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "head"),
        ((2).to_bytes(8, "big") + b"{}", "head"),
        ((28).to_bytes(8, "big") + b'{"series":[],"slots":[0,0]} ', "other rings"),
        ((29).to_bytes(8, "big") + b'{"series":[],"slots":[0,0,0]}more', "more than"),
        ((31).to_bytes(8, "big") + b'{"series":[],"slots":[400,0,0]}', "more columns"),
        ((31).to_bytes(8, "big") + b'{"series":[],"slots":[300,0,0]}', "cut off"),
        (
            (56).to_bytes(8, "big")
            + b'{"series":[["gauge",{"a":"b"},1,7]],"slots":[0,0,0]}    ',
            "in order",
        ),
    ],
)
def test_what_tells_of_itself_wrongly_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(HistoryDamaged, match=why):
        absorb(History(), "", sealed(body))


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
