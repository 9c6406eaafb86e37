"""Taking from the queue: pulls that stay open, keys, upgrades, consumers that fail."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.nats import lane as lane_module, topology, wire
from nexa_node.adapters.nats.kinds import Kind, Place, read_consumer, read_old_subject
from nexa_node.adapters.nats.queue import NatsQueue
from nexa_node.adapters.nats.store import Background, NatsStore
from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import Namespace, TaskId
from nexa_node.contract.tasks import PRIORITIES, Task
from nexa_node.core.fairness import bucket_of
from nexa_node.ports import Delivery
from tests import builders
from tests.node.adapters.nats.tools import back, kill

WC = (Namespace("default"), "wc")


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    background = Background()
    yield background
    await background.settle(2)


def names(deliveries: list[Delivery]) -> list[str]:
    return [delivery.task.id for delivery in deliveries]


async def put_old(store: NatsStore, task: Task) -> None:
    """As a node before 0.2 did: without a bucket."""
    where = f"{topology.TASKQ_PREFIX}.{task.namespace}.{task.priority}.{task.type}"
    await store._connection.store(
        f"{where}.{task.id}", msgspec.json.encode(task), message_id=task.id
    )


async def make_old(store: NatsStore, priority: str) -> str:
    """The consumer of that time."""
    name = f"default={priority}=wc"
    subjects = f"{topology.TASKQ_PREFIX}.default.{priority}.wc.*"
    config = wire.ConsumerConfig(
        name=name,
        durable_name=name,
        ack_policy="explicit",
        filter_subject=subjects,
        ack_wait=12 * wire.SECOND,
        max_deliver=-1,
        max_ack_pending=-1,
    )
    await store._connection.call(
        f"CONSUMER.CREATE.{topology.TASKQ}.{name}.{subjects}",
        wire.NewConsumer(stream_name=topology.TASKQ, config=config),
        wire.ConsumerInfo,
    )
    return name


async def api(store: NatsStore, verb: str, name: str, body: bytes = b"") -> None:
    answer, _ = await store._connection.request(
        f"$JS.API.CONSUMER.{verb}.{topology.TASKQ}.{name}", body
    )
    assert b'"error"' not in answer.data, answer.data


async def test_what_an_older_node_queued_is_still_delivered(
    store: NatsStore, background: Background
) -> None:
    for priority in PRIORITIES:
        await make_old(store, priority)
    await put_old(store, builders.task("old-1"))
    await put_old(store, builders.task("old-2", priority="high"))
    queue = NatsQueue(store._connection, background.spawn)
    await queue.put(builders.task("new"))

    taken = await queue.take(*WC, limit=9, wait_s=5)
    assert names(taken)[0] == "old-2"
    assert sorted(names(taken)) == ["new", "old-1", "old-2"]
    for delivery in taken:
        delivery.ack()


async def test_what_an_older_node_queued_and_nobody_ever_took_is_found(
    store: NatsStore, background: Background
) -> None:
    await put_old(store, builders.task("old"))
    queue = NatsQueue(store._connection, background.spawn)

    [taken] = await queue.take(*WC, limit=9, wait_s=5)
    assert taken.task.id == "old"


async def test_keys_that_were_used_before_a_restart_are_found_again(
    store: NatsStore, background: Background
) -> None:
    before = NatsQueue(store._connection, background.spawn)
    await before.put(builders.task("a", fairness_key="acme"))
    [held] = await before.take(*WC, limit=9, wait_s=5)
    await held.give_back()
    after = NatsQueue(store._connection, background.spawn)

    assert names(await after.take(*WC, limit=9, wait_s=5)) == ["a"]


async def test_a_key_another_node_uses_is_looked_at_when_it_is_expected(
    store: NatsStore, background: Background
) -> None:
    here, there = (NatsQueue(store._connection, background.spawn) for _ in range(2))
    task = builders.task("a", fairness_key="acme")
    waiting = asyncio.ensure_future(here.take(*WC, limit=9, wait_s=30))
    await asyncio.sleep(0.2)
    await there.put(task)
    here.expect(builders.task("plain"))
    here.expect(task)

    assert names(await asyncio.wait_for(waiting, 10)) == ["a"]


async def test_ten_thousand_of_one_key_do_not_starve_another(
    store: NatsStore, background: Background
) -> None:
    queue = NatsQueue(store._connection, background.spawn)
    for start in range(0, 2000, 200):
        await asyncio.gather(
            *(
                queue.put(builders.task(f"big-{start + n}", fairness_key="big"))
                for n in range(200)
            )
        )
    taken = names(await queue.take(*WC, limit=8, wait_s=5))
    await queue.put(builders.task("small", fairness_key="small"))
    for _ in range(2):
        taken += names(await queue.take(*WC, limit=4, wait_s=5))

    assert "small" in taken


async def test_a_pull_stays_open_between_two_takes(
    store: NatsStore, background: Background
) -> None:
    """A new task is there without being asked for: one pull brings several."""
    queue = NatsQueue(store._connection, background.spawn)
    sent: list[str] = []
    publish = lane_module.Session.publish

    async def watched(self: Any, subject: str, *args: Any, **named: Any) -> None:
        sent.append(subject)
        await publish(self, subject, *args, **named)

    lane_module.Session.publish = watched
    try:
        for n in range(20):
            await queue.put(builders.task(f"t{n}"))
            for delivery in await queue.take(*WC, limit=64, wait_s=5):
                delivery.ack()
    finally:
        lane_module.Session.publish = publish

    pulls = Counter(each for each in sent if "MSG.NEXT" in each)
    assert sum(pulls.values()) < 15, pulls


async def test_when_nobody_takes_nothing_is_kept_from_others(
    store: NatsStore, background: Background
) -> None:
    mine, other = (NatsQueue(store._connection, background.spawn) for _ in range(2))
    assert await mine.take(*WC, limit=5, wait_s=0.05) == []
    await asyncio.sleep(3 * lane_module.LINGER_S)
    await mine.put(builders.task("a"))

    assert names(await other.take(*WC, limit=5, wait_s=5)) == ["a"]


async def test_what_came_too_late_is_given_back_to_others(
    store: NatsStore, background: Background
) -> None:
    mine, other = (NatsQueue(store._connection, background.spawn) for _ in range(2))
    assert await mine.take(*WC, limit=5, wait_s=0.05) == []
    await mine.put(builders.task("a"))  # by a pull that is still open

    async with asyncio.timeout(5):
        assert names(await other.take(*WC, limit=5, wait_s=5)) == ["a"]


@pytest.mark.parametrize("thorough", [False, True])
async def test_a_rebuilt_queue_gives_again_what_a_pause_kept(
    store: NatsStore, background: Background, thorough: bool
) -> None:
    queue = NatsQueue(store._connection, background.spawn)
    queue.rebuild(*WC, thorough=thorough)  # before anybody took: nothing to do
    waiting = asyncio.ensure_future(queue.take(*WC, limit=5, wait_s=30))
    await asyncio.sleep(0.2)
    pause = b'{"pause_until": "2099-01-01T00:00:00Z"}'
    await api(store, "PAUSE", "default=normal=wc=-", pause)
    await queue.put(builders.task("a"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    queue.rebuild(*WC, thorough=thorough)

    assert names(await asyncio.wait_for(waiting, 10)) == ["a"]


async def test_a_consumer_removed_while_we_wait_is_made_again(
    store: NatsStore, background: Background
) -> None:
    queue = NatsQueue(store._connection, background.spawn)
    waiting = asyncio.ensure_future(queue.take(*WC, limit=5, wait_s=30))
    await asyncio.sleep(0.2)
    await api(store, "DELETE", "default=normal=wc=-")
    await queue.put(builders.task("a"))

    assert names(await asyncio.wait_for(waiting, 10)) == ["a"]


async def test_an_ack_on_a_lost_session_removes_the_task_all_the_same(
    store: NatsStore, background: Background
) -> None:
    queue = NatsQueue(store._connection, background.spawn, redeliver_s=1.0)
    await queue.put(builders.task("a"))
    [held] = await queue.take(*WC, limit=5, wait_s=5)
    kill(store)
    await back(store, 1)
    held.ack()
    await background.settle(5)

    assert await queue.take(*WC, limit=5, wait_s=1.5) == []


@pytest.mark.parametrize(
    "name", ["", "a=b", "a=urgent=c=-", "A!=high=c=-", "a=b=c=d=e"]
)
def test_a_consumer_that_is_none_of_ours_is_left_alone(name: str) -> None:
    assert read_consumer(name) is None


def test_names_are_read_as_they_are_made() -> None:
    kind, place = Kind("default", "wc"), Place("high", bucket_of("acme"))

    assert read_consumer(kind.consumer(place)) == (kind, place)
    subject = kind.subject(place, TaskId("t-1"))
    assert subject.startswith(kind.filter(place)[:-1])
    assert read_old_subject(subject) is None
    old = read_old_subject(f"{topology.TASKQ_PREFIX}.default.high.wc.t-1")
    assert old == (kind, Place("high", "old"))
    assert kind.consumer(old[1]) == "default=high=wc"


def test_what_could_mean_another_subject_is_refused() -> None:
    with pytest.raises(Invalid):
        Kind("default", "w.c")
    with pytest.raises(Invalid):
        Kind("default", "wc").subject(Place("high", "-"), TaskId("a.b"))
    with pytest.raises(Invalid):
        Kind("default", "wc").subject(Place("urgent", "-"), TaskId("a"))


async def test_nothing_gets_lost_where_pulls_open_and_rest_all_the_time(
    store: NatsStore, background: Background
) -> None:
    """What is lost comes again after 12 s; here all must have come long before."""
    queues = [NatsQueue(store._connection, background.spawn) for _ in range(2)]
    came: Counter[str] = Counter()

    async def worker(queue: NatsQueue, number: int) -> None:
        while len(came) < 120:
            limit = 1 + number % 3
            for delivery in await queue.take(*WC, limit=limit, wait_s=0.2):
                came[delivery.task.id] += 1
                delivery.ack()
            if number == 0:
                await asyncio.sleep(0.13)  # longer than the pulls linger

    async with asyncio.timeout(11), asyncio.TaskGroup() as group:
        for number, queue in enumerate(queues):
            group.create_task(worker(queue, number))
        for n in range(120):
            key = None if n % 4 == 0 else f"tenant-{n % 30}"
            for queue in queues:
                queue.expect(builders.task(f"t{n}", fairness_key=key))
            await queues[n % 2].put(builders.task(f"t{n}", fairness_key=key))

    assert len(came) == 120
    assert set(came.values()) == {1}
