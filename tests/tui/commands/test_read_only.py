"""Where only looking is wanted, nothing is changed: no command asks for it at all.

Generated from the table of commands and that of the port's operations.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexa_node.adapters.asgi.operation import Operation
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_tui.client.contexts import Context, keep_context
from nexa_tui.client.discovery import Target
from nexa_tui.client.read_only import ReadOnly, check_call, wanted
from nexa_tui.client.rest import Rest
from nexa_tui.commands.dispatch import dispatch
from nexa_tui.commands.output import Call
from nexa_tui.commands.table import BY_NAME, COMMANDS
from tests.tui.served import Port, Said, port

CHANGING = [
    (command.name,) if word == "*" else (command.name, word)
    for command in COMMANDS
    for word in command.changes
]
LOOKING = {
    ("console",), ("web",), ("selftest",), ("node", "status"), ("cluster", "status"),
    ("cluster", "backup"), ("cluster", "conflicts"), ("agents", "list"),
    ("agents", "show"), ("task", "list"), ("task", "show"), ("task", "explain"),
    ("task", "watch"), ("queues",), ("dead-letters", "list"), ("tail",),
    ("alerts", "list"), ("alerts", "show"), ("alerts", "history"),
    ("alerts", "handover"), ("alerts", "runbook"), ("silences", "list"), ("rules", "list"),
    ("rules", "check"), ("rules", "test"), ("notifications", "list"), ("events",),
    ("audit", "list"), ("audit", "verify"), ("audit", "export"), ("logs",),
    ("metrics",), ("top",), ("profile",), ("token", "list"), ("token", "key"),
    ("cert", "list"), ("cert", "ca"), ("role", "list"), ("role", "show"),
    ("role", "explain"), ("namespace", "list"), ("namespace", "show"), ("login",), ("context", "list"), ("context", "use"),
    ("context", "remove"), ("config", "show"), ("config", "path"),
    ("config", "validate"), ("config", "init"), ("themes", "list"),
    ("themes", "check"), ("doctor",), ("completion", "bash"), ("completion", "zsh"),
    ("completion", "fish"), ("version",),
}  # fmt: skip
"""Commands that change no node and no cluster; a few write files of their user's."""
LOCAL = {("node", each) for each in ("run", "start", "stop", "restart")}
LOCAL |= {("demo",), ("chaos",), ("login", "--local")}
"""They ask no cluster that a context names."""
FILES = {("cluster", "restore"), ("cert", "renew"), ("cert", "add")}
"""They read a file before."""


NEEDED = {
    ("agent", "run"): ("--id", "a", "--capability", "c", "--", "true"),
    ("role", "create"): ("--allow", "tasks:read"),
    ("silences", "add"): ("alertname=x", "--duration", "1h", "--comment", "c"),
    ("token", "create"): ("--role", "viewer"),
    ("namespace", "set"): ("--agents", "1"),
    ("cert", "issue"): ("--role", "agent"),
}
"""What a command wants besides a name."""


def every() -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for command in COMMANDS:
        found |= {(command.name, verb) for verb in command.verbs} or {(command.name,)}
    return found


@pytest.fixture(scope="module")
def ear() -> Iterator[tuple[Port, list[str]]]:
    """A port, and every call that came, reads too."""
    with port() as made:
        calls: list[str] = []
        made.before = calls.append
        yield made, calls


@pytest.fixture
def heard(ear: tuple[Port, list[str]]) -> list[str]:
    ear[1].clear()
    return ear[1]


@pytest.fixture
def there(ear: tuple[Port, list[str]]) -> Port:
    return ear[0]


def run(words: tuple[str, ...], **environ: str) -> Said:
    out, err = io.StringIO(), io.StringIO()
    code = dispatch(
        list(words), Call(environ={"NO_COLOR": "1", **environ}, out=out, err=err)
    )
    return Said(code, out.getvalue(), err.getvalue())


def test_every_command_is_known_to_change_something_or_not() -> None:
    changing = {words for words in CHANGING if not words[-1].startswith("--")}

    told = "say in commands/table.py that it changes something, or here that it looks"
    assert changing | LOOKING == every(), told
    assert not changing & LOOKING


@pytest.mark.parametrize("words", CHANGING, ids=" ".join)
@pytest.mark.parametrize("how", ["variable", "option", "first"])
def test_what_changes_is_refused_before_anything_is_asked(
    there: Port, heard: list[str], tmp_path: Path, words: tuple[str, ...], how: str
) -> None:
    where = {"NEXA_HOME": str(tmp_path), "NEXA_URL": there.url, "NEXA_TOKEN": "t"}
    said = words
    if how == "variable":
        where["NEXA_READ_ONLY"] = "1"
    elif words[0] == "login":
        return  # there it is what the context is to be
    elif how == "option":
        said = (*words, "thing", "--read-only")
    else:
        said = ("--read-only", *words, "thing")

    told = run(said, **where)

    assert told.code == 4, told.err
    assert f"nexa: nexa {' '.join(words)}: refused, read-only" in told.err
    assert heard == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [one for one in CHANGING if one not in LOCAL], ids=" ".join
)
def test_a_context_that_is_read_only_is_asked_for_nothing(
    there: Port, heard: list[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    environ = {"NEXA_HOME": str(tmp_path)}
    keep_context(environ, "prod", Context(url=there.url, read_only=True), "t")
    given = (*words, "--context", "prod")
    codes: set[int] = set()
    for extra in (
        (),
        ("thing",),
        ("thing", "--yes"),
        ("1",),
        ("on",),
        ("topic:a", "b"),
    ):
        told = run((*given, *extra, *NEEDED.get(words, ())), **environ)

        assert told.code, told.out
        assert heard == []
        codes.add(told.code)
    assert words in FILES or 4 in codes


@pytest.mark.parametrize("words", sorted(LOOKING), ids=" ".join)
def test_what_only_looks_is_not_refused_as_a_change(words: tuple[str, ...]) -> None:
    assert BY_NAME[words[0]].changing(words[1:]) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [("1", True), ("true", True), ("perhaps", True), ("0", False), ("", False),
     ("No", False), (" off ", False)],
)  # fmt: skip
def test_what_the_variable_may_say(text: str, meant: bool) -> None:
    assert wanted({"NEXA_READ_ONLY": text}) is meant


LOOKS = {"run_selftest", "preview_silence", "profile", "backup", "open", "prometheus"}


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if not one.websocket],
    ids=lambda one: f"{one.method} {one.path}",
)  # fmt: skip
def test_the_wall_lets_no_operation_through_that_changes(operation: Operation) -> None:
    path = re.sub(r"\{\w+\}", "thing", operation.path)
    method, action = operation.method, operation.action

    if method == "GET" or action in LOOKS:
        check_call(method, path, dry_run=False, source="prod")
    else:
        with pytest.raises(ReadOnly, match="prod is only looked at"):
            check_call(method, path, dry_run=False, source="prod")
        check_call(method, path, dry_run=True, source="prod")


def test_nothing_leaves_by_the_connection_itself(there: Port, heard: list[str]) -> None:
    target = Target(there.url, None, "prod", "a test", read_only=True)
    with Rest(target) as node:
        for call in (
            lambda: node.post("/v1/tasks", type(None), body={}),
            lambda: node.delete("/v1/tokens/x"),
            lambda: list(node.upload("/v1/cluster/restore", iter(()), dict)),
        ):
            with pytest.raises(ReadOnly):
                call()

    assert heard == []


def test_a_look_at_a_plan_is_no_change(
    there: Port, heard: list[str], tmp_path: Path
) -> None:
    told = run(
        ("token", "revoke", "t1", "--dry-run"),
        NEXA_READ_ONLY="1",
        NEXA_URL=there.url,
        NEXA_HOME=str(tmp_path),
    )

    assert heard == ["DELETE /v1/tokens/t1?dry_run=true"]
    assert told.code == 5  # nothing is laid out


def test_a_console_that_starts_a_node_is_refused(tmp_path: Path) -> None:
    told = run(("console", "--start", "--read-only"), NEXA_HOME=str(tmp_path))

    assert told.code == 4
    assert "--start: refused" in told.err
