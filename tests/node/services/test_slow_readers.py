"""One that reads slowly harms nobody, and misses nothing."""

from typing import Any

from nexa_node.contract.errors import CLOSE_SLOW
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.core.policies import SessionPolicy
from tests.fakes import settle
from tests.rig import FakeAgent, Rig

NARROW = SessionPolicy(messages_per_s=1e6, messages_burst=1_000_000, outbound_frames=20)


async def post(rig: Rig, data: Any) -> None:
    message = NewMessage(to=Address(topic="news"), type="note", data=data)
    await rig.messages.send("token:op1", message)


def data(agent: FakeAgent) -> list[Any]:
    return [each["data"] for each in agent.told("message.deliver")]


async def test_neighbours_get_everything_while_one_reads_nothing() -> None:
    async with Rig(sessions=NARROW) as rig:
        slow, quick = await rig.agent("slow"), await rig.agent("quick")
        for agent in (slow, quick):
            await agent.call("topic.subscribe", topic="news")
        slow.reads.clear()
        for n in range(300):
            await post(rig, n)
            await settle()
        assert data(quick) == list(range(300))
        assert len(data(slow)) < 30
        assert slow.closed is None
        slow.reads.set()
        await settle()

        assert data(slow) == list(range(300))


async def test_one_whose_queue_overflows_is_told_and_closed_and_resumes_whole() -> None:
    async with Rig(sessions=NARROW) as rig:
        slow, quick = await rig.agent("slow"), await rig.agent("quick")
        for agent in (slow, quick):
            await agent.call("topic.subscribe", topic="news")
        slow.reads.clear()
        for n in range(100):
            await post(rig, n)
            await settle()
        for _ in range(40):
            await slow.ask("agents.find")
        slow.reads.set()
        await settle()
        assert slow.closed is not None
        assert slow.closed.code == CLOSE_SLOW
        seen = data(slow)
        last = max(each["seq"] for each in slow.told("message.deliver"))
        await post(rig, 100)
        await slow.resume(last_seq=last)
        await settle()

        assert seen + data(slow) == list(range(101))
        assert data(quick) == list(range(101))
        assert quick.closed is None
