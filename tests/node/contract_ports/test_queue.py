"""What the work queue promises, of every store."""

import asyncio
from typing import Any

from nexa_node.ports import Delivery
from tests import builders


async def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.task.id for delivery in deliveries]


async def take(world: Any, limit: int = 9, wait_s: float = 0.0, **kind: str) -> Any:
    namespace = kind.get("namespace", "default")
    return await world.during(
        world.store.queue.take(
            namespace, kind.get("capability", "wc"), limit=limit, wait_s=wait_s
        ),
        wait_s,
    )


async def test_the_same_id_is_put_once(world: Any) -> None:
    queue = world.store.queue

    assert not await queue.put(builders.task("a"))
    assert await queue.put(builders.task("a"))
    assert await ids(await take(world)) == ["a"]


async def test_the_most_urgent_goes_first_and_the_oldest_of_them(world: Any) -> None:
    for name, priority in (
        ("low", "low"),
        ("normal-1", "normal"),
        ("high", "high"),
        ("normal-2", "normal"),
        ("critical", "critical"),
    ):
        await world.store.queue.put(builders.task(name, priority=priority))

    assert await ids(await take(world, limit=2)) == ["critical", "high"]
    assert await ids(await take(world)) == ["normal-1", "normal-2", "low"]


async def test_no_more_than_asked_for_are_taken(world: Any) -> None:
    for n in range(5):
        await world.store.queue.put(builders.task(f"t{n}"))

    assert await ids(await take(world, limit=3)) == ["t0", "t1", "t2"]
    assert await ids(await take(world, limit=3)) == ["t3", "t4"]


async def test_kinds_of_task_do_not_mix(world: Any) -> None:
    await world.store.queue.put(builders.task("a", type="a_b"))
    await world.store.queue.put(builders.task("b", type="wc", namespace="other"))

    assert await take(world) == []
    assert await take(world, namespace="a", capability="b") == []
    assert await ids(await take(world, capability="a_b")) == ["a"]
    assert await ids(await take(world, namespace="other")) == ["b"]


async def test_an_empty_queue_answers_after_the_wait(world: Any) -> None:
    assert await take(world, wait_s=0.2) == []


async def test_who_waits_gets_what_comes(world: Any) -> None:
    async def put_later() -> None:
        await asyncio.sleep(0.05)
        await world.store.queue.put(builders.task("a", priority="low"))

    later = asyncio.ensure_future(put_later())
    waiting = asyncio.ensure_future(
        world.store.queue.take("default", "wc", limit=2, wait_s=30)
    )

    assert await ids(await asyncio.wait_for(waiting, 10)) == ["a"]
    await later


async def test_what_is_acknowledged_does_not_come_again(world: Any) -> None:
    await world.store.queue.put(builders.task("a"))
    [held] = await take(world)
    await held.ack()
    await world.pass_time(3.5 * world.store.queue.keep_every_s)

    assert await take(world) == []


async def test_what_is_neither_kept_nor_acknowledged_comes_again(world: Any) -> None:
    await world.store.queue.put(builders.task("a"))
    [held] = await take(world)

    assert await take(world) == []
    [again] = await take(world, wait_s=3.5 * world.store.queue.keep_every_s)
    assert again.task == held.task


async def test_what_is_kept_stays_in_hand(world: Any) -> None:
    queue = world.store.queue
    await queue.put(builders.task("a"))
    [held] = await take(world)
    for _ in range(5):
        await world.pass_time(queue.keep_every_s)
        await held.keep()

    assert await take(world) == []


async def test_what_is_given_back_comes_again_after_its_delay(world: Any) -> None:
    for name in ("a", "b"):
        await world.store.queue.put(builders.task(name))
    [first, second] = await take(world)
    await first.give_back(delay_s=0.6)
    await second.give_back()

    assert await ids(await take(world)) == ["b"]
    await world.pass_time(0.2)
    assert await take(world) == []
    assert await ids(await take(world, wait_s=1.2)) == ["a"]


async def test_who_comes_too_late_gives_nothing_back(world: Any) -> None:
    queue = world.store.queue
    await queue.put(builders.task("a"))
    [late] = await take(world)
    [now] = await take(world, wait_s=3.5 * queue.keep_every_s)
    await late.give_back()
    await late.keep()

    assert await take(world) == []
    await now.ack()


async def test_asking_for_nothing_gets_nothing(world: Any) -> None:
    await world.store.queue.put(builders.task("a"))

    assert await take(world, limit=0) == []
    assert await ids(await take(world)) == ["a"]
