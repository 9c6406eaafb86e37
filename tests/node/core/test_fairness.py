"""Whose turn it is: nobody waits while others get more than their share."""

from datetime import timedelta

from hypothesis import given, strategies as st

from nexa_node.core.fairness import BUCKETS, PLAIN, Rounds, bucket_of, position
from tests.builders import NOW, task

NAMES = [f"b{n:02}" for n in range(6)]


def test_tasks_without_a_key_share_a_bucket_of_their_own() -> None:
    assert bucket_of(None) == PLAIN
    assert bucket_of("") != PLAIN


def test_a_key_is_always_in_the_same_bucket_and_keys_spread() -> None:
    found = {bucket_of(f"tenant-{n}") for n in range(1000)}

    assert len(found) == BUCKETS
    assert bucket_of("acme") == bucket_of("acme")
    assert all(name == f"b{int(name[1:]):02}" for name in found)


def test_one_task_of_a_small_tenant_does_not_wait_behind_ten_thousand() -> None:
    rounds = Rounds()
    first = rounds.plan({"big": 10_000}, 5)
    then = rounds.plan({"big": 9995, "small": 1}, 2)

    assert first == {"big": 5}
    assert then == {"big": 1, "small": 1}


def test_turns_go_on_where_they_ended() -> None:
    rounds = Rounds()
    waiting = {"a": 9, "b": 9, "c": 9}

    assert [rounds.plan(waiting, 1) for _ in range(4)] == [
        {"a": 1},
        {"b": 1},
        {"c": 1},
        {"a": 1},
    ]


def test_what_is_left_of_a_turn_is_kept() -> None:
    rounds = Rounds(quantum=3)
    waiting = {"a": 9, "b": 9}

    assert rounds.plan(waiting, 2) == {"a": 2}
    assert rounds.plan(waiting, 2) == {"a": 1, "b": 1}
    assert rounds.plan(waiting, 2) == {"b": 2}


def test_an_empty_bucket_keeps_nothing_of_its_turn() -> None:
    rounds = Rounds(quantum=3)
    rounds.plan({"a": 9, "b": 9}, 1)

    assert rounds.plan({"a": 0, "b": 9}, 1) == {"b": 1}
    assert rounds.plan({"a": 9, "b": 9}, 2) == {"b": 2}


@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(
            st.integers(0, 9),
            st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9)),
        ),
        max_size=40,
    ),
)
def test_no_bucket_waits_while_another_gets_more_than_two_quanta(
    quantum: int, steps: list[tuple[int, dict[str, int]]]
) -> None:
    rounds = Rounds(quantum=quantum)
    waiting = dict.fromkeys(NAMES, 0)
    since: dict[str, dict[str, int]] = {}
    for room, arrivals in steps:
        for name, number in arrivals.items():
            waiting[name] += number
        for name in NAMES:
            if waiting[name]:
                since.setdefault(name, {})
        total = sum(waiting.values())
        served = rounds.plan(waiting, room)
        assert sum(served.values()) == min(room, total)
        for name, number in served.items():
            waiting[name] -= number
            assert waiting[name] >= 0
        for name in [each for each in since if served.get(each) or not waiting[each]]:
            del since[name]
        for others in since.values():
            for name, number in served.items():
                others[name] = others.get(name, 0) + number
                assert others[name] <= 2 * quantum


def test_before_a_task_come_the_more_urgent_and_a_turn_of_each_other_key() -> None:
    def waits(id: str, seconds: int, **fields: object) -> object:
        return task(
            id, status="pending", submitted=NOW + timedelta(seconds=seconds), **fields
        )

    mine = waits("mine", 5, fairness_key="small")
    others = [
        waits("urgent", 9, priority="high"),
        waits("later", 9, fairness_key="small"),
        waits("before", 1, fairness_key="small"),
        waits("other-kind", 1, type="other"),
        waits("less", 1, priority="low"),
        *(waits(f"big-{n}", n - 100, fairness_key="big") for n in range(50)),
    ]

    assert bucket_of("small") != bucket_of("big")
    assert position(mine, [mine, *others]) == 3
    assert position(waits("first", 0, fairness_key="other"), others) == 1
