"""The search for a linearization: known histories, and brute force over small ones."""

from itertools import combinations, permutations

import pytest
from hypothesis import given, settings, strategies as st

from tests.chaos.histories import cas, read, write
from tests.system.chaos.history import Op
from tests.system.chaos.linear import Search, check, check_all, register

GOOD = {
    "nothing": [],
    "one after the other": [write(0, 1, 1), read(2, 3, 1)],
    "a read beside a write sees either": [
        write(0, 10, 1), read(1, 2, None), read(3, 4, 1)
    ],
    "an open write was made": [write(0, None, 1), read(5, 6, 1)],
    "an open write was not made": [write(0, None, 1), read(5, 6, None)],
    "an open write is made late": [
        write(0, None, 1), read(5, 6, None), read(7, 8, 1)
    ],
    "the loser read what the winner wrote": [
        cas(0, 5, None, 1, True), cas(1, 6, None, 2, False), read(7, 8, 1)
    ],
    "an open swap won, so the answered one lost": [
        cas(0, None, None, 1, None), cas(1, 6, None, 2, False), read(7, 8, 1)
    ],
    "what failed for certain did not happen": [
        write(0, 1, 1, outcome="failed"), read(2, 3, None)
    ],
}  # fmt: skip
BAD = {
    "a lost write": [write(0, 1, 1), read(2, 3, None)],
    "a stale read": [write(0, 1, 1), write(2, 3, 2), read(4, 5, 1)],
    "back and forth": [write(0, 10, 1), read(1, 2, 1), read(3, 4, None)],
    "two winners": [cas(0, 5, None, 1, True), cas(1, 6, None, 2, True)],
    "out of nothing": [read(0, 1, 7)],
    "lost to nobody": [cas(0, 1, None, 1, False), read(2, 3, None)],
    "a write that failed for certain is seen": [
        write(0, 1, 1, outcome="failed"), read(2, 3, 1)
    ],
    "an open write before its call": [read(0, 1, 1), write(2, None, 1)],
    "an open write is made twice": [
        write(0, None, 1), read(1, 2, 1), write(3, 4, 2), read(5, 6, 2), read(7, 8, 1)
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_explained_is(name: str) -> None:
    assert check(GOOD[name], None, register).answer == "linearizable"


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_explained_is_found(name: str) -> None:
    assert check(BAD[name], None, register).answer == "violated"


def test_the_evidence_is_the_shortest_beginning_that_is_wrong() -> None:
    wrong = [write(0, 1, 1), write(2, 3, 2), read(4, 5, 1)]
    later = [write(number, number + 0.5, number) for number in range(6, 40)]

    found = check([*wrong, *later], None, register)

    assert [one.op for one in found.evidence] == [one.op for one in wrong]


def test_keys_are_judged_for_themselves() -> None:
    ops = [write(0, 1, 1, key="x"), read(2, 3, None, key="y"), read(2, 3, 2, key="x")]

    found = {one.key: one.answer for one in check_all(ops, None, register)}

    assert found == {"x": "violated", "y": "linearizable"}


def test_many_open_writes_are_no_explosion() -> None:
    """Each client's lost call stays open; without the memory this takes for ever."""
    ops = [write(n, None, n, client=f"c{n}") for n in range(14)]
    ops += [read(100 + n, 100.5 + n, 13 - n) for n in range(14)]

    assert check(ops, None, register).answer == "linearizable"


def test_a_search_that_takes_too_long_is_undecided_and_no_violation() -> None:
    ops = [write(0, 100, n) for n in range(12)] + [read(101, 102, "never")]

    assert Search(ops, None, register, limit=500).run() == "undecided"


def test_a_long_history_of_many_clients_is_searched_in_a_moment() -> None:
    ops: list[Op] = []
    value = None
    for number in range(3000):
        ops.append(cas(number, number + 1.5, value, number, True, client="w"))
        ops.append(read(number + 1.0, number + 1.6, number, client="r"))
        value = number

    found = check(ops, None, register)

    assert (found.answer, found.steps < 100_000) == ("linearizable", True)


values = st.sampled_from([None, 1, 2])


@st.composite
def histories(draw: st.DrawFn) -> list[Op]:
    ops: list[Op] = []
    for number in range(draw(st.integers(0, 6))):
        begun = draw(st.integers(0, 8))
        end = draw(st.none() | st.integers(begun + 1, 12))
        client = f"c{number}"
        match draw(st.sampled_from(["read", "write", "cas"])):
            case "read":
                ops.append(read(begun, end, draw(values), client=client))
            case "write":
                ops.append(write(begun, end, draw(values), client=client))
            case _:
                won = None if end is None else draw(st.booleans())
                ops.append(
                    cas(begun, end, draw(values), draw(values), won, client=client)
                )
    return ops


def brute(ops: list[Op]) -> bool:
    """Every choice of open calls that took effect, in every order."""
    fixed = [one for one in ops if not one.is_open]
    loose = [one for one in ops if one.is_open]
    for count in range(len(loose) + 1):
        for some in combinations(loose, count):
            if any(_explains(order) for order in permutations([*fixed, *some])):
                return True
    return False


def _explains(order: tuple[Op, ...]) -> bool:
    state = None
    for at, one in enumerate(order):
        if any(
            later.returned is not None and later.returned < one.invoked
            for later in order[at + 1 :]
        ):
            return False
        good, state = register(state, one)
        if not good:
            return False
    return True


@settings(max_examples=600)
@given(histories())
def test_the_search_says_what_brute_force_says(ops: list[Op]) -> None:
    expected = "linearizable" if brute(ops) else "violated"

    assert check(ops, None, register).answer == expected
