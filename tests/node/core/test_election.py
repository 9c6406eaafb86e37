"""Who should hold the controller's lease, and until when its holder may believe so."""

import pytest
from hypothesis import given, strategies as st

from nexa_node.core.election import (
    REST_S,
    RETRY_S,
    SETTLED_S,
    STEP_S,
    UNFIT_S,
    Candidate,
    Election,
    Fence,
    HandOver,
    Look,
    Renew,
    Stand,
    Terms,
    Wait,
    order,
)
from nexa_node.core.policies import ClusterPolicy

TERMS = Terms.of(ClusterPolicy(lease_ms=3000))
ALPHA, BETA, GAMMA = (Candidate(name=name) for name in ("alpha", "beta", "gamma"))
ALL = (ALPHA, BETA, GAMMA)


def election(name: str = "alpha") -> Election:
    return Election(name, TERMS)


def holding(at: float = 0.0) -> Election:
    made = election()
    made.gained(at)
    return made


@given(st.integers(min_value=1, max_value=60_000))
def test_a_holder_stops_before_the_store_does_and_renews_in_a_third(ms: int) -> None:
    terms = Terms.of(ClusterPolicy(lease_ms=ms))
    assert terms.ttl_s >= 1
    assert terms.renew_s < terms.valid_s < terms.ttl_s
    assert terms.renew_s == pytest.approx(ms / 3000)


def test_the_best_is_fit_then_apart_from_the_store_then_old() -> None:
    assert order(
        [
            Candidate(name="leaving", leaving=True),
            Candidate(name="unfit", fit=False),
            Candidate(name="near", near_store=True, started=1),
            Candidate(name="young", started=9),
            Candidate(name="old", started=2),
            Candidate(name="aged", started=2),
        ]
    ) == ("aged", "old", "young", "near", "unfit")


def test_first_of_all_a_node_looks() -> None:
    assert election().next(0.0, ALL) == Look()


def test_a_lease_of_somebody_who_is_heard_is_looked_at_each_third() -> None:
    made = election()
    made.seen("beta", 10.0, heard=True)
    assert made.holder == "beta"
    assert made.next(10.0, ALL) == Wait(TERMS.renew_s)
    assert made.next(11.0, ALL) == Look()


def test_a_lease_of_somebody_silent_is_looked_at_often() -> None:
    made = election()
    made.seen("beta", 10.0, heard=False)
    assert made.next(10.0, ALL) == Wait(pytest.approx(RETRY_S))


def test_the_best_takes_a_free_lease_at_once_and_the_others_later() -> None:
    for rank, name in enumerate(("alpha", "beta", "gamma")):
        made = election(name)
        made.seen(None, 10.0, heard=False)
        at = 10.0
        while made.next(at, ALL) != Stand():
            at += 0.05
            if made.next(at, ALL) == Look():
                made.seen(None, at, heard=False)
        assert at - 10.0 == pytest.approx(rank * STEP_S, abs=0.06)


def test_a_lease_that_was_taken_meanwhile_is_not_stood_for() -> None:
    made = election("gamma")
    made.seen(None, 10.0, heard=False)
    made.seen("alpha", 10.2, heard=True)
    assert made.next(10.9, ALL) == Wait(pytest.approx(0.3))


def test_who_is_leaving_does_not_stand() -> None:
    made = election()
    made.seen(None, 10.0, heard=False)
    leaving = Candidate(name="alpha", leaving=True)
    assert made.next(10.0, (leaving, BETA)) == Wait(pytest.approx(RETRY_S))
    assert made.next(90.0, (leaving,)) == Look()


def test_somebody_must_even_if_nobody_is_fit() -> None:
    made = election()
    made.seen(None, 10.0, heard=False)
    assert made.next(10.0, (Candidate(name="alpha", fit=False),)) == Stand()


def test_a_holder_renews_in_a_third_and_fences_itself_in_time() -> None:
    made = holding(10.0)
    assert made.next(10.0, ALL) == Wait(TERMS.renew_s)
    assert made.next(11.0, ALL) == Renew(TERMS.renew_s)
    made.renewed(11.0)
    assert made.is_valid(11.0 + TERMS.valid_s - 0.01)

    at = 12.0
    while made.next(at, ALL) != Fence():
        step = made.next(at, ALL)
        assert isinstance(step, Renew | Wait)
        if isinstance(step, Renew):
            assert step.within_s <= 11.0 + TERMS.valid_s - at
            made.failed(at)
        else:
            at += step.seconds
    assert at == pytest.approx(11.0 + TERMS.valid_s)
    assert at < 11.0 + TERMS.ttl_s
    assert not made.is_valid(at)
    made.lost(at)
    assert (made.holds, made.holder) == (False, None)
    assert made.next(at, ALL) == Look()


def test_an_answer_that_came_too_late_is_no_lease() -> None:
    made = election()
    made.gained(10.0)
    assert not made.is_valid(10.0 + TERMS.valid_s)
    assert made.next(10.0 + TERMS.valid_s, ALL) == Fence()


def test_a_node_on_its_way_out_hands_over_even_to_nobody() -> None:
    assert holding().next(0.1, (Candidate(name="alpha", leaving=True),)) == HandOver(
        "it is on its way out"
    )


def test_a_node_out_of_service_for_a_while_hands_over_if_there_is_another() -> None:
    unfit = Candidate(name="alpha", fit=False)
    for others in ((), (Candidate(name="b", fit=False),)):
        made = holding()
        for turn in range(20):
            made.renewed(float(turn))
            assert isinstance(made.next(float(turn), (unfit, *others)), Wait)

    made = holding()
    assert isinstance(made.next(0.1, (unfit, BETA)), Wait)
    assert isinstance(made.next(0.2, ALL), Wait)
    for turn in range(1, 4):
        made.renewed(float(turn))
        assert isinstance(made.next(float(turn), (unfit, BETA)), Wait)
    made.renewed(4.0)
    step = made.next(1.0 + UNFIT_S, (unfit, BETA))
    assert step == HandOver("it has been out of service or unwell for 3 s")


def test_a_holder_next_to_the_lease_s_stream_hands_over_after_a_while() -> None:
    near = Candidate(name="alpha", near_store=True)
    made = holding()
    assert isinstance(made.next(0.5, (near, BETA)), Wait)
    for turn in range(1, int(SETTLED_S) + 1):
        made.renewed(float(turn))
    assert isinstance(made.next(SETTLED_S, (near,)), Wait)
    step = made.next(SETTLED_S, (near, BETA))
    assert isinstance(step, HandOver)
    assert "lease's stream" in step.why


def test_who_handed_over_leaves_it_to_the_others_for_a_while() -> None:
    made = holding()
    made.handed_over(1.0)
    assert not made.holds
    made.seen(None, 1.2, heard=False)
    assert isinstance(made.next(1.2, ALL), Wait)
    made.seen(None, 1.0 + REST_S, heard=False)
    assert made.next(1.0 + REST_S, ALL) == Stand()


def test_a_store_that_does_not_answer_is_asked_again_soon() -> None:
    made = election()
    made.seen(None, 10.0, heard=False)
    made.failed(10.0)
    assert made.next(10.0, ALL) == Wait(pytest.approx(RETRY_S))
    assert made.next(10.0 + RETRY_S, ALL) == Look()


def test_a_node_that_knows_of_no_candidates_keeps_what_it_has() -> None:
    assert isinstance(holding().next(0.1, ()), Wait)
    made = election()
    made.seen(None, 0.0, heard=False)
    assert isinstance(made.next(0.0, ()), Wait)
