"""One contract, two stores: the fake that other tests lean on, and the real one.

A test asks for `world` and runs over both. Time passes by `world.pass_time`; what waits
runs inside `world.during`, which moves a fake clock and lets a real one be.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from nexa_node import ports
from nexa_node.adapters.nats.queue import NatsQueue
from nexa_node.adapters.nats.store import Background, open_store
from nexa_node.core.policies import RetentionPolicy, StorePolicy
from tests.fakes import FakeClock, MemoryStore

T = TypeVar("T")
KEEP_EVERY_S = 0.5


class World(Protocol):
    store: ports.Store

    async def pass_time(self, seconds: float) -> None: ...

    async def during(self, work: Coroutine[Any, Any, T], seconds: float) -> T: ...


@dataclass
class MemoryWorld:
    store: MemoryStore
    clock: FakeClock

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def during(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        task = asyncio.ensure_future(work)
        await self.clock.advance(seconds)
        return await task


@dataclass
class NatsWorld:
    store: ports.Store

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def during(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        return await asyncio.wait_for(work, seconds + 10)


@pytest.fixture(params=["memory", "nats"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MemoryWorld | NatsWorld]:
    if request.param == "memory":
        clock = FakeClock()
        yield MemoryWorld(MemoryStore(clock, keep_every_s=KEEP_EVERY_S), clock)
        return
    async with open_store(
        StorePolicy(),
        tmp_path / "alpha",
        retention=RetentionPolicy(),
        on_change=lambda _: None,
    ) as store:
        background = Background()
        store.queue = NatsQueue(
            store._connection, background.spawn, redeliver_s=3 * KEEP_EVERY_S
        )
        yield NatsWorld(store)
        await background.settle(2)
