"""Sending, and delivery from inboxes."""

from typing import Any

import pytest

from nexa_node.contract.errors import (
    Invalid,
    NoAgentAvailable,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
)
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.core.policies import SessionPolicy
from nexa_node.services.messages import pace
from tests.fakes import FakeClock, settle
from tests.rig import Rig

WC1 = Address(agent=AgentId("wc-1"))


def new(to: Address = WC1, **fields: Any) -> NewMessage:
    return NewMessage(**{"to": to, "type": "note", "data": "hello", **fields})


async def test_a_message_arrives_with_its_true_sender() -> None:
    async with Rig() as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        answer = await one.call(
            "message.send", to={"agent": "wc-2"}, type="note", data=[1], **{"from": "x"}
        )
        (told,) = two.told("message.deliver")

        assert answer["result"]["seq"] == told["seq"] == 1
        assert (told["from"], told["data"], told["type"]) == ("wc-1", [1], "note")
        assert told["id"] == answer["result"]["id"]
        assert rig.messages.sent == 1


async def test_what_waits_is_delivered_when_the_agent_comes() -> None:
    async with Rig() as rig:
        for n in range(3):
            await rig.messages.send("token:op1", new(data=n))
        agent = await rig.agent()

        assert [each["data"] for each in agent.told("message.deliver")] == [0, 1, 2]


async def test_a_long_inbox_is_delivered_whole_and_in_order() -> None:
    async with Rig(
        sessions=SessionPolicy(messages_burst=500, outbound_frames=40)
    ) as rig:
        for n in range(300):
            await rig.messages.send("token:op1", new(data=n))
        agent = await rig.agent()

        told = [each["data"] for each in agent.told("message.deliver")]
        assert told == list(range(300))
        assert agent.closed is None


async def test_acknowledged_messages_do_not_come_again() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        for n in range(4):
            await rig.messages.send("token:op1", new(data=n))
        await settle()
        await agent.call("inbox.ack", seq=4)
        await agent.call("inbox.ack", upto=2)
        await agent.lose()
        await agent.hello()

        assert [each["seq"] for each in agent.told("message.deliver")] == [3]


async def test_a_resumed_session_goes_on_where_it_was() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        for n in range(4):
            await rig.messages.send("token:op1", new(data=n))
        await agent.lose()
        await rig.messages.send("token:op1", new(data=4))
        await agent.resume(last_seq=3)

        assert [each["seq"] for each in agent.told("message.deliver")] == [4, 5]


async def test_the_same_id_is_stored_once() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        first = await rig.messages.send("token:op1", new(id="m-1"))
        again = await rig.messages.send("token:op1", new(id="m-1"))
        await settle()

        assert (first.duplicate, again.duplicate) == (False, True)
        assert again.seq == first.seq
        assert len(agent.told("message.deliver")) == 1


async def test_a_capability_is_answered_by_one_that_is_connected() -> None:
    async with Rig() as rig:
        gone = await rig.agent("wc-1")
        here = await rig.agent("wc-2")
        await gone.lose()
        await rig.clock.advance(4)
        for _ in range(5):
            await rig.messages.send("token:op1", new(Address(capability="wc")))
        await settle()
        assert len(here.told("message.deliver")) == 5

        with pytest.raises(NoAgentAvailable):
            await rig.messages.send("token:op1", new(Address(capability="none")))


async def test_a_broadcast_reaches_all_others_connected_or_not() -> None:
    async with Rig() as rig:
        agents = [await rig.agent(f"wc-{n}") for n in range(3)]
        await agents[2].lose()
        await agents[0].call("message.send", to={"broadcast": True}, type="note")
        await agents[2].resume()
        await rig.clock.advance(0.1)

        assert [len(each.told("message.deliver")) for each in agents] == [0, 1, 1]


async def test_a_broadcast_said_again_is_a_duplicate() -> None:
    async with Rig() as rig:
        for n in range(3):
            await rig.agent(f"wc-{n}")
        to = Address(broadcast=True)
        first = await rig.messages.send("token:op1", new(to, id="b"))
        again = await rig.messages.send("token:op1", new(to, id="b"))

        assert (first.duplicate, again.duplicate) == (False, True)


async def test_signals_reach_who_is_there_and_are_not_kept() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await rig.messages.send("token:op1", new(durable=False))
        await settle()
        assert [each["seq"] for each in agent.told("message.deliver")] == [0]
        await agent.lose()
        await rig.messages.send("token:op1", new(durable=False))
        await agent.resume()

        assert agent.told("message.deliver") == []


async def test_credits_limit_what_is_delivered() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.notify("flow.credit", scope="inbox", n=2)
        for n in range(5):
            await rig.messages.send("token:op1", new(data=n))
        await settle()
        assert [each["data"] for each in agent.told("message.deliver")] == [0, 1]
        await agent.notify("flow.credit", scope="inbox", n=10)
        await settle()

        told = [each["data"] for each in agent.told("message.deliver")]
        assert told == [0, 1, 2, 3, 4]


async def test_a_silent_store_delays_and_loses_nothing() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.notify("flow.credit", scope="inbox", n=0)
        await rig.messages.send("token:op1", new())
        rig.store.available = False
        with pytest.raises(Unavailable):
            await rig.messages.send("token:op1", new())
        await agent.notify("flow.credit", scope="inbox", n=5)
        await rig.clock.advance(3)
        assert agent.told("message.deliver") == []
        rig.store.available = True
        await rig.clock.advance(1)

        assert len(agent.told("message.deliver")) == 1


async def test_a_message_that_lives_too_long_is_not_delivered() -> None:
    async with Rig() as rig:
        await rig.messages.send("token:op1", new(ttl_ms=1500))
        await rig.clock.advance(3)
        agent = await rig.agent()

        assert agent.told("message.deliver") == []


async def test_who_sends_too_fast_is_told_and_nothing_is_stored() -> None:
    async with Rig(sessions=SessionPolicy(messages_per_s=2, messages_burst=3)) as rig:
        for _ in range(3):
            await rig.messages.send("token:op1", new())
        with pytest.raises(RateLimited) as raised:
            await rig.messages.send("token:op1", new())
        assert raised.value.retry_after_ms == 501
        assert len(rig.store.inboxes.kept) == 3
        await rig.messages.send("token:op2", new())
        await rig.clock.advance(0.6)

        await rig.messages.send("token:op1", new())


async def test_bad_addresses_and_large_data_are_refused() -> None:
    async with Rig(sessions=SessionPolicy(data_bytes=100)) as rig:
        for to in (Address(topic="a..b"), Address(topic="a.*"), Address()):
            with pytest.raises(Invalid):
                await rig.messages.send("token:op1", new(to))
        with pytest.raises(Invalid):
            await rig.messages.send("token:op1", new(reply_to="not a topic"))
        with pytest.raises(PayloadTooLarge):
            await rig.messages.send("token:op1", new(data="x" * 100))
        assert rig.store.inboxes.kept == {}


async def test_a_signal_to_who_is_nowhere_is_refused_at_once() -> None:
    async with Rig() as rig:
        with pytest.raises(NoAgentAvailable):
            await rig.messages.send("token:op1", new(durable=False))
        agent = await rig.agent()
        await rig.messages.send("token:op1", new(durable=False))
        await agent.call("session.bye")
        await rig.clock.advance(2)

        with pytest.raises(NoAgentAvailable):
            await rig.messages.send("token:op1", new(durable=False))


async def test_signals_reach_agents_of_other_nodes() -> None:
    async with Rig() as one, Rig(store=one.store, name="beta") as two:
        agent = await two.agent("wc-1")
        await one.messages.send("token:op1", new(durable=False, data=7))
        await settle()

        (told,) = agent.told("message.deliver")
        assert (told["seq"], told["data"], told["attempts"]) == (0, 7, 1)


async def test_the_priority_is_told_and_changes_no_order() -> None:
    async with Rig() as rig:
        await rig.messages.send("token:op1", new(priority="low"))
        await rig.messages.send("token:op1", new(priority="critical"))
        agent = await rig.agent()

        told = [each["priority"] for each in agent.told("message.deliver")]
        assert told == ["low", "critical"]


async def test_a_capability_s_messages_go_to_the_least_busy() -> None:
    async with Rig() as rig:
        busy = await rig.agent("wc-1", slots=2)
        live = rig.sessions.find(DEFAULT_NAMESPACE, AgentId("wc-1"))
        assert live is not None
        live.seat.inflight = 1
        await busy.call("agent.report", load=0.5)
        await rig.clock.advance(2)
        free = await rig.agent("wc-2", slots=2)
        for _ in range(3):
            await rig.messages.send("token:op1", new(Address(capability="wc")))
        await settle()

        assert len(free.told("message.deliver")) == 3
        assert busy.told("message.deliver") == []


async def test_a_message_s_time_is_rounded_up_to_whole_seconds() -> None:
    async with Rig() as rig:
        await rig.messages.send("token:op1", new(ttl_ms=1))
        await rig.clock.advance(0.9)
        assert len(await rig.store.inboxes.read("default", "wc-1", after=0, limit=9))
        await rig.clock.advance(0.2)

        assert not await rig.store.inboxes.read("default", "wc-1", after=0, limit=9)


async def test_a_broadcast_that_is_not_kept_reaches_who_is_there() -> None:
    async with Rig() as rig, Rig(store=rig.store, name="beta") as other:
        one, two = await rig.agent("wc-1"), await other.agent("wc-2")
        await one.call(
            "message.send", to={"broadcast": True}, type="note", durable=False
        )
        await settle()

        assert [each["seq"] for each in two.told("message.deliver")] == [0]
        assert one.told("message.deliver") == []
        assert rig.store.inboxes.kept == {}


async def test_the_pace_of_many_senders_is_remembered_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "BUCKETS_MAX", 4)
    clock = FakeClock()
    senders = pace.Pace(clock, SessionPolicy(messages_per_s=1, messages_burst=1))
    for n in range(20):
        senders.spend(f"s{n}")
    assert len(senders._buckets) <= 4
    clock.move(5)
    senders.spend("s19")
    senders.spend("t1")
    with pytest.raises(RateLimited):
        senders.spend("t1")

    assert set(senders._buckets) <= {"s19", "t1", "s17", "s18"}
