"""Measurements between nodes, and what nats-server has counted: the real thing."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from nexa_node.adapters.nats.store import NatsStore
from nexa_node.adapters.nats.ticks import PREFIX, NatsTicks
from nexa_node.contract.errors import Unavailable
from nexa_node.ports import Tick
from tests.node.adapters.nats.tools import back, eventually, kill

TICK = Tick("beta", "run", 10_000, 0, (("gauge", {"__name__": "up"}),), b"12345678")


async def publish(store: NatsStore, subject: str, payload: bytes) -> None:
    session = await store._connection.session()  # pyright: ignore[reportPrivateUsage]
    await session.publish(subject, payload)


async def test_a_tick_reaches_who_listens_and_not_its_sender(store: NatsStore) -> None:
    arrivals = store.ticks.arrivals()

    await store.ticks.send(msgspec.structs.replace(TICK, node="alpha"))
    await store.ticks.send(TICK)

    assert await asyncio.wait_for(anext(arrivals), 5) == TICK


async def test_what_is_no_tick_or_told_in_another_name_is_left_out(
    store: NatsStore,
) -> None:
    arrivals = store.ticks.arrivals()

    await publish(store, f"{PREFIX}.gamma", b"?")
    await publish(store, f"{PREFIX}.gamma", msgspec.msgpack.encode(TICK))
    await store.ticks.send(TICK)

    assert await asyncio.wait_for(anext(arrivals), 5) == TICK


async def test_without_a_connection_a_tick_is_not_sent(folder: Path) -> None:
    with pytest.raises(Unavailable):
        await NatsTicks("alpha").send(TICK)


async def test_the_server_tells_what_it_has_counted(store: NatsStore) -> None:
    await eventually(lambda: store.figures().storage_limit > 0)
    assert store.figures().reconnects == 0
    assert store.figures().slow_consumers == 0

    kill(store)
    await back(store, 1)

    await eventually(lambda: store.figures().reconnects >= 1)
