"""The administration of a cluster's store, on three real servers: peers, leaders, routes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.contract.version import VERSION
from tests import builders
from tests.node.adapters.nats.cluster_tools import Trio, together

pytestmark = pytest.mark.timeout(120)


async def until(holds: Callable[[], bool]) -> None:
    """The test's own time-out ends a wait in vain."""
    while not holds():
        await asyncio.sleep(0.05)


def whole(store: NatsStore, members: int = 3) -> bool:
    shape = store.cluster.shape()
    return (
        shape.have == members
        and shape.leader is not None
        and bool(shape.streams)
        and all(
            one.leader and all(copy.current for copy in one.replicas)
            for one in shape.streams
        )
    )


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[dict[str, NatsStore]]:
    async with together(Trio(tmp_path)) as made:
        await until(lambda: all(whole(one) for one in made.values()))
        yield made


@pytest.mark.slow
async def test_a_member_that_steps_down_leads_nothing_and_loses_nothing(
    stores: dict[str, NatsStore],
) -> None:
    shape = stores["alpha"].cluster.shape()
    name = shape.leader
    assert name is not None
    store = stores[name]
    await store.tasks.create(builders.task(id="before"))

    await store.cluster.step_down()

    def leads_nothing() -> bool:
        now = store.cluster.shape()
        return now.leader not in (None, name) and all(
            one.leader not in (None, name) for one in now.streams
        )

    await until(leads_nothing)
    assert await store.tasks.get("before") is not None  # pyright: ignore[reportArgumentType]
    await store.tasks.create(builders.task(id="after"))


async def test_who_may_not_be_struck_off_is_told_why(
    stores: dict[str, NatsStore],
) -> None:
    cluster = stores["alpha"].cluster
    with pytest.raises(Conflict, match="is alive"):
        await cluster.remove_peer("beta")
    with pytest.raises(Conflict, match="no member"):
        await cluster.remove_peer("delta")
    with pytest.raises(Invalid, match="5 copies need 5 nodes"):
        async for _ in cluster.set_replicas(5):
            pass
    with pytest.raises(Invalid, match="can't be kept"):
        async for _ in cluster.set_replicas(2):
            pass


@pytest.mark.slow
async def test_a_dead_member_is_struck_off_and_one_of_two_is_not(
    tmp_path: Path,
) -> None:
    trio = Trio(tmp_path)
    async with AsyncExitStack() as stack:
        alpha = trio.open("alpha")
        beta = trio.open("beta")
        gone = trio.open("gamma")
        opened = await asyncio.gather(
            stack.enter_async_context(alpha),
            stack.enter_async_context(beta),
            gone.__aenter__(),
        )
        store, second = opened[0], opened[1]
        await until(lambda: all(whole(one) for one in opened))
        await gone.__aexit__(None, None, None)
        await until(lambda: store.cluster.shape().have == 2)

        await store.cluster.remove_peer("gamma")

        def struck_off() -> bool:
            peers = {peer.node for peer in second.cluster.shape().peers}
            return peers == {"alpha", "beta"}

        await until(struck_off)
        assert store.health().quorum
        await store.tasks.create(builders.task(id="t"))


async def test_routes_and_keys_that_change_need_no_restart(
    stores: dict[str, NatsStore],
) -> None:
    store = stores["beta"]
    pid = store.health().pid
    member = store.member
    assert member is not None

    await store.reroute(member.routes[:1], member.pins)
    assert store.member == replace(member, routes=member.routes[:1])
    await store.read_anew()
    await until(lambda: whole(store))
    await store.tasks.create(builders.task(id="t"))

    assert (store.health().pid, store.health().restarts) == (pid, 0)


async def test_settings_are_whoevers_is_the_controller_but_never_an_older_nexas(
    stores: dict[str, NatsStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    streams_module = "nexa_node.adapters.nats.streams"
    major, minor, _ = (int(each) for each in VERSION.split("."))
    newer = f"{major}.{minor + 1}.0"
    store = stores["gamma"]  # no founder
    streams = store._streams  # pyright: ignore[reportPrivateUsage]
    plan = streams._plan  # pyright: ignore[reportPrivateUsage]

    async def age() -> int:
        session = await store._connection.session()  # pyright: ignore[reportPrivateUsage]
        from nexa_node.adapters.nats.streams import _streams as listed  # pyright: ignore[reportPrivateUsage]

        found = (await listed(session))["NX_EVENTS"].config
        assert found is not None
        assert found.num_replicas == 3
        return found.max_age

    def wanted(seconds: int) -> None:
        streams._plan = tuple(  # pyright: ignore[reportPrivateUsage]
            msgspec.structs.replace(one, max_age=seconds * 10**9)
            if one.name == "NX_EVENTS"
            else one
            for one in plan
        )

    wanted(7200)
    await store.keep_settings()
    assert await age() == 7200 * 10**9

    monkeypatch.setattr(f"{streams_module}.VERSION", newer)
    wanted(9000)
    await store.keep_settings()
    monkeypatch.setattr(f"{streams_module}.VERSION", VERSION)
    wanted(7200)
    await store.keep_settings()
    assert await age() == 9000 * 10**9
