"""What is installed: the wheel has all that is opened without the source tree."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = "share/nexa/"


def build(kind: str, folder: Path, root: Path = ROOT) -> Path:
    """Build the distribution as a build front end does."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder],
        cwd=root,
        check=True,
        capture_output=True,
    )
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as opened:
        yield opened


def stored(folder: str, pattern: str, inside: str) -> dict[str, bytes]:
    """Files of the tree, by the names that they have when installed."""
    files = [path for path in (ROOT / folder).glob(pattern) if path.is_file()]
    assert files
    return {f"{inside}{path.name}": path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("folder", "pattern", "inside"),
    [
        ("docs/runbooks", "*.md", "nexa_node/runbooks/"),
        ("nexa_node/rules", "*", "nexa_node/rules/"),
        ("themes", "*.toml", "nexa_tui/themes/"),
        ("deploy/grafana", "*.json", SHARED + "grafana/"),
        ("deploy/prometheus", "*.yml", SHARED + "prometheus/"),
        ("deploy/alertmanager", "*.yml", SHARED + "alertmanager/"),
        ("nexa_node/rules", "builtin.yaml", SHARED + "prometheus/rules/"),
    ],
    ids=lambda one: one if "/" in one else "",
)
def test_the_wheel_has_it(
    wheel: zipfile.ZipFile, folder: str, pattern: str, inside: str
) -> None:
    there = {
        name.partition(".data/data/")[2] or name: name for name in wheel.namelist()
    }
    wanted = stored(folder, pattern, inside)
    found = {name for name in there if Path(name).parent == Path(inside)}
    assert found == wanted.keys()
    for name, content in wanted.items():
        assert wheel.read(there[name]) == content


def test_the_wheel_has_no_tests_and_nothing_of_the_machine(
    wheel: zipfile.ZipFile,
) -> None:
    tops = {name.split("/")[0].split("-")[0] for name in wheel.namelist()}
    assert tops == {"nexa_node", "nexa_tui", "nexa"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_a_wheel_can_be_built_from_the_source_distribution(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    made = build("sdist", tmp_path / "sdist")
    with tarfile.open(made) as opened:
        opened.extractall(tmp_path / "source", filter="data")
    (root,) = (tmp_path / "source").iterdir()
    again = build("wheel", tmp_path / "again", root)
    with zipfile.ZipFile(again) as opened:
        assert sorted(opened.namelist()) == sorted(wheel.namelist())
