"""Inboxes from the agent's side: dealt with, not now, never; attempts; how much fits."""

import asyncio
from typing import Any

import pytest

from nexa_node.contract.errors import RateLimited
from nexa_node.contract.ids import AgentId
from nexa_node.contract.messages import Address, NewMessage, Sent
from nexa_node.core.policies import RetentionPolicy, SessionPolicy
from nexa_node.services.messages import inbox
from nexa_node.services.messages.inbox import PUT_OFF_LIMIT
from tests.fakes import MemoryStore, settle
from tests.rig import FakeAgent, Rig

WC1 = Address(agent=AgentId("wc-1"))
FAST = SessionPolicy(messages_per_s=1e6, messages_burst=1_000_000)


async def send(rig: Rig, to: Address = WC1, **fields: Any) -> Sent:
    message = NewMessage(**{"to": to, "type": "note", **fields})
    return await rig.messages.send("token:op1", message)


def told(agent: FakeAgent) -> list[tuple[int, int]]:
    """Position and attempt of each delivery."""
    return [(each["seq"], each["attempts"]) for each in agent.told("message.deliver")]


async def test_what_is_put_off_comes_again_after_the_delay() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await send(rig)
        await send(rig)
        await settle()
        answer = await agent.call("inbox.nack", seq=1, delay_ms=2000)
        assert answer["result"] == {}
        await rig.clock.advance(1.9)
        assert told(agent) == [(1, 1), (2, 1)]
        await rig.clock.advance(0.2)

        assert told(agent) == [(1, 1), (2, 1), (1, 2)]
        await agent.call("inbox.ack", upto=2)
        await rig.clock.advance(5)
        assert told(agent) == [(1, 1), (2, 1), (1, 2)]


async def test_without_a_delay_it_comes_again_at_once() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await send(rig)
        await settle()
        for _ in range(3):
            await agent.call("inbox.nack", seq=1)
            await rig.clock.advance(0.1)

        assert told(agent) == [(1, 1), (1, 2), (1, 3), (1, 4)]


async def test_what_is_acknowledged_meanwhile_does_not_come_again() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await send(rig)
        await settle()
        await agent.call("inbox.nack", seq=1, delay_ms=1000)
        await agent.call("inbox.ack", seq=1)
        await rig.clock.advance(3)

        assert told(agent) == [(1, 1)]
        record = rig.store.sessions.bucket.entries["default.wc-1"].value
        assert record.again == {}


async def test_what_was_put_off_comes_on_the_node_where_the_session_goes_on() -> None:
    async with Rig() as rig, Rig(store=rig.store, name="beta") as other:
        agent = await rig.agent()
        await send(rig)
        await settle()
        await agent.call("inbox.nack", seq=1, delay_ms=10_000)
        await agent.lose()
        await rig.clock.advance(2)
        agent.rig = other
        await agent.resume(last_seq=1)
        await rig.clock.advance(7)
        assert told(agent) == []
        await rig.clock.advance(2)

        assert told(agent) == [(1, 1)]


async def test_the_same_node_remembers_the_attempts_over_a_reconnect() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await send(rig)
        await settle()
        await agent.lose()
        await agent.hello()

        assert told(agent) == [(1, 2)]


async def test_a_term_drops_the_message_and_says_why() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        sent = await send(rig, data="bad")
        await settle()
        answer = await agent.call("inbox.term", seq=1, reason="not a number")

        assert answer["result"] == {}
        assert rig.store.inboxes.kept == {}
        event = rig.journal.last("message.terminated")
        assert event.severity == "warning"
        assert "not a number" in event.message
        assert event.data["id"] == sent.id
        assert event.data["from"] == "token:op1"


@pytest.mark.parametrize("method", ["inbox.nack", "inbox.term"])
async def test_only_what_is_in_the_agent_s_own_inbox_is_changed(method: str) -> None:
    async with Rig() as rig:
        agent, other = await rig.agent("wc-1"), await rig.agent("wc-2")
        await send(rig, Address(agent=AgentId("wc-2")))
        await send(rig, Address(topic="wc-1"))
        await settle()
        for seq in (0, 1, 2, 3, 2**53):
            answer = await agent.call(method, seq=seq)
            assert answer["error"]["data"]["reason"] == "not_found"
            assert (await agent.call("inbox.ack", seq=seq))["result"] == {}
        await rig.clock.advance(1)

        assert set(rig.store.inboxes.kept) == {1, 2}
        assert told(other) == [(1, 1)]
        assert "message.terminated" not in rig.journal.kinds()


async def test_what_was_not_delivered_yet_can_not_be_put_off() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.notify("flow.credit", scope="inbox", n=0)
        await send(rig)
        await settle()
        answer = await agent.call("inbox.nack", seq=1)

        assert answer["error"]["data"]["reason"] == "not_found"


async def test_so_many_messages_may_be_put_off_and_no_more() -> None:
    async with Rig(sessions=FAST) as rig:
        agent = await rig.agent()
        for _ in range(PUT_OFF_LIMIT + 1):
            await send(rig)
        await settle()
        for seq in range(1, PUT_OFF_LIMIT + 1):
            await agent.call("inbox.nack", seq=seq, delay_ms=60_000)
        answer = await agent.call("inbox.nack", seq=PUT_OFF_LIMIT + 1)
        assert answer["error"]["data"]["reason"] == "rate_limited"
        again = await agent.call("inbox.nack", seq=1, delay_ms=60_000)

        assert again["result"] == {}


async def test_a_message_that_is_due_waits_for_room_and_for_the_store() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.notify("flow.credit", scope="inbox", n=1)
        await send(rig)
        await settle()
        await agent.call("inbox.nack", seq=1, delay_ms=100)
        await rig.clock.advance(1)
        assert told(agent) == [(1, 1)]
        rig.store.available = False
        await agent.notify("flow.credit", scope="inbox", n=5)
        await rig.clock.advance(2)
        rig.store.available = True
        await rig.clock.advance(1)

        assert told(agent) == [(1, 1), (1, 2)]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("inbox.nack", {"seq": -1}),
        ("inbox.nack", {"seq": 1, "delay_ms": -1}),
        ("inbox.nack", {"seq": 1, "delay_ms": 10**12}),
        ("inbox.term", {"seq": 1, "reason": "x" * 300}),
        ("inbox.ack", {"seq": 1, "upto": 2}),
        ("topic.unsubscribe", {}),
        ("topic.unsubscribe", {"topic": "a", "subscription": "b"}),
        ("message.request", {"to": {"agent": "a"}, "type": "x", "timeout_ms": 0}),
    ],
)
async def test_numbers_that_mean_nothing_are_refused(
    method: str, params: dict[str, Any]
) -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        answer = await agent.call(method, **params)

        assert answer["error"]["data"]["reason"] == "invalid"


async def test_what_is_put_off_right_after_a_resume_costs_no_subscription() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.call("topic.subscribe", topic="a")
        await send(rig)
        await settle()
        await agent.lose()
        agent.open()
        assert agent.welcome is not None
        resume = {
            "session": agent.welcome["session"],
            "token": agent.welcome["resume_token"],
            "epoch": agent.welcome["epoch"],
            "last_seq": 1,
        }
        hello = {"protocol": "1.0", "agent": {"id": "wc-1"}, "resume": resume}
        frames = [
            {"jsonrpc": "2.0", "id": 70, "method": "session.hello", "params": hello},
            {"jsonrpc": "2.0", "id": 71, "method": "inbox.nack", "params": {"seq": 1}},
        ]
        await agent.send(frames)
        await rig.clock.advance(1)
        await send(rig, Address(topic="a"), data="still here")
        await settle()

        assert agent.answer(71)["result"] == {}
        assert told(agent) == [(1, 2), (2, 1)]


async def test_what_lost_connections_had_put_off_is_not_remembered_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "DUE_MIN", 20)
    async with Rig(sessions=FAST) as rig:
        rig.post.inbox._most = 20
        agent = await rig.agent()
        for _ in range(8):
            await send(rig)
        await settle()
        for seq in range(1, 9):
            await agent.call("inbox.nack", seq=seq, delay_ms=3_600_000)
        for _ in range(20):
            await agent.lose()
            await agent.resume(last_seq=8)
        assert len(rig.post.inbox._due) <= 24
        await rig.clock.advance(3700)

        assert sorted(seq for seq, _ in told(agent)) == list(range(1, 9))


# -- how much fits -----------------------------------------------------------------


def small(most: int = 5) -> MemoryStore:
    return MemoryStore(retention=RetentionPolicy(inbox_max=most))


async def test_a_full_inbox_is_told_to_the_sender_and_nothing_is_lost() -> None:
    async with Rig(store=small(), sessions=FAST) as rig:
        for n in range(5):
            await send(rig, data=n)
        with pytest.raises(RateLimited) as full:
            await send(rig, data="too much")
        assert full.value.retryable
        assert full.value.retry_after_ms
        assert full.value.details == {
            "reason": "inbox_full",
            "agent": "wc-1",
            "limit": 5,
        }
        agent = await rig.agent()
        assert [each["data"] for each in agent.told("message.deliver")] == [*range(5)]
        await agent.call("inbox.ack", seq=1)
        await rig.clock.advance(1)
        await send(rig, data="now")

        with pytest.raises(RateLimited):
            await send(rig)
        await send(rig, Address(agent=AgentId("wc-2")))
        await send(rig, Address(topic="any"))


async def test_room_is_counted_without_asking_the_store_each_time() -> None:
    async with Rig(store=small(1000), sessions=FAST) as rig:
        for _ in range(900):
            await send(rig)
        assert rig.store.door.calls.count("inboxes.count") == 1
        results = await asyncio.gather(
            *(send(rig) for _ in range(200)), return_exceptions=True
        )

        assert sum(isinstance(each, Sent) for each in results) == 100
        assert rig.store.door.calls.count("inboxes.count") <= 3
        assert len(rig.store.inboxes.kept) == 1000


async def test_two_nodes_that_fill_one_inbox_both_notice() -> None:
    store = small(100)
    async with (
        Rig(store=store, sessions=FAST) as one,
        Rig(store=store, name="beta", sessions=FAST) as two,
    ):
        refused = 0
        for n in range(140):
            try:
                await send(one if n % 2 else two)
            except RateLimited:
                refused += 1
            await settle()

        assert refused == 40
        assert len(store.inboxes.kept) == 100


async def test_a_broadcast_reaches_all_that_have_room_and_names_the_others() -> None:
    async with Rig(store=small(2), sessions=FAST) as rig:
        for name in ("wc-1", "wc-2", "wc-3"):
            await rig.agent(name)
        for _ in range(2):
            await send(rig)
        with pytest.raises(RateLimited) as full:
            await send(rig, Address(broadcast=True), id="b-1")
        assert full.value.details == {
            "reason": "inbox_full",
            "id": "b-1",
            "agents": ["wc-1"],
            "stored": 2,
        }
        await rig.store.inboxes.ack("default", "wc-1", upto=9)
        await rig.clock.advance(1)
        again = await send(rig, Address(broadcast=True), id="b-1")

        assert again.duplicate is False
        assert (
            len(await rig.store.inboxes.read("default", "wc-2", after=0, limit=9)) == 1
        )
