"""What an agent asks of the cluster: messages, tasks, other agents."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from nexa_node.agent import Address, Agent, Deliver, NewMessage, NewTask
from nexa_node.contract.errors import (
    Forbidden,
    PayloadTooLarge,
    Unavailable,
)
from nexa_node.contract.frames import Empty
from tests.node.agent.standin import NO_ANSWER, Refusal, StandIn, now

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


async def test_a_task_is_submitted_under_an_id_of_its_own(
    node: StandIn, make_agent: Make
) -> None:
    node.script["task.submit"] = lambda params: {
        "id": params["id"],
        "status": "pending",
        "duplicate": False,
    }

    async with make_agent() as agent:
        visit = await node.visit()
        submitted = await agent.submit("wc", "a b", priority="high")
        named = await agent.submit(NewTask(type="wc", id="mine"))

    sent = visit.calls("task.submit")[0]
    assert sent["id"] == submitted.id
    assert len(sent["id"]) == 26
    assert sent["priority"] == "high"
    assert named.id == "mine"


async def test_a_submission_cut_off_by_the_connection_is_made_again_with_its_id(
    node: StandIn, make_agent: Make
) -> None:
    def vanish(params: Any) -> Any:
        node.visits[0].socket.transport.abort()
        node.script["task.submit"] = lambda params: {
            "id": params["id"],
            "status": "pending",
            "duplicate": True,
        }
        ids.append(params["id"])
        return NO_ANSWER

    ids: list[str] = []
    node.script["task.submit"] = vanish

    async with make_agent() as agent:
        await node.visit()
        submitted = await agent.submit("wc")

    assert ids == [submitted.id]
    assert submitted.duplicate


async def test_tasks_are_listed_and_called_off(node: StandIn, make_agent: Make) -> None:
    node.script["task.list"] = lambda _: {
        "tasks": [record(namespace="default", attempts=0)]
    }

    async with make_agent() as agent:
        visit = await node.visit()
        listed = await agent.tasks()
        await agent.cancel("t1")

    assert [task.id for task in listed.tasks] == ["t1"]
    assert visit.calls("task.cancel") == [{"id": "t1"}]


async def test_agents_are_found(node: StandIn, make_agent: Make) -> None:
    found = {
        "id": "b",
        "name": "B",
        "state": "idle",
        "node": "n",
        "capabilities": [{"name": "wc"}],
        "slots": 1,
        "inflight": 0,
        "connected": True,
    }
    node.script["agents.find"] = lambda _: {"agents": [found]}

    async with make_agent() as agent:
        visit = await node.visit()
        answer = await agent.find("wc", labels={"zone": "a"})

    assert [one.id for one in answer.agents] == ["b"]
    assert visit.calls("agents.find") == [{"capability": "wc", "labels": {"zone": "a"}}]


async def test_a_message_is_sent_with_an_id(node: StandIn, make_agent: Make) -> None:
    node.script["message.send"] = lambda params: {
        "id": params["id"],
        "duplicate": False,
    }

    async with make_agent() as agent:
        visit = await node.visit()
        sent = await agent.send("b", "note", {"a": 1}, ttl=timedelta(seconds=2))
        await agent.send(Address(topic="news.x"), "note")
        await agent.send_message(
            NewMessage(to=Address(broadcast=True), type="note", id="mine")
        )

    first, second, third = visit.calls("message.send")
    assert first["id"] == sent.id
    assert first["to"] == {"agent": "b"}
    assert first["ttl_ms"] == 2000
    assert second["to"] == {"topic": "news.x"}
    assert third["id"] == "mine"


async def test_what_the_node_answers_is_raised(node: StandIn, make_agent: Make) -> None:
    def refuse(_: Any) -> Any:
        raise Refusal(1002, "forbidden")

    node.script["agents.find"] = refuse

    async with make_agent() as agent:
        with pytest.raises(Forbidden):
            await agent.find()


async def test_a_call_without_a_node_ends_in_unavailable(make_agent: Make) -> None:
    async with make_agent(url="http://127.0.0.1:1") as agent:
        with pytest.raises(Unavailable, match="no node is connected"):
            await agent.call("agents.find", {}, Empty, patience=0.1)


async def test_a_call_that_is_never_answered_ends_in_unavailable(
    node: StandIn, make_agent: Make
) -> None:
    node.script["agents.find"] = lambda _: NO_ANSWER

    async with make_agent() as agent:
        with pytest.raises(Unavailable, match="does not answer"):
            await agent.call("agents.find", {}, Empty, patience=1.5)


async def test_a_call_while_the_agent_ends_is_not_left_hanging(
    node: StandIn, make_agent: Make
) -> None:
    node.script["agents.find"] = lambda _: NO_ANSWER
    agent = make_agent()

    async with agent:
        visit = await node.visit()
        waiting = asyncio.create_task(agent.find())
        await visit.until("agents.find")

    with pytest.raises(Unavailable, match="has stopped"):
        await asyncio.wait_for(waiting, 5)


async def test_no_more_calls_are_in_flight_than_the_node_takes(
    node: StandIn, make_agent: Make
) -> None:
    node.inflight = 4
    node.script["agents.find"] = lambda _: NO_ANSWER

    async with make_agent() as agent:
        visit = await node.visit()
        calls = [asyncio.create_task(agent.find()) for _ in range(10)]
        await visit.until("agents.find", count=2)
        await agent_settles(visit)
        open_now = len(visit.calls("agents.find"))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    assert open_now == 2


async def agent_settles(visit: Any) -> None:
    """A round trip of another kind: what was to be sent before it was sent."""
    await visit.ask("no.such", {})


async def test_a_frame_too_large_for_the_node_is_not_sent(
    node: StandIn, make_agent: Make
) -> None:
    node.frame_limit = 2000

    async with make_agent() as agent:
        visit = await node.visit()
        with pytest.raises(PayloadTooLarge):
            await agent.send("b", "note", "x" * 3000)

    assert visit.calls("message.send") == []


async def test_a_message_is_handled_once_and_acknowledged(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    got: list[Any] = []

    @agent.on_message
    async def note(message: Deliver) -> None:
        got.append((message.seq, message.sender, message.data))

    async with agent:
        visit = await node.visit()
        await visit.deliver(1, "hello")
        await visit.until("inbox.ack")
        await visit.deliver(1, "hello")
        await visit.until("inbox.ack", count=2)

    assert got == [(1, "other", "hello")]
    assert visit.calls("inbox.ack") == [{"seq": 1}, {"seq": 1}]


async def test_a_resumed_session_says_how_far_it_read(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    agent.on_message(lambda message: None)

    async with agent:
        visit = await node.visit()
        await visit.deliver(1)
        await visit.deliver(2)
        await visit.until("inbox.ack", count=2)
        await visit.drop()
        second = await node.visit(2)

    assert second.hello["resume"]["last_seq"] == 2


async def test_a_new_epoch_starts_the_inbox_anew(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    got: list[int] = []
    agent.on_message(lambda message: got.append(message.seq))

    async with agent:
        visit = await node.visit()
        await visit.deliver(1)
        await visit.until("inbox.ack")
        node.epoch = "e2"
        await visit.drop()
        second = await node.visit(2)
        await second.deliver(1)
        await second.until("inbox.ack")

    assert got == [1, 1]


async def test_a_message_whose_handler_fails_is_sent_back_and_comes_again(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    tries: list[int] = []

    @agent.on_message
    async def note(message: Deliver) -> None:
        tries.append(message.seq)
        if len(tries) == 1:
            raise ValueError("not now")

    async with agent:
        visit = await node.visit()
        await visit.deliver(5)
        back = await visit.until("inbox.nack")
        await visit.deliver(5, attempts=2)
        await visit.until("inbox.ack")

    assert back["seq"] == 5
    assert tries == [5, 5]


async def test_without_a_handler_messages_stay_in_the_inbox(
    node: StandIn, make_agent: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_agent():
        visit = await node.visit()
        await visit.deliver(1)
        await visit.until("inbox.nack")

    assert visit.calls("inbox.ack") == []
    assert "on_message has no handler" in caplog.text


async def test_a_message_that_is_not_durable_needs_no_acknowledgement(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    got: asyncio.Queue[str] = asyncio.Queue()
    agent.on_message(lambda message: got.put_nowait(message.id))

    async with agent:
        visit = await node.visit()
        await visit.deliver(0)
        await visit.deliver(0)
        for _ in range(2):
            await asyncio.wait_for(got.get(), 5)

    assert visit.calls("inbox.ack") == []
