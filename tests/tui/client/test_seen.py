"""What a console knew of a cluster, kept in a file."""

from pathlib import Path

import msgspec

from nexa_tui.client.seen import keep_seen, read_seen
from nexa_tui.state.away import Seen
from tests.builders import NOW

SEEN = Seen(NOW, nodes=("alpha",), completed=3)


def environ(home: Path) -> dict[str, str]:
    return {"NEXA_HOME": str(home)}


def test_what_is_kept_is_read_again_for_that_cluster_alone(tmp_path: Path) -> None:
    keep_seen(environ(tmp_path), "berlin/../../x", SEEN)

    assert read_seen(environ(tmp_path), "berlin/../../x", Seen) == SEEN
    assert read_seen(environ(tmp_path), "paris", Seen) is None
    (path,) = (one for one in tmp_path.rglob("*.json"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.name == "seen"


def test_what_is_broken_counts_as_nothing(tmp_path: Path) -> None:
    keep_seen(environ(tmp_path), "berlin", SEEN)
    (path,) = tmp_path.rglob("*.json")
    for wrong in (b"{", b'{"time": 3}', msgspec.json.encode({"nodes": [1]})):
        path.write_bytes(wrong)
        assert read_seen(environ(tmp_path), "berlin", Seen) is None


def test_a_folder_that_cannot_be_made_loses_only_that(tmp_path: Path) -> None:
    blocked = tmp_path / "home"
    blocked.write_text("a file")

    keep_seen(environ(blocked), "berlin", SEEN)

    assert read_seen(environ(blocked), "berlin", Seen) is None


def test_a_write_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    keep_seen(environ(tmp_path), "berlin", SEEN)
    (path,) = tmp_path.rglob("*.json")
    path.unlink()
    path.mkdir()

    keep_seen(environ(tmp_path), "berlin", SEEN)

    assert list(path.parent.iterdir()) == [path]
