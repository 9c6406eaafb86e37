"""The machine's checks, on this machine and on made-up limits."""

import os
import socket
from pathlib import Path

import pytest

from nexa_node.adapters.checks import machine
from nexa_node.core.policies import SelfTestPolicy

ENOUGH = SelfTestPolicy(
    disk_free_warn_bytes=1,
    disk_free_fail_bytes=0,
    memory_free_warn_bytes=1,
    fsync_warn_ms=60_000,
)
TOO_MUCH = SelfTestPolicy(
    disk_free_warn_bytes=2**62,
    disk_free_fail_bytes=0,
    memory_free_warn_bytes=2**62,
    fsync_warn_ms=0,
)


async def test_this_machine_runs_nexa(tmp_path: Path) -> None:
    found = [
        await machine.python(),
        await machine.memory(ENOUGH),
        await machine.disk(tmp_path / "not" / "yet", ENOUGH),
        await machine.fsync(tmp_path / "not" / "yet", ENOUGH),
        await machine.clock(),
        await machine.file_modes((tmp_path / "not",)),
    ]

    assert {one.status for one in found} == {"pass"}
    assert all(one.detail for one in found)
    assert list(tmp_path.iterdir()) == []


async def test_scarce_things_warn_and_say_what_to_do(tmp_path: Path) -> None:
    found = [
        await machine.memory(TOO_MUCH),
        await machine.disk(tmp_path, TOO_MUCH),
        await machine.fsync(tmp_path, TOO_MUCH),
    ]

    assert {one.status for one in found} == {"warn"}
    assert all(one.cause and one.remedy for one in found)


async def test_a_full_disk_fails(tmp_path: Path) -> None:
    found = await machine.disk(tmp_path, SelfTestPolicy(disk_free_fail_bytes=2**62))

    assert found.status == "fail"


async def test_a_folder_that_cant_be_written_fails() -> None:
    found = await machine.fsync(Path("/proc"), ENOUGH)

    assert (found.status, "NEXA_HOME" in str(found.remedy)) == ("fail", True)


async def test_an_old_python_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PYTHON_MIN", (99, 0))

    assert (await machine.python()).status == "fail"


@pytest.mark.parametrize(
    ("cores", "load", "status"),
    [({0}, 0.0, "warn"), ({0, 1}, 9.0, "warn"), ({0, 1}, 0.5, "pass")],
)
async def test_few_or_busy_cores_warn(
    monkeypatch: pytest.MonkeyPatch, cores: set[int], load: float, status: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: cores)
    monkeypatch.setattr(machine.psutil, "getloadavg", lambda: (load, load, load))

    assert (await machine.cores()).status == status


@pytest.mark.parametrize(("encoding", "status"), [("UTF-8", "pass"), ("ANSI", "warn")])
async def test_a_locale_that_is_not_utf8_warns(
    monkeypatch: pytest.MonkeyPatch, encoding: str, status: str
) -> None:
    monkeypatch.setattr(machine.locale, "getpreferredencoding", lambda **_: encoding)

    found = await machine.locale_and_terminal({"TERM": "xterm-256color"})

    assert found.status == status
    assert "colours 256" in str(found.detail)


async def test_a_taken_port_warns_and_our_own_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        number = held.getsockname()[1]
        taken = await machine.port("127.0.0.1", number, ours=None)
        ours = await machine.port("127.0.0.1", number, ours=number)
    free = await machine.port("127.0.0.1", number, ours=None)
    any_one = await machine.port("127.0.0.1", 0, ours=None)

    assert [one.status for one in (taken, ours, free, any_one)] == [
        "warn", "pass", "pass", "pass"
    ]  # fmt: skip
    assert str(number) in str(taken.remedy)


async def test_open_secrets_fail_and_open_folders_warn(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    secret = tmp_path / "admin.token"
    secret.write_text("x")
    secret.chmod(0o644)
    failed = await machine.file_modes((tmp_path,))
    secret.chmod(0o600)
    passed = await machine.file_modes((tmp_path,))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs").chmod(0o777)
    warned = await machine.file_modes((tmp_path,))

    assert [one.status for one in (failed, passed, warned)] == ["fail", "pass", "warn"]
    assert str(secret) in str(failed.remedy)
