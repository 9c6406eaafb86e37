"""What crash tests found in a node that was killed, each by itself and without a crash.

A second `Rig` over the first one's store is the same node, started again.
"""

import pytest

from nexa_node.contract.errors import Unavailable
from tests.fakes import settle
from tests.rig import FakeAgent, Rig

CAME_AGAIN_S = 31
"""By then the queue hands out again what a dead node had of it."""


async def running(rig: Rig, agent: FakeAgent) -> str:
    """A task that its agent works on, and whose record says so."""
    submitted = await rig.submit()
    await settle()
    await agent.accept()
    await rig.clock.advance(1.5)
    assert rig.task(submitted.id).status == "running"
    return submitted.id


async def test_a_running_claim_is_asked_for_again_when_its_agent_is_back() -> None:
    """Who resumes may know nothing of it: unasked, the task would wait for its lease."""
    first = Rig()
    async with first:
        agent = await first.agent(slots=1)
        task_id = await running(first, agent)
    async with Rig(store=first.store) as second:
        agent.rig = second
        await agent.resume(slots=1)
        await settle()
        assigned = await agent.accept()
        answer = await agent.complete(assigned)
        await settle()

        assert (assigned["task"]["id"], assigned["claim_epoch"]) == (task_id, 1)
        assert answer["result"] == {}
        assert second.task(task_id).status == "completed"
        assert second.task(task_id).attempts == 1
        assert second.dispatch.in_hand() == 0


async def test_a_running_claim_that_is_asked_for_again_may_be_refused() -> None:
    first = Rig()
    async with first:
        agent = await first.agent(slots=1)
        task_id = await running(first, agent)
    async with Rig(store=first.store) as second:
        agent.rig = second
        other = await second.agent("wc-2", slots=1)
        await agent.resume(slots=1)
        await settle()
        await agent.call("agent.report", state="draining")
        await agent.reject()
        await second.clock.advance(CAME_AGAIN_S)
        await other.complete(await other.accept())
        await settle()

        assert second.task(task_id).status == "completed"
        assert second.task(task_id).agent == "wc-2"


async def test_a_claim_of_a_process_that_is_no_more_is_tried_again() -> None:
    first = Rig()
    async with first:
        old = FakeAgent(first, "wc-1", incarnation="old")
        await old.hello(slots=1)
        task_id = await running(first, old)
    async with Rig(store=first.store) as second:
        new = FakeAgent(second, "wc-1", incarnation="new")
        await new.hello(slots=1)
        await second.clock.advance(CAME_AGAIN_S)
        assigned = await new.accept()

        assert (assigned["claim_epoch"], assigned["attempt"]) == (2, 2)
        assert second.task(task_id).history[0].outcome == "agent_lost"


async def test_a_claim_its_agent_spoke_of_first_is_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It came back while the record could not be read, and worked on by itself."""
    first = Rig()
    async with first:
        agent = await first.agent(slots=1)
        task_id = await running(first, agent)
    async with Rig(store=first.store) as second:
        agent.rig = second
        with monkeypatch.context() as silent:
            silent.setattr(second.ledger, "get", unavailable)
            await agent.resume(slots=1)
            await settle()
        asked = agent.assigned()
        claim = {"id": task_id, "claim_epoch": 1}
        progressed = await agent.call("task.progress", **claim, pct=50)
        await agent.lose()
        await agent.resume(slots=1)
        await settle()

        assert "result" in progressed
        assert asked == agent.assigned() == []
        assert (await agent.call("task.complete", **claim))["result"] == {}


async def unavailable(*_: object) -> None:
    raise Unavailable("the store is silent")


async def test_a_claim_that_was_over_meanwhile_is_not_asked_for_again() -> None:
    first = Rig()
    async with first:
        agent = await first.agent(slots=1)
        task_id = await running(first, agent)
    async with Rig(store=first.store) as second:
        await second.tasks.cancel(second.task(task_id).id, by="token:op1")
        await settle()
        agent.rig = second
        await agent.resume(slots=1)
        await settle()

        assert agent.assigned() == []
        assert second.dispatch.in_hand() == 0


@pytest.mark.parametrize("status", ["assigned", "running"])
async def test_a_claim_of_an_agent_that_stays_away_is_asked_of_nobody(
    status: str,
) -> None:
    first = Rig()
    async with first:
        agent = await first.agent("wc-1", slots=1)
        submitted = await first.submit()
        await settle()
        if status == "running":
            await agent.accept()
            await first.clock.advance(1.5)
        assert first.task(submitted.id).status == status
    async with Rig(store=first.store) as second:
        other = await second.agent("wc-2", slots=1)
        await settle()

        assert other.assigned() == []
        assert second.task(submitted.id).claim_epoch == 1
