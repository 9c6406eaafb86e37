"""What may go wrong on the way to the store; lost answers above all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.failures import BinaryTooOld
from nexa_node.adapters.nats.inboxes import NatsInboxes
from nexa_node.adapters.nats.queue import NatsQueue
from nexa_node.adapters.nats.records import NatsTasks
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.adapters.nats.store import Background, NatsStore
from nexa_node.contract.errors import (
    Conflict,
    Invalid,
    PayloadTooLarge,
    Unavailable,
)
from tests import builders
from tests.node.adapters.nats.tools import Road, kill


async def nothing(_session: Session) -> None: ...


@contextlib.asynccontextmanager
async def connected(upstream: Any, timeout_s: float = 3) -> AsyncIterator[Connection]:
    connection, background = Connection(upstream, nothing, timeout_s=timeout_s), None
    await connection.open()
    background = Background()
    background.spawn(connection.keep())
    try:
        yield connection
    finally:
        await background.settle(0)
        await connection.close()


@pytest.fixture
async def road(store: NatsStore) -> AsyncIterator[Road]:
    async with Road(store._server).open() as road:
        yield road


@pytest.fixture
async def session(store: NatsStore) -> AsyncIterator[Session]:
    session = await Session.open(store._server.url, store._server.seed)
    yield session
    await session.close()


async def test_a_lost_answer_to_a_creation_is_not_taken_for_another_s(
    road: Road,
) -> None:
    async with connected(road) as connection:
        tasks = NatsTasks(connection)
        road.lose_answer_to(b"PUB $KV.nx_tasks")

        revision = await tasks.create(builders.task())
        found = await tasks.get(builders.TASK_ID)
    assert revision is not None
    assert found is not None
    assert found.revision == revision
    assert road.connections == 2


async def test_a_lost_answer_to_an_update_is_no_conflict(road: Road) -> None:
    async with connected(road) as connection:
        tasks = NatsTasks(connection)
        first = await tasks.create(builders.task())
        assert first is not None
        road.lose_answer_to(b"PUB $KV.nx_tasks")

        second = await tasks.update(builders.task(status="running"), revision=first)
        assert second == first + 1


async def test_a_write_by_somebody_else_after_a_lost_answer_is_a_conflict(
    road: Road, store: NatsStore
) -> None:
    async with connected(road) as connection:
        tasks = NatsTasks(connection)
        first = await tasks.create(builders.task())
        assert first is not None
        await store.tasks.update(builders.task(note="theirs"), revision=first)
        road.lose_answer_to(b"PUB $KV.nx_tasks")

        with pytest.raises(Conflict) as lost:
            await tasks.update(builders.task(note="ours"), revision=first)
    assert lost.value.details == {"revision": first + 1}


async def test_a_lost_answer_stores_once_and_is_no_duplicate_of_others(
    road: Road,
) -> None:
    async with connected(road) as connection:
        background = Background()
        inboxes = NatsInboxes(connection, lambda: "e")
        queue = NatsQueue(connection, background.spawn)
        road.lose_answer_to(b"PUB nx.inbox")
        stored = await inboxes.append("default", "a", builders.message("m"), ttl_s=None)
        road.lose_answer_to(b"PUB nx.task.q")
        duplicate = await queue.put(builders.task())

        assert (stored, duplicate) == ((1, False), False)
        assert await inboxes.last_seq() == 1
        found = await queue.take("default", "wc", limit=5, wait_s=0)
        assert [delivery.task.id for delivery in found] == [builders.TASK_ID]
        await background.settle(1)


async def test_a_call_that_is_never_answered_ends_in_time(
    road: Road, session: Session
) -> None:
    deaf = await session.inbox("nx.deaf")
    async with connected(road, timeout_s=0.4) as connection:
        started = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable, match=r"no answer to nx\.deaf") as told:
            await connection.request("nx.deaf")
        assert asyncio.get_running_loop().time() - started < 1
    assert told.value.retryable
    await deaf.close()


async def test_a_call_that_nobody_hears_ends_in_time(road: Road) -> None:
    async with connected(road, timeout_s=0.3) as connection:
        with pytest.raises(Unavailable, match=r"nobody answers nx\.nothing"):
            await connection.request("nx.nothing")


async def test_connecting_to_a_closed_port_fails_at_once(store: NatsStore) -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises(ConnectionRefusedError):
        await Session.open("nats://127.0.0.1:1", store._server.seed)

    assert asyncio.get_running_loop().time() - started < 1


async def test_an_old_server_is_refused_whatever_its_file_said(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "version", property(lambda _: "2.9.10"))

    with pytest.raises(BinaryTooOld):
        await Connection(road, nothing, timeout_s=1).open()


async def test_opening_without_a_server_ends_in_time(store: NatsStore) -> None:
    nowhere = Road(store._server)
    nowhere._port = 1

    with pytest.raises(Unavailable, match="connecting failed"):
        await Connection(nowhere, nothing, timeout_s=0.3).open()


async def test_waiting_calls_are_told_when_the_session_is_lost(
    store: NatsStore, session: Session
) -> None:
    deaf = await session.inbox("nx.deaf")
    asking = asyncio.ensure_future(session.request("nx.deaf", b""))
    await deaf.get()
    listening = asyncio.ensure_future(deaf.get())
    await session.barrier()
    kill(store)

    with pytest.raises(Lost):
        await asyncio.wait_for(asking, 5)
    with pytest.raises(Lost):
        await asyncio.wait_for(listening, 5)
    with pytest.raises(Lost):
        await deaf.get()
    with pytest.raises(Lost):
        await session.publish("nx.deaf", b"")
    with pytest.raises(Lost):
        await session.inbox()
    assert deaf.rest() == []
    assert await deaf.finish() == []


async def test_nobody_listening_is_told_at_once(session: Session) -> None:
    with pytest.raises(NoResponders):
        await session.request("nx.nothing", b"")


async def test_finishing_loses_nothing_that_was_sent(
    store: NatsStore, session: Session
) -> None:
    """Each request is either heard and answered, or told that nobody is there. One that
    was sent to us and dropped is neither.
    """
    other = await Session.open(store._server.url, store._server.seed)
    outcomes: list[bool] = []

    async def ask() -> None:
        try:
            await other.request("nx.race", b"")
            outcomes.append(True)
        except NoResponders:
            outcomes.append(False)

    try:
        for _ in range(20):
            inbox = await session.inbox("nx.race")
            await session.barrier()
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                for _ in range(100):
                    group.create_task(ask())
                group.create_task(_hear_one_then_finish(inbox, session))
    finally:
        await other.close()
    assert len(outcomes) == 2000
    assert outcomes.count(True) >= 20


async def _hear_one_then_finish(inbox: Any, session: Session) -> None:
    heard = [await inbox.get()]
    for message in heard + await inbox.finish():
        await session.publish(message.reply, b"")


async def test_a_record_too_big_for_the_store_is_refused_before_it_is_sent(
    store: NatsStore,
) -> None:
    with pytest.raises(PayloadTooLarge):
        await store.tasks.create(builders.task(data="x" * 5 * 1024**2))

    assert store.health().connected
    await store.round_trip()


async def test_a_big_record_is_stored(store: NatsStore) -> None:
    big = builders.task(data="x" * 3 * 1024**2)
    await store.tasks.create(big)
    watch = store.tasks.watch()

    found = await store.tasks.get(builders.TASK_ID)
    assert found is not None
    assert found.value == big
    assert (await anext(watch)).value == big
    await watch.aclose()


@pytest.mark.parametrize(
    "hostile", ["", "a.b", "*", ">", "a b", "A", "a\r\nPUB x 0", "x" * 64, "é"]
)
async def test_names_that_are_no_slugs_never_reach_a_subject(
    store: NatsStore, hostile: Any
) -> None:
    message = builders.message()
    calls = [
        store.tasks.get(hostile),
        store.tasks.create(builders.task(hostile)),
        store.queue.put(builders.task(hostile)),
        store.queue.put(builders.task(type=hostile)),
        store.queue.put(builders.task(namespace=hostile)),
        store.queue.put(builders.task(priority=hostile)),
        store.queue.take("default", hostile, limit=1, wait_s=0),
        store.agents.delete("default", hostile),
        store.sessions.get(hostile, "a"),
        store.inboxes.append("default", hostile, message, ttl_s=None),
        store.inboxes.read(hostile, "a", after=0, limit=1),
        store.inboxes.ack("default", hostile, upto=1),
        store.signals.send("default", hostile, message),
        store.tokens.delete(hostile),
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(result) for result in results] == [Invalid] * len(calls)
