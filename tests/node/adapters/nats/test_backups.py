"""Backups of a store that is used, restored into another one: nothing is missing."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from nexa_node.adapters.files.shelf import Shelf
from nexa_node.adapters.nats import snapshots
from nexa_node.adapters.nats.backups import (
    BEFORE,
    LEFT_OUT,
    READY,
    RESTORED,
    NatsBackups,
    adopt,
    bounce,
)
from nexa_node.adapters.nats.config import Layout
from nexa_node.adapters.nats.session import Lost
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, Invalid, NexaError, Unavailable
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.tasks import Task
from nexa_node.core.policies import ClusterPolicy
from nexa_node.ports import Caught, TokenRecord, Versioned
from nexa_node.services.cluster.backups import Backups
from tests import builders
from tests.fakes import FakeClock, RecordingJournal
from tests.node.adapters.nats.tools import QUICK, eventually, kill, opened

DEFAULT, ME = Namespace("default"), AgentId("me")


class Desk:
    """Backups of one store, as a node has them."""

    def __init__(self, store: NatsStore, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.journal = RecordingJournal()
        self.growths: list[Growth] = []
        self.streams = NatsBackups(store._connection, QUICK, folder, bounce=self.bounce)
        self.backups = Backups(
            node="one",
            cluster=lambda: ("alpha", "c1"),
            version="1",
            streams=self.streams,
            vault=Shelf(folder / "backups"),
            tasks=store.tasks,
            queue=store.queue,
            journal=self.journal,
            clock=FakeClock(),
            new_id=map("b{}".format, itertools.count()).__next__,
            policy=ClusterPolicy(),
            tell=self.growths.append,
        )

    async def bounce(self) -> None:
        await bounce(self.store._server, self.store._connection)

    async def archive(self) -> bytes:
        chunks = await self.backups.backup(by="me")
        return b"".join([chunk async for chunk in chunks])

    async def restore(self, content: bytes) -> list[Growth]:
        return [one async for one in self.backups.restore(told(content), by="me")]


async def told(content: bytes, size: int = 60_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@contextlib.asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    async with opened(folder) as store:
        yield Desk(store, folder)


async def tasks_of(store: NatsStore) -> dict[str, Task]:
    found: dict[str, Task] = {}
    async for told_of in store.tasks.watch():
        if isinstance(told_of, Caught):
            return found
        if isinstance(told_of, Versioned):
            found[told_of.value.id] = told_of.value
    return found


async def tokens_of(store: NatsStore) -> set[str]:
    found: set[str] = set()
    async for told_of in store.tokens.watch():
        if isinstance(told_of, Caught):
            return found
        if isinstance(told_of, Versioned):
            found.add(told_of.value.id)
    return found


def token(name: str) -> TokenRecord:
    return builders.token_record(id=name)


async def submit(store: NatsStore, name: str) -> None:
    task = builders.task(id=name, status="pending", claim_epoch=0)
    assert await store.tasks.create(task) is not None
    await store.queue.put(task)


async def test_all_of_a_store_comes_back_in_another_node(tmp_path: Path) -> None:
    async with desk(tmp_path / "old") as old:
        for at in range(30):
            await submit(old.store, f"t{at}")
        done = builders.task(id="t0", status="completed")
        seen = await old.store.tasks.get(TaskId("t0"))
        assert seen is not None
        await old.store.tasks.update(done, revision=seen.revision)
        for at in range(20):
            await old.store.inboxes.append(
                DEFAULT, ME, builders.message(id=f"m{at}"), ttl_s=None
            )
        await old.store.inboxes.ack(DEFAULT, ME, upto=5)
        kept = await old.store.objects.put(told(b"large" * 200_000), limit=10**8)
        await old.store.tokens.put(token("old-token"))
        await old.store.events.append(builders.event())
        inbox = await old.store.inboxes.read(DEFAULT, ME, after=0, limit=100)
        tasks = await tasks_of(old.store)
        epoch = await old.store.inboxes.epoch()
        content = await old.archive()

    async with desk(tmp_path / "new") as new:
        await new.store.tokens.put(token("new-token"))
        growths = await new.restore(content)

        assert growths[-1].phase == "done"
        assert {one.phase for one in growths} == {"verify", "restore", "start", "done"}
        assert await tasks_of(new.store) == tasks
        assert await new.store.inboxes.read(DEFAULT, ME, after=0, limit=100) == inbox
        found = await new.store.objects.get(kept.sha256)
        assert found is not None
        assert b"".join([piece async for piece in found[1]]) == b"large" * 200_000
        assert await tokens_of(new.store) == {"old-token", "new-token"}
        assert await new.store.events.recent(limit=9) == [builders.event()]
        assert await new.store.inboxes.epoch() != epoch
        taken = await new.store.queue.take(DEFAULT, "wc", limit=100, wait_s=5)
        assert len(taken) == 30
        assert (await new.store.inboxes.append(
            DEFAULT, ME, builders.message(id="after"), ttl_s=None
        ))[0] == 21  # fmt: skip
        assert new.journal.kinds() == ["restore.done"]
        assert not (new.folder / BEFORE).exists()
        assert not (new.folder / RESTORED).exists()
        assert list((new.folder / "backups").iterdir()) == []

    async with opened(tmp_path / "new") as again:
        assert await tasks_of(again) == tasks


async def test_a_backup_of_a_busy_store_has_a_state_for_every_task(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path / "old") as old:
        for at in range(200):
            await submit(old.store, f"t{at}")
        written = 0
        busy = True

        async def rewrite(mine: range) -> None:
            nonlocal written
            for turn in itertools.count(1):
                for at in mine:
                    seen = await old.store.tasks.get(TaskId(f"t{at}"))
                    assert seen is not None
                    task = builders.task(id=f"t{at}", status="running", pct=turn % 100)
                    await old.store.tasks.update(task, revision=seen.revision)
                    written += 1
                    if not busy:
                        return

        writers = [asyncio.ensure_future(rewrite(range(at, 200, 8))) for at in range(8)]
        await eventually(lambda: written > 200)
        contents = [await old.archive() for _ in range(3)]
        busy = False
        await asyncio.gather(*writers)

    for at, content in enumerate(contents):
        async with desk(tmp_path / f"new{at}") as new:
            await new.restore(content)
            assert len(await tasks_of(new.store)) == 200


async def test_damaged_backups_touch_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path / "old") as old:
        await submit(old.store, "t1")
        content = await old.archive()

    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    async with desk(tmp_path / "new") as new:
        await new.store.tokens.put(token("mine"))
        pid = new.store.health().pid
        for bad in (b"", b"noise" * 1000, content[:-1], content[:9000], bytes(flipped)):
            with pytest.raises(Invalid):
                await new.restore(bad)
        assert new.store.health().pid == pid
        assert await tokens_of(new.store) == {"mine"}
        assert await tasks_of(new.store) == {}
        assert set(new.journal.kinds()) == {"restore.failed"}
        assert not (new.folder / RESTORED).exists()

        await new.restore(content)
        assert set(await tasks_of(new.store)) == {"t1"}


async def test_a_node_that_has_data_is_refused(tmp_path: Path) -> None:
    async with desk(tmp_path / "old") as old:
        content = await old.archive()
        await submit(old.store, "t1")
        await old.store.inboxes.append(DEFAULT, ME, builders.message(), ttl_s=None)
        with pytest.raises(Conflict, match="1 tasks, 1 queued tasks, 1 messages"):
            await old.restore(content)
        old.streams._clustered = lambda: True
        with pytest.raises(Conflict, match="alone"):
            await old.restore(content)


async def test_a_snapshot_that_lies_is_found_before_the_store_is_replaced(
    tmp_path: Path,
) -> None:
    """The archive is whole, but what it has is not what it says: a bug, or worse."""
    async with desk(tmp_path / "old") as old:
        await submit(old.store, "t1")
        chunks = await old.backups.backup(by="me")
        content = b"".join([chunk async for chunk in chunks])

    async with desk(tmp_path / "new") as new:
        spool = await new.backups.vault.spool()
        manifest = await new.backups.vault.unpack(told(content), spool)
        parts = list(manifest.parts)
        state = {**parts[0].stream.state, "messages": 5, "last_seq": 5}
        lying = msgspec.structs.replace(
            parts[0], stream=msgspec.structs.replace(parts[0].stream, state=state)
        )
        with pytest.raises(NexaError, match="NX_TASKQ"):
            async for _ in new.streams.restore((lying, *parts[1:]), spool.read):
                pass
        assert await tasks_of(new.store) == {}
        assert not (new.folder / RESTORED).exists()


async def test_a_restore_that_nobody_waits_for_changes_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path / "old") as old:
        await submit(old.store, "t1")
        content = await old.archive()
    async with desk(tmp_path / "new") as new:
        async with contextlib.aclosing(
            new.backups.restore(told(content), by="me")
        ) as growths:
            async for growth in growths:
                if growth.phase == "restore":
                    break
        assert await tasks_of(new.store) == {}
        assert not (new.folder / RESTORED).exists()
        assert set((await new.restore(content))[-1].phase.split()) == {"done"}


@pytest.mark.parametrize("killed_after", [0, 1, 2, 3])
def test_adopting_goes_on_wherever_it_was_killed(
    tmp_path: Path, killed_after: int
) -> None:
    store, aside = Layout(tmp_path).store, tmp_path / RESTORED
    made = Layout(aside).store
    for folder, word in ((store, "old"), (made, "new")):
        folder.mkdir(parents=True)
        (folder / "word").write_text(word)
    assert not adopt(tmp_path)  # not before it is ready
    (aside / READY).write_bytes(b"")
    steps = [
        lambda: store.rename(tmp_path / BEFORE),
        lambda: made.rename(store),
        (aside / READY).unlink,
    ]
    for step in steps[:killed_after]:
        step()
    store.mkdir(exist_ok=True)  # as each start of a node does

    adopted = adopt(tmp_path)

    assert adopted == (killed_after < 3)
    assert (store / "word").read_text() == "new"
    assert (tmp_path / BEFORE / "word").read_text() == "old"
    assert not adopt(tmp_path)


async def test_streams_are_taken_in_an_order_that_explains_itself(
    store: NatsStore, folder: Path
) -> None:
    names = await Desk(store, folder).streams.names()
    place = {name: at for at, name in enumerate(names)}
    assert place["NX_TASKQ"] < place["KV_nx_tasks"]
    assert place["KV_nx_sessions"] < place["NX_INBOX"] < place["NX_OBJECTS"]
    assert names[-1] == "NX_EVENTS"
    there = {
        one.name for one in await snapshots.streams(await store._connection.session())
    }
    assert {"NX_PROBE", "KV_nx_probe"} <= there - place.keys() <= LEFT_OUT


async def test_a_bounce_starts_the_server_anew_and_waits_for_it(
    store: NatsStore,
) -> None:
    before = store.health()
    await bounce(store._server, store._connection)
    after = store.health()
    assert after.connected
    assert (after.restarts, after.pid != before.pid) == (before.restarts + 1, True)


async def test_a_store_that_goes_away_in_the_middle_is_said(tmp_path: Path) -> None:
    async with desk(tmp_path) as old:
        for _ in range(40):
            content = os.urandom(250_000)
            await old.store.objects.put(told(content), limit=10**8)
        taking = old.streams.take("NX_OBJECTS")
        described, chunks = await taking.__aenter__()
        assert described.counts.bytes > 40 * 250_000
        assert await anext(chunks)
        kill(old.store)
        with pytest.raises(Lost) as lost:
            await drained(chunks)
        with pytest.raises(Unavailable, match="went away in the middle"):
            await taking.__aexit__(Lost, lost.value, None)


async def drained(chunks: AsyncIterator[bytes]) -> None:
    async for _ in chunks:
        pass
