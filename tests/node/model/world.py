"""What the machines of this folder stand on: a loop of their own, two nodes over one
store, and agents that remember all they were told and keep count of their calls.

A rule of a machine runs on the machine's loop until nothing moves but time. A fault that
nobody awaited (a service's loop that ended) is kept, and fails the next invariant.
"""

import asyncio
import itertools
import os
import random
from collections import Counter
from collections.abc import Coroutine, Iterable
from datetime import datetime
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings

import tests.rig
from nexa_node.contract.errors import Unavailable
from nexa_node.core.policies import LeasePolicy, SessionPolicy
from tests.fakes import CountingEntropy, FakeClock, MemoryStore, settle
from tests.rig import FakeAgent, Rig

T = TypeVar("T")

AILMENTS = ("well", "well", "silent", "loses answers", "flaky 1", "flaky 2", "flaky 3")

NODES = ("alpha", "beta")
LEASES = LeasePolicy(lease_ms=10_000, grace_ms=1000, accept_timeout_ms=2000)
LEASE_S, GRACE_S, ACCEPT_S = 10.0, 1.0, 2.0
PACE = SessionPolicy(messages_per_s=1e6, messages_burst=1_000_000)
KEEP_EVERY_S = 2.0
"""What a dead node had of the queue comes again after three of them."""
STEPS = 50


def profile(examples: int) -> settings:
    """So many examples, or what NEXA_MODEL_EXAMPLES says: then with chance, not the same
    each time, and a failure is kept and shrunk as usual."""
    wanted = os.environ.get("NEXA_MODEL_EXAMPLES")
    return settings(
        max_examples=int(wanted) if wanted else examples,
        stateful_step_count=2 * STEPS if wanted else STEPS,
        derandomize=not wanted,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )


class ModelAgent(FakeAgent):
    """An agent that keeps what each of its connections was told and asked."""

    def __init__(self, rig: Rig, id: str) -> None:
        super().__init__(rig, id, incarnation="1")
        self.asked: list[int] = []
        """Numbers of the calls on this connection."""
        self.taken = 0
        """How many of the frames somebody looked at."""
        self.restarts = itertools.count(2)

    @property
    def is_connected(self) -> bool:
        return self.connection is not None and self.closed is None

    def open(self, **how: Any) -> None:
        self.asked, self.taken = [], 0
        super().open(**how)
        self.frames = Stamped(self.rig.clock)

    async def ask(self, method: str, **params: Any) -> int:
        number = await super().ask(method, **params)
        self.asked.append(number)
        return number

    async def say(self, method: str, **params: Any) -> tuple[str, Any]:
        """Call; "ok" and the result, or the error's reason and all of it."""
        answer = await self.call(method, **params)
        if "result" in answer:
            return "ok", answer["result"]
        return answer["error"]["data"]["reason"], answer["error"]

    def fresh(self) -> list[dict[str, Any]]:
        """The frames since this was asked last."""
        new = self.frames[self.taken :]
        self.taken = len(self.frames)
        return new

    def check_answers(self) -> None:
        """Every call was answered once; an open one never twice."""
        answers = Counter(each.get("id") for each in self.frames if _is_answer(each))
        twice = [number for number, count in answers.items() if count > 1]
        assert not twice, f"{self.id}: answered twice: {twice}"
        if self.is_connected:
            silent = [number for number in self.asked if number not in answers]
            assert not silent, f"{self.id}: never answered: {silent}"
        strange = set(answers) - set(self.asked)
        assert not strange, f"{self.id}: answers to nothing: {strange}"


class Stamped(list[dict[str, Any]]):
    """Frames, each with the time it came: `at`, monotonic."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def extend(self, frames: Iterable[dict[str, Any]]) -> None:
        at = self._clock.monotonic()
        super().extend({**frame, "at": at} for frame in frames)


def _is_answer(frame: dict[str, Any]) -> bool:
    return "method" not in frame


class World:
    """The loop, the store and the nodes."""

    def __init__(self) -> None:
        tests.rig.ENTROPY = CountingEntropy()  # the same ids in every run of an example
        self.runner = asyncio.Runner()
        self.faults: list[dict[str, Any]] = []
        self.runner.get_loop().set_exception_handler(
            lambda _loop, context: self.faults.append(context)
        )
        self.store = MemoryStore(keep_every_s=KEEP_EVERY_S)
        self.clock = self.store.clock
        self.rigs: dict[str, Rig] = {}
        self.agents: dict[str, ModelAgent] = {}
        self.steady_since = self.clock.monotonic()
        """Since when the store has answered everything."""
        self.flaky: random.Random | None = None
        """Set: every third call fails, before or after it did its work."""
        self._make_flaky()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it, and let everything come to rest."""

        async def whole() -> T:
            result = await work
            await settle()
            return result

        return self.runner.run(whole())

    async def start(self, name: str) -> None:
        """Start a node, for the first time or again."""
        rig = Rig(store=self.store, name=name, leases=LEASES, sessions=PACE)
        await rig.__aenter__()
        self.rigs[name] = rig

    async def crash(self, name: str, away_s: float) -> list[ModelAgent]:
        """Kill a node and start it after a while; who was connected to it."""
        killed = self.rigs[name]
        await killed.crash()
        cut_off = [
            each
            for each in self.agents.values()
            if each.rig is killed and each.is_connected
        ]
        for agent in cut_off:
            agent.connection = None
        await self.clock.advance(away_s)
        await self.start(name)
        return cut_off

    def agent(self, id: str) -> ModelAgent:
        """An agent that was never connected, at first."""
        if id not in self.agents:
            self.agents[id] = ModelAgent(self.rigs[NODES[0]], id)
        return self.agents[id]

    def where(self, agent: ModelAgent) -> str | None:
        """The node that an agent is connected to."""
        if not agent.is_connected:
            return None
        return next(name for name, rig in self.rigs.items() if rig is agent.rig)

    def _make_flaky(self) -> None:
        door = self.store.door
        check, leave = door._check, door.leave

        def sometimes(call: str) -> None:
            if self.flaky is not None and self.flaky.random() < 1 / 6:
                raise Unavailable(f"store: {call} had no luck")

        def checked(call: str) -> None:
            check(call)
            sometimes(call)

        def left(call: str) -> None:
            leave(call)
            sometimes(call)

        door._check, door.leave = checked, left

    @property
    def is_healthy(self) -> bool:
        steady = self.store.available and not self.store.lose_answers
        return steady and self.flaky is None

    def ail(self, how: str) -> None:
        """Set what is wrong with the store: "well" is nothing; "flaky 3" a seed."""
        was = self.is_healthy
        self.store.available = how != "silent"
        self.store.lose_answers = how == "loses answers"
        self.flaky = random.Random(how) if how.startswith("flaky") else None
        if self.is_healthy and not was:
            self.steady_since = self.clock.monotonic()

    def steady_s(self) -> float:
        """For how long the store has been well."""
        if not self.is_healthy:
            return 0.0
        return self.clock.monotonic() - self.steady_since

    def now(self) -> datetime:
        return self.clock.now()

    def check(self) -> None:
        """What holds of any machine."""
        assert not self.faults, self.faults
        for name, rig in self.rigs.items():
            faults = [each for each in rig.journal.records if each.kind == "node.fault"]
            assert not faults, f"{name}: {faults}"
        for agent in self.agents.values():
            agent.check_answers()

    def end(self) -> None:
        """Stop everything."""

        async def crash() -> None:
            for rig in self.rigs.values():
                await rig.crash()

        try:
            self.runner.run(crash())
        finally:
            self.runner.close()
