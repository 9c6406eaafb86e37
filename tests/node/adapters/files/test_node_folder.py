"""The folder of a node: private, locked, announced."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from nexa_node import private_files
from nexa_node.adapters.files.node_folder import NodeFolder, process_started
from nexa_node.contract.errors import Conflict, Invalid, Unavailable
from nexa_node.contract.ids import NodeId
from nexa_node.contract.nodes import NodeFile


def test_a_second_node_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with NodeFolder(tmp_path / "n"), pytest.raises(Conflict) as refused:
        NodeFolder(tmp_path / "n").__enter__()

    assert f"pid {os.getpid()}" in refused.value.message
    assert "--name" in str(refused.value.remedy)


def test_the_lock_ends_with_the_process(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from nexa_node.adapters.files.node_folder import NodeFolder\n"
        f"NodeFolder(Path({str(tmp_path / 'n')!r})).__enter__()\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)

    with NodeFolder(tmp_path / "n") as folder:
        assert folder.path.exists()


def test_the_identity_is_made_once(tmp_path: Path) -> None:
    with NodeFolder(tmp_path) as folder:
        first = folder.identity(name="alpha", new_id="id-1")
        second = folder.identity(name="beta", new_id="id-2")

    assert first == second


def test_secrets_are_for_this_user_alone(tmp_path: Path) -> None:
    with NodeFolder(tmp_path / "a" / "n") as folder:
        assert folder.admin_token() is None
        folder.keep_admin_token("secret")

        assert folder.admin_token() == "secret"
        assert (folder.path / "admin.token").stat().st_mode & 0o777 == 0o600
        assert folder.path.stat().st_mode & 0o777 == 0o700


def test_the_announcement_comes_and_goes(tmp_path: Path) -> None:
    told = NodeFile(
        id=NodeId("i"),
        name="n",
        cluster="c",
        state="running",
        url="http://h:1",
        pid=os.getpid(),
        pid_started=process_started(),
        version="0",
        started=datetime(2026, 1, 1, tzinfo=UTC),
        console_protocol=1,
    )
    with NodeFolder(tmp_path) as folder:
        folder.announce(told)
        kept = msgspec.json.decode((tmp_path / "node.json").read_bytes(), type=NodeFile)
        folder.withdraw()

    assert kept == told
    assert not (tmp_path / "node.json").exists()


def test_another_nodes_announcement_is_left_alone(tmp_path: Path) -> None:
    with NodeFolder(tmp_path) as folder:
        (tmp_path / "node.json").write_text('{"pid": 1}')
        folder.withdraw()

    assert (tmp_path / "node.json").exists()


def test_a_secret_others_can_read_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "s"
    private_files.write(path, b"x")
    path.chmod(0o640)

    with pytest.raises(Invalid, match="other users may read it"):
        private_files.read(path)


def test_links_are_not_followed(tmp_path: Path) -> None:
    private_files.write(tmp_path / "target", b"x")
    (tmp_path / "link").symlink_to(tmp_path / "target")

    with pytest.raises(Invalid):
        private_files.read(tmp_path / "link")


def test_a_folder_under_a_file_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Unavailable) as refused:
        private_files.make_folder(tmp_path / "file" / "n")
    assert "NEXA_HOME" in str(refused.value.remedy)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    private_files.write(tmp_path / "s", b"old")

    with pytest.raises(Unavailable):
        private_files.write(tmp_path / "s" / "below", b"new")
    assert private_files.read(tmp_path / "s") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
