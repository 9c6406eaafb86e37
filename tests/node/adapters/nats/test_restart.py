"""kill -9 of nats-server in the middle of it all: nothing missed, nothing twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from nexa_node.adapters.nats.queue import NatsQueue
from nexa_node.adapters.nats.store import Background, NatsStore
from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.ports import Caught, Removed, Versioned
from tests import builders
from tests.node.adapters.nats.tools import back, kill

WRITES = 120


async def next_of(watch: AsyncIterator[Any], count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(watch), 20) for _ in range(count)]


async def through_a_kill(
    store: NatsStore, write: Callable[[int], Any], *, kills: int = 2
) -> None:
    """Write one after another, killing the server now and then."""
    every = WRITES // (kills + 1)
    for n in range(WRITES):
        if n and n % every == 0:
            kill(store)
        await write(n)


async def test_acknowledged_writes_survive_and_waiting_ones_get_through(
    store: NatsStore,
) -> None:
    revisions: dict[str, int | None] = {}

    async def write(n: int) -> None:
        revisions[f"t{n}"] = await store.tasks.create(builders.task(f"t{n}"))

    await through_a_kill(store, write)

    assert None not in revisions.values()
    for name, revision in revisions.items():
        found = await store.tasks.get(name)
        assert found is not None
        assert found.revision == revision


async def test_a_watch_misses_nothing_and_repeats_nothing(store: NatsStore) -> None:
    await store.tasks.create(builders.task("gone"))
    watch = store.tasks.watch()
    assert len(await next_of(watch, 2)) == 2
    told: list[Any] = []

    async def listen() -> None:
        async for item in watch:
            told.append(item)
            if isinstance(item, Versioned) and item.value.id == f"t{WRITES - 1}":
                return

    async def write(n: int) -> None:
        await store.tasks.create(builders.task(f"t{n}"))
        if n == WRITES // 2:
            await store.tasks.delete("gone")

    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        group.create_task(listen())
        group.create_task(through_a_kill(store, write))
    await watch.aclose()

    names = [item.value.id for item in told if isinstance(item, Versioned)]
    assert sorted(names) == sorted(f"t{n}" for n in range(WRITES))
    assert [item for item in told if not isinstance(item, Versioned)] == [
        Removed("gone")
    ]


async def test_a_watch_finds_out_what_was_removed_while_it_was_away(
    store: NatsStore,
) -> None:
    for name in ("stays", "goes"):
        await store.tasks.create(builders.task(name))
    watch = store.tasks.watch()
    first = await next_of(watch, 3)
    # The watch does not run now: its consumer dies with the server.
    kill(store)
    await back(store, 1)
    await store.tasks.delete("goes")
    # Even the marker is gone, as after an hour away.
    await store._connection.call(
        "STREAM.PURGE.KV_nx_tasks",
        _purge("$KV.nx_tasks.goes"),
        _answer(),
    )

    assert first[-1] == Caught()
    assert await next_of(watch, 1) == [Removed("goes")]
    await watch.aclose()


def _purge(subject: str) -> Any:
    from nexa_node.adapters.nats import wire

    return wire.Purge(filter=subject)


def _answer() -> Any:
    from nexa_node.adapters.nats import wire

    return wire.Answer


async def test_arrivals_go_on_without_gap_or_repetition(store: NatsStore) -> None:
    inbox, events = store.inboxes.arrivals(), store.events.arrivals()

    async def write(n: int) -> None:
        await store.inboxes.append(
            "default", "a", builders.message(f"m{n}"), ttl_s=None
        )
        await store.events.append(builders.event(f"e{n}"))

    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        messages = group.create_task(next_of(inbox, WRITES))
        happened = group.create_task(next_of(events, WRITES))
        group.create_task(through_a_kill(store, write))
    await inbox.aclose()
    await events.aclose()

    assert [one.message.id for one in messages.result()] == [
        f"m{n}" for n in range(WRITES)
    ]
    assert [one.seq for one in messages.result()] == list(range(1, WRITES + 1))
    assert [one.id for one in happened.result()] == [f"e{n}" for n in range(WRITES)]


async def test_arrivals_that_nobody_read_yet_are_not_missed(store: NatsStore) -> None:
    arrivals = store.inboxes.arrivals()
    kill(store)
    await store.inboxes.append("default", "a", builders.message("m1"), ttl_s=None)
    kill(store)
    await back(store, 2)

    assert (await next_of(arrivals, 1))[0].message.id == "m1"
    await arrivals.aclose()


async def test_signals_are_heard_again_after_a_restart(store: NatsStore) -> None:
    arrivals = store.signals.arrivals()
    kill(store)
    await back(store, 1)
    await store.signals.send("default", "a", builders.message("m1"))

    assert (await next_of(arrivals, 1))[0].message.id == "m1"
    await arrivals.aclose()


async def test_every_task_is_done_and_each_delivery_acknowledged(
    store: NatsStore,
) -> None:
    background = Background()
    queue = NatsQueue(store._connection, background.spawn, redeliver_s=1.5)
    done: set[str] = set()

    async def put(n: int) -> None:
        await queue.put(builders.task(f"t{n}"))

    async def work() -> None:
        while len(done) < WRITES:
            for delivery in await queue.take("default", "wc", limit=5, wait_s=0.5):
                done.add(delivery.task.id)
                delivery.ack()

    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(work())
        group.create_task(through_a_kill(store, put))

    assert done == {f"t{n}" for n in range(WRITES)}
    await asyncio.sleep(1.6)
    assert await queue.take("default", "wc", limit=9, wait_s=0) == []
    await background.settle(1)


async def test_what_was_in_hand_comes_again(store: NatsStore) -> None:
    background = Background()
    queue = NatsQueue(store._connection, background.spawn, redeliver_s=1.5)
    await queue.put(builders.task("a"))
    [held] = await queue.take("default", "wc", limit=1, wait_s=1)
    kill(store)
    await back(store, 1)

    [again] = await queue.take("default", "wc", limit=1, wait_s=10)
    assert again.task == held.task
    await background.settle(1)


async def test_what_was_in_hand_can_still_be_acknowledged(store: NatsStore) -> None:
    background = Background()
    queue = NatsQueue(store._connection, background.spawn, redeliver_s=1.5)
    await queue.put(builders.task("a"))
    [held] = await queue.take("default", "wc", limit=1, wait_s=1)
    kill(store)
    held.ack()

    assert await queue.take("default", "wc", limit=1, wait_s=2.5) == []
    await background.settle(1)


async def test_of_racing_writers_one_wins_each_round(store: NatsStore) -> None:
    revision = await store.tasks.create(builders.task())
    assert revision is not None
    wins = 0

    async def race(name: str) -> None:
        nonlocal wins
        for _ in range(60):
            found = await store.tasks.get(builders.TASK_ID)
            assert found is not None
            count = int(found.value.note or 0)
            try:
                await store.tasks.update(
                    builders.task(note=str(count + 1)), revision=found.revision
                )
                wins += 1
            except (Conflict, Unavailable):
                continue

    async def trouble() -> None:
        for _ in range(2):
            await asyncio.sleep(0.1)
            kill(store)
            await asyncio.sleep(0.3)

    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(race(name))
        group.create_task(trouble())
    found = await store.tasks.get(builders.TASK_ID)

    assert found is not None
    # A write whose answer was lost, and that others wrote over, was told as a conflict.
    assert wins <= int(found.value.note or 0) <= wins + 2 * 3
