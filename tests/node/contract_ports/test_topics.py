"""Topics, what inboxes tell of themselves, and answers: of every store."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.ports import (
    InboxMessage,
    SessionRecord,
    StandingSubscription,
    TopicMessage,
)
from tests import builders


async def told(arrivals: AsyncIterator[Any], count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(arrivals), 10) for _ in range(count)]


async def publish(world: Any, topic: str, *ids: str, ttl_s: int | None = None) -> Any:
    return [
        await world.store.inboxes.publish(
            "default", topic, builders.message(name), ttl_s=ttl_s
        )
        for name in ids
    ]


async def append(world: Any, agent: str, *ids: str) -> Any:
    return [
        await world.store.inboxes.append(
            "default", agent, builders.message(name), ttl_s=None
        )
        for name in ids
    ]


async def read(
    world: Any,
    pattern: str,
    after: int = 0,
    limit: int = 99,
    namespace: str = "default",
) -> Any:
    found = await world.store.inboxes.read_topics(
        namespace, pattern, after=after, limit=limit
    )
    return [(each.seq, each.topic, each.message.id) for each in found]


async def test_inboxes_and_topics_share_positions(world: Any) -> None:
    await append(world, "wc-1", "m1")
    await publish(world, "jobs.done", "m2")
    await append(world, "wc-1", "m3")

    assert await world.store.inboxes.last_seq() == 3
    assert await read(world, "jobs.done") == [(2, "jobs.done", "m2")]
    inbox = await world.store.inboxes.read("default", "wc-1", after=0, limit=9)
    assert [each.seq for each in inbox] == [1, 3]


async def test_topics_are_read_by_pattern_in_order(world: Any) -> None:
    for at, topic in enumerate(["a.b", "a.c", "a.b.c", "b", "a"]):
        await publish(world, topic, f"m{at}")

    assert [seq for seq, _, _ in await read(world, "a.*")] == [1, 2]
    assert [seq for seq, _, _ in await read(world, "a.>")] == [1, 2, 3]
    assert [seq for seq, _, _ in await read(world, ">")] == [1, 2, 3, 4, 5]
    assert [seq for seq, _, _ in await read(world, "*.b.*")] == [3]
    assert [seq for seq, _, _ in await read(world, "*")] == [4, 5]
    assert [seq for seq, _, _ in await read(world, "a.>", after=1, limit=1)] == [2]
    assert await read(world, ">", namespace="other") == []


async def test_many_messages_of_many_topics_are_read_whole(world: Any) -> None:
    await asyncio.gather(
        *(publish(world, f"jobs.j{n % 7}", f"m{n}") for n in range(600))
    )

    found = await read(world, "jobs.*", limit=1000)
    assert [seq for seq, _, _ in found] == list(range(1, 601))


async def test_an_id_is_one_message_of_each_topic_and_inbox(world: Any) -> None:
    assert await publish(world, "a.b", "m1", "m1") == [(1, False), (1, True)]
    assert await publish(world, "a.c", "m1") == [(2, False)]
    assert await append(world, "a", "m1") == [(3, False)]


async def test_a_topic_s_message_is_gone_when_its_time_is_over(world: Any) -> None:
    await publish(world, "a.b", "short", ttl_s=1)
    await publish(world, "a.b", "long", ttl_s=60)
    await world.pass_time(1.6)

    assert [name for _, _, name in await read(world, "a.b")] == ["long"]


async def test_nobody_acknowledges_a_topic(world: Any) -> None:
    await publish(world, "wc-1", "m1")
    await world.store.inboxes.ack("default", "wc-1", seq=1)
    await world.store.inboxes.ack("default", "wc-1", upto=9)

    assert len(await read(world, "wc-1")) == 1


async def test_arrivals_tell_both_kinds_in_order(world: Any) -> None:
    arrivals = world.store.inboxes.arrivals()
    await publish(world, "a.b", "m1")
    await append(world, "wc-1", "m2")

    assert await told(arrivals, 2) == [
        TopicMessage("default", "a.b", 1, builders.message("m1")),
        InboxMessage("default", "wc-1", 2, builders.message("m2")),
    ]
    await arrivals.aclose()


async def test_one_message_is_found_only_in_its_own_inbox(world: Any) -> None:
    await append(world, "wc-1", "m1")
    await publish(world, "wc-1", "m2")
    find = world.store.inboxes.find

    found = await find("default", "wc-1", 1)
    assert (found.seq, found.message.id) == (1, "m1")
    for agent, seq in (("wc-2", 1), ("wc-1", 2), ("wc-1", 3), ("wc-1", 0)):
        assert await find("default", agent, seq) is None


async def test_an_inbox_is_counted(world: Any) -> None:
    await append(world, "wc-1", "m1", "m2", "m3")
    await append(world, "wc-2", "m1")
    await world.store.inboxes.ack("default", "wc-1", seq=2)

    assert await world.store.inboxes.count("default", "wc-1") == 2
    assert await world.store.inboxes.count("default", "nobody") == 0


async def test_a_moment_has_a_position(world: Any) -> None:
    position = world.store.inboxes.position
    assert await position(datetime(2020, 1, 1, tzinfo=UTC)) == 0
    await append(world, "wc-1", "m1", "m2")
    await world.pass_time(0.1)
    clock = getattr(world, "clock", None)
    between = clock.now() if clock else datetime.now(UTC)
    await world.pass_time(0.1)
    await publish(world, "a", "m3")

    assert await position(datetime(2020, 1, 1, tzinfo=UTC)) == 0
    assert await position(between) == 2
    assert await position(between + timedelta(days=1)) == 3


@pytest.mark.parametrize("topic", ["a..b", "a b", "", "A", ">.a", "a.b\r\n", "x" * 256])
async def test_what_is_no_topic_reaches_no_real_store(world: Any, topic: str) -> None:
    if hasattr(world, "clock"):
        pytest.skip("the fake takes what its callers have checked")
    with pytest.raises(Invalid):
        await publish(world, topic, "m1")


async def test_a_topic_s_signal_reaches_who_listens(world: Any) -> None:
    arrivals = world.store.signals.arrivals()
    await world.store.signals.publish("default", "a.b", builders.message("m1"))

    heard = TopicMessage("default", "a.b", 0, builders.message("m1"))
    assert await told(arrivals, 1) == [heard]
    await arrivals.aclose()


async def test_an_answer_reaches_the_node_that_waits_and_is_confirmed(
    world: Any,
) -> None:
    taken: list[Any] = []

    def take(*answer: Any) -> bool:
        taken.append(answer)
        return len(taken) == 1

    signals, message = world.store.signals, builders.message("m1")
    assert not await signals.answer("abc", "default", "nx-reply-1", message)
    await signals.take_answers("abc", take)
    await signals.take_answers("abc", take)
    assert await signals.answer("abc", "default", "nx-reply-1", message)
    assert not await signals.answer("abc", "default", "nx-reply-1", message)
    assert not await signals.answer("def", "default", "nx-reply-1", message)

    assert taken == [("default", "nx-reply-1", message)] * 2


async def test_a_session_s_record_is_kept_whole_and_swapped_by_revision(
    world: Any,
) -> None:
    record = SessionRecord(
        session="s1",
        token_sha256="t",
        node="n1",
        incarnation=None,
        epoch="e",
        subscriptions=(StandingSubscription(id="1", topic="a.>", after=7),),
        again={3: 1_700_000_000_000},
    )
    sessions = world.store.sessions
    first = await sessions.put("default", "wc-1", record)
    second = await sessions.put("default", "wc-1", record, revision=first)
    with pytest.raises(Conflict):
        await sessions.put("default", "wc-1", record, revision=first)

    found = await sessions.get("default", "wc-1")
    assert (found.value, found.revision) == (record, second)
    assert second > first
