"""Who wins when two write one value: by each rule, and never without a trace."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.shared import BucketClass, Written
from nexa_node.core.hlc import AHEAD_MS, HybridClock
from nexa_node.core.shared import (
    HISTORY,
    Ignore,
    Keep,
    Record,
    Refuse,
    decide,
    merge,
    sides,
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def write(
    value: Any, *, at: int = 1, by: str = "a", base: int | None = None
) -> Written:
    stamp = HybridClock("alpha").at(at)
    return Written(by=by, node="alpha", time=NOON, stamp=stamp, value=value, base=base)


def record(kind: BucketClass, *writes: Written) -> Record:
    return Record(kind=kind, writes=writes)


class TestCompareAndSet:
    there = record("cas", write(1))

    def test_who_saw_what_is_there_wins(self) -> None:
        told = decide("cas", self.there, 7, write(2, base=7))

        assert isinstance(told, Keep)
        assert told.record.now == write(2, base=7)
        assert told.lost is None

    @pytest.mark.parametrize("base", [6, 0, None])
    def test_who_did_not_is_refused(self, base: int | None) -> None:
        assert isinstance(decide("cas", self.there, 7, write(2, base=base)), Refuse)

    @pytest.mark.parametrize("base", [0, None])
    def test_a_first_value_needs_nothing_to_be_seen(self, base: int | None) -> None:
        assert isinstance(decide("cas", None, 0, write(1, base=base)), Keep)

    def test_one_that_is_gone_was_not_seen(self) -> None:
        told = decide("cas", None, 0, write(2, base=7))

        assert isinstance(told, Refuse)
        assert "there is no value any more" in told.why


class TestLastWriterWins:
    def test_the_later_one_wins_and_the_other_is_kept_in_sight(self) -> None:
        first, second = write("x", at=5, by="a"), write("y", at=6, by="b")
        told = decide("lww", record("lww", first), 1, second)

        assert isinstance(told, Keep)
        assert (told.record.now, told.lost) == (second, first)

    def test_an_earlier_one_that_comes_late_loses(self) -> None:
        first, late = write("x", at=5, by="a"), write("y", at=4, by="b")

        assert decide("lww", record("lww", first), 1, late) == Ignore(late)

    def test_who_saw_the_other_or_is_the_same_is_no_conflict(self) -> None:
        there = record("lww", write("x", at=5, by="a"))
        for later in (write("y", at=6, by="b", base=3), write("y", at=6, by="a")):
            told = decide("lww", there, 3, later)
            assert isinstance(told, Keep)
            assert told.lost is None

    @given(st.lists(st.integers(0, 20), min_size=1, max_size=12, unique=True))
    def test_in_whatever_order_they_come_the_latest_holds(
        self, order: list[int]
    ) -> None:
        there: Record | None = None
        lost: set[Any] = set()
        for at in order:
            told = decide(
                "lww", there, 1 if there else 0, write(at, at=at, by=f"w{at}")
            )
            if isinstance(told, Keep):
                there = told.record
            if not isinstance(told, Refuse) and told.lost is not None:
                lost.add(told.lost.value)

        assert there is not None
        assert there.now is not None
        assert there.now.value == max(order)
        assert lost == set(order) - {max(order)}

    def test_a_conflict_has_both_histories(self) -> None:
        first, second = write("x", at=5, by="a"), write("y", at=6, by="b", base=2)
        kept, lost = sides(record("lww", first, second), first)

        assert (kept.name, kept.kept, lost.name, lost.kept) == ("b", True, "a", False)
        assert "having seen revision 2" in kept.did[0]
        assert lost.writes == (first,)


class TestMerge:
    @pytest.mark.parametrize(
        ("value", "patch", "made"),
        [
            ({"a": "b"}, {"a": "c"}, {"a": "c"}),
            ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
            ({"a": "b"}, {"a": None}, {}),
            ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
            ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
            ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
            ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
            ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
            (["a", "b"], ["c", "d"], ["c", "d"]),
            ({"a": "b"}, ["c"], ["c"]),
            ({"a": "foo"}, None, None),
            ({"a": "foo"}, "bar", "bar"),
            ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
            ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
            ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ],
    )
    def test_as_the_examples_of_rfc_7396(
        self, value: Any, patch: Any, made: Any
    ) -> None:
        assert merge(value, patch) == made

    def test_changes_of_two_fields_are_both_kept(self) -> None:
        there = record("merge", write({"a": 1}))
        told = decide("merge", there, 7, write({"b": 2}, by="b"))

        assert isinstance(told, Keep)
        assert told.record.now is not None
        assert told.record.now.value == {"a": 1, "b": 2}

    def test_who_says_what_was_seen_is_held_to_it(self) -> None:
        there = record("merge", write({"a": 1}))

        assert isinstance(decide("merge", there, 7, write({}, base=6)), Refuse)


def test_no_more_writes_are_remembered_than_help() -> None:
    there: Record | None = None
    for number in range(HISTORY + 5):
        told = decide("lww", there, number, write(number, at=number, base=number))
        assert isinstance(told, Keep)
        there = told.record

    assert there is not None
    assert len(there.writes) == HISTORY


class TestHybridClock:
    @given(st.lists(st.integers(0, 1000), min_size=2))
    def test_stamps_grow_whatever_the_wall_clock_does(self, walls: list[int]) -> None:
        clock = HybridClock("alpha")
        stamps = [clock.stamp(wall) for wall in walls]

        assert stamps == sorted(set(stamps))

    def test_a_stamp_after_anothers_is_greater(self) -> None:
        ahead, behind = HybridClock("alpha"), HybridClock("beta")
        heard = ahead.stamp(5000)
        behind.see(heard, 1000)

        assert behind.stamp(1000) > heard

    def test_one_too_far_ahead_is_not_believed(self) -> None:
        mad, sane = HybridClock("alpha"), HybridClock("beta")
        sane.see(mad.stamp(1000 + AHEAD_MS + 1), 1000)
        sane.see("nonsense", 1000)

        assert sane.stamp(1000) == HybridClock("beta").stamp(1000)

    def test_the_counter_runs_over_into_time(self) -> None:
        clock = HybridClock("alpha")
        stamps = [clock.stamp(1) for _ in range(0x10002)]

        assert stamps[-1] > stamps[-2] > stamps[0]
