"""Whatever stops, a dead letter that is redriven is done, and once.

The story of `test_exactly_once.py`, where tasks give up soon and an operator brings them
back through either node, at bad moments too. Meanwhile somebody watches.
"""

import asyncio
import itertools
from typing import Any

import pytest

from nexa_node.contract.errors import NexaError
from nexa_node.contract.tasks import FINISHED, NewTask, Redrive, RetryPolicy
from tests.fakes import settle
from tests.node.services.tasks.test_exactly_once import Story, Watcher
from tests.rig import FakeAgent, Rig

SOON = RetryPolicy(max_attempts=2, backoff_ms=50, max_backoff_ms=100)
ALL = Redrive(all=True)


class Lives(Watcher):
    """Every record, where a dead letter may live again."""

    def check(self) -> None:
        for story in self.records.values():
            for before, after in itertools.pairwise(story):
                assert after.claim_epoch >= before.claim_epoch
                assert after.redriven >= before.redriven
                if before.status in FINISHED:
                    assert (before.status, after.status) == ("dead_lettered", "pending")
                    assert after.redriven == before.redriven + 1
                    assert after.attempts == 0
                if after.status == "completed":
                    claim = f"{before.agent} {before.claim_epoch}"
                    assert after.result == claim, "an old claim completed it"


class SecondLives(Story):
    """One run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.watcher = Lives()
        self.redriven = 0

    async def _submit(self, rig: Rig) -> None:
        new = NewTask(type="wc", data=len(self.submitted), retry=SOON)
        try:
            submitted = await rig.tasks.submit("token:op1", new)
        except NexaError:
            return
        self.submitted.append(submitted.id)

    async def _step(self) -> None:
        await super()._step()
        if self.chance.random() < 0.1:
            await self._cut_off(self._any_node())
        if self.chance.random() < 0.2:
            told = await self._any_node().dead_letters.redrive(ALL, by="token:op1")
            self.redriven += len(told.done)

    async def _restart(self, name: str) -> None:
        """Kill it in the middle of a redrive."""
        await self._cut_off(self.nodes[name])
        await super()._restart(name)

    async def _cut_off(self, rig: Rig) -> None:
        """Whoever asked goes away before the answer."""
        redrive = rig.dead_letters.redrive(ALL, by="token:op1")
        cut_off = asyncio.ensure_future(redrive)
        for _ in range(1 + self.chance.randrange(12)):
            await asyncio.sleep(0)
        cut_off.cancel()
        await settle()

    async def _work(self, agent: FakeAgent) -> None:
        for assigned in agent.assigned():
            if self.chance.random() < 0.4:
                await self._say("task.fail", agent, assigned)
        await super()._work(agent)

    async def _calm(self) -> None:
        await super()._calm()
        self.store.available, self.store.lose_answers = True, False
        beta = self.nodes["beta"]
        asker = await beta.agent("asker", capabilities=[])
        await asker.call("task.watch", type="wc", status="completed")
        dead = beta.directory.dead_letters()
        told = await beta.dead_letters.redrive(ALL, by="token:op1")
        assert (sorted(told.done), told.failed) == (sorted(dead), {})
        worker = await beta.agent("last", slots=50)
        for _ in range(100):
            await self.store.clock.advance(0.5)
            for assigned in worker.assigned():
                await self._complete(worker, assigned)
            worker.frames.clear()
            if not self.store.queue.entries:
                break
        await settle()
        assert self.store.queue.entries == {}
        completed = [each["task"]["id"] for each in asker.told("task.update")]
        assert sorted(completed) == sorted(dead), "its end was told once"


@pytest.mark.parametrize("seed", range(12))
async def test_every_dead_letter_is_done_in_the_end(seed: int) -> None:
    story = SecondLives(seed)
    await story.run()

    story.watcher.check()
    assert story.submitted
    assert story.redriven
    for task_id in story.submitted:
        task: Any = story.store.tasks.now(task_id)
        assert task.status == "completed", task
        assert story.accepted.get(task_id, set()) <= {task.result}
