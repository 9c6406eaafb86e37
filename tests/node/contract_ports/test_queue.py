"""What the work queue promises, of every store."""

import asyncio
from typing import Any

from nexa_node.contract.tasks import summarize
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
    held.ack()
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
    now.ack()


async def test_asking_for_nothing_gets_nothing(world: Any) -> None:
    await world.store.queue.put(builders.task("a"))

    assert await take(world, limit=0) == []
    assert await ids(await take(world)) == ["a"]


async def test_fairness_keys_take_turns(world: Any) -> None:
    """Each has to wait for one task of the other at most, however many there are."""
    queue = world.store.queue
    for n in range(60):
        await queue.put(builders.task(f"big-{n}", fairness_key="big"))
    await queue.put(builders.task("small-0", fairness_key="small"))
    await queue.put(builders.task("small-1", fairness_key="small"))

    first = await take(world, limit=2)
    then = await take(world, limit=2)
    assert sorted(await ids([*first, *then])) == [
        "big-0",
        "big-1",
        "small-0",
        "small-1",
    ]
    assert await ids(await take(world, limit=2)) == ["big-2", "big-3"]


async def test_priority_comes_before_fairness(world: Any) -> None:
    queue = world.store.queue
    for n in range(3):
        await queue.put(builders.task(f"a-{n}", fairness_key="a", priority="high"))
    await queue.put(builders.task("b", fairness_key="b"))
    await queue.put(builders.task("plain", priority="high"))

    taken = await ids(await take(world, limit=4))
    assert sorted(taken) == ["a-0", "a-1", "a-2", "plain"]
    assert await ids(await take(world)) == ["b"]


async def test_a_task_with_a_new_key_is_heard_by_who_waits(world: Any) -> None:
    queue = world.store.queue
    waiting = asyncio.ensure_future(queue.take("default", "wc", limit=4, wait_s=30))
    await asyncio.sleep(0.05)
    await queue.put(builders.task("a", fairness_key="acme"))

    assert await ids(await asyncio.wait_for(waiting, 10)) == ["a"]


async def test_a_forgotten_task_is_not_handed_out(world: Any) -> None:
    queue = world.store.queue
    done = builders.task("done", fairness_key="acme", status="completed")
    await queue.put(builders.task("done", fairness_key="acme"))
    await queue.put(builders.task("other"))
    await queue.forget(summarize(done))
    await queue.forget(builders.task("never-there"))

    assert await ids(await take(world)) == ["other"]


async def test_a_redriven_task_is_put_anew_and_once(world: Any) -> None:
    queue = world.store.queue
    await queue.put(builders.task("a"))
    [first] = await take(world)
    first.ack()
    again = builders.task("a", redriven=1, claim_epoch=1)

    assert not await queue.put(again)
    assert await queue.put(again)
    assert await ids(await take(world)) == ["a"]


async def test_what_is_forgotten_does_not_come(world: Any) -> None:
    queue = world.store.queue
    for name in ("a", "b"):
        await queue.put(builders.task(name))
    await queue.forget(builders.summary("a"))
    await queue.forget(builders.task("none"))

    assert await ids(await take(world)) == ["b"]
