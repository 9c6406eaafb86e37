"""Plans: the same seed is the same plan, faults come one after the other, all kinds do."""

from collections import Counter
from itertools import pairwise

import pytest

from tests.system.chaos.plan import plan, storm
from tests.system.chaos.vocabulary import GROUPS, VOCABULARY, chosen, unable

KINDS = ("kill-node", "cut", "stop-store")


def test_the_same_seed_is_the_same_plan_and_another_one_is_not() -> None:
    first = plan(7, seconds=600, kinds=KINDS)

    assert first == plan(7, seconds=600, kinds=KINDS)
    assert first != plan(8, seconds=600, kinds=KINDS)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    short = plan(7, seconds=200, kinds=KINDS)

    assert plan(7, seconds=600, kinds=KINDS)[: len(short)] == short


def test_kinds_come_equally_often_one_after_the_other_within_the_time() -> None:
    made = plan(3, seconds=900, kinds=KINDS)

    counts = Counter(step.kind for step in made)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert all(one.at + one.held_s < other.at for one, other in pairwise(made))
    assert made[-1].at + made[-1].held_s < 900


def test_a_quick_plan_has_several_faults_in_half_a_minute() -> None:
    assert len(plan(1, seconds=30, kinds=("kill-store",), quick=True)) >= 3


def test_without_kinds_nothing_happens() -> None:
    assert plan(1, seconds=100, kinds=()) == []


def test_a_storm_is_as_the_prototype_had_it() -> None:
    blows = storm(5, seconds=30, nodes=5)

    assert blows == storm(5, seconds=30, nodes=5)
    assert {blow.node for blow in blows} == set(range(5))
    gaps = [after.at - before.at for before, after in pairwise(blows)]
    assert 0.1 <= min(gaps) <= max(gaps) <= 1.0
    assert all(0.5 <= blow.back_s <= 2.0 for blow in blows)


def test_faults_are_named_by_themselves_or_by_groups_once() -> None:
    assert chosen("kill-node, stop") == [
        "kill-node", "stop-node", "stop-store", "stop-agent",
    ]  # fmt: skip
    assert chosen("kill,kill-node") == list(GROUPS["kill"])
    assert set(chosen("all")) == set(VOCABULARY)


def test_an_unknown_fault_is_refused_with_all_there_are() -> None:
    with pytest.raises(ValueError, match=r"no fault 'kil'; there are kill, "):
        chosen("kil")


def test_what_cannot_be_had_is_told_with_the_reason(tmp_path) -> None:
    why = unable(["kill-node", "cut"], tmp_path, nodes=1)

    assert why == {"cut": "one node has nobody to be cut off from"}
