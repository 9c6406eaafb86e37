"""Commands of a runbook as steps."""

from pathlib import Path

import pytest

from nexa_tui.commands.table import BY_NAME
from nexa_tui.state.runbook import (
    CHANGES,
    HERE,
    LOOKS,
    fault,
    filled,
    steps,
    suggested,
)
from tests.tui.alarms import FIRING, alert

BOOKS = sorted((Path(__file__).parents[3] / "docs/runbooks").glob("*.md"))
TEXT = """# NexaNodeDown

## Check

Do the others agree?

    nexa cluster status
    nexa logs --startup

## Mend

Take what runs away from it with `nexa node drain`, then `nexa cluster remove NODE`.

    nexa agents disconnect ID
    nexa dead-letters redrive --all --dry-run
    rm -rf /
    nexa agent run --capability x -- sh -c evil
    nexa cluster status --attach http://evil.example
    nexa task list; rm x
    nexa queues 'unbalanced
    nexa cluster status
"""


def test_steps_have_their_section_their_reason_and_their_kind() -> None:
    found = steps(TEXT)

    assert [(one.section, one.kind, one.text) for one in found] == [
        ("Check", "look", "nexa cluster status"),
        ("Check", "look", "nexa logs --startup"),
        ("Mend", "change", "nexa node drain NODE"),
        ("Mend", "change", "nexa cluster remove NODE"),
        ("Mend", "change", "nexa agents disconnect ID"),
        ("Mend", "look", "nexa dead-letters redrive --all --dry-run"),
        ("Mend", "look", "nexa task 'list;' rm x"),
    ][:6]
    assert found[0].why == "Do the others agree?"
    assert [one.is_here for one in found[:3]] == [False, True, False]


@pytest.mark.parametrize(
    "option", ["--attach=http://x", "--node=u", "--context", "--follow"]
)
def test_a_runbook_does_not_choose_where_it_is_done(option: str) -> None:
    assert steps(f"    nexa cluster status {option}\n") == ()


def test_a_node_is_named_where_the_one_attached_would_be_meant() -> None:
    found = steps("    nexa node maintenance on\n    nexa node maintenance on beta\n")

    assert [one.text for one in found] == [
        "nexa node maintenance on NODE",
        "nexa node maintenance on beta",
    ]


def test_nothing_invisible_becomes_a_step() -> None:
    assert steps("    nexa logs '\x1b[2J'\n") == ()
    assert steps("    nexa logs '\u202eevil'\n") == ()


def test_blanks_are_filled_by_what_the_alert_says() -> None:
    remove = next(one for one in steps(TEXT) if one.name == "cluster remove")
    disconnect = next(one for one in steps(TEXT) if one.name == "agents disconnect")

    assert remove.blanks == ("NODE",)
    assert suggested("NODE", remove, FIRING) == "gamma"
    assert suggested("NODE", remove, alert()) == "alpha"
    assert suggested("ID", disconnect, alert()) == ""
    told = alert(labels={"alertname": "x", "agent": "wc-1"})
    assert suggested("ID", disconnect, told) == "wc-1"
    assert filled(remove, {"NODE": "a b"}).text == "nexa cluster remove 'a b'"


def test_a_value_can_be_no_option() -> None:
    assert fault({"NODE": "alpha"}) is None
    assert fault({"NODE": ""}) == "Say which NODE."
    assert fault({"NODE": "--attach=x"}) is not None
    assert fault({"NODE": "\x1b"}) is not None


@pytest.mark.parametrize("book", BOOKS, ids=[book.stem for book in BOOKS])
def test_each_runbook_there_is_can_be_followed_from_the_console(book: Path) -> None:
    assert steps(book.read_text())


def test_what_may_be_done_are_commands_there_are() -> None:
    for name in LOOKS | CHANGES | HERE:
        noun, _, verb = name.partition(" ")
        assert noun in BY_NAME
        assert not verb or verb in BY_NAME[noun].verbs, name
    assert not LOOKS & CHANGES
