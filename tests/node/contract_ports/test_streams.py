"""What inboxes, signals, events and the store as a whole promise, of every store."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from nexa_node.contract.messages import Address
from nexa_node.ports import InboxMessage
from tests import builders


async def told(arrivals: AsyncIterator[Any], count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(arrivals), 10) for _ in range(count)]


async def append(world: Any, agent: str, *ids: str, ttl_s: int | None = None) -> Any:
    return [
        await world.store.inboxes.append(
            "default", agent, builders.message(name), ttl_s=ttl_s
        )
        for name in ids
    ]


async def read(world: Any, agent: str = "wc-1", after: int = 0, limit: int = 99) -> Any:
    found = await world.store.inboxes.read("default", agent, after=after, limit=limit)
    return [(message.seq, message.message.id) for message in found]


async def test_positions_grow_and_the_same_id_is_stored_once(world: Any) -> None:
    assert await append(world, "wc-1", "m1", "m2") == [(1, False), (2, False)]
    assert await append(world, "wc-1", "m1") == [(1, True)]
    assert await append(world, "wc-2", "m1") == [(3, False)]
    assert await world.store.inboxes.last_seq() == 3


async def test_to_a_capability_the_same_id_is_stored_once_whoever_was_chosen(
    world: Any,
) -> None:
    async def choose(agent: str, capability: str) -> tuple[int, bool]:
        to = Address(capability=capability)
        message = builders.message("m1", to=to)
        inboxes = world.store.inboxes
        return await inboxes.append("default", agent, message, ttl_s=None)

    assert await choose("wc-1", "wc") == (1, False)
    assert await choose("wc-2", "wc") == (1, True)
    assert await choose("wc-2", "grep") == (2, False)
    assert await append(world, "wc-2", "m1") == [(3, False)]


async def test_ids_that_would_break_a_header_are_only_ids(world: Any) -> None:
    hostile = ["a\r\nNats-Rollup: all", "a", " a", "é\x00", "x" * 5000]
    stored = await append(world, "wc-1", *hostile)

    assert [duplicate for _, duplicate in stored] == [False] * 5
    assert [name for _, name in await read(world)] == hostile


async def test_reading_begins_past_a_position_and_ends_at_a_limit(world: Any) -> None:
    await append(world, "wc-1", "m1", "m2", "m3", "m4")
    await append(world, "wc-2", "other")

    assert await read(world, after=1, limit=2) == [(2, "m2"), (3, "m3")]
    assert await read(world, after=9) == []
    assert await read(world, "nobody") == []


async def test_an_inbox_of_many_is_read_whole(world: Any) -> None:
    names = [f"m{n}" for n in range(600)]
    await asyncio.gather(*(append(world, "wc-1", name) for name in names))

    assert sorted(name for _, name in await read(world, limit=1000)) == sorted(names)


async def test_what_is_acknowledged_is_not_read_again(world: Any) -> None:
    ack = world.store.inboxes.ack
    await append(world, "wc-1", "m1", "m2", "m3", "m4")
    await ack("default", "wc-1", seq=3)
    await ack("default", "wc-1", seq=3)
    assert await read(world) == [(1, "m1"), (2, "m2"), (4, "m4")]

    await ack("default", "wc-1", upto=2)
    await ack("default", "wc-1", upto=2)
    assert await read(world) == [(4, "m4")]


async def test_nobody_acknowledges_for_somebody_else(world: Any) -> None:
    await append(world, "wc-1", "m1")
    await append(world, "wc-2", "m2")
    await world.store.inboxes.ack("default", "wc-2", seq=1)
    await world.store.inboxes.ack("default", "wc-2", upto=9)

    assert await read(world) == [(1, "m1")]
    assert await read(world, "wc-2") == []


async def test_a_message_is_gone_when_its_time_is_over(world: Any) -> None:
    await append(world, "wc-1", "short", ttl_s=1)
    await append(world, "wc-1", "long", ttl_s=60)
    await world.pass_time(1.6)

    assert await read(world) == [(2, "long")]


async def test_arrivals_begin_with_the_call(world: Any) -> None:
    await append(world, "wc-1", "before")
    arrivals = world.store.inboxes.arrivals()
    await append(world, "wc-1", "m1")
    await append(world, "wc-2", "m2")

    found = await told(arrivals, 2)
    await arrivals.aclose()
    assert [(one.agent, one.seq, one.message.id) for one in found] == [
        ("wc-1", 2, "m1"),
        ("wc-2", 3, "m2"),
    ]


async def test_the_epoch_stays(world: Any) -> None:
    epoch = await world.store.inboxes.epoch()
    await append(world, "wc-1", "m1")

    assert epoch
    assert await world.store.inboxes.epoch() == epoch


async def test_a_signal_reaches_who_listens_and_nobody_later(world: Any) -> None:
    signals = world.store.signals
    await signals.send("default", "wc-1", builders.message("before"))
    await asyncio.sleep(0.05)
    arrivals = signals.arrivals()
    await signals.send("default", "wc-1", builders.message("m1"))

    heard = InboxMessage("default", "wc-1", 0, builders.message("m1"))
    assert await told(arrivals, 1) == [heard]
    await arrivals.aclose()


async def test_the_newest_events_come_oldest_first(world: Any) -> None:
    events = world.store.events
    assert await events.recent(limit=5) == []
    for n in range(5):
        await events.append(builders.event(f"e{n}"))

    assert [event.id for event in await events.recent(limit=2)] == ["e3", "e4"]
    assert len(await events.recent(limit=99)) == 5


async def test_events_arrive_from_the_call_on(world: Any) -> None:
    await world.store.events.append(builders.event("before"))
    arrivals = world.store.events.arrivals()
    await world.store.events.append(builders.event("after"))

    assert await told(arrivals, 1) == [builders.event("after")]
    await arrivals.aclose()


async def test_a_store_that_works_says_so(world: Any) -> None:
    trip = await world.store.round_trip()

    assert world.store.health().connected
    assert min(trip.publish_ms, trip.read_ms, trip.cas_ms) > 0
