"""Backups on demand and on schedule, over fakes: who makes them, and what is told."""

import asyncio
import contextlib
import gc
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from nexa_node.adapters.files.shelf import Shelf
from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, Invalid, Unavailable
from nexa_node.contract.ids import TaskId
from nexa_node.core.backups import Contents, Described, Part
from nexa_node.core.policies import ClusterPolicy
from nexa_node.services.cluster.backups import LOOK_S, RETRY_S, Backups
from nexa_node.services.cluster.vaults import Open
from tests import builders
from tests.fakes import FakeClock, MemoryStore, RecordingJournal, eventually

HOURLY = ClusterPolicy(backup_every_hours=1, backup_keep=3)


class MemoryStreams:
    """`services.vaults.Streams` with two streams; may refuse or wait."""

    def __init__(self) -> None:
        self.held = Contents()
        self.refuses: Unavailable | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.restored: dict[str, bytes] = {}
        self.fails_at = ""

    async def names(self) -> tuple[str, ...]:
        if self.refuses is not None:
            raise self.refuses
        return ("QUEUE", "RECORDS")

    @contextlib.asynccontextmanager
    async def take(
        self, stream: str
    ) -> AsyncGenerator[tuple[Described, AsyncIterator[bytes]]]:
        await self.gate.wait()
        state = {"messages": 5, "last_seq": 5, "first_seq": 1}
        yield Described(name=stream, config={}, state=state), told(stream.encode())

    async def after(self, was: Described) -> tuple[int, AsyncIterator[bytes] | None]:
        return 1, told(b"late") if was.name == "RECORDS" else None

    async def contents(self) -> Contents:
        return self.held

    async def restore(
        self, parts: tuple[Part, ...], read: Open
    ) -> AsyncGenerator[tuple[str, int]]:
        for part in parts:
            yield "restore", part.stream.counts.messages
            if part.stream.name == self.fails_at:
                raise Unavailable("the disk is full", remedy="free it")
            for piece in filter(None, (part.snapshot, part.tail)):
                self.restored[piece.name] = b"".join(
                    [c async for c in read(piece.name)]
                )
        yield "start", 10


async def told(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


class Scene:
    """One node's backups."""

    def __init__(self, folder: Path, policy: ClusterPolicy = HOURLY) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.journal = RecordingJournal()
        self.streams = MemoryStreams()
        self.store = MemoryStore(self.clock)
        self.growths: list[Growth] = []
        self.controls = True
        self.backups = Backups(
            node="one",
            cluster=lambda: ("alpha", "c1"),
            version="1",
            streams=self.streams,
            vault=Shelf(folder),
            tasks=self.store.tasks,
            queue=self.store.queue,
            journal=self.journal,
            clock=self.clock,
            new_id=map("b{}".format, itertools.count()).__next__,
            policy=policy,
            is_controller=lambda: self.controls,
            tell=self.growths.append,
        )

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.nexa-backup"))

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob(".*"))

    async def archive(self) -> bytes:
        chunks = await self.backups.backup(by="me")
        return b"".join([chunk async for chunk in chunks])

    async def restore(self, content: bytes) -> list[Growth]:
        return [one async for one in self.backups.restore(told(content), by="me")]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def look(scene: Scene) -> None:
    """Let the schedule look once; files are written by real threads."""
    await eventually(lambda: scene.clock.sleepers)
    scene.clock.move(LOOK_S)
    async with asyncio.timeout(10):
        while not scene.clock.sleepers:
            await asyncio.sleep(0.001)


async def test_a_backup_has_its_parts_and_is_told(scene: Scene) -> None:
    content = await scene.archive()

    assert content.startswith(b"nexa-backup.json")
    assert scene.journal.kinds() == ["backup.done"]
    done = scene.journal.last("backup.done")
    assert done.data == {"id": "b0", "messages": 10, "bytes": len(content)}
    assert [(g.phase, g.detail) for g in scene.growths][:2] == [
        ("snapshot", "QUEUE"),
        ("snapshot", "RECORDS"),
    ]
    assert scene.growths[-1].phase == "done"
    assert scene.leftovers() == []


async def test_what_was_backed_up_is_restored(scene: Scene, tmp_path: Path) -> None:
    content = await scene.archive()
    other = Scene(tmp_path / "other")

    growths = await other.restore(content)

    assert other.streams.restored == {
        "streams/QUEUE": b"QUEUE",
        "streams/RECORDS": b"RECORDS",
        "tails/RECORDS": b"late",
    }
    assert [one.phase for one in growths] == [
        "verify",
        "restore",
        "restore",
        "start",
        "done",
    ]
    assert {one.total for one in growths} == {10}
    assert "10 messages were restored from the backup of alpha" in (
        other.journal.last("restore.done").message
    )
    assert other.growths == growths
    assert other.leftovers() == []


async def test_tasks_younger_than_the_queue_are_queued_again(scene: Scene) -> None:
    now = scene.clock.now()
    content = await scene.archive()
    for name, submitted, status in (
        ("old", now - timedelta(hours=1), "pending"),
        ("young", now, "pending"),
        ("done", now, "completed"),
    ):
        task = builders.task(id=name, status=status, submitted=submitted)
        await scene.store.tasks.create(task)

    growths = await scene.restore(content)

    taken = await scene.store.queue.take(
        builders.task().namespace, "wc", limit=9, wait_s=0
    )
    assert [delivery.task.id for delivery in taken] == [TaskId("young")]
    assert growths[-1].detail == (
        "the node starts anew now, and takes up what it finds; "
        "1 tasks were put into their queues again"
    )


async def test_one_at_a_time(scene: Scene) -> None:
    content = await scene.archive()
    scene.streams.gate.clear()
    first = asyncio.ensure_future(scene.backups.backup_to_folder(by="me"))
    await eventually(lambda: scene.growths[-1].phase == "snapshot")
    with pytest.raises(Conflict, match="a backup is under way on one"):
        await scene.backups.backup(by="you")
    with pytest.raises(Conflict, match="a backup is under way"):
        await scene.restore(content)
    scene.streams.gate.set()
    await first
    await scene.archive()


async def test_a_reader_that_goes_away_leaves_nothing_behind(scene: Scene) -> None:
    chunks = await scene.backups.backup(by="me")
    assert await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert scene.leftovers() == []
    await scene.archive()
    assert scene.journal.kinds() == ["backup.done"]


async def test_a_store_that_refuses_fails_the_backup_and_is_told(scene: Scene) -> None:
    scene.streams.refuses = Unavailable("no quorum", remedy="wait")
    with pytest.raises(Unavailable, match="no quorum"):
        await scene.backups.backup(by="me")
    with pytest.raises(Unavailable, match="no quorum"):
        await scene.backups.backup_to_folder(by="me")
    assert scene.journal.kinds() == ["backup.failed", "backup.failed"]
    assert scene.journal.last("backup.failed").message == "no quorum: me"
    assert (scene.growths[-1].phase, scene.growths[-1].remedy) == ("failed", "wait")
    assert scene.kept() == scene.leftovers() == []


async def test_a_damaged_backup_is_refused_before_the_first_word(scene: Scene) -> None:
    content = await scene.archive()
    growths = scene.backups.restore(told(content[:-600]), by="me")
    with pytest.raises(Invalid, match="ends in the middle"):
        await anext(growths)
    assert scene.streams.restored == {}
    assert scene.journal.last("restore.failed").severity == "error"
    assert scene.leftovers() == []


async def test_an_archive_that_nobody_reads_leaves_nothing_behind(scene: Scene) -> None:
    packed = await scene.backups.backup(by="me")
    assert scene.leftovers() != []
    del packed
    gc.collect()
    assert scene.leftovers() == []


async def test_data_that_came_while_the_archive_was_received_is_not_replaced(
    scene: Scene,
) -> None:
    content = await scene.archive()

    async def slowly() -> AsyncIterator[bytes]:
        yield content
        scene.streams.held = Contents(tasks=1)

    with pytest.raises(Conflict, match="1 tasks"):
        [one async for one in scene.backups.restore(slowly(), by="me")]
    assert scene.streams.restored == {}


async def test_a_restore_that_fails_says_why(scene: Scene) -> None:
    content = await scene.archive()
    scene.streams.fails_at = "RECORDS"
    with pytest.raises(Unavailable, match="disk is full"):
        await scene.restore(content)
    assert scene.growths[-1].error == "the disk is full"
    scene.streams.fails_at = ""
    assert (await scene.restore(content))[-1].phase == "done"


async def test_a_schedule_makes_backups_and_keeps_the_newest(scene: Scene) -> None:
    running = asyncio.ensure_future(scene.backups.run())
    try:
        await look(scene)
        assert len(scene.kept()) == 1  # at once, for there was none
        for _ in range(5):
            await look(scene)
        assert len(scene.kept()) == 1
        made = {*scene.kept()}
        for hour in range(1, 6):
            scene.clock.jump(3600)
            await look(scene)
            made |= {*scene.kept()}
            assert len(scene.kept()) == min(3, hour + 1)
        assert scene.kept() == sorted(made)[-3:]
        assert scene.journal.kinds() == ["backup.done"] * 6
        assert scene.journal.last("backup.done").message.endswith("schedule")
    finally:
        running.cancel()


async def test_only_the_controller_makes_scheduled_backups(scene: Scene) -> None:
    scene.controls = False
    running = asyncio.ensure_future(scene.backups.run())
    try:
        await look(scene)
        assert scene.kept() == []
        scene.controls = True
        await look(scene)
        assert len(scene.kept()) == 1
    finally:
        running.cancel()


async def test_a_failed_scheduled_backup_is_tried_again_not_at_once(
    scene: Scene,
) -> None:
    scene.streams.refuses = Unavailable("no quorum")
    running = asyncio.ensure_future(scene.backups.run())
    try:
        await look(scene)
        await look(scene)
        assert scene.journal.kinds() == ["backup.failed"]
        scene.streams.refuses = None
        scene.clock.move(RETRY_S)
        await look(scene)
        assert scene.journal.kinds() == ["backup.failed", "backup.done"]
    finally:
        running.cancel()


async def test_without_a_schedule_none_is_made(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ClusterPolicy())
    running = asyncio.ensure_future(scene.backups.run())
    try:
        await look(scene)
        assert scene.kept() == []
    finally:
        running.cancel()


async def test_a_schedule_waits_for_a_backup_on_demand(scene: Scene) -> None:
    scene.streams.gate.clear()
    first = asyncio.ensure_future(scene.backups.backup(by="me"))
    running = asyncio.ensure_future(scene.backups.run())
    try:
        await look(scene)
        assert scene.kept() == []
        scene.streams.gate.set()
        await first
        await look(scene)
        assert len(scene.kept()) == 1
    finally:
        running.cancel()
