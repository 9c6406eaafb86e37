"""Runbooks: one for each alert, and every command in them exists as it is written."""

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nexa_node.__main__ import main
from nexa_node.adapters.files.runbooks import runbook
from nexa_node.agent import arguments as agent_arguments
from nexa_node.core.alerting.linting import catalogue
from nexa_node.core.promql.durations import duration_s
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.parsing import conditions, parse, selectors
from nexa_node.wiring import config
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import standard_call
from nexa_tui.commands.table import BY_NAME
from tests.node.rules.test_builtin import ALERTS, GROUPS, ROOT, RULES

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
    parse = argparse.ArgumentParser.parse_args

    def only_parse(self: Any, *words: Any, **options: Any) -> None:
        parse(self, *words, **options)
        raise Parsed

    monkeypatch.setattr(Parser, "parse_args", only_parse)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    text = book.read_text()
    blocks = re.findall(r"^    (nexa .*)$", text, re.MULTILINE)
    assert blocks
    spans = re.findall(r"`(nexa [^`]*)`", " ".join(text.split()))
    for line in [*blocks, *spans]:
        _, noun, *words = shlex.split(line)
        if noun == "config":  # the node's own process reads the words
            with pytest.raises(Parsed):
                config.main(words)
            continue
        if noun == "agent":  # so does the agent library's
            with pytest.raises(Parsed):
                agent_arguments.parse(words, {})
            continue
        module = import_module(f"nexa_tui.commands.{BY_NAME[noun].module}")
        with pytest.raises(Parsed):
            module.run(words, standard_call())


@pytest.mark.parametrize("book", BOOKS, ids=[book.stem for book in BOOKS])
def test_it_says_of_its_rule_what_the_rule_says(book: Path) -> None:
    text, rule = book.read_text(), ALERTS[book.stem]
    severity = re.search(r"^Severity: (\w+)\.", text, re.MULTILINE)
    assert severity
    assert severity[1] == rule.labels["severity"]
    after = re.search(r"^It fires (?:at once|after (\w+))", text, re.MULTILINE)
    held = re.search(r"goes on for\s(\w+)\safter it is over", text)
    assert (duration_s(after[1]) if after and after[1] else 0) == rule.for_s
    assert (duration_s(held[1]) if held else 0) == rule.keep_firing_s


@pytest.mark.parametrize("book", BOOKS, ids=[book.stem for book in BOOKS])
def test_what_it_has_measured_is_measured(book: Path) -> None:
    known = catalogue((RULES.parent / "catalogue.txt").read_text())
    recorded = {r.name for group in GROUPS for r in group.rules if not r.alerts}
    for line in re.findall(r"^    (nexa metrics .*)$", book.read_text(), re.MULTILINE):
        words = shlex.split(line)[2:]
        if words[0] == "--text":
            assert any(name.startswith(words[1]) for name in known)
            continue
        for selector in selectors(parse(words[0])):
            (name,) = (one.value for one in conditions(selector) if one.label == NAME)
            assert name in known or name in recorded


def test_a_runbook_is_read_without_a_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runbook", "NexaQuorumLost"]) == 0
    assert capsys.readouterr().out == runbook("NexaQuorumLost")
    assert main(["runbook", "NexaQuorumLose"]) == 1
    assert "did you mean NexaQuorumLost?" in capsys.readouterr().err
    assert main(["runbook", "zzz"]) == 1
    assert "did you mean" not in capsys.readouterr().err
    assert main(["runbook"]) == 2


def test_a_runbook_is_found_by_its_name() -> None:
    assert runbook("NexaQuorumLost").startswith("# NexaQuorumLost")


@pytest.mark.parametrize("name", ["", "Nope", "../README", "a/b", "NexaX\n", "x" * 200])
def test_no_other_file_is_read(name: str) -> None:
    assert runbook(name) == ""
