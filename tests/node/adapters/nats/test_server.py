"""A server that dies comes back, and what stands in its way is told."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexa_node.adapters.nats import machine, server, serverlog
from nexa_node.adapters.nats.failures import (
    BinaryAltered,
    DiskFull,
    PortRefused,
    StoreDamaged,
    StoreFailed,
)
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.errors import Unavailable
from nexa_node.core.policies import StorePolicy
from tests import builders
from tests.node.adapters.nats.test_binary import own
from tests.node.adapters.nats.tools import back, eventually, kill, opened

needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small tmpfs"
)


async def test_a_killed_server_is_started_again_on_its_port(
    store: NatsStore, changes: list[str]
) -> None:
    before = store.health()
    dead = kill(store)
    await back(store, 1)
    after = store.health()

    assert after.pid != before.pid
    assert after.detail == before.detail
    assert changes == [
        f"nats-server (pid {dead}) ended: signal 9",
        f"nats-server is back (pid {after.pid}, restart 1)",
    ]
    await store.round_trip()


async def test_it_takes_another_port_when_its_own_is_taken(store: NatsStore) -> None:
    port = int(store.health().detail.rpartition(":")[2])
    pid = store.health().pid
    assert pid is not None
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: _bound(thief, port))
        thief.listen()
        await back(store, 1)

        assert int(store.health().detail.rpartition(":")[2]) != port
        await store.round_trip()


def _bound(thief: socket.socket, port: int) -> bool:
    try:
        thief.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


async def test_a_port_that_is_always_taken_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(machine, "free_port", lambda: taken.getsockname()[1])

        with pytest.raises(PortRefused, match="taken 5 times"):
            async with opened(folder):
                pass


async def test_the_pause_before_a_restart_grows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BACKOFF_LIMIT_S", 0.4)
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        if seconds >= 0.1:
            pauses.append(seconds)
        await real_sleep(seconds)

    async with opened(folder, StorePolicy(restart_backoff_ms=100)) as store:
        monkeypatch.setattr(server.asyncio, "sleep", note)
        for restart in range(1, 4):
            kill(store)
            await back(store, restart)
        found = [pause for pause in pauses if pause in (0.1, 0.2, 0.4)]
        monkeypatch.setattr(server, "STEADY_S", 0.0)
        kill(store)
        await back(store, 4)
        monkeypatch.undo()

    assert found == [0.1, 0.2, 0.4]
    assert pauses[-1] == 0.1 or 0.1 in pauses[len(found) :]


async def test_while_it_is_down_calls_wait_and_then_say_why(
    folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copy(shutil.which("nats-server", path=_scripts()) or "", mine)
    changes: list[str] = []
    policy = StorePolicy(
        nats_server=str(mine),
        sha256=own(mine).sha256,
        restart_backoff_ms=20,
        request_timeout_ms=600,
    )
    async with opened(folder, policy, changes.append) as store:
        good = mine.rename(tmp_path / "good")
        mine.write_bytes(b"#!/bin/sh\nsleep 60\n")
        kill(store)
        await eventually(lambda: len(changes) > 1)

        with pytest.raises(Unavailable, match="has the SHA-256"):
            await store.tasks.create(builders.task())
        assert not store.health().connected
        assert store.health().pid is None
        assert "has the SHA-256" in store.health().detail
        good.rename(mine)
        await back(store, 1)
        assert await store.tasks.create(builders.task()) is not None
    assert "can't be started again" in changes[1]
    assert len(changes) == 3
    assert BinaryAltered.retryable is False


def _scripts() -> str:
    return str(Path(sys.executable).parent)


async def test_a_server_that_hangs_is_noticed(store: NatsStore) -> None:
    pid = store.health().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await eventually(lambda: not store.health().connected, seconds=8)
    finally:
        os.kill(pid, signal.SIGCONT)
    await back(store, 0)
    await store.round_trip()


async def test_one_that_does_not_begin_to_listen_is_ended(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "START_S", 0.3)
    mine = tmp_path / "mine"
    mine.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo v2.15.1 && exit\nexec sleep 600\n'
    )
    mine.chmod(0o700)

    with pytest.raises(StoreFailed, match="did not listen"):
        async with opened(folder, own(mine)):
            pass


async def test_what_it_said_last_is_told(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo v2.15.1 && exit\n'
        "echo 'nats-server: nats.conf:7: unknown field sync_interval' >&2\nexit 1\n"
    )
    mine.chmod(0o700)

    with pytest.raises(StoreFailed, match="unknown field sync_interval"):
        async with opened(folder, own(mine)):
            pass


async def test_a_store_that_is_no_folder_is_damaged(folder: Path) -> None:
    (folder / "jetstream").mkdir(parents=True)
    (folder / "jetstream" / "jetstream").write_text("in the way")

    with pytest.raises((StoreDamaged, StoreFailed), match="jetstream"):
        async with opened(folder):
            pass


async def fill(store: NatsStore, size: int) -> None:
    for n in range(30):
        await store.tasks.create(builders.task(f"f{n}", data="x" * size))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=30m", "none", place], check=True
    )
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@needs_root
async def test_a_full_disk_is_told_and_survived(
    small_disk: Path, changes: list[str]
) -> None:
    policy = StorePolicy(restart_backoff_ms=50, request_timeout_ms=3000)
    async with opened(small_disk / "alpha", policy, changes.append) as store:
        await store.tasks.create(builders.task())
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 24_000_000)
        await eventually(lambda: not store.health().connected)

        with pytest.raises(DiskFull, match="is full") as refused:
            await store.tasks.create(builders.task("b"))
        assert str(small_disk) in (refused.value.remedy or "")
        assert refused.value.retryable
        assert await store.tasks.get(builders.TASK_ID) is not None
        ballast.unlink()
        await eventually(lambda: store.health().connected)
        assert await store.tasks.create(builders.task("b")) is not None
        assert store.health().restarts == 0
    assert changes[-1] == "there is space on the disk again"


@needs_root
async def test_a_server_stopped_by_a_full_disk_is_started_anew(
    small_disk: Path, changes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "RESERVE_BYTES", 200_000)
    monkeypatch.setattr(server, "LOOK_S", 2.0)  # it fills up between two looks
    policy = StorePolicy(restart_backoff_ms=50, request_timeout_ms=3000)
    async with opened(small_disk / "alpha", policy, changes.append) as store:
        await store.tasks.create(builders.task())
        ballast = small_disk / "ballast"
        with ballast.open("wb") as file:
            free = shutil.disk_usage(small_disk).free
            file.write(b"x" * (free - 400_000))

        with pytest.raises(DiskFull, match="no space left on device"):
            await fill(store, 100_000)
        ballast.unlink()
        await back(store, 1)
        assert await store.tasks.create(builders.task("after")) is not None
        assert await store.tasks.get(builders.TASK_ID) is not None
    assert any("nats-server is back" in change for change in changes)


async def test_a_store_at_its_limit_says_which_setting(folder: Path) -> None:
    policy = StorePolicy(max_bytes=3_000_000)
    async with opened(folder, policy) as store:
        with pytest.raises(Unavailable, match="the store is full") as refused:
            await fill(store, 200_000)

    assert "max_bytes" in (refused.value.remedy or "")


def test_a_log_is_read_on_across_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = serverlog.Tail(path)
    assert tail.lines() == []
    path.write_text("one\n")
    assert tail.lines() == ["one"]
    with path.open("a") as file:
        file.write("skipped\n")
    tail.skip()
    with path.open("a") as file:
        file.write("two\n")
    assert tail.lines() == ["two"]
    path.rename(tmp_path / "log.1")
    path.write_text("three\n")

    assert tail.lines() == ["three"]
    assert tail.lines() == []


def test_causes_are_found_in_what_a_server_says() -> None:
    lines = [
        "[7] 2026/11/22 22:56:05.749251 [INF] Starting",
        "[7] 2026/11/22 22:56:05.749251 [WRN] Filestore [A] state outdated",
        "[7] 2026/11/22 22:56:05.749251 [FTL] Can't start JetStream: no",
    ]

    assert serverlog.fatal(lines) == "Can't start JetStream: no"
    assert serverlog.warnings(lines) == ["Filestore [A] state outdated"]
    assert serverlog.fatal(["  ", "panic: x"]) == "panic: x"
    assert serverlog.fatal([]) is None
    assert serverlog.write_error(lines) is None
    assert serverlog.write_error(["no space left on device"])
    assert serverlog.whole(Path("/no/such/file")) == []
