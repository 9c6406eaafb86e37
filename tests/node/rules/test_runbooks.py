"""Runbooks: one for each alert, and every command in them exists as it is written."""

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nexa_node.adapters.files.runbooks import runbook
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import standard_call
from nexa_tui.commands.table import BY_NAME
from tests.node.rules.test_builtin import ALERTS, ROOT

FOLDER = ROOT / "docs/runbooks"
BOOKS = sorted(FOLDER.glob("*.md"))
LINES_MAX = 50


class Parsed(Exception):
    """Its words were understood."""


def test_none_is_missing_and_none_is_left_over() -> None:
    assert {book.stem for book in BOOKS} == set(ALERTS)


@pytest.mark.parametrize("book", BOOKS, ids=[book.stem for book in BOOKS])
def test_a_runbook_says_all_that_is_asked_at_night(book: Path) -> None:
    text = book.read_text()
    assert text.startswith(f"# {book.stem}\n")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == [
        "Meaning", "Impact", "Check", "Mend", "Escalate when"
    ]  # fmt: skip
    assert len(text.splitlines()) <= LINES_MAX
    for named in re.findall(r"\bNexa[A-Z]\w+", text):
        assert named in ALERTS, f"{named} is no alert"


@pytest.mark.parametrize("book", BOOKS, ids=[book.stem for book in BOOKS])
def test_every_command_in_it_exists(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = Parser.parse_args

    def only_parse(self: Parser, *words: Any, **options: Any) -> None:
        parse(self, *words, **options)
        raise Parsed

    monkeypatch.setattr(Parser, "parse_args", only_parse)
    text = book.read_text()
    blocks = re.findall(r"^    (nexa .*)$", text, re.MULTILINE)
    assert blocks
    spans = re.findall(r"`(nexa [^`]*)`", " ".join(text.split()))
    for line in [*blocks, *spans]:
        _, noun, *words = shlex.split(line)
        if noun in {"config", "agent"}:
            continue  # handed on whole: the node's own process reads the words
        module = import_module(f"nexa_tui.commands.{BY_NAME[noun].module}")
        with pytest.raises(Parsed):
            module.run(words, standard_call())


def test_a_runbook_is_found_by_its_name() -> None:
    assert runbook("NexaQuorumLost").startswith("# NexaQuorumLost")


@pytest.mark.parametrize("name", ["", "Nope", "../README", "a/b", "NexaX\n", "x" * 200])
def test_no_other_file_is_read(name: str) -> None:
    assert runbook(name) == ""
