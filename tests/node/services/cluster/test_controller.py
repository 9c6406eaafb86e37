"""The controller: one at a time, taken over, fenced by its own clock."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from nexa_node.core.election import STEP_S, Candidate, Terms
from nexa_node.core.policies import ClusterPolicy
from nexa_node.services.cluster.controller import LEASE, Controller
from tests.fake_cluster import FakeNet
from tests.fakes import FakeClock, RecordingJournal

POLICY = ClusterPolicy(lease_ms=3000)
TERMS = Terms.of(POLICY)


class Field:
    """Candidates that the test sets."""

    def __init__(self, *names: str) -> None:
        self.nodes = {name: Candidate(name=name) for name in names}
        self.silent: set[str] = set()

    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(self.nodes.values())

    def is_heard(self, name: str) -> bool:
        return name not in self.silent

    def set(self, name: str, **what: bool) -> None:
        self.nodes[name] = Candidate(name=name, **what)  # type: ignore[arg-type]


class Contest:
    """Some nodes' controllers over one store."""

    def __init__(self, *names: str) -> None:
        self.clock = FakeClock()
        self.net = FakeNet(self.clock)
        self.field = Field(*names)
        self.journal = RecordingJournal()
        self.clustered = True
        self.told: list[tuple[str, str, object]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.nodes = {name: self._make(name) for name in names}

    def _make(self, name: str) -> Controller:
        made = Controller(
            leases=self.net.node(name).leases,
            field=self.field,
            clustered=lambda: self.clustered,
            clock=self.clock,
            journal=self.journal,
            node=name,
            policy=POLICY,
        )
        made.on_gain(lambda token: self.told.append((name, "gain", token)))
        made.on_lose(lambda why: self.told.append((name, "lose", why)))
        return made

    def start(self, *names: str) -> None:
        for name in names or self.nodes:
            self.tasks[name] = asyncio.ensure_future(self.nodes[name].run())

    def kill(self, name: str) -> None:
        self.tasks.pop(name).cancel()
        self.field.silent.add(name)
        self.field.nodes.pop(name)

    async def until_new(self, old: str, limit: float = 10) -> float:
        """Wait for a controller other than `old`; how long it took."""
        began = self.clock.monotonic()
        while self.who() in ([], [old]) and self.clock.monotonic() - began < limit:
            await self.clock.advance(0.05)
        return self.clock.monotonic() - began

    def who(self) -> list[str]:
        return [
            name
            for name, one in self.nodes.items()
            if name in self.tasks and one.is_controller()
        ]


@pytest.fixture
async def contest() -> AsyncIterator[Contest]:
    made = Contest("alpha", "beta", "gamma")
    async with AsyncExitStack() as stack:
        stack.callback(lambda: [task.cancel() for task in made.tasks.values()])
        yield made


async def test_of_three_nodes_one_is_the_controller_and_all_know_it(
    contest: Contest,
) -> None:
    contest.start()
    await contest.clock.advance(2)
    assert contest.who() == ["alpha"]
    assert {one.holder for one in contest.nodes.values()} == {"alpha"}
    assert contest.nodes["alpha"].token == contest.net.held[LEASE].token
    assert contest.nodes["beta"].token is None
    assert contest.told == [("alpha", "gain", contest.nodes["alpha"].token)]
    assert contest.journal.kinds() == ["controller.changed"]


async def test_it_stays_the_controller_with_one_fence(contest: Contest) -> None:
    contest.start()
    await contest.clock.advance(2)
    token = contest.nodes["alpha"].token
    await contest.clock.advance(600)
    assert (contest.who(), contest.nodes["alpha"].token) == (["alpha"], token)
    assert contest.nodes["alpha"].changes == 1


async def test_a_dead_one_is_followed_in_time_with_a_larger_fence(
    contest: Contest,
) -> None:
    contest.start()
    await contest.clock.advance(7.3)
    token = contest.nodes["alpha"].token
    contest.kill("alpha")
    took = await contest.until_new("alpha")
    assert took < 5
    assert contest.who() == ["beta"]
    assert (contest.nodes["beta"].token or 0) > (token or 0)
    changed = contest.journal.last("controller.changed")
    assert changed.message.startswith("beta is the controller after alpha")
    assert changed.data["before"] == "alpha"


async def test_one_that_stops_in_order_is_followed_at_once(contest: Contest) -> None:
    contest.start()
    await contest.clock.advance(2)
    await contest.nodes["alpha"].stop()
    contest.field.set("alpha", leaving=True)
    contest.field.silent.add("alpha")
    assert not contest.nodes["alpha"].is_controller()
    assert await contest.until_new("alpha") <= TERMS.renew_s + STEP_S + 0.2
    assert contest.told[1] == ("alpha", "lose", "the node stops")


async def test_one_that_is_drained_hands_over_while_it_runs(contest: Contest) -> None:
    contest.start()
    await contest.clock.advance(2)
    contest.field.set("alpha", leaving=True)
    assert await contest.until_new("alpha") <= 2 * TERMS.renew_s + 0.2
    await contest.clock.advance(30)
    assert contest.who() == ["beta"]
    lost = contest.journal.last("controller.lost")
    assert lost.severity == "info"
    assert lost.message.endswith("it hands over, since it is on its way out")


async def test_one_that_does_not_reach_the_store_stops_before_another_begins(
    contest: Contest,
) -> None:
    contest.start()
    await contest.clock.advance(5)
    contest.net.cut_store("alpha")
    at = contest.clock.monotonic()
    while contest.nodes["alpha"].is_controller():
        assert contest.who() == ["alpha"]
        await contest.clock.advance(0.05)
    assert contest.clock.monotonic() - at <= TERMS.valid_s + 0.06
    assert contest.who() == []
    await contest.until_new("alpha")
    assert contest.who() == ["beta"]
    lost = contest.journal.last("controller.lost")
    assert lost.message.endswith("the lease could not be renewed in time")
    assert ("alpha", "lose", "the lease could not be renewed in time") in contest.told

    contest.net.heal()
    await contest.clock.advance(10)
    assert contest.who() == ["beta"]
    assert contest.nodes["alpha"].holder == "beta"


async def test_a_store_that_is_away_for_a_moment_costs_nothing(
    contest: Contest,
) -> None:
    contest.start()
    await contest.clock.advance(5)
    contest.net.cut_store(*contest.nodes)
    await contest.clock.advance(1)
    contest.net.heal()
    await contest.clock.advance(10)
    assert contest.who() == ["alpha"]
    assert contest.journal.kinds() == ["controller.changed"]


async def test_a_store_that_takes_for_ever_is_not_waited_for(contest: Contest) -> None:
    contest.start()
    await contest.clock.advance(5)
    contest.net.node("alpha").leases.slow_s = 60
    await contest.clock.advance(TERMS.valid_s + 0.1)
    assert "alpha" not in contest.who()
    assert contest.told[-1][:2] == ("alpha", "lose") or contest.who() == ["beta"]


async def test_after_a_fence_its_own_lease_is_taken_anew_with_a_new_fence(
    contest: Contest,
) -> None:
    contest.start("alpha")
    await contest.clock.advance(2)
    token = contest.nodes["alpha"].token or 0
    contest.net.node("alpha").leases.lose_answers = True
    await contest.clock.advance(TERMS.valid_s + 1)
    assert contest.who() == []
    contest.net.node("alpha").leases.lose_answers = False
    await contest.clock.advance(1)
    assert contest.who() == ["alpha"]
    assert (contest.nodes["alpha"].token or 0) > token


async def test_a_lease_of_an_earlier_run_is_waited_for(contest: Contest) -> None:
    await contest.net.node("gamma").leases.acquire(LEASE, "alpha", ttl_s=3)
    contest.start("alpha")
    await contest.clock.advance(2.9)
    assert contest.who() == []
    await contest.clock.advance(0.4)
    assert contest.who() == ["alpha"]


async def test_a_stolen_lease_is_given_up_at_once(contest: Contest) -> None:
    contest.start("alpha")
    await contest.clock.advance(2)
    contest.net.held.clear()
    await contest.net.node("gamma").leases.acquire(LEASE, "gamma", ttl_s=3)
    await contest.clock.advance(TERMS.renew_s + 0.1)
    assert contest.who() == []
    assert contest.nodes["alpha"].holder == "gamma"


async def test_two_that_stand_at_once_are_one(contest: Contest) -> None:
    for name in ("alpha", "beta", "gamma"):
        contest.field = Field(name)
        contest.nodes[name]._field = contest.field
    contest.start()
    for _ in range(200):
        await contest.clock.advance(0.05)
        assert len(contest.who()) <= 1
    assert len(contest.who()) == 1


async def test_never_two_at_one_time_whatever_breaks(contest: Contest) -> None:
    contest.start()
    tokens: list[int] = []
    faults = itertools.cycle(
        [("alpha",), (), ("beta", "gamma"), ("alpha", "beta", "gamma"), (), ("gamma",)]
    )
    for turn in range(1200):
        if turn % 37 == 0:
            contest.net.heal()
            contest.net.cut_store(*next(faults))
        await contest.clock.advance(0.1)
        assert len(contest.who()) <= 1
    tokens = [int(str(what)) for _, kind, what in contest.told if kind == "gain"]
    assert len(tokens) > 3
    assert tokens == sorted(set(tokens))


async def test_a_node_without_a_cluster_is_its_own_and_asks_nobody() -> None:
    alone = Contest("alpha")
    alone.clustered = False
    alone.start()
    await alone.clock.advance(5)
    assert alone.who() == ["alpha"]
    assert alone.nodes["alpha"].token == 0
    assert alone.nodes["alpha"].holder == "alpha"
    assert alone.net.held == {}
    assert alone.journal.kinds() == []

    alone.clustered = True
    assert alone.who() == []
    await alone.clock.advance(2)
    assert alone.who() == ["alpha"]
    assert alone.nodes["alpha"].token == alone.net.held[LEASE].token
    assert [kind for _, kind, _ in alone.told] == ["gain", "lose", "gain"]

    alone.clustered = False
    await alone.clock.advance(5)
    assert alone.nodes["alpha"].token == 0
    alone.tasks["alpha"].cancel()


async def test_stopping_without_a_store_does_not_wait_for_it(contest: Contest) -> None:
    contest.start("alpha")
    await contest.clock.advance(2)
    contest.net.node("alpha").leases.slow_s = 60
    stopping = asyncio.ensure_future(contest.nodes["alpha"].stop())
    await contest.clock.advance(1.1)
    assert stopping.done()
    assert not contest.nodes["alpha"].is_controller()


async def test_a_lease_that_comes_while_it_stops_is_given_back(
    contest: Contest,
) -> None:
    contest.net.node("alpha").leases.slow_s = 0.3
    contest.start("alpha")
    await contest.clock.advance(0.5)
    await contest.nodes["alpha"].stop()
    await contest.clock.advance(2)
    assert LEASE not in contest.net.held
    assert contest.told == []
