"""Topics, requests and what a handler may say of a message."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nexa_node.agent import Agent, Deliver, Drop, Later, NexaError
from nexa_node.agent.subscriptions import Subscription, Subscriptions
from nexa_node.contract.errors import (
    DeadlineExceeded,
    Invalid,
    NoAgentAvailable,
    Unavailable,
)
from tests.node.agent.standin import NO_ANSWER, Refusal, StandIn

Make = Callable[..., Agent]


def subscribed(node: StandIn) -> None:
    node.script["topic.subscribe"] = lambda params: {
        "subscription": f"s-{params['topic'].replace('.', '-')}"
    }
    node.script["topic.unsubscribe"] = lambda params: {
        "subscription": params["subscription"]
    }


def post(seq: int, data: Any, topic: str = "news.rome", sub: str = "s-news->") -> Any:
    return {
        "subject": topic, "subscription": sub, "to": {"topic": topic}, "data": data,
        "seq": seq,
    }  # fmt: skip


async def test_a_topic_is_subscribed_and_its_messages_handled_in_order(
    node: StandIn, make_agent: Make
) -> None:
    subscribed(node)
    agent = make_agent()
    seen: list[Any] = []
    done = asyncio.Event()

    @agent.on_topic("news.>", start="all")
    async def read(message: Deliver) -> None:
        seen.append(message.data)
        if len(seen) == 2:
            done.set()

    async with agent:
        visit = await node.visit()
        asked = await visit.until("topic.subscribe")
        for seq in (3, 4):
            told = post(seq, seq)
            await visit.deliver(told.pop("seq"), **told)
        await asyncio.wait_for(done.wait(), 5)

    assert asked == {"topic": "news.>", "from": "all"}
    assert seen == [3, 4]
    assert visit.calls("inbox.ack") == []


async def test_a_fresh_session_goes_on_behind_what_was_seen(
    node: StandIn, make_agent: Make
) -> None:
    subscribed(node)
    node.resumes = False
    agent = make_agent()
    seen: asyncio.Queue[Any] = asyncio.Queue()
    agent.on_topic("news.>")(lambda message: seen.put_nowait(message.data))

    async with agent:
        first = await node.visit()
        await first.until("topic.subscribe")
        await first.deliver(7, **_without_seq(post(7, "x")))
        assert await asyncio.wait_for(seen.get(), 5) == "x"
        await first.drop()
        second = await node.visit(2)
        asked = await second.until("topic.subscribe")

    assert asked["from"] == {"seq": 8}


async def test_a_resumed_session_has_its_subscriptions_and_its_place(
    node: StandIn, make_agent: Make
) -> None:
    subscribed(node)
    agent = make_agent()
    seen: asyncio.Queue[Any] = asyncio.Queue()
    agent.on_topic("news.>")(lambda message: seen.put_nowait(message.data))

    async with agent:
        first = await node.visit()
        await first.until("topic.subscribe")
        await first.deliver(7, **_without_seq(post(7, "x")))
        assert await asyncio.wait_for(seen.get(), 5) == "x"
        await first.drop()
        second = await node.visit(2)
        await second.deliver(7, **_without_seq(post(7, "again")))
        await second.deliver(8, **_without_seq(post(8, "y")))
        assert await asyncio.wait_for(seen.get(), 5) == "y"

    assert second.hello["resume"]["last_seq"] == 7
    assert second.calls("topic.subscribe") == []


async def test_a_topic_can_be_listened_to_for_a_while(
    node: StandIn, make_agent: Make
) -> None:
    subscribed(node)

    async with make_agent() as agent:
        visit = await node.visit()
        listening = await agent.subscribe("news.*", print, start=5)
        await agent.unsubscribe(listening)
        await agent.unsubscribe(listening)

    assert visit.calls("topic.subscribe") == [{"topic": "news.*", "from": {"seq": 5}}]
    assert visit.calls("topic.unsubscribe") == [{"subscription": "s-news-*"}]


async def test_a_topic_that_is_refused_is_told(node: StandIn, make_agent: Make) -> None:
    def refuse(_: Any) -> Any:
        raise Refusal(1004, "invalid")

    node.script["topic.subscribe"] = refuse

    async with make_agent() as agent:
        with pytest.raises(Invalid):
            await agent.subscribe("no topic", print)


@pytest.mark.parametrize(
    ("topic", "subject", "covers"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
    ],
)
def test_a_message_that_comes_before_the_answer_is_known_by_its_topic(
    topic: str, subject: str, covers: bool
) -> None:
    subscriptions = Subscriptions()
    mine = Subscription(topic, "new", print)
    subscriptions.add(mine)
    message: Any = type("M", (), {"subscription": "s", "subject": subject, "seq": 1})()

    assert subscriptions.find(message) is (mine if covers else None)


async def test_what_a_handler_returns_is_the_answer(
    node: StandIn, make_agent: Make
) -> None:
    node.script["message.send"] = lambda params: {"id": params["id"]}
    agent = make_agent()

    @agent.on_message
    async def count(message: Deliver) -> int:
        return len(message.data.split())

    async with agent:
        visit = await node.visit()
        await visit.deliver(0, "one two", reply_to="nx-reply-abc")
        sent = await visit.until("message.send")
        await visit.deliver(0, "one", reply_to="boss")
        other = await visit.until("message.send", count=2)

    assert sent["to"] == {"topic": "nx-reply-abc"}
    assert (sent["data"], sent["durable"]) == (2, False)
    assert other["to"] == {"agent": "boss"}
    assert "durable" not in other


async def test_a_request_is_answered(node: StandIn, make_agent: Make) -> None:
    node.script["message.request"] = lambda params: len(params["data"].split())

    async with make_agent() as agent:
        visit = await node.visit()
        assert await agent.request("wc-1", "count", "one two", timeout=2) == 2

    (asked,) = visit.calls("message.request")
    assert asked["to"] == {"agent": "wc-1"}
    assert (asked["timeout_ms"], asked["durable"]) == (2000, False)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (1017, "no_agent_available", NoAgentAvailable),
        (1011, "deadline_exceeded", DeadlineExceeded),
    ],
)
async def test_a_request_that_is_not_answered_says_why(
    node: StandIn, make_agent: Make, code: int, reason: str, kind: type[NexaError]
) -> None:
    def refuse(_: Any) -> Any:
        raise Refusal(code, reason, retryable=True)

    node.script["message.request"] = refuse

    async with make_agent() as agent:
        with pytest.raises(kind):
            await agent.request("wc-1", "count")


async def test_a_request_is_never_made_twice(node: StandIn, make_agent: Make) -> None:
    def vanish(_: Any) -> Any:
        node.visits[0].socket.transport.abort()
        return NO_ANSWER

    node.script["message.request"] = vanish

    async with make_agent() as agent:
        with pytest.raises(Unavailable, match="the connection was lost"):
            await agent.request("wc-1", "count")
        second = await node.visit(2)

    assert second.calls("message.request") == []


async def test_a_handler_may_want_a_message_later_or_never(
    node: StandIn, make_agent: Make
) -> None:
    node.script["inbox.term"] = lambda _: {}
    agent = make_agent()

    @agent.on_message
    async def choose(message: Deliver) -> None:
        if message.data == "later":
            raise Later(2.5)
        raise Drop("no such job")

    async with agent:
        visit = await node.visit()
        await visit.deliver(1, "later")
        await visit.deliver(2, "never")
        later = await visit.until("inbox.nack")
        never = await visit.until("inbox.term")

    assert later == {"seq": 1, "delay_ms": 2500}
    assert never == {"seq": 2, "reason": "no such job"}


def _without_seq(told: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key != "seq"}
