"""Beats, calls and leases when the way to the store breaks or strangers speak."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.nats import node_calls, topology
from nexa_node.adapters.nats.beats import NatsBeats
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.leases import NatsLeases
from nexa_node.adapters.nats.members import NatsNodeEntries
from nexa_node.adapters.nats.node_calls import AT_ONCE, NatsNodeCalls
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.store import Background, NatsStore
from nexa_node.contract.cluster import Beat
from nexa_node.contract.errors import (
    Conflict,
    Invalid,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
)
from nexa_node.core.election import Candidate
from nexa_node.core.policies import ClusterPolicy, RetentionPolicy
from nexa_node.services.cluster.controller import Controller
from tests.fakes import RecordingJournal
from tests.node.adapters.nats.tools import Road, back, eventually, kill

BUCKETS = ("nx_nodes", "nx_leases")


def beat(seq: int = 1, node: str = "alpha") -> Beat:
    return Beat(
        node=node,
        id=f"id-{node}",
        incarnation="run-1",
        seq=seq,
        url="https://alpha:6392",
        version="0.4.0",
        state="running",
        health="healthy",
    )


@dataclass
class Node:
    connection: Connection
    beats: NatsBeats
    calls: NatsNodeCalls
    leases: NatsLeases


@contextlib.asynccontextmanager
async def joined(upstream: Any, name: str, timeout_s: float = 3) -> AsyncIterator[Node]:
    background = Background()
    beats, calls = NatsBeats(name), NatsNodeCalls(background.spawn)

    async def prepare(session: Session) -> None:
        beats.attach(session)
        calls.attach(session)
        await session.barrier()

    connection = Connection(upstream, prepare, timeout_s=timeout_s)
    beats.use(connection)
    calls.use(connection)
    await connection.open()
    background.spawn(connection.keep())
    try:
        yield Node(connection, beats, calls, NatsLeases(connection))
    finally:
        await background.settle(0)
        await connection.close()


@pytest.fixture
async def buckets(store: NatsStore) -> None:
    session = await store._connection.session(store._connection.deadline())
    for bucket in BUCKETS:
        body = msgspec.json.encode(topology._bucket(bucket))
        name = topology.bucket_stream(bucket)
        await session.request(f"$JS.API.STREAM.CREATE.{name}", body)


@pytest.fixture
async def alpha(store: NatsStore, buckets: None) -> AsyncIterator[Node]:
    async with joined(store._server, "alpha") as node:
        yield node


@pytest.fixture
async def beta(store: NatsStore, buckets: None) -> AsyncIterator[Node]:
    async with joined(store._server, "beta") as node:
        yield node


@pytest.fixture
async def session(store: NatsStore) -> AsyncIterator[Session]:
    session = await Session.open(store._server.url, store._server.seed)
    yield session
    await session.close()


# -- beats ---------------------------------------------------------------------


async def test_beats_and_calls_come_back_with_the_store(
    store: NatsStore, alpha: Node, beta: Node
) -> None:
    async def echo(payload: bytes) -> bytes:
        return payload

    beta.calls.serve("beta", "echo", echo)
    heard = beta.beats.arrivals()
    kill(store)
    await back(store, 1)
    await eventually(lambda: alpha.connection.is_up and beta.connection.is_up)

    await alpha.beats.send(beat(7))
    async with asyncio.timeout(5):
        assert await anext(heard) == beat(7)
    assert await alpha.calls.ask("beta", "echo", b"x", timeout_s=3) == b"x"
    assert await alpha.beats.ping("beta", timeout_s=3) is not None


async def test_a_beat_without_a_connection_is_refused_at_once(
    store: NatsStore,
) -> None:
    async def nothing(_session: Session) -> None: ...

    beats, began = NatsBeats("alpha"), asyncio.get_running_loop().time()
    beats.use(Connection(store._server, nothing, timeout_s=60))
    with pytest.raises(Unavailable):
        await beats.send(beat())
    assert await beats.ping("beta", timeout_s=0.05) is None
    assert asyncio.get_running_loop().time() - began < 10


async def test_what_is_no_beat_or_somebody_else_s_is_not_heard(
    alpha: Node, session: Session
) -> None:
    heard = alpha.beats.arrivals()
    for _ in range(3):
        await session.publish("nx.beat.beta", b"{nonsense")
        forged = msgspec.json.encode(beat(1, "gamma"))
        await session.publish("nx.beat.beta", forged)
    await session.publish("nx.beat.delta", msgspec.json.encode(beat(9, "delta")))
    async with asyncio.timeout(5):
        assert await anext(heard) == beat(9, "delta")


async def test_a_listener_that_is_too_slow_loses_the_newest(
    alpha: Node, beta: Node
) -> None:
    heard = beta.beats.arrivals()
    for seq in range(1200):
        await alpha.beats.send(beat(seq))
    assert await alpha.beats.ping("beta", timeout_s=5) is not None
    async with asyncio.timeout(5):
        told = [(await anext(heard)).seq for _ in range(1000)]
    assert told == list(range(1000))


async def test_before_it_is_open_nothing_is_sent() -> None:
    with pytest.raises(Unavailable):
        await NatsBeats("alpha").send(beat())
    assert await NatsBeats("alpha").ping("beta", timeout_s=1) is None
    calls = NatsNodeCalls(Background().spawn)
    with pytest.raises(Unavailable):
        await calls.ask("beta", "echo", b"", timeout_s=1)


# -- calls ---------------------------------------------------------------------


async def test_a_handler_that_takes_too_long_is_not_waited_for(
    alpha: Node, beta: Node
) -> None:
    never = asyncio.Event()

    async def sleep(_: bytes) -> bytes:
        await never.wait()
        return b""

    beta.calls.serve("beta", "sleep", sleep)
    with pytest.raises(Unavailable, match=r"no answer within 0\.2 s; it may have been"):
        await alpha.calls.ask("beta", "sleep", b"", timeout_s=0.2)
    never.set()


async def test_too_many_at_once_are_refused_and_the_others_are_not(
    alpha: Node, beta: Node
) -> None:
    free = asyncio.Event()

    async def wait(_: bytes) -> bytes:
        await free.wait()
        return b"done"

    async def other(_: bytes) -> bytes:
        return b"other"

    beta.calls.serve("beta", "wait", wait)
    beta.calls.serve("beta", "other", other)
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(alpha.calls.ask("beta", "wait", b"", timeout_s=10))
            for _ in range(AT_ONCE)
        ]
        await eventually(
            lambda: beta.calls._running.get("nx.call.beta.wait") == AT_ONCE
        )
        with pytest.raises(RateLimited):
            await alpha.calls.ask("beta", "wait", b"", timeout_s=5)
        assert await alpha.calls.ask("beta", "other", b"", timeout_s=5) == b"other"
        free.set()
    assert {task.result() for task in asked} == {b"done"}
    assert await alpha.calls.ask("beta", "wait", b"", timeout_s=5) == b"done"


async def test_an_answer_that_is_too_large_is_told_as_what_it_is(
    alpha: Node, beta: Node
) -> None:
    async def flood(_: bytes) -> bytes:
        return b"x" * (5 * 1024**2)

    beta.calls.serve("beta", "flood", flood)
    with pytest.raises(PayloadTooLarge):
        await alpha.calls.ask("beta", "flood", b"", timeout_s=5)
    with pytest.raises(PayloadTooLarge):
        await alpha.calls.ask("beta", "flood", b"x" * (5 * 1024**2), timeout_s=5)


@pytest.mark.parametrize("answer", [b"", b"?what", b"-not json"])
async def test_an_answer_in_foreign_words_is_unavailable(
    answer: bytes, alpha: Node, session: Session
) -> None:
    session.listen("nx.call.beta.odd", lambda asked: session.answer(asked, answer))
    await session.barrier()
    with pytest.raises(Unavailable, match="in words unknown here"):
        await alpha.calls.ask("beta", "odd", b"", timeout_s=5)


async def test_a_node_that_is_just_coming_is_waited_for(
    alpha: Node, beta: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_calls, "PATIENCE_S", 10)

    async def late(_: bytes) -> bytes:
        return b"here"

    async with asyncio.TaskGroup() as group:
        asked = group.create_task(alpha.calls.ask("beta", "late", b"", timeout_s=10))
        await asyncio.sleep(0)
        assert not asked.done()
        beta.calls.serve("beta", "late", late)
    assert asked.result() == b"here"


async def test_a_session_that_ends_while_it_is_asked_is_told(
    store: NatsStore, alpha: Node, beta: Node
) -> None:
    asked = asyncio.Event()

    async def hang(_: bytes) -> bytes:
        asked.set()
        await eventually(lambda: not beta.connection.is_up)
        return b"too late"

    beta.calls.serve("beta", "hang", hang)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(_refused(alpha, "hang"))
        await asked.wait()
        kill(store)
    assert "it may have been done" in asking.result().message


async def _refused(node: Node, what: str) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await node.calls.ask("beta", what, b"", timeout_s=10)
    return caught.value


# -- leases --------------------------------------------------------------------


@pytest.fixture
async def road(store: NatsStore, buckets: None) -> AsyncIterator[Road]:
    async with Road(store._server).open() as road:
        yield road


async def test_a_lost_answer_to_an_acquisition_is_not_taken_for_another_s(
    road: Road, alpha: Node
) -> None:
    async with joined(road, "beta") as there:
        road.lose_answer_to(b"$KV.nx_leases.job")
        lease = await there.leases.acquire("job", "beta", ttl_s=20)
        assert lease is not None
        seen = await alpha.leases.holder("job")
        assert seen is not None
        assert (seen.holder, seen.token) == ("beta", lease.token)


async def test_a_lost_answer_to_a_renewal_is_no_loss(road: Road, alpha: Node) -> None:
    async with joined(road, "beta") as there:
        lease = await there.leases.acquire("job", "beta", ttl_s=20)
        assert lease is not None
        road.lose_answer_to(b"$KV.nx_leases.job")
        renewed = await there.leases.renew(lease, ttl_s=20)
        assert renewed.token == lease.token
        road.lose_answer_to(b"$KV.nx_leases.job")
        await there.leases.release(renewed)
        assert await alpha.leases.holder("job") is None


async def test_a_renewal_that_was_cancelled_half_way_costs_nothing(
    road: Road,
) -> None:
    async with joined(road, "beta", timeout_s=5) as there:
        lease = await there.leases.acquire("job", "beta", ttl_s=20)
        assert lease is not None
        for _ in range(20):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.0005):
                    await there.leases.renew(lease, ttl_s=20)
        renewed = await there.leases.renew(lease, ttl_s=20)
        assert renewed.token == lease.token


async def test_a_lease_that_can_not_be_read_is_told(
    alpha: Node, session: Session
) -> None:
    await alpha.connection.store("$KV.nx_leases.job", b"nonsense", message_id="odd")
    with pytest.raises(Unavailable, match="can't be read"):
        await alpha.leases.holder("job")
    with pytest.raises(Unavailable, match="can't be read"):
        await alpha.leases.acquire("job", "alpha", ttl_s=5)


def test_no_marker_is_asked_for_that_could_wipe_out_a_renewed_lease() -> None:
    """nats-server puts it behind whatever took the expired one's place meanwhile."""
    planned = {one.name: one for one in topology.plan(RetentionPolicy())}

    assert planned["KV_nx_leases"].subject_delete_marker_ttl == 0
    assert planned["KV_nx_nodes"].subject_delete_marker_ttl > 0


async def test_the_markers_that_expiry_leaves_are_no_holders(
    alpha: Node, session: Session
) -> None:
    """A bucket may keep one for each expired key: nats-py's `create` fails on those."""
    name = topology.bucket_stream("nx_leases")
    config = msgspec.to_builtins(topology._bucket("nx_leases"))
    config["subject_delete_marker_ttl"] = 60 * 10**9
    body = msgspec.json.encode(config)
    answer = await session.request(f"$JS.API.STREAM.UPDATE.{name}", body)
    assert b'"error"' not in answer.data

    first = await alpha.leases.acquire("job", "alpha", ttl_s=1)
    assert first is not None

    async def stored() -> dict[str, str]:
        found = await alpha.connection.last(name, "$KV.nx_leases.job")
        return {} if found is None else found.headers

    async with asyncio.timeout(10):
        while "Nats-Marker-Reason" not in await stored():
            await asyncio.sleep(0.05)
    assert await alpha.leases.holder("job") is None
    with pytest.raises(Conflict, match="is over"):
        await alpha.leases.renew(first, ttl_s=1)
    second = await NatsLeases(alpha.connection).acquire("job", "beta", ttl_s=5)
    assert second is not None
    assert second.token > first.token
    with pytest.raises(Conflict, match="beta's by now"):
        await alpha.leases.renew(first, ttl_s=1)


@pytest.mark.parametrize("name", ["a.b", "", "*", ">", "A b"])
async def test_names_that_could_mean_more_are_refused(name: str, alpha: Node) -> None:
    calls = (
        NatsNodeEntries(alpha.connection).get(name),
        alpha.leases.holder(name),
        alpha.calls.ask(name, "drain", b"", timeout_s=1),
        alpha.calls.ask("beta", name, b"", timeout_s=1),
        alpha.beats.ping(name, timeout_s=1),
        alpha.beats.send(beat(1, name)),
    )
    for call in calls:
        with pytest.raises(Invalid):
            await call


# -- the controller over it ----------------------------------------------------


class Field:
    """Two nodes that are well."""

    def candidates(self) -> tuple[Candidate, ...]:
        return (Candidate(name="alpha"), Candidate(name="beta"))

    def is_heard(self, name: str) -> bool:
        return True


def controller(node: Node, name: str) -> Controller:
    return Controller(
        leases=node.leases,
        field=Field(),
        clustered=lambda: True,
        clock=SystemClock(),
        journal=RecordingJournal(),
        node=name,
        policy=ClusterPolicy(lease_ms=2000),
    )


async def test_a_controller_that_dies_is_followed_and_a_stopped_one_at_once(
    alpha: Node, beta: Node
) -> None:
    one, two = controller(alpha, "alpha"), controller(beta, "beta")
    clock = asyncio.get_running_loop()
    first = clock.create_task(one.run())
    await eventually(one.is_controller)
    second = clock.create_task(two.run())
    await eventually(lambda: two.holder == "alpha")
    old = one.token

    first.cancel()  # it says nothing to anybody any more
    died = clock.time()
    await eventually(two.is_controller)
    assert not one.is_controller()
    assert clock.time() - died < 5
    assert old is not None
    assert (two.token or 0) > old

    first = clock.create_task(one.run())
    await eventually(lambda: one.holder == "beta")
    await two.stop()
    stopped = clock.time()
    await eventually(one.is_controller)
    assert clock.time() - stopped < 1.9, "the lease was not waited for"
    first.cancel()
    second.cancel()
