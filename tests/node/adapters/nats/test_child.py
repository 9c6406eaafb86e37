"""No server outlives its node, and no other process is mistaken for one."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from nexa_node.adapters.nats import child
from nexa_node.adapters.nats.binary import trusted_binary
from nexa_node.adapters.nats.config import Layout
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.core.policies import StorePolicy
from tests import builders
from tests.node.adapters.nats.tools import eventually, is_running, opened

ROOT = Path(__file__).parents[4]


def note(folder: Path, pid: int, **other: str) -> Layout:
    """A pid file that names a process that runs now."""
    layout = Layout(folder)
    layout.work.mkdir(parents=True)
    known = {"pid": pid, "started": child.start_mark(pid), **other}
    if "executable" not in known:
        known["executable"] = psutil.Process(pid).exe()
    layout.pid_file.write_bytes(msgspec.json.encode(known))
    return layout


@pytest.fixture
def sleeper():
    """A process that has nothing to do with us."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
async def test_a_killed_node_takes_its_server_with_it(folder: Path) -> None:
    node = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.node.adapters.nats.parent",
        folder,
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert node.stdout is not None
    pid = int(await asyncio.wait_for(node.stdout.readline(), 20))
    assert is_running(pid)
    node.kill()
    await node.wait()

    await eventually(lambda: not is_running(pid), seconds=3)
    async with opened(folder) as store:
        assert store.health().connected


async def test_a_survivor_is_ended_before_the_store_is_opened(folder: Path) -> None:
    changes: list[str] = []
    async with opened(folder) as store:
        await store.tasks.create(builders.task())
    layout = Layout(folder)
    survivor = await child.spawn((await trusted_binary(StorePolicy())).path, layout)

    async with opened(folder, on_change=changes.append) as store:
        assert not is_running(survivor.pid)
        assert store.health().pid != survivor.pid
        assert await store.tasks.get(builders.TASK_ID) is not None
    await survivor.wait()
    assert changes == [
        f"ended nats-server (pid {survivor.pid}) of a node that was killed"
    ]


async def test_a_survivor_that_does_not_listen_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "STOP_S", 0.3)
    stubborn = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import signal,time; signal.signal(15, signal.SIG_IGN);"
        "print(1, flush=True); time.sleep(600)",
        stdout=subprocess.PIPE,
    )
    assert stubborn.stdout is not None
    await stubborn.stdout.readline()
    layout = note(folder, stubborn.pid)

    assert await asyncio.to_thread(child.end_survivor, layout) == stubborn.pid
    assert not is_running(stubborn.pid)
    await stubborn.wait()
    assert not layout.pid_file.exists()


@pytest.mark.parametrize(
    "other",
    [{"started": "another-boot/1"}, {"executable": "/usr/bin/other"}, {"started": ""}],
)
def test_a_process_that_only_has_its_number_is_left_alone(
    folder: Path, sleeper: subprocess.Popen[bytes], other: dict[str, str]
) -> None:
    layout = note(folder, sleeper.pid, **other)

    assert child.end_survivor(layout) is None
    assert sleeper.poll() is None


def test_a_number_nobody_has_is_no_survivor(folder: Path) -> None:
    gone = subprocess.Popen(["true"])
    layout = note(folder, gone.pid, executable="x")
    gone.wait()

    assert child.end_survivor(layout) is None
    assert child.end_survivor(layout) is None
    assert child.start_mark(gone.pid) is None


def test_a_dead_one_that_was_not_collected_is_no_survivor(folder: Path) -> None:
    zombie = subprocess.Popen(["true"])
    try:
        while is_running(zombie.pid):
            time.sleep(0.01)
        layout = note(folder, zombie.pid, executable="/bin/true")

        assert child.start_mark(zombie.pid) is not None
        assert child.end_survivor(layout) is None
    finally:
        zombie.wait()


def test_a_broken_note_names_nobody(folder: Path) -> None:
    layout = Layout(folder)
    layout.work.mkdir(parents=True)
    layout.pid_file.write_text("{")

    assert child.end_survivor(layout) is None


async def test_the_server_does_not_hear_the_terminal(store: NatsStore) -> None:
    pid = store.health().pid
    assert pid is not None

    assert os.getsid(pid) == pid != os.getsid(0)


async def test_the_server_gets_none_of_our_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXA_SECRET", "precious")
    async with opened(folder) as store:
        environment = psutil.Process(store.health().pid).environ()

    assert set(environment) == {"PATH", "HOME", "LANG"}


async def test_a_server_whose_note_can_not_be_kept_is_not_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def refuse(_file: Path, pid: int, _path: Path) -> None:
        started.append(pid)
        raise StoreFailed("no space left")

    monkeypatch.setattr(child, "_note", refuse)
    with pytest.raises(StoreFailed, match="no space left"):
        async with opened(folder):
            pass
    assert not is_running(started[0])


async def test_nothing_is_left_when_the_store_is_closed(folder: Path) -> None:
    async with opened(folder) as store:
        pid = store.health().pid
    assert pid is not None

    assert not is_running(pid)
    assert not (folder / "nats" / "server.pid").exists()
