"""One that reads slowly harms nobody, and misses nothing."""

from typing import Any

import msgspec

from nexa_node.contract.errors import CLOSE_SLOW
from nexa_node.contract.frames import CancelledNotice
from nexa_node.contract.ids import TaskId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.core.policies import SessionPolicy
from tests.fakes import settle
from tests.rig import FakeAgent, Rig

NARROW = SessionPolicy(messages_per_s=1e6, messages_burst=1_000_000, outbound_frames=20)

CANCELLED = CancelledNotice(id=TaskId("t-1"), claim_epoch=1)


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
        assert slow.connection is not None
        for _ in range(40):
            slow.connection.notify("task.cancelled", CANCELLED)
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


async def test_one_that_asks_faster_than_it_reads_is_not_read_on() -> None:
    """Its own answers slow it down; they don't make it a slow reader."""
    async with Rig(sessions=NARROW) as rig:
        hasty, calm = await rig.agent("hasty"), await rig.agent("calm")
        hasty.reads.clear()
        asking = Asking(hasty, 300)
        rig.spawn(asking.run())
        await settle()
        stopped_at = asking.done
        heard = await calm.call("agents.find")
        hasty.reads.set()
        await settle()

        assert 0 < stopped_at < NARROW.outbound_frames
        assert "result" in heard
        assert [each["id"] for each in answers(hasty)] == list(range(300))
        assert hasty.closed is None


async def test_calls_that_wait_go_on_as_what_was_said_leaves() -> None:
    """A batch is read whole: what it asks is begun when there is room for answers."""
    narrow = SessionPolicy(outbound_frames=8, inflight=4)
    async with Rig(sessions=narrow) as rig:
        agent = await rig.agent()
        agent.reads.clear()
        assert agent.connection is not None
        for _ in range(7):
            agent.connection.notify("task.cancelled", CANCELLED)
        batch = [
            {"jsonrpc": "2.0", "id": n, "method": "agents.find"} for n in range(99)
        ]
        rig.spawn(agent.connection.receive(msgspec.json.encode(batch)))
        await settle()
        agent.frames.clear()
        agent.reads.set()
        await settle()

        assert {each["id"] for each in answers(agent)} == set(range(99))
        assert all("result" in each for each in answers(agent))
        assert agent.closed is None


async def test_one_whose_answers_can_not_be_sent_any_more_is_let_go() -> None:
    async with Rig(sessions=NARROW) as rig:
        gone = await rig.agent("gone")
        gone.reads.clear()
        asking = Asking(gone, 300)
        rig.spawn(asking.run())
        await settle()
        stopped_at = asking.done
        await gone.lose()

        assert (
            stopped_at < asking.done == 300
        )  # nothing holds up who reads a dead socket


class Asking:
    """An agent that asks without waiting for answers."""

    def __init__(self, agent: FakeAgent, times: int) -> None:
        self.agent = agent
        self.times = times
        self.done = 0

    async def run(self) -> None:
        connection = self.agent.connection
        assert connection is not None
        for number in range(self.times):
            call = {"jsonrpc": "2.0", "id": number, "method": "agents.find"}
            await connection.receive(msgspec.json.encode(call))
            self.done += 1


def answers(agent: FakeAgent) -> list[dict[str, Any]]:
    """All answers but the welcome."""
    own = [each for each in agent.frames if "method" not in each]
    return [each for each in own if "session" not in each.get("result", {})]
