"""Claims and custody where two writers meet, and where our own code fails."""

from typing import Any

import pytest

from nexa_node.contract.errors import Conflict, LeaseLost, NotFound, Unavailable
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import RetryPolicy, Task
from nexa_node.core import tasks
from nexa_node.core.tasks import Claim, Denied, Moved, Verdict
from nexa_node.services.tasks.claims import Claims, Held
from tests.builders import NOW, task
from tests.fakes import settle
from tests.rig import Rig

WC1 = AgentId("wc-1")
T = TaskId("t")


def running(**overrides: Any) -> Task:
    return task("t", status="running", **overrides)


def complete(record: Task) -> Verdict:
    claim = Claim(WC1, 1)
    return tasks.complete(record, claim, result=1, usage=None, now=NOW)


def in_hand(rig: Rig) -> tuple[Claims, Held]:
    """A claim whose record we believe to know, while somebody wrote since."""
    rig.store.tasks.seed(running())
    entry = rig.store.tasks.bucket.entries["t"]
    held = Held(T)
    held.learn(entry.value, entry.revision)
    rig.store.tasks.seed(running(note="newer"))
    return rig.custody.claims, held


async def test_a_decision_is_made_again_on_what_somebody_wrote_first() -> None:
    async with Rig() as rig:
        claims, held = in_hand(rig)
        verdict = await claims.decide(held, complete)

        assert isinstance(verdict, Moved)
        assert verdict.task.note == "newer"
        assert rig.task("t").status == "completed"


async def test_before_refusing_the_record_is_read_again() -> None:
    async with Rig() as rig:
        claims, held = in_hand(rig)
        rig.store.tasks.seed(running(claim_epoch=2))

        def second(record: Task) -> Verdict:
            return tasks.complete(record, Claim(WC1, 2), result=1, usage=None, now=NOW)

        assert isinstance(await claims.decide(held, second), Moved)
        assert isinstance(await claims.decide(Held(T), complete), Denied)


async def test_a_record_that_never_rests_is_a_conflict_to_try_again() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(running())
        get = rig.store.tasks.get

        async def restless(task_id: TaskId) -> Any:
            found = await get(task_id)
            rig.store.tasks.seed(rig.task(task_id))
            return found

        rig.store.tasks.get = restless
        with pytest.raises(Conflict) as raised:
            await rig.custody.claims.decide(Held(T), complete)
        assert raised.value.retryable


async def test_a_claim_without_a_record_is_not_found() -> None:
    async with Rig() as rig:
        with pytest.raises(NotFound):
            await rig.custody.claims.decide(Held(TaskId("none")), complete)


async def test_progress_on_an_old_record_is_not_stored() -> None:
    async with Rig() as rig:
        claims, held = in_hand(rig)
        assert held.task is not None
        held.dirty = True
        with pytest.raises(Conflict):
            await claims.flush(held)
        assert held.task is None
        await claims.flush(held)

        assert rig.task("t").note == "newer"


async def test_a_claim_taken_by_another_node_is_dropped_with_the_next_progress() -> (
    None
):
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        held = rig.custody.claims.get(submitted.id)
        assert held is not None
        held.moving = 1  # the notice of the watch is missed
        other = tasks.lose(
            rig.task(submitted.id), 1, "lease_expired", now=NOW, rng=rig.custody._rng
        )
        assert isinstance(other, Moved)
        rig.store.tasks.seed(other.task)
        await settle()
        held.moving = 0
        await agent.call("task.progress", id=submitted.id, claim_epoch=1, pct=5)
        await rig.clock.advance(1.3)

        assert agent.told("task.cancelled") == [{"id": submitted.id, "claim_epoch": 1}]
        assert agent.assigned()[-1]["claim_epoch"] == 2


async def test_a_lease_that_ends_while_the_store_is_silent_ends_when_it_is_back() -> (
    None
):
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit(retry=RetryPolicy(max_attempts=1))
        await settle()
        await agent.accept()
        await rig.clock.advance(1.3)
        rig.store.available = False
        await rig.clock.advance(40)
        assert rig.task(submitted.id).status == "running"
        rig.store.available = True
        await rig.clock.advance(2)

        assert rig.task(submitted.id).status == "dead_lettered"


async def test_progress_while_the_store_is_silent_keeps_the_lease() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        assigned = await agent.accept()
        rig.store.available = False
        for pct in range(5):
            await rig.clock.advance(10)
            answer = await agent.call(
                "task.progress", id=submitted.id, claim_epoch=1, pct=pct
            )
            assert "result" in answer
        rig.store.available = True
        await rig.clock.advance(1)
        assert rig.task(submitted.id).pct == 4

        assert (await agent.complete(assigned))["result"] == {}


async def test_a_task_whose_record_is_deleted_is_dropped() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        await rig.clock.advance(1)
        await rig.store.tasks.delete(submitted.id)
        await rig.clock.advance(31)

        assert rig.dispatch.in_hand() == 0
        assert rig.store.queue.entries == {}


async def test_a_fault_of_ours_ends_the_work_on_one_task_only() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=5)
        get = rig.store.tasks.get
        poison = await rig.submit(id=TaskId("poison"))

        async def broken(task_id: TaskId) -> Any:
            if task_id == poison.id:
                raise RuntimeError("oops")
            return await get(task_id)

        rig.store.tasks.get = broken
        await agent.call("agent.report", state="idle")
        healthy = await rig.submit()
        await rig.clock.advance(1)

        ids = [each["task"]["id"] for each in agent.assigned()]
        assert healthy.id in ids


async def test_a_fault_while_placing_leaves_the_message_in_the_queue() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=0)
        submitted = await rig.submit()
        update = rig.store.tasks.update

        async def broken(task: Task, *, revision: int) -> Any:
            raise RuntimeError("oops")

        rig.store.tasks.update = broken
        await agent.call("agent.report", slots=1)
        await rig.clock.advance(1)
        assert rig.journal.last("node.fault").severity == "critical"
        assert rig.dispatch.in_hand() == 0
        rig.store.tasks.update = update
        await rig.clock.advance(40)

        assert {each["task"]["id"] for each in agent.assigned()} == {submitted.id}


async def test_dispatch_may_be_started_again() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=3)
        first = await rig.submit()
        await settle()
        assigned = await agent.accept()
        loop = rig._loops[4]
        loop.cancel()
        await settle()
        await rig.submit()
        await settle()
        assert len(agent.assigned()) == 1
        rig.spawn(rig.dispatch.run())
        await rig.clock.advance(40)
        assert len(agent.assigned()) >= 2
        await agent.complete(assigned)

        assert rig.task(first.id).claim_epoch >= 1


async def test_a_lost_lease_is_told_to_who_asks() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(task("t"))
        agent = await rig.agent()
        for method in ("task.progress", "task.complete"):
            answer = await agent.call(method, id="t", claim_epoch=1)
            assert answer["error"]["code"] == LeaseLost.code


async def test_an_orphan_is_adopted_by_its_agents_progress() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=1)
        rig.store.tasks.seed(task("t", status="assigned", node="gone"))
        await agent.call("task.progress", id="t", claim_epoch=1, pct=50)
        assert rig.dispatch.in_hand() == 1
        await rig.submit()
        await settle()
        assert agent.assigned() == []
        await agent.call("task.complete", id="t", claim_epoch=1)
        await settle()

        assert rig.task("t").status == "completed"
        assert len(agent.assigned()) == 1


async def test_bye_while_the_store_is_silent_leaves_it_to_the_lease() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        rig.store.available = False
        await agent.call("session.bye")
        rig.store.available = True
        await rig.clock.advance(31)

        assert rig.task(submitted.id).status == "pending"


async def test_a_refusal_the_store_did_not_hear_is_left_to_the_lease() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        rig.store.available = False
        await agent.reject(retry_after_ms=100)
        rig.store.available = True
        await rig.clock.advance(33)

        assert rig.task(submitted.id).history[0].outcome == "lease_expired"
        assert agent.assigned()[-1]["claim_epoch"] == 2


async def test_an_answer_of_no_is_a_refusal() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        number = agent.assigned()[-1]["number"]
        await agent.send({"id": number, "result": {"accepted": False}})
        await settle()

        assert rig.task(submitted.id).history[0].outcome == "rejected"


async def test_a_task_cancelled_while_its_agent_refuses_it_ends() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        held = rig.custody.claims.get(submitted.id)
        assert held is not None
        held.moving = 1
        cancelled = tasks.cancel(rig.task(submitted.id), by="op", now=NOW)
        assert isinstance(cancelled, Moved)
        rig.store.tasks.seed(cancelled.task)
        await settle()
        held.moving = 0
        await agent.reject()
        await settle()

        assert rig.dispatch.in_hand() == 0
        assert rig.store.queue.entries == {}


async def test_the_writes_of_a_silent_store_say_unavailable() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        rig.store.available = False
        for method in ("task.complete", "task.fail", "task.release"):
            answer = await agent.call(method, id=submitted.id, claim_epoch=1)
            assert answer["error"]["data"] == {
                "reason": Unavailable.reason,
                "retryable": True,
            }
