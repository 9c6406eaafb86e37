"""Limits on connections: who is let in, who makes room, and what is counted."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nexa_node.contract.errors import NexaError, RateLimited, Unavailable
from nexa_node.core.crowding import PATIENCE_S, Crowd
from nexa_node.core.policies import SessionPolicy

NEAR, FAR = "10.0.0.1", "10.0.0.2"


def crowd(**policy: int) -> Crowd[str]:
    return Crowd(SessionPolicy(**policy))


def enter(it: Crowd[str], *names: str, **how: Any) -> list[str | None]:
    how = {"address": NEAR, "identity": None, "now": 0.0, **how}
    return [it.enter(name, **how) for name in names]


def limit_of(error: NexaError) -> Any:
    assert error.remedy is not None
    assert error.retry_after_ms is not None
    limit = error.details["limit"]
    assert limit in error.remedy
    return limit


def test_strangers_take_no_place_of_those_who_bring_a_token() -> None:
    it = crowd(connections=1, waiting=2, connections_per_identity=9)
    enter(it, "s1", "s2")
    with pytest.raises(Unavailable):
        enter(it, "s3")
    enter(it, "a1", identity="token:a")
    it.seat("a1", "token:a")

    assert (it.strangers, it.seated, len(it)) == (2, 1, 3)


def test_the_oldest_stranger_makes_room_once_it_had_its_time() -> None:
    it = crowd(waiting=2)
    enter(it, "s1", "s2")
    with pytest.raises(Unavailable) as refused:
        enter(it, "s3", now=PATIENCE_S - 0.1)
    gone = enter(it, "s3", now=PATIENCE_S)

    assert limit_of(refused.value) == "sessions.waiting"
    assert gone == ["s1"]
    assert dict(+it.refused) == {"waiting": 2}


def test_strangers_of_one_address_make_room_for_each_other_only() -> None:
    it = crowd(waiting=9, waiting_per_address=2)
    enter(it, "other", address=FAR)
    enter(it, "s1", "s2")
    with pytest.raises(RateLimited) as refused:
        enter(it, "s3")
    gone = enter(it, "s3", now=PATIENCE_S)

    assert limit_of(refused.value) == "sessions.waiting_per_address"
    assert NEAR in refused.value.message
    assert gone == ["s1"]
    assert enter(it, "s4", address=FAR) == [None]


def test_a_stranger_that_says_hello_waits_no_more() -> None:
    it = crowd(waiting=1)
    enter(it, "s1")
    it.seat("s1", "token:a")

    assert enter(it, "s2") == [None]
    assert (it.strangers, it.seated) == (1, 1)


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        ({"connections_per_identity": 2}, RateLimited),
        ({"connections_per_address": 2}, RateLimited),
        ({"connections": 1, "waiting": 1}, Unavailable),
    ],
)
def test_each_limit_says_which_one_it_is(
    policy: dict[str, int], kind: type[NexaError]
) -> None:
    it = crowd(**policy)
    enter(it, "a1", "a2", identity="token:a")
    with pytest.raises(kind) as refused:
        enter(it, "a3", identity="token:a")

    (setting, *_) = policy
    assert limit_of(refused.value) == f"sessions.{setting}"
    assert dict(+it.refused) == {setting: 1}


def test_a_hello_that_names_a_full_identity_is_refused() -> None:
    it = crowd(connections_per_identity=1)
    enter(it, "a1", identity="token:a")
    enter(it, "s1")
    with pytest.raises(RateLimited):
        it.seat("s1", "token:a")

    it.leave("a1")
    it.seat("s1", "token:a")
    assert it.strangers == 0


def test_an_agent_that_comes_back_is_let_in_however_full_it_is() -> None:
    it = crowd(connections=1, connections_per_identity=1, connections_per_address=1)
    enter(it, "old", identity="token:a")
    it.seat("old", "token:a")
    enter(it, "new")
    it.seat("new", "token:a", instead_of="old")
    it.leave("old")

    assert (it.seated, len(it)) == (1, 1)


def test_nobody_is_let_in_for_a_place_of_somebody_else() -> None:
    it = crowd(connections=1)
    enter(it, "a1", "a2", identity="token:a")
    it.seat("a1", "token:a")
    with pytest.raises(Unavailable) as refused:
        it.seat("a2", "token:a", instead_of="a2")

    assert limit_of(refused.value) == "sessions.connections"


def test_another_identity_s_place_makes_no_room_in_one_s_own() -> None:
    it = crowd(connections_per_identity=1)
    enter(it, "b1", identity="token:b")
    enter(it, "a1", identity="token:a")
    enter(it, "new")
    with pytest.raises(RateLimited):
        it.seat("new", "token:a", instead_of="b1")


def test_a_renewed_token_moves_the_count() -> None:
    it = crowd(connections_per_identity=1)
    enter(it, "a1", identity="token:a")
    it.seat("a1", "token:a")
    it.seat("a1", "token:b")

    assert enter(it, "a2", identity="token:a") == [None]
    with pytest.raises(RateLimited):
        enter(it, "b2", identity="token:b")


def test_who_has_left_is_not_seated() -> None:
    it = crowd()
    enter(it, "a1")
    it.leave("a1")
    it.leave("a1")
    it.seat("a1", "token:a")

    assert (len(it), it.seated) == (0, 0)


steps = st.lists(
    st.tuples(
        st.sampled_from(["enter", "stranger", "seat", "leave"]),
        st.integers(0, 7),
        st.sampled_from(["token:a", "token:b"]),
        st.sampled_from([NEAR, FAR]),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(steps)
def test_counts_are_what_there_is_and_end_at_nothing(steps: list[Any]) -> None:
    it = crowd(
        connections=3, waiting=3, waiting_per_address=2, connections_per_identity=3
    )
    inside: set[int] = set()
    for now, (what, number, identity, address) in enumerate(steps):
        try:
            if what in ("enter", "stranger") and number not in inside:
                known = identity if what == "enter" else None
                gone = it.enter(number, address=address, identity=known, now=now)  # type: ignore[arg-type]  # any hashable
                inside.add(number)
                if gone is not None:
                    it.leave(gone)
                    inside.discard(gone)  # type: ignore[arg-type]
            elif what == "seat":
                it.seat(number, identity)  # type: ignore[arg-type]
            elif what == "leave":
                it.leave(number)  # type: ignore[arg-type]
                inside.discard(number)
        except NexaError:
            pass
        assert len(it) == len(inside)
        assert it.strangers <= 3
        assert 0 <= it.seated <= 3
    for number in list(inside):
        it.leave(number)  # type: ignore[arg-type]

    left = (it._by_address, it._by_identity, it._strangers, it._strangers_of)
    assert [len(each) for each in left] == [0, 0, 0, 0]
    assert it.seated == 0
