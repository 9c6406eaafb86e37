"""A replica that lags ends its answer too early: what it lacks is asked of the leader."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nexa_node.adapters.nats import growing
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.inboxes import NatsInboxes
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.adapters.nats.wire import Entry
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
