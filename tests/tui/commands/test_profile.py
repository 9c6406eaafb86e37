"""`nexa profile` against a port."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nexa_node.contract.nodes import Profile, Stack
from tests.tui.served import Port, port, say

FOUND = Profile(
    node="alpha\x1b[2J",
    seconds=5.0,
    cpu_s=1.25,
    samples=4,
    stacks=(
        Stack(frames=("m:main", "m:loop", "m:work"), samples=3),
        Stack(frames=("m:main", "m:loop"), samples=1),
    ),
)


@pytest.fixture
def there() -> Iterator[Port]:
    with port() as made:
        made.answers["POST /v1/nodes/alpha/profile"] = FOUND
        yield made


def test_functions_are_told_by_their_share(there: Port, tmp_path: Path) -> None:
    said = say(tmp_path, there.url, "profile", "alpha", "--cpu", "5s")

    assert said.code == 0
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0][1:9] == ["1.25", "s", "of", "CPU", "in", "5.0", "s", "(25.0%"]
    assert lines[2:] == [
        ["75.0%", "75.0%", "m:work"],
        ["25.0%", "100.0%", "m:loop"],
        ["0.0%", "100.0%", "m:main"],
    ]
    assert "\x1b[2J" not in said.out


def test_stacks_are_written_for_flame_graphs(there: Port, tmp_path: Path) -> None:
    file = tmp_path / "out.folded"
    said = say(tmp_path, there.url, "profile", "alpha", "--folded", str(file), "--json")

    assert file.read_text() == "m:main;m:loop;m:work 3\nm:main;m:loop 1\n"
    assert msgspec.json.decode(said.out, type=Profile) == FOUND


@pytest.mark.parametrize("span", ["0", "61", "soon"])
def test_a_span_that_is_none_is_refused(there: Port, tmp_path: Path, span: str) -> None:
    said = say(tmp_path, there.url, "profile", "alpha", "--cpu", span)

    assert said.code == 2
    assert "60" in said.err or "90s" in said.err
