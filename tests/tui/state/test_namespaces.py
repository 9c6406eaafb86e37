"""Namespaces as rows and in full; whatever they are called."""

import msgspec

from nexa_node.contract.access import NamespaceView
from nexa_node.contract.quotas import Quota
from nexa_tui.state.detail import Field, Line
from nexa_tui.state.listing import Choice, Look, arrange
from nexa_tui.state.namespaces import NAMESPACES, may_use, namespace_lines
from tests.builders import NOW
from tests.tui.alarms import NAMESPACES as RECORDED

LOOK = Look(NOW, ascii_only=False)


def fields(lines: "list[Line] | tuple[Line, ...]") -> dict[str, str]:
    return {line.label: line.text for line in lines if isinstance(line, Field)}


def test_what_has_least_left_stands_first_and_no_budget_last() -> None:
    listed = arrange(NAMESPACES, RECORDED, Choice(NAMESPACES.first), LOOK)

    assert [one.name for one in listed.records] == ["team-b", "team-a", "default"]
    assert [NAMESPACES.problem(one) for one in listed.records] == [True, True, False]


def test_what_was_not_set_is_not_limited() -> None:
    plain = NamespaceView(name="a", agents=0, tasks=0)

    assert may_use(plain) == "no limits"
    assert may_use(msgspec.structs.replace(plain, quota=Quota(name="a"))) == "no limits"
    assert set(fields(list(namespace_lines(plain, LOOK)))) == {
        "namespace", "agents", "tasks",
    }  # fmt: skip


def test_one_in_full_says_until_when_and_who_is_out() -> None:
    told = fields(list(namespace_lines(RECORDED[1], LOOK)))

    assert told["tokens of each agent"] == "200,000 each day"
    assert told["resets"].startswith("2026-03-02 00:00:00")
    assert (told["left"], told["out"]) == ("12%", "wc-1")


def test_no_name_is_obeyed() -> None:
    evil = "a\x1b[31m\u202e[bold]"
    one = msgspec.structs.replace(RECORDED[1], name=evil)
    row = " ".join(NAMESPACES.words(one, LOOK).values())
    lines = " ".join(fields(list(namespace_lines(one, LOOK))).values())

    for text in (row, lines):
        assert "\x1b" not in text
        assert "\u202e" not in text
