"""Random letters, topics, losses and resumptions, against a client that knows nothing
but the highest seq it saw: it gets all it is meant to get, in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from nexa_node.contract.ids import AgentId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.core.policies import SessionPolicy
from nexa_node.core.topics import matches
from nexa_node.ports import Arrived, InboxMessage, TopicMessage
from nexa_node.services.messages import delivery
from tests.fakes import MemoryInboxes, MemorySessions, MemoryStore, settle
from tests.rig import FakeAgent, Rig

STEPS = 150
TOPICS = ("a.x", "a.y", "b.x", "b.y.z")
PATTERNS = ("a.*", "*.x", "b.>", "a.x")
POLICY = SessionPolicy(messages_per_s=1e6, messages_burst=1_000_000, outbound_frames=12)


async def linger(rng: random.Random, most: int) -> None:
    for _ in range(rng.randrange(most)):
        await asyncio.sleep(0)


class LateInboxes(MemoryInboxes):
    """A store whose answers, and whose arrivals, take a while to come."""

    rng: random.Random

    async def read(self, *args: Any, **kwargs: Any) -> list[InboxMessage]:
        found = await super().read(*args, **kwargs)
        await self._linger()
        return found

    async def read_topics(self, *args: Any, **kwargs: Any) -> list[TopicMessage]:
        found = await super().read_topics(*args, **kwargs)
        await self._linger()
        return found

    async def last_seq(self) -> int:
        found = await super().last_seq()
        await self._linger()
        return found

    def arrivals(self) -> AsyncIterator[Arrived]:
        return self._late(super().arrivals())

    async def _late(self, arrivals: AsyncIterator[Arrived]) -> AsyncIterator[Arrived]:
        async for arrived in arrivals:
            await self._linger()
            yield arrived

    async def _linger(self) -> None:
        await linger(self.rng, 12)


class LateSessions(MemorySessions):
    """Records that take a while to be written."""

    rng: random.Random

    async def put(self, *args: Any, **kwargs: Any) -> int:
        await linger(self.rng, 12)
        revision = await super().put(*args, **kwargs)
        await linger(self.rng, 12)
        return revision


class Client:
    """Knows the highest seq it saw."""

    def __init__(self, agent: FakeAgent) -> None:
        self.agent = agent
        self.topics: dict[str, int] = {}
        """Pattern → from which position on, at the latest, it is told."""
        self.seen: list[int] = []
        self.last = 0
        self.is_connected = True

    def take(self) -> None:
        """Look at what came; per connection, letters come in order."""
        told = self.agent.told("message.deliver")
        letters = [each["seq"] for each in told if "subscription" not in each]
        assert letters == sorted(set(letters))
        self.seen += [each["seq"] for each in told]
        self.last = max([self.last, *(each["seq"] for each in told)])

    def forget(self) -> None:
        self.take()
        self.agent.frames.clear()

    def wants(self, seq: int, where: str, topic: bool) -> bool:
        if not topic:
            return where == self.agent.id
        return any(
            seq > since and matches(pattern, where)
            for pattern, since in self.topics.items()
        )


class World:
    """Two nodes over one store, three clients, and what was sent."""

    def __init__(self, rng: random.Random, one: Rig, two: Rig) -> None:
        self.rng = rng
        self.rigs = [one, two]
        self.clients: list[Client] = []
        self.sent: list[tuple[int, str, bool]] = []

    async def step(self) -> None:
        """Something happens to a client while messages are on their way."""
        client = self.rng.choice(self.clients)
        for _ in range(self.rng.randrange(4)):
            rig = self.rng.choice(self.rigs)
            rig.spawn(self.send(rig, self.rng.choice(self.clients).agent.id))
        await linger(self.rng, 30)
        if not client.is_connected:
            await self.resume(client)
        elif self.rng.random() < 0.2:
            await self.lose(client)
        elif self.rng.random() < 0.4:
            await self.subscribe(client)
        elif self.rng.random() < 0.5:
            client.agent.reads.clear()
        else:
            client.agent.reads.set()

    async def send(self, rig: Rig, agent: str) -> None:
        await linger(self.rng, self.rng.choice([60, 1500]))
        topic = self.rng.choice([None, *TOPICS])
        to = Address(agent=AgentId(agent)) if topic is None else Address(topic=topic)
        sent = await rig.messages.send("token:op1", NewMessage(to=to, type="note"))
        assert sent.seq is not None
        self.sent.append((sent.seq, topic or agent, topic is not None))

    async def subscribe(self, client: Client) -> None:
        """Subscribe to something, or no longer."""
        pattern = self.rng.choice(PATTERNS)
        if not client.agent.reads.is_set():
            return
        if client.topics.pop(pattern, None) is not None:
            await client.agent.call("topic.unsubscribe", topic=pattern)
            return
        seq = self.rng.randrange(1, 2 + self.rigs[0].store.inboxes._last)
        start = self.rng.choice(["new", "all", {"seq": seq}])
        number = await client.agent.ask(
            "topic.subscribe", topic=pattern, **{"from": start}
        )
        assert "result" in client.agent.answer(number)
        newest = self.rigs[0].store.inboxes._last
        client.topics[pattern] = {"new": newest, "all": 0}.get(str(start), seq - 1)

    async def lose(self, client: Client) -> None:
        client.agent.reads.set()
        await linger(self.rng, 10)
        client.forget()
        await client.agent.lose()
        client.is_connected = False

    async def resume(self, client: Client) -> None:
        client.agent.rig = self.rng.choice(self.rigs)
        answer = await client.agent.resume(last_seq=client.last)
        assert answer["result"]["resumed"]
        client.is_connected = True

    async def end(self) -> None:
        for client in self.clients:
            client.agent.reads.set()
            if not client.is_connected:
                await self.resume(client)
        await self.rigs[0].clock.advance(1)


@pytest.mark.parametrize("seed", range(10))
async def test_a_naive_client_misses_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "READ_AT_ONCE", 3)
    rng = random.Random(seed)
    store = MemoryStore()
    store.inboxes = LateInboxes(store.door, store.clock, store.retention)
    store.sessions = LateSessions(store.door)
    store.inboxes.rng = store.sessions.rng = rng
    async with (
        Rig(store=store, sessions=POLICY) as one,
        Rig(store=store, name="beta", sessions=POLICY) as two,
    ):
        world = World(rng, one, two)
        for n in range(3):
            agent = await rng.choice([one, two]).agent(f"wc-{n}")
            world.clients.append(Client(agent))
        for _ in range(STEPS):
            await world.step()
        await settle()
        await world.end()

        for client in world.clients:
            client.take()
            seen = set(client.seen)
            missed = [each for each in world.sent if client.wants(*each)]
            assert [each for each in missed if each[0] not in seen] == []
        assert len(world.sent) > STEPS / 3


class SlippingInboxes(MemoryInboxes):
    """A store into which something is put after a read was made, and before it ends."""

    slip: Callable[[], Awaitable[Any]] | None = None

    async def read_topics(self, *args: Any, **kwargs: Any) -> list[TopicMessage]:
        found = await super().read_topics(*args, **kwargs)
        slip, self.slip = self.slip, None
        if slip is not None:
            await slip()
            for _ in range(50):
                await asyncio.sleep(0)
        return found


async def test_what_slips_in_behind_the_last_read_of_a_replay_is_told() -> None:
    store = MemoryStore()
    store.inboxes = slipping = SlippingInboxes(store.door, store.clock, store.retention)
    async with Rig(store=store) as rig:

        async def post(to: Address) -> None:
            await rig.messages.send("token:op1", NewMessage(to=to, type="note"))

        agent = await rig.agent("wc-1")
        await post(Address(topic="a"))
        await post(Address(agent=AgentId("wc-1")))
        await settle()
        slipping.slip = partial(post, Address(topic="a"))
        await agent.call("topic.subscribe", topic="a", **{"from": "all"})

        told = [each["seq"] for each in agent.told("message.deliver")]
        assert told == [2, 1, 3]
