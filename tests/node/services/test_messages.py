from typing import Any

import pytest

from nexa_node.contract.errors import (
    Invalid,
    NoAgentAvailable,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
)
from nexa_node.contract.ids import AgentId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.core.policies import SessionPolicy
from tests.fakes import settle
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


async def test_topics_and_large_data_are_refused() -> None:
    async with Rig(sessions=SessionPolicy(data_bytes=100)) as rig:
        with pytest.raises(Invalid):
            await rig.messages.send("token:op1", new(Address(topic="a.b")))
        with pytest.raises(Invalid):
            await rig.messages.send("token:op1", new(Address()))
        with pytest.raises(PayloadTooLarge):
            await rig.messages.send("token:op1", new(data="x" * 100))
