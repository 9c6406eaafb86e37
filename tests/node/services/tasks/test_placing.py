"""Placing: what a task costs, whose turn it is, who is asked, and what has to wait."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import RetryPolicy
from nexa_node.core.explaining import explain
from nexa_node.core.policies import QueuePolicy
from tests.builders import task
from tests.fakes import settle
from tests.rig import FakeAgent, Rig


async def refuse(agent: FakeAgent, reason: str, **data: Any) -> None:
    error = {
        "code": 1013,
        "message": "no",
        "data": {
            "reason": "rejected",
            "retryable": True,
            "details": {"reason": reason},
            **data,
        },
    }
    await agent.send({"id": agent.assigned()[-1]["number"], "error": error})
    await settle()


# -- what a task costs ---------------------------------------------------------


async def test_a_short_task_is_written_four_times_and_never_read() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await settle()
        rig.store.door.calls.clear()
        await rig.submit()
        await settle()
        await agent.complete(await agent.accept())
        await rig.clock.advance(3)

        calls = Counter(rig.store.door.calls)
        assert calls["queue.put"] == calls["tasks.create"] == 1
        assert calls["tasks.update"] == 2, "the claim and the completion"
        assert calls["tasks.get"] == 0
        assert calls["queue.ack"] == 1
        assert "events.append" not in calls


async def test_a_task_that_another_node_made_is_read_once() -> None:
    first = Rig()
    async with first, Rig(store=first.store, name="beta") as second:
        agent = await second.agent()
        await settle()
        first.store.door.calls.clear()
        await first.submit()
        await settle()

        assert len(agent.assigned()) == 1
        assert Counter(first.store.door.calls)["tasks.get"] == 1


async def test_what_this_node_remembers_is_checked_by_the_write() -> None:
    """Another node ended the task meanwhile: it is found out, and nobody works on it."""
    async with Rig() as rig:
        submitted = await rig.submit()
        ended = task(submitted.id, status="cancelled")
        rig.store.tasks.bucket.set(submitted.id, ended)
        agent = await rig.agent()
        await settle()

        assert agent.assigned() == []
        assert rig.store.queue.entries == {}


async def test_a_message_that_comes_before_its_record_is_made_waits_for_it() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        create = rig.store.tasks.create
        release = asyncio.Event()

        async def slow(record: Any) -> Any:
            await release.wait()
            return await create(record)

        rig.store.tasks.create = slow
        rig.spawn(rig.submit())
        await settle()
        assert agent.assigned() == []
        release.set()
        await settle()

        assert len(agent.assigned()) == 1
        assert "tasks.get" not in rig.store.door.calls


async def test_more_is_taken_while_the_last_is_being_placed() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=2)
        update = rig.store.tasks.update
        release = asyncio.Event()

        async def slow(record: Any, *, revision: int) -> int:
            await release.wait()
            return await update(record, revision=revision)

        rig.store.tasks.update = slow
        for _ in range(3):
            await rig.submit()
            await settle()
        assert len(rig.store.queue.held()) == 2
        release.set()
        await settle()

        assert len(agent.assigned()) == 2


async def test_progress_is_told_here_at_once_and_stored_a_second_later() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        told: list[str] = []
        rig.ledger.on_write(lambda record: told.append(record.status))
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        assert told[-1] == "running"
        assert rig.task(submitted.id).status == "assigned"
        await rig.clock.advance(1.3)

        assert rig.task(submitted.id).status == "running"


async def test_only_what_is_long_in_hand_is_kept_at_the_queue() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=2)
        await rig.clock.advance(9)
        await rig.submit()
        await settle()
        await agent.accept()
        rig.store.door.calls.clear()
        await rig.clock.advance(2)
        assert "queue.keep" not in rig.store.door.calls
        await rig.clock.advance(10)

        assert Counter(rig.store.door.calls)["queue.keep"] == 1


# -- whose turn it is ----------------------------------------------------------


async def test_a_tenant_with_many_tasks_does_not_starve_one_with_one() -> None:
    async with Rig() as rig:
        for number in range(200):
            await rig.submit(fairness_key="big", data=number)
        small = await rig.submit(fairness_key="small")
        agent = await rig.agent(slots=4)
        await settle()

        assert small.id in {each["task"]["id"] for each in agent.assigned()}


async def test_the_queue_is_told_of_keys_that_other_nodes_use() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(
            task("t-1", fairness_key="acme"),
            task("t-2"),
            task("t-3", fairness_key="acme", status="running"),
        )
        await settle()

        assert [each.id for each in rig.store.queue.expected] == ["t-1"]


# -- who is asked --------------------------------------------------------------


async def test_a_queue_has_the_strategy_that_is_set_for_it() -> None:
    turns = QueuePolicy(name="wc", strategy="round_robin")
    async with Rig(queues=(turns,)) as rig:
        agents = [await rig.agent(f"wc-{n}", slots=9) for n in range(3)]
        for _ in range(9):
            await rig.submit()
            await settle()

        assert [len(agent.assigned()) for agent in agents] == [3, 3, 3]


async def test_weights_share_the_turns() -> None:
    by_weight = QueuePolicy(name="wc", strategy="weighted")
    async with Rig(queues=(by_weight,)) as rig:
        one = await rig.agent("one", slots=99)
        capability = {"name": "wc", "weight": 3}
        three = await rig.agent("three", slots=99, capabilities=[capability])
        for _ in range(40):
            await rig.submit()
            await settle()

        assert (len(one.assigned()), len(three.assigned())) == (10, 30)


async def test_an_agent_that_is_unable_is_not_asked_again_and_does_not_rest() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await refuse(agent, "unable")
        await rig.submit()
        await settle()
        assert len(agent.assigned()) == 2, "it does not rest"
        await agent.complete(agent.assigned()[-1])
        await rig.clock.advance(60)

        assert len(agent.assigned()) == 2
        assert rig.task(submitted.id).history[0].error == {
            "message": "no",
            "reason": "unable",
        }


async def test_an_agent_that_was_unable_is_asked_when_it_comes_anew() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await rig.submit()
        await settle()
        await refuse(agent, "unable")
        await rig.clock.advance(30)
        assert len(agent.assigned()) == 1
        await agent.hello()
        await rig.clock.advance(11)

        assert len(agent.assigned()) >= 1


async def test_a_busy_agent_rests_as_long_as_it_says() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=5)
        await rig.submit()
        await settle()
        await refuse(agent, "busy", retry_after_ms=20_000)
        await rig.submit()
        await rig.clock.advance(19)
        assert len(agent.assigned()) == 1
        await rig.clock.advance(2)

        assert len(agent.assigned()) == 3


async def test_a_task_whose_agents_are_taken_does_not_go_round_and_round() -> None:
    async with Rig() as rig:
        await rig.agent("plain", slots=5)
        gpu = {"name": "wc", "labels": {"gpu": "yes"}}
        wanted = await rig.agent("gpu", slots=1, capabilities=[gpu])
        for _ in range(2):
            await rig.submit(labels={"gpu": "yes"})
            await settle()
        rig.store.door.calls.clear()
        await rig.clock.advance(10)
        assert Counter(rig.store.door.calls)["queue.give_back"] < 25
        await wanted.complete(wanted.assigned()[0])
        await rig.clock.advance(1.5)

        assert len(wanted.assigned()) == 2


# -- what has to wait ----------------------------------------------------------


async def test_a_task_is_not_handed_out_before_its_time() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        delayed = task("t-1", not_before=rig.clock.now() + timedelta(minutes=90))
        await rig.store.queue.put(delayed)
        await rig.ledger.create(delayed)
        for _ in range(89):
            await rig.clock.advance(60)
        assert agent.assigned() == []
        await rig.clock.advance(61)

        assert len(agent.assigned()) == 1


async def test_a_delayed_task_costs_no_read_until_its_time() -> None:
    async with Rig() as rig:
        await rig.agent()
        delayed = task("t-1", not_before=rig.clock.now() + timedelta(minutes=90))
        await rig.store.queue.put(delayed)
        await rig.clock.advance(1800)

        assert Counter(rig.store.door.calls)["queue.give_back"] == 1
        assert "tasks.get" not in rig.store.door.calls


async def test_a_store_that_forgot_the_delay_does_not_shorten_it() -> None:
    retry = RetryPolicy(backoff_ms=60_000, max_backoff_ms=60_000)
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit(retry=retry)
        await settle()
        await agent.accept()
        await agent.call("task.fail", id=submitted.id, claim_epoch=1, error="no")
        await settle()
        not_before = rig.task(submitted.id).not_before
        assert not_before is not None
        for entry in rig.store.queue.entries.values():
            entry.ready_at = 0.0  # as after a restart of the store
        rig.store.queue.changed()
        await rig.clock.advance(25)
        assert len(agent.assigned()) == 1
        left = (not_before - rig.clock.now()).total_seconds()
        await rig.clock.advance(left + 0.1)

        assert len(agent.assigned()) == 2


async def test_a_task_whose_record_is_to_wait_goes_back_for_as_long() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await rig.store.queue.put(task("t-1"))
        rig.store.tasks.seed(
            task("t-1", not_before=rig.clock.now() + timedelta(seconds=30))
        )
        await rig.clock.advance(29)
        assert agent.assigned() == []
        await rig.clock.advance(2)

        assert len(agent.assigned()) == 1


# -- what goes wrong -----------------------------------------------------------


async def test_a_fault_of_the_queue_does_not_make_a_lane_deaf() -> None:
    async with Rig() as rig:
        take = rig.store.queue.take

        async def broken(*args: Any, **named: Any) -> Any:
            raise RuntimeError("oops")

        rig.store.queue.take = broken
        agent = await rig.agent()
        await rig.submit()
        await rig.clock.advance(1)
        assert rig.journal.last("node.fault").severity == "critical"
        rig.store.queue.take = take
        await rig.clock.advance(1)

        assert len(agent.assigned()) == 1


async def test_a_give_back_that_is_lost_comes_again_by_itself() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await rig.store.queue.put(
            task("t-1", not_before=rig.clock.now() + timedelta(seconds=10))
        )
        rig.store.lose_answers = True
        await rig.clock.advance(1)
        rig.store.lose_answers = False
        await rig.clock.advance(10)

        assert len(agent.assigned()) == 1


# -- why it waits --------------------------------------------------------------


async def reasons(rig: Rig, task_id: str) -> dict[str, str]:
    record = rig.task(task_id)
    told = explain(
        record, rig.directory.every_agent(record.namespace), rig.dispatch.facts(record)
    )
    return {each.agent: each.reason for each in told.considered}


async def test_refusals_and_credits_are_told_to_who_asks_why() -> None:
    async with Rig() as rig:
        rig.ledger.on_stored(rig.directory.observe)
        unable, busy = await rig.agent("unable"), await rig.agent("busy", slots=9)
        submitted = await rig.submit()
        await settle()
        for _ in range(2):
            for agent, reason in ((unable, "unable"), (busy, "busy")):
                if (
                    len(agent.assigned()) == 1
                    and rig.task(submitted.id).agent == agent.id
                ):
                    await refuse(agent, reason, retry_after_ms=30_000)
        frugal = await rig.agent("frugal")
        await frugal.call("agent.report", state="maintenance")
        await frugal.notify("flow.credit", scope="tasks", n=0)
        await frugal.call("agent.report", state="idle")
        await rig.agent("elsewhere", capabilities=[{"name": "other"}])
        await rig.clock.advance(1.5)

        told = await reasons(rig, submitted.id)
        assert "unable to do this task" in told["unable"]
        assert "rests for" in told["busy"]
        assert "flow.credit" in told["frugal"]
        assert "has not the capability" in told["elsewhere"]


async def test_what_another_node_told_is_said_to_be_so() -> None:
    first = Rig()
    async with first, Rig(store=first.store, name="beta") as second:
        await first.agent("far")
        await second.agent("near")
        await first.clock.advance(31)
        first.store.tasks.seed(task("t-1"))
        await settle()

        told = await reasons(second, "t-1")
        assert told["far"].endswith("by what alpha last told of it")
        assert told["near"] == "1 of 1 slots are free"


async def test_where_a_task_is_in_line_is_told() -> None:
    async with Rig() as rig:
        for number in range(5):
            await rig.submit(id=TaskId(f"t-{number}"))
        await rig.submit(id=TaskId("urgent"), priority="high")
        await settle()

        assert rig.dispatch.facts(rig.task("t-2")).ahead == 3
        assert rig.dispatch.facts(rig.task("urgent")).ahead == 0
