import os
from itertools import pairwise
from pathlib import Path

from nexa_node.adapters.files.rule_files import BYTES_MAX, FolderRuleFiles


def test_without_the_folder_there_are_no_rules(tmp_path: Path) -> None:
    files = FolderRuleFiles(tmp_path / "nothing")
    assert files.read() == ()
    assert files.stamp() == []


def test_files_are_read_by_name_and_others_left_alone(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.txt", ".hidden"):
        (tmp_path / name).write_text(name)
    files = FolderRuleFiles(tmp_path)
    assert [(one.name, one.text) for one in files.read()] == [
        ("a.yml", "a.yml"),
        ("b.yaml", "b.yaml"),
    ]


def test_what_can_not_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.yaml").mkdir()
    (tmp_path / "c.yaml").symlink_to(tmp_path / "nowhere")
    read = FolderRuleFiles(tmp_path).read()
    assert [one.text for one in read] == ["", "", ""]
    assert all("can't be read" in one.error for one in read)


def test_a_file_is_not_read_beyond_what_rules_may_have(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("#" * (BYTES_MAX + 100))
    (read,) = FolderRuleFiles(tmp_path).read()
    assert len(read.text) == BYTES_MAX + 1  # which `load` refuses


def test_the_stamp_is_another_after_each_change(tmp_path: Path) -> None:
    files = FolderRuleFiles(tmp_path)
    path = tmp_path / "a.yaml"
    seen = [files.stamp()]
    path.write_text("one")
    seen.append(files.stamp())
    assert files.stamp() == seen[-1]
    path.write_text("other")
    seen.append(files.stamp())
    os.utime(path, ns=(1, 1))
    seen.append(files.stamp())
    path.unlink()
    seen.append(files.stamp())
    assert all(one != other for one, other in pairwise(seen))
    assert seen[0] == seen[-1]
