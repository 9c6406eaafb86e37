"""Shared state and the conflict log, as they are stored."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.records import Records
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.errors import Invalid, Unavailable
from nexa_node.contract.shared import ConflictRecord, Written
from nexa_node.contract.tasks import Json
from nexa_node.core.shared import Record
from tests.node.adapters.nats.tools import Road

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def record(value: Json) -> Record:
    write = Written(by="a", node="alpha", time=NOON, stamp="1@alpha", value=value)
    return Record(kind="cas", writes=(write,))


async def test_a_value_is_replaced_and_removed_by_who_has_seen_it(
    store: NatsStore,
) -> None:
    shared = store.shared
    first = await shared.put("b", "k", record(1), revision=0)
    assert first is not None
    assert await shared.put("b", "k", record(2), revision=0) is None
    second = await shared.put("b", "k", record(2), revision=first)
    assert second is not None
    assert await shared.put("b", "k", record(3), revision=first) is None

    found = await shared.get("b", "k")
    assert found is not None
    assert (found.value, found.revision) == (record(2), second)
    assert not await shared.delete("b", "k", revision=first)
    assert await shared.delete("b", "k", revision=second)
    assert await shared.get("b", "k") is None
    assert await shared.put("b", "k", record(4), revision=0) is not None


async def test_buckets_and_values_are_told_apart(store: NatsStore) -> None:
    shared = store.shared
    assert [name async for name, _ in shared.all()] == []
    for bucket in ("a", "ab"):
        await shared.put(bucket, "", Record(kind="lww"), revision=0)
        await shared.put(bucket, "k", record(bucket), revision=0)
    gone = await shared.put("a", "gone", record(0), revision=0)
    assert gone is not None
    await shared.delete("a", "gone", revision=gone)

    assert sorted([name async for name, _ in shared.all()]) == ["a", "ab"]
    assert [(k, v.value) async for k, v in shared.all("a")] == [("k", record("a"))]


@pytest.mark.parametrize("key", ["a.b", "*", ">", "", "A"])
async def test_a_key_can_mean_nothing_else(store: NatsStore, key: str) -> None:
    if not key:
        assert await store.shared.get("b", key) is None
        return
    with pytest.raises(Invalid):
        await store.shared.get("b", key)


async def test_conflicts_are_kept_as_they_were_and_told_the_newest_first(
    store: NatsStore,
) -> None:
    def conflict(name: str, minutes: int, message: str = "m") -> ConflictRecord:
        at = NOON + timedelta(minutes=minutes)
        return ConflictRecord(
            id=name, time=at, kind="value", subject="s", message=message
        )

    log = store.conflicts
    await log.add(conflict("old", 1))
    await log.add(conflict("new", 2))
    await log.add(conflict("old", 3, "another"))

    assert [each.id for each in await log.all()] == ["new", "old"]
    assert await log.get("old") == conflict("old", 1)
    assert await log.get("none") is None


async def _nothing(_: Session) -> None:
    pass


async def test_a_list_that_nobody_answers_is_given_up_in_time(store: NatsStore) -> None:
    async with Road(store._server).open() as road:  # pyright: ignore[reportPrivateUsage]
        connection = Connection(road, _nothing, timeout_s=0.2, direct=False)
        listed = Records(connection, topology.SHARED, Record).all()
        async with asyncio.timeout(20):
            with pytest.raises(Unavailable, match="not answered in time"):
                assert [one async for one in listed] == []
