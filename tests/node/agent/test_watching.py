"""Following tasks: results come by themselves, and survive a lost connection."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from nexa_node.agent import Agent, Failed, Job
from nexa_node.contract.errors import DeadlineExceeded, NotFound
from tests.node.agent.standin import Refusal, StandIn, now

Make = Callable[..., Agent]


def record(status: str = "pending", **more: Any) -> dict[str, Any]:
    return {
        "id": "t1",
        "type": "wc",
        "status": status,
        "priority": "normal",
        "submitted": now(),
        "submitter": "a1",
    } | more


def update(status: str, *, watch: str = "w1", **more: Any) -> dict[str, Any]:
    partial = {"partial": more.pop("partial")} if "partial" in more else {}
    return {"watch": watch, "task": record(status, **more), **partial}


def watched(task: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda _: {"watch": "w1", "task": task}


async def test_a_result_comes_by_itself(node: StandIn, make_agent: Make) -> None:
    node.script["task.watch"] = watched(record())

    async with make_agent() as agent, asyncio.TaskGroup() as group:
        waiting = group.create_task(agent.result("t1"))
        visit = await node.visit()
        await visit.until("task.watch")
        await visit.notify("task.update", update("running"))
        await visit.notify("task.update", update("completed", result=3))
        task = await waiting

    assert (task.status, task.result) == ("completed", 3)


async def test_a_task_that_is_finished_needs_no_update(
    node: StandIn, make_agent: Make
) -> None:
    node.script["task.watch"] = watched(record("completed", result=3))

    async with make_agent() as agent:
        task = await agent.result("t1")

    assert task.result == 3


async def test_an_update_that_overtakes_the_answer_is_kept(
    node: StandIn, make_agent: Make
) -> None:
    def early(_: Any) -> Any:
        sending = node.visits[0].notify("task.update", update("completed", result=3))
        asyncio.get_running_loop().create_task(sending)
        return {"watch": "w1", "task": record()}

    node.script["task.watch"] = early

    async with make_agent() as agent:
        assert (await agent.result("t1")).result == 3


async def test_a_watch_goes_on_after_a_lost_connection(
    node: StandIn, make_agent: Make
) -> None:
    node.script["task.watch"] = watched(record("running"))

    async with make_agent() as agent, asyncio.TaskGroup() as group:
        waiting = group.create_task(agent.result("t1"))
        first = await node.visit()
        await first.until("task.watch")
        await first.drop()
        second = await node.visit(2)
        await second.until("task.watch")
        await second.notify("task.update", update("completed", result=4))
        task = await waiting

    assert task.result == 4


async def test_waiting_for_a_result_ends(node: StandIn, make_agent: Make) -> None:
    node.script["task.watch"] = watched(record("running"))

    async with make_agent() as agent:
        with pytest.raises(DeadlineExceeded, match="t1 is running"):
            await agent.result("t1", timeout=0.1)


async def test_a_task_that_is_not_there_is_told(
    node: StandIn, make_agent: Make
) -> None:
    def unknown(_: Any) -> Any:
        raise Refusal(1003, "not_found")

    node.script["task.watch"] = unknown

    async with make_agent() as agent:
        with pytest.raises(NotFound):
            await agent.result("t1")


async def test_partial_results_are_told_in_order(
    node: StandIn, make_agent: Make
) -> None:
    node.script["task.watch"] = watched(record())

    async with make_agent() as agent:
        visit = await node.visit()
        async with aclosing(agent.watch("t1")) as told:
            seen = [(await anext(told)).partial]
            for part in ("a", "b", "c"):
                await visit.notify("task.update", update("running", partial=part))
            await visit.notify("task.update", update("completed", result="abc"))
            seen += [each.partial async for each in told]

    assert seen == [None, "a", "b", "c", None]


def submitted(params: Any) -> Any:
    return {"id": params["id"], "status": "pending", "duplicate": False}


async def test_doing_a_task_is_one_call_and_its_result(
    node: StandIn, make_agent: Make
) -> None:
    node.script["task.submit"] = submitted

    async with make_agent() as agent, asyncio.TaskGroup() as group:
        doing = group.create_task(agent.do("wc", "a b"))
        visit = await node.visit()
        asked = await visit.until("task.submit")
        for status in ("running", "completed"):
            told = update(status, watch=asked["id"], result=2)
            await visit.notify("task.update", told)

        assert await doing == 2
    assert asked["watch"] is True


async def test_a_task_whose_connection_is_lost_is_watched_anew(
    node: StandIn, make_agent: Make
) -> None:
    node.script["task.submit"] = submitted
    node.script["task.watch"] = watched(record("completed", result=2))

    async with make_agent() as agent, asyncio.TaskGroup() as group:
        doing = group.create_task(agent.do("wc", "a b"))
        visit = await node.visit()
        await visit.until("task.submit")
        await visit.drop()

        assert await doing == 2


async def test_a_task_that_did_not_complete_raises_its_error(
    node: StandIn, make_agent: Make
) -> None:
    def ended(params: Any) -> Any:
        told = update("dead_lettered", watch=params["id"], error="no text")
        sending = node.visits[0].notify("task.update", told)
        asyncio.get_running_loop().create_task(sending)
        return submitted(params)

    node.script["task.submit"] = ended

    async with make_agent() as agent:
        with pytest.raises(Failed) as failed:
            await agent.do("wc")

    assert failed.value.error["error"] == "no text"
    assert failed.value.error["status"] == "dead_lettered"


async def test_every_partial_result_reaches_the_node(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()

    @agent.task("wc")
    async def talk(job: Job) -> str:
        for word in ("one", "two", "three"):
            await job.progress(partial=word)
        await job.progress(pct=99)
        return "one two three"

    async with agent:
        visit = await node.visit()
        await visit.assign()
        await visit.until("task.complete")

    told = [each.get("partial") for each in visit.calls("task.progress")]
    assert [each for each in told if each] == ["one", "two", "three"]


async def test_what_a_failed_attempt_spent_is_told(
    node: StandIn, make_agent: Make
) -> None:
    from nexa_node.agent import Usage

    agent = make_agent()

    @agent.task("wc")
    async def fail(job: Job) -> str:
        job.usage = Usage(model="m", input_tokens=7)
        raise Failed("no")

    async with agent:
        visit = await node.visit()
        await visit.assign()
        failure = await visit.until("task.fail")

    assert failure["usage"]["input_tokens"] == 7
