import heapq
import random

import pytest

from nexa_node.contract.agents import AgentState
from nexa_node.contract.ids import AgentId
from nexa_node.core.flow import Credits
from nexa_node.core.strategies import (
    STRATEGIES,
    Candidate,
    Seat,
    least_loaded,
    round_robin,
    score,
)
from tests.builders import capability


def candidate(
    id: str = "a",
    *,
    slots: int = 1,
    inflight: int = 0,
    since: float = -1000.0,
    weight: float = 1.0,
    service_s: float | None = None,
    errors: float = 0.0,
) -> Candidate:
    seat = Seat(AgentId(id), slots=slots, since=since, inflight=inflight)
    return Candidate(
        seat, capability(weight=weight), service_s=service_s, errors=errors
    )


def best(*candidates: Candidate) -> str:
    chosen = least_loaded(candidates, now=0.0)
    assert chosen is not None
    return chosen.seat.agent


def test_nobody_is_chosen_among_none() -> None:
    for strategy in STRATEGIES.values():
        assert strategy((), now=0.0) is None


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
        chosen = round_robin(candidates, now=0.0)
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


def simulate(name: str, speeds: list[float], tasks: int) -> float:
    """The time until `tasks` are done, one slot per agent, taken as slots come free."""
    rng = random.Random(7)
    candidates = [candidate(str(n), slots=4) for n in range(len(speeds))]
    running: list[tuple[float, int]] = []
    now = 0.0
    strategy = STRATEGIES["least_loaded" if name == "least_loaded" else "round_robin"]
    for turn in range(1, tasks + 1):
        free = [each for each in candidates if each.seat.free]
        while not free:
            now, index = heapq.heappop(running)
            seat = candidates[index].seat
            seat.inflight -= 1
            free = [each for each in candidates if each.seat.free]
        chosen = strategy(free, now=now)
        assert chosen is not None
        chosen.turn = turn
        chosen.seat.inflight += 1
        took = rng.paretovariate(1.5) / speeds[int(chosen.seat.agent)]
        chosen.learn(service_s=took, failed=False)
        heapq.heappush(running, (now + took, int(chosen.seat.agent)))
    return max(end for end, _ in running)


def test_unequal_agents_finish_sooner_when_the_faster_get_more() -> None:
    speeds = [1.0, 1.0, 2.0, 8.0]

    assert simulate("least_loaded", speeds, 400) <= simulate("round_robin", speeds, 400)
