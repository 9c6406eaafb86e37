"""Backups: whole or not there at all, checked on both ways, sealed if wanted."""

import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from nexa_node.adapters.asgi.plan_example import PLAN
from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, Invalid, Unavailable
from nexa_node.contract.nodes import NodeStatus
from nexa_tui.client.archive import Checked
from tests import builders
from tests.tui import clusters
from tests.tui.archives import archive
from tests.tui.served import Answer, Port, Said, Terminal, port, say

DRY = "POST /v1/cluster/restore?dry_run=true"


def run(number: int) -> NodeStatus:
    """The node in one of its runs: after it was filled it starts anew."""
    started = datetime(2026, 11, 1, 12, number, tzinfo=UTC)
    return builders.node_status(started=started)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return archive(tmp_path_factory.mktemp("spool"))


@pytest.fixture
def there(whole: bytes) -> Iterator[Port]:
    with port() as made:
        pieces = [whole[at : at + 700] for at in range(0, len(whole), 700)]
        made.answers |= {
            "GET /v1/cluster": clusters.ONE,
            "GET /v1/node": [run(1), Unavailable("it starts"), run(2)],
            "POST /v1/cluster/backup": Answer(*pieces),
            DRY: PLAN,
            "POST /v1/cluster/restore": Answer(
                b'{"action":"restore","phase":"restore","done":1,"total":3}\n',
                b'{"action":"restore","phase":"done","done":3,"total":3}\n',
            ),
        }
        yield made


@pytest.fixture
def tell(there: Port, tmp_path: Path) -> Any:
    def told(*words: str, terminal: bool = False) -> Said:
        return say(tmp_path, there.url, "cluster", *words, terminal=terminal)

    return told


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_bytes(os.urandom(40).hex().encode())
    path.chmod(0o600)
    return str(path)


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestBackup:
    def test_the_file_is_there_whole_and_private(
        self, tell: Any, tmp_path: Path, whole: bytes
    ) -> None:
        folder = tmp_path / "out"
        folder.mkdir()
        said = tell("backup", str(folder / "b.nxb"), terminal=True)

        assert said.code == 0, said.err
        assert (folder / "b.nxb").read_bytes() == whole
        assert (folder / "b.nxb").stat().st_mode & 0o777 == 0o600
        assert only(folder) == ["b.nxb"]
        assert "3,480 messages in 3 streams of cluster prod" in said.out
        assert "backup  [" in said.err

    def test_while_the_node_takes_it_a_person_is_told_how_far_it_is(
        self, there: Port, tell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from threading import Event

        monkeypatch.setattr("nexa_tui.commands.progress._FOLLOW_S", 0.001)
        asked = Event()
        there.answers["GET /v1/cluster/growth"] = Growth(
            action="backup", phase="take", done=4, total=11, detail="NX_TASKQ"
        )
        there.after = lambda line: asked.set() if "growth" in line else None
        there.before = lambda line: asked.wait(5) if "backup" in line else None
        said = tell("backup", str(tmp_path / "b"), terminal=True)

        assert said.code == 0
        assert "backup take  [########................] 4 of 11  NX_TASKQ" in said.err

    def test_as_json_and_quiet_off_a_terminal(
        self, tell: Any, tmp_path: Path, whole: bytes
    ) -> None:
        said = tell("backup", str(tmp_path / "b"), "--json")

        assert said.err == ""
        assert said.json()["bytes"] == len(whole)
        assert said.json()["contents"]["streams"] == 3

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda b: (b[:3000], None), "broke off"),
            (lambda b: (b[:3000],), "it ends in the middle, after 3,000 bytes"),
            (lambda b: (b[:2000], b"X", b[2001:]), "it is damaged"),
            (lambda b: (b, b"more"), "something stands behind its end"),
            (lambda _: (b"<html>" * 200,), "it is no backup of nexa"),
        ],
    )
    def test_what_is_not_whole_leaves_nothing_behind(
        self, there: Port, tell: Any, tmp_path: Path, whole: bytes, damage: Any,
        words: str,
    ) -> None:  # fmt: skip
        folder = tmp_path / "out"
        folder.mkdir()
        there.answers["POST /v1/cluster/backup"] = Answer(*damage(whole))
        said = tell("backup", str(folder / "b"))

        assert said.code == 1
        assert words in said.err
        assert only(folder) == []

    def test_an_interruption_leaves_nothing_behind(
        self, tell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "out"
        folder.mkdir()

        def pressed(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("nexa_tui.commands.progress.Progress.bytes", pressed)
        with pytest.raises(KeyboardInterrupt):
            tell("backup", str(folder / "b"))

        assert only(folder) == []

    def test_a_file_that_is_there_is_not_overwritten_unasked(
        self, there: Port, tell: Any, tmp_path: Path, whole: bytes
    ) -> None:
        path = tmp_path / "b"
        path.write_text("precious")
        refused = tell("backup", str(path))
        assert path.read_text() == "precious"
        assert "--force" in refused.err
        assert there.asked == []

        assert tell("backup", str(path), "--force").code == 0
        assert path.read_bytes() == whole

    def test_a_place_that_is_none(self, tell: Any, tmp_path: Path) -> None:
        assert "is a folder" in tell("backup", str(tmp_path)).err
        assert "mkdir -p" in tell("backup", str(tmp_path / "no" / "b")).err

    def test_with_a_key_only_the_key_opens_it(
        self, tell: Any, tmp_path: Path, whole: bytes, key: str
    ) -> None:
        path = str(tmp_path / "b")
        assert tell("backup", path, "--key-file", key).code == 0
        assert whole[:40] not in Path(path).read_bytes()

        without = tell("restore", path, "--dry-run")
        assert "it is sealed with a key — mend: give its --key-file" in without.err
        assert "is whole" in tell("restore", path, "--dry-run", "--key-file", key).out


class TestRestore:
    @pytest.fixture
    def path(self, tmp_path: Path, whole: bytes) -> str:
        made = tmp_path / "b"
        made.write_bytes(whole)
        return str(made)

    def test_what_was_kept_is_sent_and_followed(
        self, there: Port, tell: Any, path: str, whole: bytes
    ) -> None:
        said = tell("restore", path, "--yes", terminal=True)

        assert said.code == 0, said.err
        assert "is restored: 3,480 messages" in said.out
        assert there.asked == [("POST /v1/cluster/restore", whole)]

    def test_a_sealed_one_is_sent_open(
        self, there: Port, tell: Any, tmp_path: Path, whole: bytes, key: str
    ) -> None:
        path = str(tmp_path / "sealed")
        tell("backup", path, "--key-file", key)
        tell("restore", path, "--yes", "--key-file", key)

        assert there.asked[-1] == ("POST /v1/cluster/restore", whole)

    def test_a_person_is_asked_with_what_is_in_it(
        self, there: Port, tell: Any, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", Terminal("n\n"))
        said = tell("restore", path)

        assert "fill cluster prod" in said.err
        assert "with 3,480 messages in 3 streams" in said.err
        assert PLAN.effects[0] in said.err
        assert said.code == 1
        assert there.asked == [(DRY, None)]

    def test_nobody_to_ask_is_a_no(
        self, there: Port, tell: Any, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO())

        assert "--yes" in tell("restore", path).err
        assert there.asked == [(DRY, None)]

    def test_a_dry_run_checks_the_archive_and_tells_the_plan(
        self, there: Port, tell: Any, path: str
    ) -> None:
        said = tell("restore", path, "--dry-run")

        assert said.code == 0
        assert "is whole" in said.out
        assert PLAN.id in said.err
        assert there.asked == [(DRY, None)]

    def test_a_dry_run_needs_no_node(self, tmp_path: Path, path: str) -> None:
        said = say(tmp_path, "", "cluster", "restore", path, "--dry-run")

        assert said.code == 0, said.err
        assert "is whole" in said.out

    def test_a_plan_is_carried_out_without_asking(
        self, there: Port, tell: Any, path: str, whole: bytes
    ) -> None:
        assert tell("restore", path, "--plan", "plan-1").code == 0
        assert there.asked == [("POST /v1/cluster/restore?plan=plan-1", whole)]

    def test_a_damaged_one_is_refused_before_the_node_hears_of_it(
        self, there: Port, tell: Any, path: str
    ) -> None:
        content = bytearray(Path(path).read_bytes())
        content[2500] ^= 1
        Path(path).write_bytes(content)
        said = tell("restore", path, "--yes")

        assert "is refused, nothing was touched: it is damaged" in said.err
        assert there.asked == []

    def test_a_file_that_is_not_there(self, tell: Any, tmp_path: Path) -> None:
        assert "can't be read" in tell("restore", str(tmp_path / "x"), "--yes").err

    def test_a_node_that_has_data_refuses(
        self, there: Port, tell: Any, path: str
    ) -> None:
        there.answers["POST /v1/cluster/restore"] = Conflict(
            "this node has data", remedy="restore into an empty one"
        )
        said = tell("restore", path, "--yes")

        assert said.code == 1
        assert "this node has data — mend: restore into an empty one" in said.err

    @pytest.mark.parametrize(
        ("told", "words"),
        [
            (
                Growth(action="restore", phase="failed", error="the disk is full"),
                "restore: the disk is full",
            ),
            (None, "broke off while it was filled"),
        ],
    )
    def test_a_failure_on_the_way_is_told(
        self, there: Port, tell: Any, path: str, told: Growth | None, words: str
    ) -> None:
        line = None if told is None else msgspec.json.encode(told) + b"\n"
        there.answers["POST /v1/cluster/restore"] = Answer(
            b'{"action":"restore","phase":"restore"}\n', line
        )
        said = tell("restore", path, "--yes")

        assert said.code == 1
        assert words in said.err


def read(content: bytes, size: int) -> Checked:
    checked = Checked()
    for _ in checked.passing(
        content[at : at + size] for at in range(0, len(content), size)
    ):
        pass
    return checked


@pytest.mark.parametrize("size", [1, 511, 512, 513, 100_000])
def test_an_archive_is_read_in_pieces_of_any_size(whole: bytes, size: int) -> None:
    contents = read(whole, size).contents()

    assert (contents.cluster, contents.streams, contents.messages) == ("prod", 3, 3480)
    assert contents.bytes == len(whole)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises(Invalid):
        read(bytes(changed), 4096).contents()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(data=st.data())
def test_nothing_that_is_cut_off_is_whole(whole: bytes, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(Invalid):
        read(whole[:length], 4096).contents()
