"""A replica that lags ends its answer too early: what it lacks is asked of the leader."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nexa_node.adapters.nats import growing, reader
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.inboxes import NatsInboxes
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.adapters.nats.wire import Entry
from nexa_node.ports import Caught, Versioned
from tests import builders
from tests.node.adapters.nats.tools import Road


async def _nothing(_: Session) -> None:
    pass


class Lagging:
    """A replica that has nothing past a position: as one that was stopped, and woke up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, knows_upto: int) -> None:
        self._real = growing._direct  # pyright: ignore[reportPrivateUsage]
        self._upto = knows_upto
        monkeypatch.setattr(growing, "_direct", self._answer)

    async def _answer(self, *asked: Any) -> list[Entry]:
        return [one for one in await self._real(*asked) if one.seq <= self._upto]


@pytest.fixture
async def inboxes(store: NatsStore) -> AsyncIterator[NatsInboxes]:
    """Inboxes of a store that is one of several, as far as the connection knows."""
    async with Road(store._server).open() as road:  # pyright: ignore[reportPrivateUsage]
        connection = Connection(road, _nothing, timeout_s=5, direct=False)
        await connection.open()
        keeping = asyncio.ensure_future(connection.keep())
        try:
            yield NatsInboxes(connection, lambda: "e")
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await connection.close()


async def fill(inboxes: NatsInboxes, count: int) -> None:
    for number in range(count):
        message = builders.message(f"m{number}")
        await inboxes.append("default", "a", message, ttl_s=None)
        await inboxes.append("default", "b", message, ttl_s=None)


async def test_what_a_replica_lacks_of_an_inbox_is_read_all_the_same(
    inboxes: NatsInboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(inboxes, 5)
    Lagging(monkeypatch, knows_upto=4)

    whole = await inboxes.read("default", "a", after=0, limit=64)
    rest = await inboxes.read("default", "a", after=7, limit=64)
    topics = await inboxes.read_topics("default", ">", after=0, limit=64)

    assert [one.seq for one in whole] == [1, 3, 5, 7, 9]
    assert [one.message.id for one in whole] == ["m0", "m1", "m2", "m3", "m4"]
    assert [one.seq for one in rest] == [9]
    assert topics == []


async def test_a_moment_is_found_although_a_replica_has_nothing_since(
    inboxes: NatsInboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    await fill(inboxes, 3)
    Lagging(monkeypatch, knows_upto=0)

    assert await inboxes.position(before) == 0
    assert await inboxes.position(datetime.now(UTC) + timedelta(hours=1)) == 6


class Late:
    """A copy at which a reader finds only the beginning, until it was asked twice."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, knows: int) -> None:
        self._real = reader._Pulling.once  # pyright: ignore[reportPrivateUsage]
        self._knows, self._lacks = knows, list[tuple[Entry, int]]()
        self.pulls = 0
        monkeypatch.setattr(
            reader._Pulling,  # pyright: ignore[reportPrivateUsage]
            "once",
            lambda pulling, *, wait: self._once(pulling, wait),
        )

    async def _once(self, pulling: Any, wait: int) -> AsyncIterator[tuple[Entry, int]]:
        self.pulls += 1
        if self.pulls == 1:
            async for entry, _ in self._real(pulling, wait=wait):
                if self._knows == 0:
                    self._lacks.append((entry, 0))
                else:
                    self._knows -= 1
                    yield entry, 0
            pulling.empty = True
        elif self.pulls == 3:
            for one in self._lacks:
                yield one
        elif self.pulls > 3:
            async for one in self._real(pulling, wait=wait):
                yield one


@pytest.mark.parametrize("knows", [0, 1, 2])
async def test_a_watch_that_begins_at_a_copy_that_lags_is_not_called_whole(
    store: NatsStore, monkeypatch: pytest.MonkeyPatch, knows: int
) -> None:
    for number in range(3):
        await store.agents.put(builders.agent(f"agent-{number}"))
    late = Late(monkeypatch, knows)
    told: list[str] = []
    async with asyncio.timeout(20):
        async for one in store.agents.watch():
            if isinstance(one, Caught):
                break
            assert isinstance(one, Versioned)
            told.append(one.value.id)

    assert told == ["agent-0", "agent-1", "agent-2"]
    assert late.pulls == 3
