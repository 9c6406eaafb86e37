"""The file of a node's figures: whole or not at all, its own user's, put aside if damaged."""

import stat
from pathlib import Path

import pytest

from nexa_node.adapters.files.history import NAME, HistoryInFile
from nexa_node.contract.errors import Unavailable


def test_what_was_written_is_read(tmp_path: Path) -> None:
    it = HistoryInFile(tmp_path)
    assert it.read() is None
    it.write(b"one")
    it.write(b"two")

    assert it.read() == b"two"
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_what_is_damaged_is_put_aside(tmp_path: Path) -> None:
    it = HistoryInFile(tmp_path)
    it.write(b"what")

    aside = Path(it.set_aside())

    assert aside.read_bytes() == b"what"
    assert it.read() is None


def test_a_folder_in_its_place_is_no_history(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    it = HistoryInFile(tmp_path)

    assert b"directory" in (it.read() or b"")


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        HistoryInFile(tmp_path / "nothing").write(b"one")
