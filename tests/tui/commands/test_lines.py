"""The console line by line: what was typed is answered, what changed is told."""

import io
from pathlib import Path

import msgspec
import pytest

from nexa_node.contract.agents import Agent
from nexa_node.contract.alerts import Alert
from nexa_node.contract.errors import NotFound
from nexa_node.contract.events import Event
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import TaskSummary
from nexa_tui.commands.lines import PROMPT, Heard, changes
from nexa_tui.state.alerts import is_problem
from tests.builders import agent, node_status
from tests.tui import alarms, clusters
from tests.tui.served import Port, Said, port, say

WAITING = next(one.alert for one in alarms.RECORDED if is_problem(one.alert))


def talk(
    home: Path, *typed: str, then: int = -1, monkeypatch: pytest.MonkeyPatch
) -> Said:
    """Type lines; after the line number `then` the cluster is unhealthy and alerts."""
    with port() as there:
        there.answers |= {
            "GET /v1/cluster": clusters.ONE,
            "GET /v1/node": node_status(),
            "GET /v1/selftest": NotFound("none"),
            "GET /v1/agents": Page[Agent](items=(agent("wc-7"),)),
            "GET /v1/tasks": Page[TaskSummary](items=()),
            "GET /v1/events": Page[Event](items=()),
            "GET /v1/alerts": Page[Alert](items=()),
        }
        monkeypatch.setattr("sys.stdin", Typist(typed, then, there))
        return say(home, there.url, "--screen-reader")


class Typist(io.StringIO):
    def __init__(self, typed: tuple[str, ...], then: int, there: Port) -> None:
        super().__init__("".join(f"{one}\n" for one in typed))
        self._then, self._there, self._read = then, there, 0

    def readline(self, *size: int) -> str:
        if self._read == self._then:
            worse = msgspec.structs.replace(
                clusters.ONE, verdict="unhealthy", reasons=("no quorum",)
            )
            self._there.answers["GET /v1/cluster"] = worse
            self._there.answers["GET /v1/alerts"] = Page[Alert](items=(WAITING,))
        self._read += 1
        return super().readline(*size)


def test_commands_are_answered_and_help_and_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = talk(
        tmp_path, "agents", "nexa agents show", 'what "', "", "quit",
        monkeypatch=monkeypatch,
    )  # fmt: skip

    assert said.code == 0
    assert said.out.count(PROMPT) == 5
    assert "wc-7" in said.out
    assert "It ended with 2." in said.out
    assert "That can't be read" in said.out
    assert "Nothing changed. healthy." in said.out
    assert "\x1b" not in said.out


def test_what_changed_is_told_before_the_next_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = talk(tmp_path, "", "", then=1, monkeypatch=monkeypatch)
    *_, last = said.out.split(PROMPT + "\n")[0].split(PROMPT)

    assert "The cluster is unhealthy, because no quorum." in last
    assert f"alert {WAITING.name} " in last
    assert said.code == 0


def test_nodes_that_come_and_go_and_a_node_that_is_gone_are_told() -> None:
    before = Heard(verdict="healthy", nodes={"a": "running", "b": "running"})
    now = Heard(verdict="healthy", nodes={"a": "error", "c": "running"})

    assert list(changes(before, now)) == [
        "Node a is error.",
        "Node b is no longer in the cluster.",
        "Node c is running.",
    ]
    gone = Heard(trouble="connection refused")
    assert list(changes(before, gone)) == ["Nothing can be asked: connection refused."]
    assert list(changes(gone, gone)) == []
    assert next(iter(changes(gone, before))) == "The node answers again."


def test_without_a_node_it_goes_on_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("status\n"))
    said = say(tmp_path, "http://127.0.0.1:1", "--screen-reader")

    assert said.code == 3
    assert said.out.count(PROMPT) == 2
