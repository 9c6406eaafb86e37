"""Whatever becomes of nodes, a task is completed once and none is lost.

The story of `test_exactly_once.py` in a town of three: one node at a time is killed or cut
off, given up by the others or not, and comes back; agents go where they like, those of a
cut off node, too; a node is maintained or drained now and then; the controller changes.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from nexa_node.contract.errors import NexaError
from nexa_node.contract.tasks import FINISHED
from nexa_node.core.policies import LeasePolicy
from tests.fakes import settle
from tests.node.services.tasks.test_exactly_once import Story
from tests.rig import FakeAgent, Rig
from tests.two_nodes import Member, Town

NAMES = ("alpha", "beta", "gamma")
LEASES = LeasePolicy(lease_ms=10_000, grace_ms=1000, accept_timeout_ms=2000)


@dataclass
class Failover(Story):
    """One run."""

    names: tuple[str, ...] = NAMES
    town: Town = field(init=False)
    ill: str | None = None
    """The node that is dead or cut off."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.town = Town(*NAMES, store=self.store, leases=LEASES)
        self.nodes = self.town.nodes  # type: ignore[assignment]  # members are rigs

    async def _start(self, name: str) -> None:
        await self.town.start(name)

    async def _restart(self, name: str) -> None:
        """Something befalls a node, or it is well again."""
        if self.ill is not None:
            if self.chance.random() < 0.7:
                await self._recover()
            return
        self.ill = name
        if self.chance.random() < 0.5:
            await self._kill(name)
        else:
            self.town[name].wire.cut()
            self.store.queue.changed()
        if self.chance.random() < 0.7:
            await self.town.bury(name)

    async def _kill(self, name: str) -> None:
        killed = self.town[name]
        await self.town.kill(name)
        for agent in self.agents:
            if agent.rig is killed:
                agent.connection = None

    async def _recover(self) -> None:
        name, self.ill = self.ill, None
        assert name is not None
        if self.town[name]._loops:
            await self.town.heal(name)
        else:
            await self.town.start(name)
        self.town.living.add(name)

    def _any_node(self) -> Rig:
        """One that runs; a cut off one, too."""
        runs = [node for node in self.town.nodes.values() if node._loops]
        return self.chance.choice(runs)

    async def _step(self) -> None:
        if self.chance.random() < 0.1:
            await self._maintain()
        if self.chance.random() < 0.1:
            self.town.controller = self.chance.choice(sorted(self.town.living))
        if self.chance.random() < 0.15:
            await self._wander()
        await super()._step()

    async def _maintain(self) -> None:
        node = self._any_node()
        assert isinstance(node, Member)
        on = self.chance.random() < 0.5
        try:
            await node.maintenance.turn(on=on, by="token:op1")
        except NexaError:
            return
        await settle()

    async def _wander(self) -> None:
        """An agent leaves for another node before its old connection is missed."""
        agent = self.chance.choice(self.agents)
        if agent.connection is None or agent.welcome is None:
            return
        agent.rig = self._any_node()
        await self._try(agent, resume=True)

    async def _connect(self, agent: FakeAgent) -> None:
        if self.chance.random() < 0.2:
            agent.incarnation = str(self.chance.random())
        agent.rig = self._any_node()
        await self._try(agent, resume=self.chance.random() < 0.8)

    async def _try(self, agent: FakeAgent, *, resume: bool) -> None:
        say: dict[str, Any] = {"slots": self.chance.choice([1, 2, 3])}
        try:
            if agent.welcome is not None and resume:
                await agent.resume(**say)
            else:
                await agent.hello(**say)
        except NexaError:
            agent.connection = None

    async def _calm(self) -> None:
        self.store.available, self.store.lose_answers = True, False
        if self.ill is not None:
            await self._recover()
        for node in self.town.nodes.values():
            await node.maintenance.turn(on=False, by="token:op1")
        await self.town.clock.advance(3)
        await super()._calm()


@pytest.mark.parametrize("seed", range(25))
async def test_no_task_is_lost_or_completed_twice(seed: int) -> None:
    story = Failover(seed)
    await story.run()

    story.watcher.check()
    assert story.submitted
    for task_id in story.submitted:
        task = story.store.tasks.now(task_id)
        results = story.accepted.get(task_id, set())
        assert task.status in FINISHED
        assert task.status == "completed" or results == set()
        assert results <= {task.result}, "a completion was confirmed and is not there"
    for node in story.town.nodes.values():
        faults = [each for each in node.journal.records if each.kind == "node.fault"]
        assert not faults
