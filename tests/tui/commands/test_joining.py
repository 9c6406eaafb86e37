"""A join token on its way to a node: never in the node's arguments or environment."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from nexa_node.contract.errors import Invalid
from nexa_tui.commands import node as commands
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.dispatch import dispatch
from nexa_tui.commands.node_join import add_join_options, token_of
from nexa_tui.commands.output import Call
from tests.tui.served import Terminal

TOKEN = "nxj1.aaaa.bbbb.cccc"


def call(home: Path, *, terminal: bool = False) -> Call:
    err = Terminal() if terminal else io.StringIO()
    return Call(environ={"NEXA_HOME": str(home)}, out=io.StringIO(), err=err)


def given(home: Path, *words: str, terminal: bool = False) -> str | None:
    parser = Parser("node start", "")
    add_join_options(parser)
    return token_of(parser.parse_args(list(words)), call(home, terminal=terminal))


def test_without_one_a_node_starts_alone(tmp_path: Path) -> None:
    assert given(tmp_path) is None


def test_it_is_taken_from_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    monkeypatch.setattr("sys.stdin", Terminal(TOKEN + "\n"))

    assert given(tmp_path, "--join", TOKEN) == TOKEN
    assert given(tmp_path, "--join-file", str(path)) == TOKEN
    assert given(tmp_path, "--join-file", "-", terminal=True) == TOKEN


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (TOKEN, 0o644, "can be read by others"),
        ("", 0o600, "no join token in"),
        ("nxa_op1_secret", 0o600, "one begins with nxj1."),
        (None, 0, "can't be read"),
    ],
)
def test_what_is_no_token_is_refused_without_quoting_it(
    tmp_path: Path, content: str | None, mode: int, words: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)

    with pytest.raises(Invalid, match=words) as refused:
        given(tmp_path, "--join-file", str(path))
    assert "secret" not in refused.value.message or mode == 0o644
    assert "nxa_op1" not in refused.value.message


def test_a_node_in_the_foreground_reads_it_from_its_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def become(_path: str, words: list[str], _environ: Any) -> None:
        started.append(words)

    monkeypatch.setattr(os, "execve", become)
    ours = os.dup(0)
    try:
        words = ["node", "run", "--name", "beta", "--join", TOKEN, "--port", "0"]
        dispatch(words, call(tmp_path))
        told = os.read(0, 8192)
    finally:
        os.dup2(ours, 0)
        os.close(ours)

    assert told == TOKEN.encode()
    assert TOKEN not in " ".join(started[0])
    assert started[0][-6:] == ["--name", "beta", "--port", "0", "--join-file", "-"]


def test_a_node_in_the_background_is_told_on_its_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def start(environ: Any, **told: Any) -> Any:
        asked.update(told, environ=environ)
        raise Invalid("enough")

    monkeypatch.setattr(commands, "start_node", start)
    code = dispatch(
        ["node", "start", "--name", "beta", "--join", TOKEN], call(tmp_path)
    )

    assert code == 1
    assert asked["stdin"] == TOKEN.encode()
    assert asked["flags"] == ("--name", "beta", "--join-file", "-")
    assert asked["timeout_s"] == 300.0
    assert TOKEN not in str(asked["environ"])


def test_the_two_ways_exclude_each_other(tmp_path: Path) -> None:
    said = call(tmp_path)
    code = dispatch(["node", "start", "--join", TOKEN, "--join-file", "-"], said)

    assert code == 2
    assert sys.stdin is not None
