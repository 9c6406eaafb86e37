import asyncio
from datetime import timedelta

import pytest

from nexa_node.contract.errors import (
    Conflict,
    DeadlineExceeded,
    Draining,
    Duplicate,
    Invalid,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)
from nexa_node.contract.ids import Namespace, TaskId, is_slug
from nexa_node.core.policies import SessionPolicy
from nexa_node.services.api import TaskFilter
from tests.builders import task
from tests.fakes import MemoryStore, settle
from tests.rig import Rig


async def test_an_accepted_task_is_in_the_queue_and_on_record() -> None:
    async with Rig() as rig:
        submitted = await rig.submit(priority="high")

        assert (submitted.status, submitted.duplicate) == ("pending", False)
        assert is_slug(submitted.id)
        assert rig.task(submitted.id).submitter == "token:op1"
        assert [each.task.id for each in rig.store.queue.entries.values()] == [
            submitted.id
        ]


async def test_the_same_idempotency_key_is_the_same_task() -> None:
    async with Rig() as rig:
        first = await rig.submit(idempotency_key="k one")
        again = await rig.submit(idempotency_key="k one")
        other = await rig.submit(idempotency_key="k two")

        assert again.id == first.id != other.id
        assert (first.duplicate, again.duplicate) == (False, True)
        assert len(rig.store.queue.entries) == 2


async def test_a_key_means_another_task_in_another_namespace() -> None:
    async with Rig() as rig:
        first = await rig.submit(idempotency_key="k")
        other = await rig.submit(idempotency_key="k", namespace=Namespace("other"))

        assert other.id != first.id
        assert not other.duplicate


async def test_a_duplicate_is_told_with_what_became_of_it() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        first = await rig.submit(id=TaskId("t-1"))
        await settle()
        await agent.complete(await agent.accept())
        await rig.clock.advance(200)
        again = await rig.submit(id=TaskId("t-1"))
        await rig.clock.advance(1)

        assert (again.status, again.duplicate) == ("completed", True)
        assert len(agent.assigned()) == 1
        assert first.id == again.id


async def test_another_task_with_the_same_id_is_refused() -> None:
    async with Rig() as rig:
        await rig.submit(id=TaskId("t-1"))
        with pytest.raises(Duplicate):
            await rig.submit(id=TaskId("t-1"), data="other words")

        assert len(rig.store.queue.entries) == 1


async def test_a_named_submission_whose_answer_was_lost_may_be_repeated() -> None:
    async with Rig() as rig:
        rig.store.lose_answers = True
        with pytest.raises(Unavailable):
            await rig.submit(id=TaskId("t-1"))
        rig.store.lose_answers = False
        assert rig.store.queue.entries == {}
        again = await rig.submit(id=TaskId("t-1"))

        assert again.duplicate
        assert len(rig.store.queue.entries) == 1


async def test_a_submission_that_only_got_on_record_is_queued_later() -> None:
    async with Rig() as rig:
        put = rig.store.queue.put

        async def silent(task: object) -> bool:
            raise Unavailable("no answer")

        rig.store.queue.put = silent
        with pytest.raises(Unavailable):
            await rig.submit()
        rig.store.queue.put = put
        rig.store.available = False
        await rig.clock.advance(1)
        rig.store.available = True
        await rig.clock.advance(1)

        assert len(rig.store.queue.entries) == 1


async def test_a_submission_cut_off_by_a_crash_is_queued_at_the_start() -> None:
    store = MemoryStore()
    store.tasks.seed(
        task("cut-off", submitted=store.clock.now()),
        task("long-ago", submitted=store.clock.now() - timedelta(hours=1)),
        task("tried", submitted=store.clock.now(), claim_epoch=1),
    )
    async with Rig(store=store) as rig:
        await rig.clock.advance(0.5)

        assert [each.task.id for each in store.queue.entries.values()] == ["cut-off"]


async def test_what_means_nothing_is_refused() -> None:
    async with Rig(sessions=SessionPolicy(data_bytes=100)) as rig:
        with pytest.raises(Invalid):
            await rig.submit(type="W C")
        with pytest.raises(PayloadTooLarge):
            await rig.submit(data="x" * 100)
        with pytest.raises(DeadlineExceeded):
            await rig.submit(deadline=rig.clock.now())
        rig.tasks.stop_taking()
        with pytest.raises(Draining):
            await rig.submit()

        assert rig.store.queue.entries == {}


async def test_a_task_nobody_takes_expires_at_its_deadline() -> None:
    async with Rig() as rig:
        deadline = rig.clock.now() + timedelta(seconds=10)
        by_deadline = await rig.submit(deadline=deadline)
        by_start = await rig.submit(start_by=deadline)
        await rig.clock.advance(9.5)
        assert rig.task(by_deadline.id).status == "pending"
        rig.store.available = False
        await rig.clock.advance(2)
        rig.store.available = True
        await rig.clock.advance(1)

        assert rig.task(by_deadline.id).status == "expired"
        assert rig.task(by_start.id).status == "expired"
        agent = await rig.agent()
        await rig.clock.advance(1)
        assert agent.assigned() == []


async def test_a_deadline_of_an_earlier_run_is_kept() -> None:
    store = MemoryStore()
    deadline = store.clock.now() + timedelta(seconds=5)
    store.tasks.seed(task("t", deadline=deadline), task("gone", deadline=deadline))
    async with Rig(store=store) as rig:
        del store.tasks.bucket.entries["gone"]
        await rig.clock.advance(6)

        assert rig.task("t").status == "expired"


async def test_cancelling_is_for_the_unfinished() -> None:
    async with Rig() as rig:
        submitted = await rig.submit()
        assert (await rig.tasks.cancel(submitted.id, by="op")).status == "cancelled"
        assert (await rig.tasks.cancel(submitted.id, by="op")).status == "cancelled"
        rig.store.tasks.seed(task("done", status="completed"))
        with pytest.raises(Conflict):
            await rig.tasks.cancel(TaskId("done"), by="op")
        with pytest.raises(NotFound):
            await rig.tasks.cancel(TaskId("none"), by="op")


async def test_agents_submit_read_list_and_cancel() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=0)
        submitted = await agent.call("task.submit", type="wc", data={"a": 1})
        task_id = submitted["result"]["id"]
        await settle()
        read = await agent.call("task.get", id=task_id)
        listed = await agent.call("task.list", status="pending")
        assert read["result"]["data"] == {"a": 1}
        assert read["result"]["submitter"] == "wc-1"
        assert [each["id"] for each in listed["result"]["tasks"]] == [task_id]
        assert (await agent.call("task.cancel", id=task_id))["result"] == {}

        assert rig.task(task_id).status == "cancelled"


async def test_an_agents_task_stays_in_its_namespace() -> None:
    async with Rig() as rig:
        agent = await rig.agent(namespace="red", slots=0)
        submitted = await agent.call("task.submit", type="wc", namespace="blue")

        assert rig.task(submitted["result"]["id"]).namespace == "red"


async def test_a_record_that_changes_all_the_time_is_a_conflict() -> None:
    async with Rig() as rig:
        submitted = await rig.submit()
        get = rig.store.tasks.get

        async def restless(task_id: TaskId) -> object:
            found = await get(task_id)
            rig.store.tasks.seed(rig.task(task_id))
            return found

        rig.store.tasks.get = restless
        with pytest.raises(Conflict):
            await rig.tasks.cancel(submitted.id, by="op")


async def test_a_delayed_task_waits_for_its_time() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        delayed = await rig.submit(delay_ms=60_000)
        at_once = await rig.submit(data="now")
        await settle()
        await agent.complete(await agent.accept())
        await rig.clock.advance(59.5)
        assert [each["task"]["id"] for each in agent.assigned()] == [at_once.id]
        assert rig.directory.tasks(TaskFilter(status="pending")).items[0].not_before

        await rig.clock.advance(1)
        assert agent.assigned()[-1]["task"]["id"] == delayed.id
        assert rig.task(delayed.id).not_before is None


async def test_a_delay_survives_a_restart() -> None:
    store = MemoryStore()
    async with Rig(store=store) as rig:
        await rig.submit(delay_ms=60_000)
    async with Rig(store=store) as rig:
        agent = await rig.agent()
        await rig.clock.advance(50)
        assert agent.assigned() == []
        await rig.clock.advance(15)
        assert len(agent.assigned()) == 1


async def test_a_back_off_is_on_record_and_not_shortened_by_a_restart() -> None:
    store = MemoryStore()
    retry = {"backoff_ms": 60_000, "max_backoff_ms": 60_000}
    async with Rig(store=store) as rig:
        agent = await rig.agent()
        submitted = await agent.call("task.submit", type="wc", retry=retry)
        task_id = submitted["result"]["id"]
        await agent.accept()
        await agent.call("task.fail", id=task_id, claim_epoch=1)
        again_at = rig.task(task_id).not_before
        assert again_at is not None
        left_s = (again_at - rig.clock.now()).total_seconds()
        assert 30 <= left_s <= 60
        for entry in store.queue.entries.values():
            entry.ready_at = 0.0  # a store that lost when it was to come again
    async with Rig(store=store) as rig:
        agent = await rig.agent()
        await rig.clock.advance(left_s - 1)
        assert agent.assigned() == []
        await rig.clock.advance(3)
        assert len(agent.assigned()) == 1


async def test_a_delayed_task_is_called_off_and_expires_like_any_other() -> None:
    async with Rig() as rig:
        deadline = rig.clock.now() + timedelta(seconds=100)
        called_off = await rig.submit(delay_ms=60_000)
        too_late = await rig.submit(delay_ms=60_000, start_by=deadline)
        await rig.tasks.cancel(called_off.id, by="op")
        await rig.clock.advance(101)

        assert rig.task(called_off.id).status == "cancelled"
        assert rig.task(too_late.id).status == "expired"
        agent = await rig.agent()
        await rig.clock.advance(1)
        assert agent.assigned() == []
        assert rig.store.queue.entries == {}


async def test_a_parent_has_to_be_there_and_may_be_finished() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(
            task("p", hops=2),
            task("done", status="completed"),
            task("foreign", namespace=Namespace("lab")),
        )
        await settle()
        child = await rig.submit(parent=TaskId("p"), hops=1)
        assert rig.task(child.id).hops == 3
        assert (await rig.submit(parent=TaskId("done"))).status == "pending"
        for name in ("none", "foreign"):
            with pytest.raises(NotFound, match="could be the parent"):
                await rig.submit(parent=TaskId(name))


async def test_a_parent_the_directory_does_not_know_yet_is_read() -> None:
    async with Rig() as rig:
        await rig.store.tasks.create(task("p"))

        child = await rig.submit(parent=TaskId("p"))
        assert rig.task(child.id).hops == 1


async def test_delegation_in_a_circle_ends() -> None:
    async with Rig() as rig:
        parent = (await rig.submit()).id
        for _ in range(16):
            parent = (await rig.submit(parent=parent)).id
        with pytest.raises(Invalid, match="17 delegations") as refused:
            await rig.submit(parent=parent)

        assert "circle" in str(refused.value.remedy)


async def test_children_are_listed_by_their_parent_and_outlive_its_cancelling() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=0)
        parent = (await agent.call("task.submit", type="wc"))["result"]["id"]
        child = await agent.call("task.submit", type="wc", parent=parent)
        await rig.tasks.cancel(TaskId(parent), by="op")
        await settle()
        listed = await agent.call("task.list", parent=parent)

        [found] = listed["result"]["tasks"]
        assert (found["id"], found["parent"]) == (child["result"]["id"], parent)
        assert found["status"] == "pending"


async def test_an_id_of_another_namespace_is_refused_and_nothing_is_told() -> None:
    async with Rig() as rig:
        await rig.submit(id=TaskId("t-1"))
        with pytest.raises(Duplicate) as refused:
            await rig.submit(id=TaskId("t-1"), namespace=Namespace("lab"))

        assert refused.value.details is None


async def test_the_same_key_with_other_content_is_told_what_it_is() -> None:
    async with Rig() as rig:
        await rig.submit(idempotency_key="k")
        with pytest.raises(Duplicate) as refused:
            await rig.submit(idempotency_key="k", data="others")

        assert refused.value.details == {"type": "wc", "status": "pending"}


async def test_a_named_submission_that_is_not_repeated_is_finished_all_the_same() -> (
    None
):
    async with Rig() as rig:
        rig.store.lose_answers = True
        with pytest.raises(Unavailable):
            await rig.submit(id=TaskId("t-1"))
        rig.store.lose_answers = False
        await rig.clock.advance(1)

        assert [each.task.id for each in rig.store.queue.entries.values()] == ["t-1"]


async def test_usage_of_failed_attempts_counts() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        usage = {"model": "m", "input_tokens": 3}
        await agent.call("task.fail", id=submitted.id, claim_epoch=1, usage=usage)
        await rig.clock.advance(2)
        await agent.accept()
        done = {"id": submitted.id, "claim_epoch": 2, "usage": {"output_tokens": 4}}
        await agent.call("task.complete", **done)

        spent = rig.task(submitted.id).usage
        assert spent is not None
        assert (spent.model, spent.input_tokens, spent.output_tokens) == ("m", 3, 4)


@pytest.mark.parametrize("turns", range(1, 7))
@pytest.mark.parametrize("named", [{}, {"id": TaskId("t-1")}])
async def test_a_submission_nobody_waits_for_is_whole_or_not_there(
    turns: int, named: dict[str, TaskId]
) -> None:
    async with Rig() as rig:
        submission = asyncio.ensure_future(rig.submit(**named))
        for _ in range(turns):
            await asyncio.sleep(0)
        submission.cancel()
        await rig.clock.advance(1)

        recorded = set(rig.store.tasks.bucket.entries)
        queued = {each.task.id for each in rig.store.queue.entries.values()}
        assert recorded <= queued, "a record without a message waits for ever"
