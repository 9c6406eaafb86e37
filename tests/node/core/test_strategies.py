from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.agents import AgentState
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.tasks import Task
from nexa_node.core.flow import Credits
from nexa_node.core.policies import QueuePolicy
from nexa_node.core.strategies import (
    STRATEGIES,
    Candidate,
    Seat,
    StrategyName,
    Turns,
    least_loaded,
    of_queues,
    round_robin,
    score,
    weighted,
)
from tests.builders import capability, task

ANY = task()
KEYED = [task(fairness_key=f"tenant-{n}") for n in range(1000)]


def candidate(
    id: str = "a",
    *,
    slots: int = 1,
    inflight: int = 0,
    since: float = -1000.0,
    weight: float = 1.0,
    service_s: float | None = None,
    errors: float = 0.0,
    **labels: str,
) -> Candidate:
    seat = Seat(AgentId(id), slots=slots, since=since, inflight=inflight)
    return Candidate(
        seat,
        capability(weight=weight, labels=labels),
        service_s=service_s,
        errors=errors,
    )


def best(*candidates: Candidate) -> str:
    chosen = least_loaded(candidates, ANY, now=0.0)
    assert chosen is not None
    return chosen.seat.agent


def test_nobody_is_chosen_among_none() -> None:
    for strategy in STRATEGIES.values():
        assert strategy((), ANY, now=0.0) is None


def test_the_least_loaded_is_chosen() -> None:
    busy = candidate("busy", slots=2, inflight=1)
    assert best(busy, candidate("free", slots=2)) == "free"


def test_more_slots_and_more_weight_take_more() -> None:
    assert best(candidate("small"), candidate("large", slots=4)) == "large"
    assert best(candidate("light"), candidate("heavy", weight=3)) == "heavy"


def test_the_faster_is_chosen() -> None:
    assert best(candidate("a", service_s=2.0), candidate("b", service_s=0.5)) == "b"


def test_errors_make_an_agent_seem_slower() -> None:
    failing = candidate("failing", service_s=1.0, errors=1.0)
    assert best(failing, candidate("slow", service_s=4.0)) == "slow"


def test_a_newcomer_is_expected_to_be_typical() -> None:
    fast, slow = candidate("f", service_s=0.1), candidate("s", service_s=10.0)
    new = candidate("new")
    assert best(slow, new) in ("new", "s")
    assert best(fast, slow, new) == "f"


def test_a_newcomer_starts_slowly() -> None:
    old, new = candidate(service_s=1.0), candidate(service_s=1.0, since=-3.0)
    older = score(old, typical_s=1.0, now=0.0)

    assert score(new, typical_s=1.0, now=0.0) == pytest.approx(10 * older)
    assert score(new, typical_s=1.0, now=27.0) == pytest.approx(older)


def test_round_robin_takes_turns() -> None:
    candidates = [candidate(name) for name in "abc"]
    turns: list[str] = []
    for turn in range(1, 7):
        chosen = round_robin(candidates, ANY, now=0.0)
        assert chosen is not None
        chosen.turn = turn
        turns.append(chosen.seat.agent)

    assert turns == list("abcabc")


def test_an_average_follows_what_it_learns() -> None:
    learner = candidate()
    learner.learn(service_s=1.0, failed=False)
    assert learner.service_s == 1.0
    for _ in range(50):
        learner.learn(service_s=3.0, failed=True)
    assert learner.service_s == 1.0
    assert learner.errors > 0.9
    for _ in range(50):
        learner.learn(service_s=3.0, failed=False)

    assert learner.service_s == pytest.approx(3.0, abs=0.01)
    assert learner.errors < 0.01


@pytest.mark.parametrize(
    ("state", "free"),
    [(None, 2), ("idle", 2), ("busy", 2), ("draining", 0), ("error", 0)],
)
def test_some_states_close_a_seat(state: AgentState | None, free: int) -> None:
    seat = Seat(AgentId("a"), slots=3, since=0.0, inflight=1, state=state)

    assert seat.free == free


def test_a_seat_is_closed_while_away_resting_or_without_credit() -> None:
    seat = Seat(AgentId("a"), slots=3, since=0.0)
    assert seat.free == 3
    seat.resting = True
    assert seat.free == 0
    seat.resting, seat.connected = False, False
    assert seat.free == 0
    seat.connected, seat.credits = True, Credits(left=1)
    assert seat.free == 1
    seat.inflight = 5
    assert seat.free == 0


def picks(
    name: StrategyName,
    candidates: list[Candidate],
    tasks: Iterable[Task],
    *,
    now: float = 0.0,
) -> list[str]:
    """Who gets each of the tasks, all slots being free again each time."""
    turns, found = Turns(), list[str]()
    for turn, each in enumerate(tasks, start=1):
        chosen = STRATEGIES[name](candidates, each, now=now)
        assert chosen is not None
        turns.count(chosen, turn, now=now)
        found.append(chosen.seat.agent)
    return found


def test_weights_share_the_turns_in_proportion() -> None:
    shared = picks(
        "weighted", [candidate("one"), candidate("three", weight=3)], [ANY] * 40
    )

    assert (shared.count("one"), shared.count("three")) == (10, 30)
    assert "three" * 5 not in "".join(shared[4:])


def test_one_that_was_away_has_no_turns_to_catch_up_with() -> None:
    here, away = candidate("here"), candidate("away")
    turns = Turns()
    for turn in range(100):
        turns.count(here, turn, now=0.0)
    found: list[str] = []
    for turn in range(6):
        chosen = weighted([here, away], ANY, now=0.0)
        assert chosen is not None
        turns.count(chosen, turn, now=0.0)
        found.append(chosen.seat.agent)

    assert found.count("away") in (3, 4)


def test_a_newcomer_gets_a_part_of_its_weighted_turns() -> None:
    both = [candidate("old"), candidate("new", since=-6.0)]
    shared = picks("weighted", both, [ANY] * 60)

    assert shared.count("new") in (10, 11)


def test_latency_prefers_the_fastest_however_busy_it_is() -> None:
    fast = candidate("fast", slots=9, inflight=8, service_s=0.5)
    slow = candidate("slow", slots=9, service_s=0.6)
    assert picks("latency", [slow, fast], [ANY]) == ["fast"]
    fast.errors = 1.0
    assert picks("latency", [slow, fast], [ANY]) == ["slow"]


def test_latency_tries_one_that_has_done_nothing_yet() -> None:
    known = candidate("known", slots=2, inflight=1, service_s=0.5)

    assert picks("latency", [known, candidate("new", slots=2)], [ANY]) == ["new"]


def test_the_same_key_goes_to_the_same_agent() -> None:
    agents = [candidate(f"a{n}") for n in range(8)]
    first = picks("sticky", agents, KEYED)
    again = picks("sticky", agents[::-1], KEYED)

    assert first == again
    assert min(first.count(each.seat.agent) for each in agents) > 60


def test_an_agent_that_goes_moves_only_its_own_keys() -> None:
    agents = [candidate(f"a{n}") for n in range(8)]
    before = picks("sticky", agents, KEYED)
    after = picks("sticky", agents[1:], KEYED)

    moved = [each for each, now in zip(before, after, strict=True) if each != now]
    assert set(moved) == {"a0"}


def test_the_heavier_agent_has_more_of_the_keys() -> None:
    both = [candidate("one"), candidate("three", weight=3.0)]
    shared = picks("sticky", both, KEYED)

    assert 600 < shared.count("three") < 900


def test_without_a_key_the_labels_decide_and_without_them_the_load() -> None:
    agents = [candidate(f"a{n}", slots=2, inflight=n % 2) for n in range(8)]
    by_labels = [task(labels={"model": name, "x": "y"}) for name in ("m1", "m1")]

    assert len(set(picks("sticky", agents, by_labels))) == 1
    assert picks("sticky", agents, [ANY]) == ["a0"]


def test_the_cheapest_is_chosen_and_among_equals_the_least_loaded() -> None:
    dear = candidate("dear", cost="2.5")
    cheap = candidate("cheap", slots=2, inflight=1, cost="1")
    idle = candidate("idle", slots=2, cost="1.0")

    assert picks("cost", [dear, cheap, idle], [ANY]) == ["idle"]
    assert picks("cost", [dear, candidate("unknown")], [ANY]) == ["dear"]


@pytest.mark.parametrize("said", ["", "free", "nan", "-1", "1e999"])
def test_a_cost_that_means_nothing_is_the_dearest(said: str) -> None:
    both = [candidate("odd", cost=said), candidate("dear", cost="1000")]

    assert picks("cost", both, [ANY]) == ["dear"]


def test_each_queue_has_its_own_strategy() -> None:
    of = of_queues(
        (
            QueuePolicy(name="wc", strategy="sticky"),
            QueuePolicy(name="wc", namespace="lab", strategy="cost"),
        )
    )

    assert of(Namespace("default"), "wc") is STRATEGIES["sticky"]
    assert of(Namespace("lab"), "wc") is STRATEGIES["cost"]
    assert of(Namespace("lab"), "other") is least_loaded


@given(
    st.sampled_from(sorted(STRATEGIES)),
    st.lists(
        st.tuples(
            st.integers(1, 9),
            st.integers(0, 9),
            st.floats(0.01, 100),
            st.one_of(st.none(), st.floats(0, 1e6)),
            st.floats(0, 1),
            st.floats(-100, 0),
        ),
        min_size=1,
        max_size=9,
    ),
    st.one_of(st.none(), st.text(max_size=9)),
)
def test_every_strategy_chooses_one_of_those_it_was_given(
    name: StrategyName, facts: list[Any], key: str | None
) -> None:
    candidates = [
        candidate(
            f"a{n}",
            slots=slots,
            inflight=inflight,
            weight=weight,
            service_s=service_s,
            errors=errors,
            since=since,
        )
        for n, (slots, inflight, weight, service_s, errors, since) in enumerate(facts)
    ]

    chosen = STRATEGIES[name](candidates, task(fairness_key=key), now=0.0)
    assert chosen in candidates
