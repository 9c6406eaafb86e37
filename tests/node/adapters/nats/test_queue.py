"""The queue under cancellation and with bad company; the rest is in contract_ports."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.queue import NatsQueue
from nexa_node.adapters.nats.store import Background, NatsStore
from nexa_node.adapters.nats.wire import ConsumerInfo
from nexa_node.contract.tasks import PRIORITIES
from tests import builders
from tests.node.adapters.nats.tools import kill


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    background = Background()
    yield background
    await background.settle(2)


async def test_a_cancelled_wait_keeps_nothing(
    store: NatsStore, background: Background
) -> None:
    """Redelivery would take 12 s; what a cancelled caller left comes at once."""
    queue = NatsQueue(store._connection, background.spawn)
    found: list[str] = []
    for n in range(40):
        waiting = asyncio.ensure_future(queue.take("default", "wc", limit=1, wait_s=30))
        await asyncio.sleep(0.001 * (n % 8))
        await queue.put(builders.task(f"t{n}", priority=PRIORITIES[n % 4]))
        waiting.cancel()
        [result] = await asyncio.gather(waiting, return_exceptions=True)
        if isinstance(result, list):
            found += [delivery.task.id for delivery in result]

    async with asyncio.timeout(8):
        while len(found) < 40:
            taken = await queue.take("default", "wc", limit=40, wait_s=1)
            found += [delivery.task.id for delivery in taken]
    assert sorted(found) == sorted(f"t{n}" for n in range(40))


async def test_what_comes_on_several_priorities_at_once_is_not_kept(
    store: NatsStore, background: Background
) -> None:
    queue = NatsQueue(store._connection, background.spawn)
    found: list[str] = []
    async with asyncio.timeout(20):
        for n in range(20):
            waiting = asyncio.ensure_future(
                queue.take("default", "wc", limit=1, wait_s=30)
            )
            await asyncio.sleep(0.01)
            await asyncio.gather(
                *(queue.put(builders.task(f"{p}{n}", priority=p)) for p in PRIORITIES)
            )
            found += [delivery.task.id for delivery in await waiting]
        while len(found) < 80:
            taken = await queue.take("default", "wc", limit=80, wait_s=1)
            found += [delivery.task.id for delivery in taken]

    assert len(set(found)) == 80


async def test_many_waiting_at_once_get_each_task_once(
    store: NatsStore, background: Background
) -> None:
    queue = NatsQueue(store._connection, background.spawn)
    found: list[str] = []

    async def worker() -> None:
        while len(found) < 100:
            for delivery in await queue.take("default", "wc", limit=3, wait_s=0.3):
                found.append(delivery.task.id)
                delivery.ack()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(worker())
        for n in range(100):
            await queue.put(builders.task(f"t{n}"))

    assert sorted(found) == sorted(f"t{n}" for n in range(100))


async def test_a_task_that_can_not_be_read_is_dropped(
    store: NatsStore, background: Background
) -> None:
    queue = NatsQueue(store._connection, background.spawn, redeliver_s=0.6)
    await store._connection.store(
        f"{topology.TASKQ_PREFIX}.default.high.wc.-.x", b"{", message_id="x"
    )
    await queue.put(builders.task("good"))

    taken = await queue.take("default", "wc", limit=5, wait_s=0)
    assert [delivery.task.id for delivery in taken] == ["good"]
    taken[0].ack()
    await background.settle(2)
    assert await queue.take("default", "wc", limit=5, wait_s=1) == []


async def test_a_consumer_that_was_removed_is_made_again(
    store: NatsStore, background: Background
) -> None:
    queue = NatsQueue(store._connection, background.spawn)
    await queue.put(builders.task("a"))
    await queue.take("default", "wc", limit=1, wait_s=0)
    for priority in PRIORITIES:
        await store._connection.call(
            f"CONSUMER.DELETE.NX_TASKQ.default={priority}=wc=-", None, ConsumerInfo
        )
    await queue.put(builders.task("b"))

    taken = await queue.take("default", "wc", limit=5, wait_s=5)
    assert [delivery.task.id for delivery in taken] == ["a", "b"]


async def test_a_wait_goes_on_across_a_restart(
    store: NatsStore, background: Background
) -> None:
    queue = NatsQueue(store._connection, background.spawn)
    waiting = asyncio.ensure_future(queue.take("default", "wc", limit=1, wait_s=30))
    await asyncio.sleep(0.1)
    kill(store)
    await queue.put(builders.task("a"))

    [taken] = await asyncio.wait_for(waiting, 10)
    assert taken.task.id == "a"


async def test_a_long_queue_is_taken_in_order(store: NatsStore) -> None:
    await asyncio.gather(
        *(store.queue.put(builders.task(f"t{n:03}")) for n in range(300))
    )
    found: list[str] = []
    while len(found) < 300:
        taken = await store.queue.take("default", "wc", limit=64, wait_s=1)
        found += [delivery.task.id for delivery in taken]
        for delivery in taken:
            delivery.ack()

    assert len(set(found)) == 300


async def test_giving_back_twice_is_giving_back_once(store: NatsStore) -> None:
    await store.queue.put(builders.task("a"))
    [held] = await store.queue.take("default", "wc", limit=1, wait_s=1)
    await held.give_back()
    [again] = await store.queue.take("default", "wc", limit=1, wait_s=1)
    await held.give_back()
    await held.keep()

    assert await store.queue.take("default", "wc", limit=1, wait_s=0.2) == []
    again.ack()
