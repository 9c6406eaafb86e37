"""Whatever stops, a task is completed once and none is lost.

A random story over the ports in memory: agents that crash, hang, come back to either of
two nodes, refuse, answer late and use claims they lost; a store that falls silent or
loses its answers; nodes that are killed and started again. A watcher sees every record
that is ever written.
"""

import itertools
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.tasks import FINISHED, RetryPolicy, Task
from nexa_node.core.policies import LeasePolicy
from tests.fakes import MemoryStore, settle
from tests.rig import FakeAgent, Rig

RETRY = RetryPolicy(max_attempts=50, backoff_ms=100, max_backoff_ms=1000)
LEASES = LeasePolicy(lease_ms=10_000, grace_ms=1000, accept_timeout_ms=2000)


@dataclass
class Watcher:
    """Every record ever written, and what must hold between two of them."""

    records: dict[str, list[Task]] = field(default_factory=dict)

    def attach(self, store: MemoryStore) -> None:
        plain = store.tasks.bucket.set

        def watched(key: str, task: Task) -> int:
            self.records.setdefault(key, []).append(task)
            return plain(key, task)

        store.tasks.bucket.set = watched

    def check(self) -> None:
        for story in self.records.values():
            for before, after in itertools.pairwise(story):
                assert before.status not in FINISHED, (before, after)
                assert after.claim_epoch >= before.claim_epoch
                if after.claim_epoch > before.claim_epoch:
                    assert before.status == "pending"
                assert after.data == before.data, "a payload was lost"
                if after.status == "completed":
                    claim = f"{before.agent} {before.claim_epoch}"
                    assert after.result == claim, "an old claim completed it"


@dataclass
class Story:
    """One run."""

    seed: int
    chance: random.Random = field(init=False)
    store: MemoryStore = field(default_factory=MemoryStore)
    watcher: Watcher = field(default_factory=Watcher)
    names: tuple[str, ...] = ("alpha", "beta")
    nodes: dict[str, Rig] = field(default_factory=dict)
    agents: list[FakeAgent] = field(default_factory=list)
    remembered: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=dict)
    """By agent: every assignment it ever got."""
    accepted: dict[str, set[Any]] = field(default_factory=dict)
    """By task: every result a completion was answered yes for."""
    submitted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    async def run(self) -> None:
        self.watcher.attach(self.store)
        for name in self.names:
            await self._start(name)
        self.agents = [
            FakeAgent(self.nodes["alpha"], f"wc-{n}", incarnation="0") for n in range(3)
        ]
        for _ in range(60):
            for name in self.names:
                if self.chance.random() < 0.05:
                    await self._restart(name)
            await self._step()
            await self.store.clock.advance(self.chance.choice([0.05, 0.3, 1.0, 3.0]))
        await self._calm()
        for rig in self.nodes.values():
            await rig.crash()

    async def _start(self, name: str) -> None:
        seed = self.chance.randrange(1000)
        rig = Rig(store=self.store, name=name, leases=LEASES, seed=seed)
        await rig.__aenter__()
        self.nodes[name] = rig

    async def _restart(self, name: str) -> None:
        killed = self.nodes[name]
        await killed.crash()
        for agent in self.agents:
            if agent.rig is killed:
                agent.connection = None
        await self.store.clock.advance(self.chance.choice([0, 1, 40]))
        await self._start(name)

    async def _step(self) -> None:
        self.store.available = self.chance.random() > 0.08
        self.store.lose_answers = self.chance.random() < 0.08
        if self.chance.random() < 0.6:
            await self._submit(self._any_node())
        for agent in self.agents:
            await self._act(agent)

    def _any_node(self) -> Rig:
        return self.nodes[self.chance.choice(self.names)]

    async def _submit(self, rig: Rig) -> None:
        try:
            submitted = await rig.submit(data=len(self.submitted), retry=RETRY)
        except Unavailable:
            return
        self.submitted.append(submitted.id)

    async def _act(self, agent: FakeAgent) -> None:
        if agent.connection is None or agent.closed is not None:
            await self._connect(agent)
            return
        deed = self.chance.random()
        if deed < 0.08:
            await agent.lose()
            agent.connection = None
        elif deed < 0.2:
            return
        else:
            await self._work(agent)

    async def _connect(self, agent: FakeAgent) -> None:
        if self.chance.random() < 0.3:
            agent.incarnation = str(self.chance.random())
        agent.rig = self._any_node()
        say = {"slots": self.chance.choice([1, 2, 3])}
        if agent.welcome is not None and self.chance.random() < 0.7:
            await agent.resume(**say)
        else:
            await agent.hello(**say)

    async def _work(self, agent: FakeAgent) -> None:
        remembered = self.remembered.setdefault(agent.id, {})
        for assigned in agent.assigned():
            remembered[assigned["task"]["id"], assigned["claim_epoch"]] = assigned
        for assigned in list(remembered.values()):
            deed = self.chance.random()
            if deed < 0.1:
                await agent.send({"id": assigned["number"], "error": _busy()})
            elif deed < 0.5:
                await agent.send(
                    {"id": assigned["number"], "result": {"accepted": True}}
                )
            elif deed < 0.6:
                await self._say("task.progress", agent, assigned)
            elif deed < 0.65:
                await self._say("task.fail", agent, assigned)
            elif deed < 0.7:
                await self._say("task.release", agent, assigned)
            elif deed < 0.95:
                await self._complete(agent, assigned)

    async def _say(
        self, method: str, agent: FakeAgent, assigned: dict[str, Any]
    ) -> None:
        claim = {"id": assigned["task"]["id"], "claim_epoch": assigned["claim_epoch"]}
        await agent.notify(method, **claim)
        number = 1_000_000 + self.chance.randrange(10**9)
        await agent.send({"id": number, "method": method, "params": claim})

    async def _complete(self, agent: FakeAgent, assigned: dict[str, Any]) -> None:
        number = 1_000_000 + self.chance.randrange(10**9)
        claim = {"id": assigned["task"]["id"], "claim_epoch": assigned["claim_epoch"]}
        result = f"{agent.id} {assigned['claim_epoch']}"
        params = {**claim, "result": result}
        await agent.send({"id": number, "method": "task.complete", "params": params})
        for frame in agent.frames:
            if frame.get("id") == number and "result" in frame:
                self.accepted.setdefault(claim["id"], set()).add(result)

    async def _calm(self) -> None:
        """Everything works again: what was submitted must come to its end."""
        self.store.available, self.store.lose_answers = True, False
        worker = await self.nodes["beta"].agent("steady", slots=50)
        for _ in range(400):
            await self.store.clock.advance(0.5)
            for assigned in worker.assigned():
                await self._complete(worker, assigned)
            worker.frames.clear()
            if not self.store.queue.entries:
                break
        await settle()
        assert self.store.queue.entries == {}, "the queue was not emptied"
        for rig in self.nodes.values():
            assert rig.dispatch.in_hand() == 0


def _busy() -> dict[str, Any]:
    return {"code": 1013, "message": "busy", "data": {"reason": "rejected"}}


@pytest.mark.parametrize("seed", range(25))
async def test_no_task_is_lost_or_completed_twice(seed: int) -> None:
    story = Story(seed)
    await story.run()

    story.watcher.check()
    assert story.submitted
    for task_id in story.submitted:
        task = story.store.tasks.now(task_id)
        assert task.status in ("completed", "dead_lettered"), task
        results = story.accepted.get(task_id, set())
        if task.status == "completed":
            assert results <= {task.result}, (
                "a completion was confirmed and is not there"
            )
        else:
            assert results == set()
