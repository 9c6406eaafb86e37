"""Topics, answers and lifetimes in the real stream: settings, kills, foreign bytes."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.signals import NatsSignals
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.errors import Unavailable
from nexa_node.core.policies import RetentionPolicy
from tests import builders
from tests.node.adapters.nats.tools import back, kill, opened


async def publish(store: NatsStore, topic: str, name: str) -> int:
    seq, _ = await store.inboxes.publish(
        "default", topic, builders.message(name), ttl_s=None
    )
    return seq


def planned(retention: RetentionPolicy, name: str) -> wire.StreamConfig:
    return next(one for one in topology.plan(retention) if one.name == name)


def test_the_stream_keeps_what_is_kept_the_longest() -> None:
    keep = RetentionPolicy(inbox_hours=1, topics_hours=2, objects_hours=0.01)

    inbox = planned(keep, topology.INBOX)
    assert inbox.subjects == ("nx.inbox.>", "nx.topic.>")
    assert inbox.max_age == 2 * 3600 * wire.SECOND
    objects = planned(keep, topology.OBJECTS)
    assert objects.max_age == objects.duplicate_window == 36 * wire.SECOND


async def test_what_is_kept_shorter_than_the_stream_says_so_itself(
    folder: Path,
) -> None:
    keep = RetentionPolicy(
        inbox_hours=1 / 3600, topics_hours=1, topics_hours_of={"short": 1 / 3600}
    )
    async with opened(folder, retention=keep) as store:
        message = builders.message
        await store.inboxes.append("default", "a", message("m1"), ttl_s=None)
        await store.inboxes.publish("short", "a", message("m2"), ttl_s=None)
        await store.inboxes.publish("default", "a", message("m3"), ttl_s=None)
        read, topics = store.inboxes.read, store.inboxes.read_topics
        async with asyncio.timeout(20):
            while await read("default", "a", after=0, limit=9):
                await asyncio.sleep(0.05)
            while await topics("short", ">", after=0, limit=9):
                await asyncio.sleep(0.05)

        assert len(await topics("default", ">", after=0, limit=9)) == 1


async def test_a_store_from_before_topics_gets_them_and_keeps_its_letters(
    folder: Path,
) -> None:
    async with opened(folder) as store:
        await store.inboxes.append("default", "a", builders.message("m1"), ttl_s=None)
        epoch = await store.inboxes.epoch()
        call = store._connection.call
        info = await call("STREAM.INFO.NX_INBOX", None, wire.StreamInfo)
        assert info.config is not None
        old = {**_plain(info.config), "subjects": ["nx.inbox.>"]}
        answer, _ = await store._connection.request(
            "$JS.API.STREAM.UPDATE.NX_INBOX", _json(old)
        )
        assert b"error" not in answer.data
    async with opened(folder) as store:
        assert await publish(store, "a.b", "m2") == 2

        assert await store.inboxes.epoch() == epoch
        assert len(await store.inboxes.read("default", "a", after=0, limit=9)) == 1


async def test_topics_survive_a_kill(store: NatsStore) -> None:
    arrivals = store.inboxes.arrivals()
    await publish(store, "a.b", "m1")
    kill(store)
    await publish(store, "a.c", "m2")

    found = [await asyncio.wait_for(anext(arrivals), 20) for _ in range(2)]
    assert [each.seq for each in found] == [1, 2]
    read = await store.inboxes.read_topics("default", "a.*", after=0, limit=9)
    assert [each.topic for each in read] == ["a.b", "a.c"]
    await arrivals.aclose()


async def test_answers_reach_their_node_after_a_kill(store: NatsStore) -> None:
    taken: list[str] = []

    def take(_namespace: str, address: str, _message: Any) -> bool:
        taken.append(address)
        return True

    await store.signals.take_answers("abc", take)
    kill(store)
    await back(store, 1)

    assert await store.signals.answer("abc", "default", "x-1", builders.message())
    assert taken == ["x-1"]


async def test_an_answer_nobody_confirms_is_unavailable(store: NatsStore) -> None:
    store._connection.timeout_s = 0.3
    session = await store._connection.session()
    deaf = await session.inbox("nx.reply.deaf.>")
    with pytest.raises(Unavailable, match="not confirmed"):
        await store.signals.answer("deaf", "default", "x-1", builders.message())
    await deaf.close()


async def test_an_answer_that_can_not_be_read_is_no_answer(store: NatsStore) -> None:
    taken: list[Any] = []
    await store.signals.take_answers("abc", lambda *answer: bool(taken.append(answer)))
    session = await store._connection.session()
    await session.publish("nx.reply.abc.default.x-1", b"\xff")
    assert not await store.signals.answer("abc", "default", "x-2", builders.message())

    assert [address for _, address, _ in taken] == ["x-2"]


async def test_signals_before_the_store_is_open_are_refused() -> None:
    signals = NatsSignals()
    with pytest.raises(Unavailable):
        await signals.publish("default", "a", builders.message())
    with pytest.raises(Unavailable):
        await signals.take_answers("abc", lambda *_: True)
    with pytest.raises(Unavailable):
        await signals.answer("abc", "default", "x", builders.message())


async def test_garbage_in_a_topic_is_passed_over(store: NatsStore) -> None:
    arrivals = store.inboxes.arrivals()
    await store._connection.store("nx.topic.default.a.b", b"\xff", message_id="g")
    await store._connection.store("nx.inbox.default.a", b"\xff", message_id="h")
    await publish(store, "a.b", "m")

    assert (await asyncio.wait_for(anext(arrivals), 10)).seq == 3
    found = await store.inboxes.read_topics("default", ">", after=0, limit=2)
    assert [each.seq for each in found] == [3]
    assert await store.inboxes.find("default", "a", 2) is None
    await arrivals.aclose()


@pytest.mark.parametrize("call", ["count", "find", "position", "read_topics"])
async def test_a_stream_that_is_gone_is_unavailable(
    store: NatsStore, call: str
) -> None:
    store._connection.timeout_s = 1
    await store._connection.call("STREAM.DELETE.NX_INBOX", None, wire.Answer)
    calls = {
        "count": lambda: store.inboxes.count("default", "a"),
        "find": lambda: store.inboxes.find("default", "a", 1),
        "position": lambda: store.inboxes.position(builders.NOW),
        "read_topics": lambda: store.inboxes.read_topics(
            "default", "a", after=0, limit=1
        ),
    }
    with pytest.raises(Unavailable):
        await calls[call]()


async def test_a_slow_follower_of_topics_and_letters_misses_none(
    store: NatsStore,
) -> None:
    arrivals = store.inboxes.arrivals()
    await asyncio.gather(*(publish(store, f"a.t{n % 5}", f"m{n}") for n in range(500)))
    found = [(await asyncio.wait_for(anext(arrivals), 10)).seq for _ in range(500)]

    assert found == list(range(1, 501))
    await arrivals.aclose()


def _plain(config: wire.StreamConfig) -> dict[str, Any]:
    return msgspec.to_builtins(config)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
