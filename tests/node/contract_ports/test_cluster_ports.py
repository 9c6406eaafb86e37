"""What the ports of a cluster promise, in memory and over a real nats-server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import pytest

from nexa_node import ports
from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.beats import NatsBeats
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.leases import NatsLeases
from nexa_node.adapters.nats.members import NatsNodeEntries
from nexa_node.adapters.nats.node_calls import NatsNodeCalls
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.store import Background, NatsStore
from nexa_node.contract.cluster import Beat
from nexa_node.contract.errors import (
    Conflict,
    NexaError,
    NotFound,
    Unavailable,
)
from nexa_node.ports import Caught, Removed, Versioned
from tests.fake_cluster import FakeNet, entry
from tests.fakes import FakeClock, settle
from tests.node.adapters.nats.tools import opened

T = TypeVar("T")


@dataclass
class Ports:
    beats: ports.Beats
    calls: ports.NodeCalls
    entries: ports.NodeEntries
    leases: ports.LeaseTable


class Pair(Protocol):
    """Two nodes of one cluster."""

    alpha: Ports
    beta: Ports

    async def pass_time(self, seconds: float) -> None: ...

    async def within(self, work: Coroutine[Any, Any, T]) -> T: ...


class MemoryPair:
    def __init__(self) -> None:
        self._clock = FakeClock()
        net = FakeNet(self._clock)
        self.alpha, self.beta = (
            Ports(node.beats, node.calls, node.entries, node.leases)
            for node in (net.node("alpha"), net.node("beta"))
        )

    async def pass_time(self, seconds: float) -> None:
        await self._clock.advance(seconds)

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        await settle()
        if not task.done():
            await self._clock.advance(5)
        return await task


@dataclass
class NatsPair:
    alpha: Ports
    beta: Ports

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wait_for(work, 10)


async def make_buckets(connection: Connection) -> None:
    """What `Topology` makes when a node starts, if it does not yet."""
    session = await connection.session(connection.deadline())
    for bucket in ("nx_nodes", "nx_leases"):
        body = msgspec.json.encode(topology._bucket(bucket))
        name = topology.bucket_stream(bucket)
        await session.request(f"$JS.API.STREAM.CREATE.{name}", body)


@contextlib.asynccontextmanager
async def joined(
    store: NatsStore, name: str, background: Background
) -> AsyncIterator[Ports]:
    """One node's ports over a connection of its own."""
    beats, calls = NatsBeats(name), NatsNodeCalls(background.spawn)

    async def prepare(session: Session) -> None:
        beats.attach(session)
        calls.attach(session)
        await session.barrier()

    connection = Connection(store._server, prepare, timeout_s=3)
    beats.use(connection)
    calls.use(connection)
    await connection.open()
    background.spawn(connection.keep())
    try:
        yield Ports(beats, calls, NatsNodeEntries(connection), NatsLeases(connection))
    finally:
        await connection.close()


@pytest.fixture(params=["memory", "nats"])
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MemoryPair | NatsPair]:
    if request.param == "memory":
        yield MemoryPair()
        return
    async with opened(tmp_path / "alpha") as store, contextlib.AsyncExitStack() as ends:
        await make_buckets(store._connection)
        background = Background()
        ends.push_async_callback(background.settle, 0)
        yield NatsPair(
            await ends.enter_async_context(joined(store, "alpha", background)),
            await ends.enter_async_context(joined(store, "beta", background)),
        )


def beat(seq: int, node: str = "alpha") -> Beat:
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


# -- beats ---------------------------------------------------------------------


async def test_others_hear_beats_in_order(pair: Pair) -> None:
    heard = pair.beta.beats.arrivals()
    for seq in range(50):
        await pair.alpha.beats.send(beat(seq))
    told = [await pair.within(anext(heard)) for _ in range(50)]
    assert told == [beat(seq) for seq in range(50)]


async def test_a_ping_takes_some_time_and_nobody_s_comes_never(pair: Pair) -> None:
    took = await pair.within(pair.alpha.beats.ping("beta", timeout_s=2))
    assert took is not None
    assert 0 < took < 2000
    assert await pair.within(pair.alpha.beats.ping("gamma", timeout_s=1)) is None


# -- calls ---------------------------------------------------------------------


async def test_a_call_is_answered_by_its_node(pair: Pair) -> None:
    async def shout(payload: bytes) -> bytes:
        return payload.upper()

    pair.beta.calls.serve("beta", "shout", shout)
    answer = pair.alpha.calls.ask("beta", "shout", b"hello \x00", timeout_s=2)
    assert await pair.within(answer) == b"HELLO \x00"
    own = pair.beta.calls.ask("beta", "shout", b"", timeout_s=2)
    assert await pair.within(own) == b""


async def test_a_handler_may_be_replaced(pair: Pair) -> None:
    async def old(_: bytes) -> bytes:
        return b"old"

    async def new(_: bytes) -> bytes:
        return b"new"

    pair.beta.calls.serve("beta", "version", old)
    pair.beta.calls.serve("beta", "version", new)
    answer = pair.alpha.calls.ask("beta", "version", b"", timeout_s=2)
    assert await pair.within(answer) == b"new"


async def test_an_error_is_made_anew_where_it_was_asked(pair: Pair) -> None:
    async def refuse(_: bytes) -> bytes:
        raise NotFound("no agent wc-9", remedy="nexa agents", details={"id": "wc-9"})

    pair.beta.calls.serve("beta", "disconnect", refuse)
    with pytest.raises(NotFound, match="no agent wc-9") as caught:
        await pair.within(pair.alpha.calls.ask("beta", "disconnect", b"", timeout_s=2))
    assert (caught.value.remedy, caught.value.details) == (
        "nexa agents",
        {"id": "wc-9"},
    )


async def test_a_fault_of_a_handler_is_told_without_its_words(pair: Pair) -> None:
    async def stumble(_: bytes) -> bytes:
        raise ZeroDivisionError("secret")

    pair.beta.calls.serve("beta", "stumble", stumble)
    with pytest.raises(NexaError) as caught:
        await pair.within(pair.alpha.calls.ask("beta", "stumble", b"", timeout_s=2))
    assert "ZeroDivisionError" in caught.value.message
    assert "secret" not in caught.value.message


async def test_nobody_of_that_name_is_unavailable(pair: Pair) -> None:
    with pytest.raises(Unavailable, match="gamma did not answer drain"):
        await pair.within(pair.alpha.calls.ask("gamma", "drain", b"", timeout_s=2))


# -- entries -------------------------------------------------------------------


async def test_an_entry_is_created_once_and_swapped(pair: Pair) -> None:
    assert await pair.alpha.entries.get("beta") is None
    first = await pair.alpha.entries.put(entry("beta"), revision=0)
    with pytest.raises(Conflict):
        await pair.beta.entries.put(entry("beta"), revision=0)
    resting = entry("beta", maintenance=True)
    second = await pair.beta.entries.put(resting, revision=first)
    with pytest.raises(Conflict):
        await pair.alpha.entries.put(entry("beta"), revision=first)
    assert await pair.alpha.entries.get("beta") == Versioned(resting, second)
    third = await pair.alpha.entries.put(entry("beta"))
    assert third > second > first


async def test_a_deleted_entry_may_be_created_again(pair: Pair) -> None:
    await pair.alpha.entries.put(entry("beta"), revision=0)
    await pair.alpha.entries.delete("beta")
    await pair.alpha.entries.delete("beta")
    assert await pair.beta.entries.get("beta") is None
    assert await pair.beta.entries.put(entry("beta"), revision=0) > 0


async def test_a_watch_tells_all_entries_and_then_changes(pair: Pair) -> None:
    await pair.alpha.entries.put(entry("alpha"))
    told = pair.beta.entries.watch()
    first = await pair.within(anext(told))
    assert isinstance(first, Versioned)
    assert first.value == entry("alpha")
    assert await pair.within(anext(told)) == Caught()
    await pair.alpha.entries.put(entry("gamma"))
    change = await pair.within(anext(told))
    assert isinstance(change, Versioned)
    assert change.value.name == "gamma"
    await pair.alpha.entries.delete("gamma")
    assert await pair.within(anext(told)) == Removed("gamma")


# -- leases --------------------------------------------------------------------


async def test_a_lease_has_one_holder(pair: Pair) -> None:
    assert await pair.within(pair.beta.leases.holder("controller")) is None
    mine = await pair.within(pair.alpha.leases.acquire("controller", "alpha", ttl_s=5))
    assert mine is not None
    other = pair.beta.leases.acquire("controller", "beta", ttl_s=5)
    assert await pair.within(other) is None
    seen = await pair.beta.leases.holder("controller")
    assert seen is not None
    assert (seen.holder, seen.token) == ("alpha", mine.token)


async def test_of_many_that_want_it_one_gets_it(pair: Pair) -> None:
    both = asyncio.gather(
        pair.alpha.leases.acquire("controller", "alpha", ttl_s=5),
        pair.beta.leases.acquire("controller", "beta", ttl_s=5),
    )

    async def race() -> list[ports.Lease | None]:
        return list(await both)

    won = [lease for lease in await pair.within(race()) if lease is not None]
    assert len(won) == 1


async def test_leases_of_different_names_are_different(pair: Pair) -> None:
    first = await pair.within(pair.alpha.leases.acquire("controller", "a", ttl_s=5))
    second = await pair.within(pair.beta.leases.acquire("backups", "b", ttl_s=5))
    assert first is not None
    assert second is not None


async def test_a_lease_ends_by_itself_and_the_next_fence_is_larger(pair: Pair) -> None:
    for turn in range(2):  # again, after what an expiry leaves behind
        old = await pair.within(pair.alpha.leases.acquire("job", "alpha", ttl_s=1))
        assert old is not None
        await pair.pass_time(1.3)
        assert await pair.within(pair.beta.leases.holder("job")) is None
        new = await pair.within(pair.beta.leases.acquire("job", "beta", ttl_s=1))
        assert new is not None, turn
        assert new.token > old.token
        with pytest.raises(Conflict):
            await pair.within(pair.alpha.leases.renew(old, ttl_s=1))
        await pair.pass_time(1.3)


async def test_a_renewed_lease_lives_on_with_its_fence(pair: Pair) -> None:
    lease = await pair.within(pair.alpha.leases.acquire("job", "alpha", ttl_s=2))
    assert lease is not None
    for _ in range(3):
        await pair.pass_time(0.9)
        renewed = await pair.within(pair.alpha.leases.renew(lease, ttl_s=2))
        assert (renewed.token, renewed.holder) == (lease.token, "alpha")
        assert renewed.revision > lease.revision
        lease = renewed
    assert await pair.within(pair.beta.leases.acquire("job", "beta", ttl_s=2)) is None
    seen = await pair.within(pair.beta.leases.holder("job"))
    assert seen is not None
    assert seen.token == lease.token
    await pair.pass_time(2.4)
    assert await pair.within(pair.beta.leases.holder("job")) is None


async def test_a_renewal_from_an_older_state_of_the_same_tenure_counts(
    pair: Pair,
) -> None:
    """As after an answer that was lost: it was made, and the holder does not know."""
    lease = await pair.within(pair.alpha.leases.acquire("job", "alpha", ttl_s=5))
    assert lease is not None
    await pair.within(pair.alpha.leases.renew(lease, ttl_s=5))
    again = await pair.within(pair.alpha.leases.renew(lease, ttl_s=5))
    assert again.token == lease.token


async def test_one_s_own_lease_is_taken_anew_with_a_larger_fence(pair: Pair) -> None:
    first = await pair.within(pair.alpha.leases.acquire("job", "alpha", ttl_s=5))
    second = await pair.within(pair.alpha.leases.acquire("job", "alpha", ttl_s=5))
    assert first is not None
    assert second is not None
    assert second.token > first.token
    with pytest.raises(Conflict):
        await pair.within(pair.alpha.leases.renew(first, ttl_s=5))


async def test_a_released_lease_is_free_at_once(pair: Pair) -> None:
    for _ in range(2):
        lease = await pair.within(pair.alpha.leases.acquire("job", "alpha", ttl_s=5))
        assert lease is not None
        renewed = await pair.within(pair.alpha.leases.renew(lease, ttl_s=5))
        await pair.within(pair.alpha.leases.release(lease))
        assert await pair.within(pair.beta.leases.holder("job")) is None
        with pytest.raises(Conflict):
            await pair.within(pair.alpha.leases.renew(renewed, ttl_s=5))
        other = await pair.within(pair.beta.leases.acquire("job", "beta", ttl_s=5))
        assert other is not None
        await pair.within(pair.alpha.leases.release(lease))
        assert await pair.within(pair.beta.leases.renew(other, ttl_s=5))
        await pair.within(pair.beta.leases.release(other))
