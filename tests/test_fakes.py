"""The fakes keep the promises of their ports; other tests lean on that."""

import asyncio

import pytest

from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.ports import Caught, Removed
from tests import builders
from tests.fakes import FakeClock, MemoryStore, settle


async def test_sleepers_wake_in_order_when_time_moves() -> None:
    clock, woken = FakeClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for seconds in (3, 1, 2):
            group.create_task(sleeper(seconds))
        await clock.advance(2.5)

        assert woken == [(1, 1001.0), (2, 1002.0)]
        await clock.advance(1)


async def test_the_wall_clock_jumps_alone() -> None:
    clock = FakeClock()
    clock.jump(-3600)

    assert clock.monotonic() == 1000.0
    assert clock.now().hour == 11


async def test_a_stale_write_loses() -> None:
    records = MemoryStore().tasks
    first = await records.create(builders.task())
    await records.update(builders.task(status="running"), revision=first)

    with pytest.raises(Conflict):
        await records.update(builders.task(status="completed"), revision=first)
    assert await records.create(builders.task()) is None


async def test_a_watch_tells_what_is_there_then_what_changes() -> None:
    records = MemoryStore().tasks
    records.seed(builders.task())
    watch = records.watch()

    assert (await anext(watch)).value == builders.task()
    assert await anext(watch) == Caught()
    await records.delete(builders.TASK_ID)
    assert await anext(watch) == Removed(builders.TASK_ID)
    await watch.aclose()


async def test_what_is_not_kept_is_handed_out_again() -> None:
    store = MemoryStore(keep_every_s=10)
    await store.queue.put(builders.task())
    [held] = await store.queue.take("default", "wc", limit=5, wait_s=0)
    await store.clock.advance(25)
    await held.keep()

    async with asyncio.TaskGroup() as group:
        again = group.create_task(store.queue.take("default", "wc", limit=5, wait_s=60))
        await store.clock.advance(29)
        assert not again.done()
        await store.clock.advance(1.5)

    assert [delivery.task.id for delivery in again.result()] == [builders.TASK_ID]
    again.result()[0].ack()
    assert store.queue.waiting() == store.queue.held() == []


async def test_the_most_urgent_goes_first_and_a_given_back_one_waits() -> None:
    store = MemoryStore()
    assert not await store.queue.put(builders.task("a"))
    assert not await store.queue.put(builders.task("b", priority="critical"))
    assert await store.queue.put(builders.task("a"))

    [urgent, normal] = await store.queue.take("default", "wc", limit=5, wait_s=0)
    await urgent.give_back(delay_s=5)
    await normal.give_back()

    assert (urgent.task.id, normal.task.id) == ("b", "a")
    [only] = await store.queue.take("default", "wc", limit=5, wait_s=0)
    assert only.task.id == "a"
    await store.clock.advance(5)
    [late] = await store.queue.take("default", "wc", limit=5, wait_s=0)
    assert late.task.id == "b"


async def test_an_empty_queue_answers_after_the_wait() -> None:
    store = MemoryStore()
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(store.queue.take("default", "wc", limit=1, wait_s=3))
        await store.clock.advance(3)

    assert taking.result() == []


async def test_an_unavailable_store_answers_nothing_and_loses_nothing() -> None:
    store = MemoryStore()
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(
            asyncio.wait_for(
                asyncio.gather(
                    store.queue.take("default", "wc", limit=1, wait_s=9),
                    return_exceptions=True,
                ),
                5,
            )
        )
        await settle()
        store.available = False
    with pytest.raises(Unavailable):
        await store.round_trip()
    assert isinstance(taking.result()[0], Unavailable)
    assert not store.health().connected

    store.available, store.lose_answers = True, True
    with pytest.raises(Unavailable):
        await store.tasks.create(builders.task())
    assert store.tasks.now(builders.TASK_ID) == builders.task()


async def test_an_inbox_keeps_until_acked_or_expired() -> None:
    store = MemoryStore()
    arrivals = store.inboxes.arrivals()
    append = store.inboxes.append
    assert await append("default", "a", builders.message("1"), ttl_s=None) == (1, False)
    assert await append("default", "a", builders.message("1"), ttl_s=None) == (1, True)
    assert await append("default", "a", builders.message("2"), ttl_s=10) == (2, False)
    assert await append("default", "b", builders.message("3"), ttl_s=None) == (3, False)

    assert (await anext(arrivals)).seq == 1
    assert await store.inboxes.last_seq() == 3
    await store.clock.advance(11)
    [left] = await store.inboxes.read("default", "a", after=0, limit=9)
    assert left.seq == 1
    await store.inboxes.ack("default", "a", upto=3)
    assert await store.inboxes.read("default", "a", after=0, limit=9) == []
    [other] = await store.inboxes.read("default", "b", after=0, limit=9)
    assert other.message.id == "3"
    await arrivals.aclose()


def test_the_builders_build() -> None:
    assert builders.snapshot().agents[0].id == "wc-1"
    assert builders.task(status="failed").error
    assert builders.token_record().id == "op1"
    assert builders.identity("admin").role == "admin"
