"""Data that was safe and is gone is told, with what to do; never repaired silently."""

import os
import shutil
from pathlib import Path

import pytest

from nexa_node.adapters.nats import store as store_module
from nexa_node.adapters.nats.failures import RECORD_NAME, StoreDamaged
from nexa_node.core.policies import RetentionPolicy
from tests import builders
from tests.node.adapters.nats.tools import back, eventually, kill, opened


async def filled(folder: Path) -> Path:
    """Make a store with tasks in it; the folder of its streams."""
    async with opened(folder) as store:
        for n in range(40):
            await store.tasks.create(builders.task(f"t{n}", data="word " * 20))
        await store.inboxes.append("default", "a", builders.message("m"), ttl_s=None)
    return folder / "jetstream" / "jetstream" / "NEXA" / "streams"


async def refused(folder: Path) -> StoreDamaged:
    with pytest.raises(StoreDamaged) as caught:
        async with opened(folder):
            pass
    assert str(folder / "jetstream") in caught.value.message
    assert f"mv {folder / 'jetstream'}" in (caught.value.remedy or "")
    assert not caught.value.retryable
    return caught.value


async def test_a_bucket_whose_description_is_broken(folder: Path) -> None:
    streams = await filled(folder)
    meta = streams / "KV_nx_tasks" / "meta.inf"
    meta.write_bytes(meta.read_bytes().replace(b"KV_nx_tasks", b"KV_xx_tasks"))

    assert "KV_nx_tasks can't be read" in (await refused(folder)).message


async def test_streams_that_were_removed(folder: Path) -> None:
    streams = await filled(folder)
    shutil.rmtree(streams / "NX_INBOX")
    shutil.rmtree(streams / "NX_EVENTS")

    assert "NX_EVENTS, NX_INBOX" in (await refused(folder)).message


async def test_a_bucket_that_has_lost_its_end(folder: Path) -> None:
    streams = await filled(folder)
    messages = streams / "KV_nx_tasks" / "msgs"
    [block] = messages.glob("*.blk")
    os.truncate(block, block.stat().st_size // 2)
    (messages / "index.db").unlink()

    error = await refused(folder)
    assert "KV_nx_tasks ends at" in error.message
    assert "40 was already safe" in error.message


async def test_a_record_that_can_not_be_read(folder: Path) -> None:
    await filled(folder)
    (folder / "jetstream" / RECORD_NAME).write_text("{")

    assert RECORD_NAME in (await refused(folder)).message


async def test_a_damaged_store_moved_away_begins_anew(folder: Path) -> None:
    await filled(folder)
    store = folder / "jetstream"
    store.rename(folder / "jetstream.damaged")

    async with opened(folder) as fresh:
        assert await fresh.tasks.get("t1") is None
        await fresh.round_trip()


async def test_an_operator_may_go_on_with_what_is_left(folder: Path) -> None:
    async with opened(folder) as store:
        epoch = await store.inboxes.epoch()
    streams = await filled(folder)
    shutil.rmtree(streams / "KV_nx_sessions")
    await refused(folder)
    (folder / "jetstream" / RECORD_NAME).unlink()

    async with opened(folder) as store:
        assert await store.tasks.get("t1") is not None
        assert await store.inboxes.epoch() != epoch


async def test_everything_is_there_after_kill_9_and_a_new_start(folder: Path) -> None:
    async with opened(folder) as store:
        epoch = await store.inboxes.epoch()
        await store.tasks.create(builders.task())
        kill(store)
        await back(store, 1)
        assert await store.tasks.get(builders.TASK_ID) is not None

    async with opened(folder) as store:
        assert await store.tasks.get(builders.TASK_ID) is not None
        assert await store.inboxes.epoch() == epoch


async def test_changed_retention_is_taken_over(folder: Path) -> None:
    for hours in (72.0, 1.0, 48.0):
        async with opened(folder, retention=RetentionPolicy(events_hours=hours)) as it:
            await it.events.append(builders.event(f"e{hours:.0f}"))

    async with opened(folder, retention=RetentionPolicy(events_hours=48.0)) as store:
        assert len(await store.events.recent(limit=9)) == 3


async def test_damage_found_while_it_runs_is_told(folder: Path) -> None:
    async with opened(folder) as store:
        streams = folder / "jetstream" / "jetstream" / "NEXA" / "streams"
        shutil.rmtree(streams / "KV_nx_tasks")
        kill(store)
        await eventually(lambda: "damaged" in store.health().detail)

        assert not store.health().connected
        with pytest.raises(StoreDamaged, match="KV_nx_tasks"):
            await store.tasks.get(builders.TASK_ID)


async def test_how_far_the_streams_came_is_noted_while_it_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "NOTE_S", 0.05)
    record = folder / "jetstream" / RECORD_NAME
    async with opened(folder) as store:
        await store.tasks.create(builders.task())

        await eventually(lambda: b'"last_seq":1' in record.read_bytes())
