"""What `ports.Deliveries` promises: over memory, over a file, over the real store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from nexa_node.adapters.files.deliveries import LOG_MAX, FileDeliveries
from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.store import NatsStore, open_store
from nexa_node.contract.errors import Conflict
from nexa_node.contract.notifications import Delivery
from nexa_node.core.alerting.notifying.routes import routes_of
from nexa_node.core.alerting.notifying.tracks import Job, Track
from nexa_node.core.policies import RetentionPolicy, RoutePolicy, StorePolicy
from nexa_node.ports import Deliveries
from nexa_node.services.alerting.delivering import Counts, Outbox, Receiver
from nexa_node.services.alerting.notifying import Notifier
from tests.alerting import (
    BUSY,
    MemoryDeliveries,
    RecordingSender,
    alert,
    around,
    notice,
)
from tests.fakes import FakeClock

NOW = datetime.now(UTC)
EARLIER = datetime(2020, 1, 1, tzinfo=UTC)
JOB = Job(id="a-1", reason="firing", created=NOW, next_at=NOW)


def track(key: str = "aa", **over: object) -> Track:
    made = Track(
        key=key, receiver="ops", group="{}:{}", labels={"a": "b"}, told=NOW, number=1,
        firing=("f",), notices=(notice("A", labels={"l": 'x"\n≥'}),), job=JOB,
    )  # fmt: skip
    return msgspec.structs.replace(made, **over)


def entry(id: str, **over: object) -> Delivery:
    made = Delivery(
        id=id, receiver="ops", kind="webhook", reason="firing", state="waiting", at=NOW,
        created=NOW, group="g", alerts=("A",), detail="≥",
    )  # fmt: skip
    return msgspec.structs.replace(made, **over)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[NatsStore]:
    async with open_store(
        StorePolicy(), folder, retention=RetentionPolicy(), on_change=lambda _: None
    ) as store:
        yield store


@dataclass
class Bench:
    notifier: Notifier
    sender: RecordingSender
    clock: FakeClock

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.notifier.run())
        try:
            await self.until(lambda: self.notifier._ready)
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, holds: Callable[[], bool]) -> None:
        """Move time on while real answers are under way."""
        async with asyncio.timeout(20):
            while not holds():
                await self.clock.advance(0.3)
                await asyncio.sleep(0.01)


def bench(deliveries: Deliveries, clock: FakeClock, sender: RecordingSender) -> Bench:
    receiver = Receiver(name="ops", kind="webhook", sender=sender)
    surroundings = around(clock)
    notifier = Notifier(
        routes_of([RoutePolicy(receivers=("ops",), group_wait_ms=0)], ("ops",)),
        Outbox({"ops": receiver}, deliveries, surroundings, Counts()),
        [receiver],
        around=surroundings,
        is_ours=lambda: True,
    )
    return Bench(notifier, sender, clock)


async def all_of(deliveries: Deliveries) -> None:
    assert await deliveries.tracks() == []
    first = await deliveries.put(track(), revision=0)
    other = await deliveries.put(track("bb"), revision=0)
    with pytest.raises(Conflict):
        await deliveries.put(track(number=2), revision=0)
    second = await deliveries.put(track(number=2, job=None), revision=first)
    with pytest.raises(Conflict):
        await deliveries.put(track(number=3), revision=first)
    found = {one.value.key: one for one in await deliveries.tracks()}

    assert found["aa"].value == track(number=2, job=None)
    assert found["aa"].revision == second
    assert found["bb"].value == track("bb")
    assert found["bb"].revision == other

    assert await deliveries.recent(limit=10) == []
    entries = [entry(f"d{n}", attempts=n) for n in range(5)]
    for one in entries:
        await deliveries.note(one)
    assert await deliveries.recent(limit=10) == entries
    assert await deliveries.recent(limit=2) == entries[-2:]
    assert await deliveries.recent(limit=0) == []


async def test_memory_keeps_the_promises() -> None:
    await all_of(MemoryDeliveries())


async def test_a_file_keeps_the_promises_and_outlives_the_process(
    tmp_path: Path,
) -> None:
    path = tmp_path / "notifications.json"
    await all_of(FileDeliveries(path))
    again = FileDeliveries(path)

    assert path.stat().st_mode & 0o077 == 0
    assert {one.value.key for one in await again.tracks()} == {"aa", "bb"}
    assert [one.id for one in await again.recent(limit=1)] == ["d4"]


async def test_the_store_keeps_the_promises(tmp_path: Path) -> None:
    async with opened(tmp_path / "alpha") as store:
        await all_of(store.deliveries)


async def test_the_store_forgets_what_nobody_wrote_for_long(tmp_path: Path) -> None:
    plan = {one.name: one for one in topology.plan(RetentionPolicy())}

    assert plan["KV_nx_notify"].max_age == 5 * 86_400 * wire.SECOND
    assert plan["NX_NOTIFIED"].max_age == 168 * 3600 * wire.SECOND


async def test_a_notifier_goes_on_over_the_real_store(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path / "alpha") as store:
        first = bench(store.deliveries, clock, RecordingSender(BUSY))
        async with first.at_work():
            await first.notifier.told([alert("A")])
            await first.until(lambda: len(first.sender.sent) == 1)
        second = bench(store.deliveries, clock, RecordingSender())
        async with second.at_work():
            await second.until(lambda: len(second.sender.sent) == 1)
            await second.notifier.told([alert("A")])
            async with asyncio.timeout(10):
                while (await store.deliveries.recent(limit=1))[0].state != "delivered":
                    await clock.advance(0.3)

    assert second.sender.sent[0].id == first.sender.sent[0].id


async def test_a_file_that_cannot_be_read_costs_a_double_and_no_notification(
    tmp_path: Path,
) -> None:
    path = tmp_path / "notifications.json"
    path.write_bytes(b"{ no json")
    path.chmod(0o600)
    deliveries = FileDeliveries(path)

    assert await deliveries.tracks() == []
    assert await deliveries.put(track(), revision=0) > 0


async def test_a_file_that_cannot_be_written_costs_no_notification(
    tmp_path: Path,
) -> None:
    deliveries = FileDeliveries(tmp_path / "no such folder" / "notifications.json")

    assert await deliveries.put(track(), revision=0) > 0
    assert len(await deliveries.tracks()) == 1


async def test_a_file_is_bounded_and_forgets_the_old(tmp_path: Path) -> None:
    path = tmp_path / "notifications.json"
    deliveries = FileDeliveries(path)
    await deliveries.put(track("cc", job=None, told=EARLIER), revision=0)
    await deliveries.put(track("dd", told=EARLIER), revision=0)
    for n in range(LOG_MAX):
        deliveries._entries.append(entry(f"d{n}"))
    await deliveries.note(entry("last"))
    again = FileDeliveries(path)

    assert len(await again.recent(limit=10_000)) == LOG_MAX
    assert [one.value.key for one in await again.tracks()] == ["dd"]
