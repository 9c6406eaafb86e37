"""Queues, dead letters, messages and tasks on the command line, against a real node.

What is said is for people on stdout, in JSON with `--json`, and nothing that came from
outside reaches the terminal as it came.
"""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import uuid
from asyncio.subprocess import PIPE
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.system.conftest import Said, Shell, environment, until
from tests.system.test_every_refusal import Outside, Peer
from tests.tui.hostile import CORPUS

HOSTILE = [text for text in CORPUS if "\ud800" not in text]
"""What a frame can hold: half a pair is refused before it is stored."""
EVIL = " ".join(HOSTILE)


@pytest.fixture(scope="module")
def access(shared: Shell) -> Outside:
    return Outside.of(shared)


@pytest.fixture
def outside(access: Outside) -> Outside:
    """A namespace of this test's own."""
    return access.spoken(access.subprotocol)


def name(prefix: str = "q") -> str:
    """A queue, or a topic, that no other test uses."""
    return f"{prefix}{uuid.uuid4().hex[:12]}"


async def fail(outside: Outside, type_: str, *errors: Any, **more: Any) -> list[str]:
    """Have one task die for each error; their ids."""
    ids: list[str] = []
    async with outside.agent("fails", type_) as peer:
        for error in errors:
            once = {"retry": {"max_attempts": 1}, **more}
            ids.append((await peer.ok("task.submit", type=type_, **once))["id"])
            claim = await peer.accept()
            await peer.ok("task.fail", **claim, error=error)
    return ids


def dead(outside: Outside, type_: str, *errors: Any, **more: Any) -> list[str]:
    return asyncio.run(fail(outside, type_, *errors, **more))


def statuses(shell: Shell, ids: list[str]) -> list[str]:
    return [shell("task", "show", one, "--json").json()["status"] for one in ids]


def harmless(said: Said) -> None:
    """Check that a terminal would act on nothing of it, and hide nothing."""
    for line in (said.out + said.err).split("\n"):
        assert line.isprintable(), ascii(line)
        assert not set(line) & set("\u3164\u115f\u2800\ufe0f\U000e0100"), ascii(line)


def one_line(said: Said, code: int, says: str) -> None:
    """Check for an error as operations.md wants it."""
    assert said.code == code, (said.code, said.err)
    assert said.out == ""
    assert says in said.err, said.err
    assert said.err.count("\n") == 1, said.err
    assert "Traceback" not in said.err


# -- queues ----------------------------------------------------------------------


def test_queues_tell_what_waits_and_who_is_there(
    shared: Shell, outside: Outside
) -> None:
    queue = name()
    for priority in ("low", "critical", "critical"):
        words = ("--priority", priority, "--namespace", outside.namespace)
        assert shared("task", "submit", queue, *words).code == 0
    shared("task", "submit", queue, "--delay", "60", "--namespace", outside.namespace)

    told = {one["name"]: one for one in shared("queues", "--json").json()["items"]}[
        queue
    ]
    rows = shared("queues").out.splitlines()
    (row,) = [line.split() for line in rows if line.startswith(queue)]

    assert (told["pending"], told["delayed"], told["running"]) == (4, 1, 0)
    assert told["by_priority"] == {"critical": 2, "high": 0, "normal": 1, "low": 1}
    assert (told["agents"], told["slots"], told["dead_lettered"]) == (0, 0, 0)
    assert row[1:3] == [outside.namespace, "4"]
    assert "2 critical 1 normal 1 low" in " ".join(row)


def test_a_namesake_in_another_namespace_is_another_queue(
    shared: Shell, access: Outside
) -> None:
    queue, spaces = name(), {name("n"), name("n")}
    for space in spaces:
        shared("task", "submit", queue, "--namespace", space)

    items = shared("queues", "--json").json()["items"]

    assert {one["namespace"] for one in items if one["name"] == queue} == spaces


# -- dead letters ----------------------------------------------------------------


def test_dead_letters_are_listed_with_their_reason(
    shared: Shell, outside: Outside
) -> None:
    queue = name()
    ids = dead(outside, queue, {"message": "no paper"}, "out of ink")

    listed = shared("dead-letters", "--type", queue)
    page = shared("dead-letters", "list", "--type", queue, "--limit", "1", "--json")
    rest = shared(
        "dead-letters", "--type", queue, "--cursor", page.json()["next_cursor"],
        "--json",
    )  # fmt: skip
    elsewhere = shared("dead-letters", "--type", queue, "--namespace", "elsewhere")

    assert all(one in listed.out for one in (*ids, "no paper", "out of ink", "fails"))
    assert "nexa dead-letters redrive ID" in listed.err
    both = [*page.json()["items"], *rest.json()["items"]]
    assert sorted(one["id"] for one in both) == sorted(ids)
    assert {one["status"] for one in both} == {"dead_lettered"}
    assert (elsewhere.code, elsewhere.out, elsewhere.err) == (
        0,
        "",
        "no dead letters\n",
    )


def test_a_redrive_may_be_looked_at_first_and_tells_what_it_left(
    shared: Shell, outside: Outside
) -> None:
    queue = name()
    first, second = dead(outside, queue, "a", "b")

    dry = shared("dead-letters", "redrive", "--type", queue, "--dry-run", "--json")
    before = statuses(shared, [first, second])
    one = shared("dead-letters", "redrive", first, "--json")
    again = shared("dead-letters", "redrive", first, "nobody-there")
    rest = shared("dead-letters", "redrive", "--type", queue)
    none = shared("dead-letters", "redrive", "--type", queue)
    after = statuses(shared, [first, second])

    assert sorted(dry.json()["done"]) == sorted([first, second])
    assert before == ["dead_lettered"] * 2
    assert one.json() == {"done": [first], "failed": {}}
    assert (again.code, again.out) == (1, "0 back in the queue\n")
    assert f"{first} was left: " in again.err
    assert "nobody-there was left: " in again.err
    assert (rest.code, rest.out, rest.err) == (0, "1 back in the queue\n", "")
    assert (none.code, none.out) == (0, "0 back in the queue\n")
    assert after == ["pending"] * 2


def test_a_purge_without_a_terminal_wants_to_be_told_twice(
    shared: Shell, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    queue = name()
    ids = dead(outside, queue, "a", "b")

    dry = shared("dead-letters", "purge", "--type", queue, "--dry-run")
    refused = shared("dead-letters", "purge", "--type", queue)
    kept = statuses(shared, ids)
    done = shared("dead-letters", "purge", "--type", queue, "--yes", "--json")
    gone = [shared("task", "show", one).code for one in ids]
    none = shared("dead-letters", "purge", "--type", queue)

    assert (dry.code, dry.out) == (0, "2 would be forgotten\n")
    one_line(refused, 1, "2 dead letters would be forgotten for good — mend: add --yes")
    assert kept == ["dead_lettered"] * 2
    assert sorted(done.json()["done"]) == sorted(ids)
    assert gone == [5, 5]
    assert (none.code, none.out, none.err) == (0, "0 forgotten\n", "")


class Terminal(io.StringIO):
    """Somebody at a keyboard; `meanwhile` happens while they think."""

    def __init__(self, answer: str, meanwhile: Any = None) -> None:
        super().__init__(answer)
        self.meanwhile = meanwhile

    def isatty(self) -> bool:
        return True

    def readline(self, *size: int) -> str:  # type: ignore[override]  # typeshed's name
        if self.meanwhile is not None:
            self.meanwhile()
        return super().readline(*size)


@pytest.mark.parametrize("answer", ["\n", "n\n", "", "yess\n", "Y es\n"])
def test_anything_but_yes_purges_nothing(
    answer: str, shared: Shell, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    queue = name()
    ids = dead(outside, queue, "a")

    said = shared("dead-letters", "purge", "--type", queue)

    assert said.code == 1
    assert "Forget 1 dead letters for good? [y/N]" in said.err
    assert "nothing was done" in said.err
    assert statuses(shared, ids) == ["dead_lettered"]


def test_a_purge_forgets_what_was_agreed_to_and_nothing_that_died_meanwhile(
    shared: Shell, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, later = name(), list[str]()
    first = dead(outside, queue, "a")
    monkeypatch.setattr(
        "sys.stdin", Terminal("y\n", lambda: later.extend(dead(outside, queue, "b")))
    )

    said = shared("dead-letters", "purge", "--type", queue)

    assert (said.code, said.out) == (0, "1 forgotten\n")
    assert shared("task", "show", first[0]).code == 5
    assert statuses(shared, later) == ["dead_lettered"]


@pytest.mark.parametrize("verb", ["redrive", "purge"])
def test_all_must_be_said(shared: Shell, verb: str) -> None:
    one_line(shared("dead-letters", verb), 2, "does not say which dead letters")


# -- messages --------------------------------------------------------------------


@pytest.fixture
def topic(shared: Shell) -> str:
    """A topic of this test's own, with three messages."""
    made = f"news.{name('t')}"
    for number in range(3):
        sent = shared("send", f"topic:{made}", "note", "--data", str(number))
        assert sent.code == 0, sent.err
    return made


def test_what_is_sent_to_a_topic_is_tailed(shared: Shell, topic: str) -> None:
    said = shared("tail", topic)
    newest = shared("tail", "news.*", "-n", "1", "--json").json()
    everything = shared("tail", topic, "--all", "--json").out.splitlines()
    none = shared("tail", topic, "-n", "0")

    assert [line.split()[1:] for line in said.out.splitlines()] == [
        [topic, newest["from"], "note", str(number)] for number in range(3)
    ]
    assert (newest["topic"], newest["data"], newest["type"]) == (topic, 2, "note")
    assert newest["from"].startswith("token:")
    assert [json.loads(line)["data"] for line in everything] == [0, 1, 2]
    assert (none.code, none.out) == (0, "")


@pytest.mark.parametrize(
    ("first", "expected"),
    [(("-n", "0"), []), (("-n", "2"), [1, 2]), (("--all",), [0, 1, 2])],
    ids=["new", "some", "all"],
)
def test_a_tail_follows_until_it_is_interrupted(
    shared: Shell, topic: str, first: tuple[str, ...], expected: list[int]
) -> None:
    words = ("tail", topic, *first, "-f", "--json")
    following = subprocess.Popen(
        [sys.executable, "-m", "nexa_tui", *words],
        env=shared.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told: list[Any] = []
    assert following.stdout is not None
    lines = iter(following.stdout.readline, "")
    reader = Thread(
        target=lambda: told.extend(json.loads(line)["data"] for line in lines)
    )
    reader.start()

    def said(data: str) -> bool:
        shared("send", f"topic:{topic}", "note", "--data", data)
        return bool(told)

    try:
        until(
            lambda: told if expected else said('"is it there?"'), "it tells something"
        )
        for number in ("3", "4"):
            said(number)
        until(lambda: told[-1:] == [4], "it is told the last one")
    finally:
        following.send_signal(signal.SIGINT)
        reader.join(timeout=15)
        _, err = following.communicate(timeout=15)

    assert [one for one in told if one != "is it there?"] == [*expected, 3, 4]
    assert (following.returncode, err) == (130, "")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (("--data", '{"a": [1, null]}'), {"a": [1, None]}),
        (("--data", '"text"'), "text"),
        (("--data", "@json"), {"from": "file"}),
        (("--data", "@text"), "no json\nat all"),
        (("--data", "-"), "from input"),
        ((), None),
    ],
    ids=["json", "string", "json file", "text file", "input", "none"],
)
def test_data_comes_from_an_argument_a_file_or_the_input(
    shared: Shell, tmp_path: Path, given: tuple[str, ...], kept: Any
) -> None:
    (tmp_path / "json").write_text('{"from": "file"}')
    (tmp_path / "text").write_text("no json\nat all")
    made = name("t")

    sent = shared.program(
        "send", f"topic:{made}", "note", *given, "--json",
        cwd=tmp_path, input="from input",
    )  # fmt: skip
    posted = shared("tail", made, "--json").json()

    assert (sent.returncode, sent.stderr) == (0, "")
    assert json.loads(sent.stdout)["id"] == posted["id"]
    assert posted.get("data") == kept


def test_a_message_goes_to_agents_capabilities_topics_and_everybody(
    shared: Shell, outside: Outside
) -> None:
    able, id_ = name(), name("a")

    async def heard() -> list[Any]:
        async with outside.agent(id_, able, namespace="default") as peer:
            await peer.ok("topic.subscribe", topic=f"news.{able}")
            for to in (id_, f"capability:{able}", f"topic:news.{able}", "all"):
                said = await asyncio.to_thread(
                    shared, "send", to, "note", "--data", f'"{to}"', "--fast"
                )
                assert said.code == 0, said.err
            told = [await peer.told("message.deliver") for _ in range(4)]
            return [one["params"]["data"] for one in told]

    assert asyncio.run(heard()) == [
        id_, f"capability:{able}", f"topic:news.{able}", "all",
    ]  # fmt: skip


def test_the_same_id_is_sent_once_and_says_so(shared: Shell) -> None:
    words = ("send", "away-2", "note", "--id", name("m"), "--ttl", "0.5")
    first, second = shared(*words), shared(*words)

    assert first.out == second.out
    assert (first.err, second.err) == ("", "it was sent before, and is stored once\n")


# -- tasks -----------------------------------------------------------------------


def test_lists_of_tasks_are_narrowed(shared: Shell, outside: Outside) -> None:
    queue, where = name(), ("--namespace", outside.namespace)
    (gone,) = dead(outside, queue, "a")
    parent = shared("task", "submit", queue, *where).out.strip()
    child = shared("task", "submit", name(), *where, "--parent", parent).out.strip()

    def listed(*words: str) -> list[str]:
        told = shared("task", "list", *where, *words, "--json").json()
        return [one["id"] for one in told["items"]]

    assert listed() == [child, parent, gone]
    assert listed("--type", queue) == [parent, gone]
    assert listed("--status", "dead_lettered") == [gone]
    assert listed("--status", "pending", "--type", queue) == [parent]
    assert listed("--parent", parent) == [child]
    assert listed("--agent", "fails") == [gone]
    assert listed("--limit", "1") == [child]
    assert listed("--type", "nobody") == []


def test_a_watch_tells_each_change_and_ends_with_the_result(
    shared: Shell, outside: Outside
) -> None:
    queue = name()

    async def played() -> tuple[Said, Said, str]:
        async with outside.agent("plays", queue) as peer:
            task = (await peer.ok("task.submit", type=queue))["id"]
            quiet = asyncio.create_task(
                asyncio.to_thread(shared, "task", "watch", task, "--json")
            )
            watching = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "nexa_tui", "task", "watch", task),
                env=shared.environ, stdout=PIPE, stderr=PIPE,
            )  # fmt: skip
            assert watching.stderr is not None
            first = (await watching.stderr.readline()).decode()
            claim = await peer.accept()
            await peer.ok("task.progress", **claim, pct=50, note="half\x1b[2J")
            second = (await watching.stderr.readline()).decode()
            await peer.ok("task.complete", **claim, result={"pages": 3})
            out, err = (one.decode() for one in await watching.communicate())
            code = watching.returncode
            assert code is not None
            return Said(code, out, first + second + err), await quiet, task

    said, as_json, task = asyncio.run(played())

    harmless(said)
    assert said.code == as_json.code == 0
    assert json.loads(said.out) == {"pages": 3}
    assert said.err.splitlines() == [
        f"{task} assigned on plays (attempt 1)",
        f"{task} running on plays (attempt 1) 50 %: half␛[2J",
        f"{task} completed",
    ]
    assert as_json.json()["result"] == {"pages": 3}
    assert as_json.err == ""


def test_a_watch_of_what_failed_is_exit_code_1_and_tells_where_to_look(
    shared: Shell, outside: Outside
) -> None:
    (task,) = dead(outside, name(), {"message": "no paper"})

    said = shared("task", "watch", task)

    assert (said.code, said.out) == (1, "")
    assert "no paper" in said.err
    assert f"nexa task show {task}" in said.err


def test_a_wait_that_is_over_leaves_the_task_alone(shared: Shell) -> None:
    said = shared("task", "submit", name(), "--wait", "--timeout", "0.1")

    assert said.code == 1
    assert "is still pending; it goes on" in said.err
    assert "nexa task explain" in said.err


def test_why_a_task_waits_is_told_by_agent(shared: Shell, outside: Outside) -> None:
    queue = name()

    async def explained() -> tuple[Said, Said]:
        async with outside.agent("other", name()) as peer:
            task = (await peer.ok("task.submit", type=queue))["id"]
            words = ("task", "explain", task)
            return (
                await asyncio.to_thread(shared, *words),
                await asyncio.to_thread(shared, *words, "--json"),
            )

    said, as_json = asyncio.run(explained())
    told = as_json.json()

    assert {"id", "status", "verdict", "considered"} <= set(told)
    (other,) = told["considered"]
    assert (other["agent"], other["eligible"]) == ("other", False)
    assert other["reason"] in said.out
    assert f"{told['id']} is pending: " in said.out


def test_a_task_is_cancelled_twice_and_a_finished_one_is_not(
    shared: Shell, outside: Outside
) -> None:
    task = shared("task", "submit", name()).out.strip()
    (finished,) = dead(outside, name(), "a")

    first, again = shared("task", "cancel", task), shared("task", "cancel", task)
    refused = shared("task", "cancel", finished)

    assert (first.code, first.out) == (0, f"{task} is cancelled\n")
    assert (again.code, again.out) == (0, f"{task} is cancelled\n")
    one_line(refused, 1, "is dead_lettered")


# -- what comes from outside -----------------------------------------------------


async def poisoned(outside: Outside, queue: str) -> tuple[str, str]:
    """Put hostile text wherever the protocol lets one; a dead task and a done one."""
    evil = {"text": EVIL, EVIL: [EVIL]}
    async with outside.agent(
        "evil",
        agent={"id": "evil", "name": EVIL[:256], "version": EVIL[:256]},
        capabilities=[
            {"name": queue, "version": EVIL[:99], "labels": {"k": EVIL[:99]}}
        ],
    ) as peer:
        await peer.ok("message.send", to={"topic": queue}, type=EVIL[:256], data=evil)
        await peer.ok("message.send", to={"topic": queue}, type="x", data=EVIL)
        made: list[str] = []
        for _ in range(2):
            task = {
                "type": queue,
                "data": evil,
                "labels": {"k": EVIL[:99]},
                "fairness_key": EVIL[:256],
                "retry": {"max_attempts": 1},
            }
            made.append((await peer.ok("task.submit", **task))["id"])
            claim = await peer.accept()
            await peer.ok("task.progress", **claim, note=EVIL[:1024], partial=evil)
            if len(made) == 1:
                await peer.ok("task.fail", **claim, error={"message": EVIL})
            else:
                usage = {"model": EVIL[:256], "input_tokens": 1}
                await peer.ok("task.complete", **claim, result=EVIL, usage=usage)
        await term(peer)
    return made[0], made[1]


async def term(peer: Peer) -> None:
    """Drop a letter for a hostile reason: it becomes an event."""
    await peer.ok("message.send", to={"agent": "evil"}, type="x", data=1)
    letter = (await peer.told("message.deliver"))["params"]
    await peer.ok("inbox.term", seq=letter["seq"], reason=EVIL[:256])


def test_hostile_text_of_others_never_reaches_the_terminal(
    shared: Shell, outside: Outside
) -> None:
    queue, where = name(), ("--namespace", outside.namespace)
    assert len(EVIL) > 256
    failed, done = asyncio.run(poisoned(outside, queue))
    shared("task", "submit", queue, *where, "--label", f"k={EVIL[:99]}")

    commands = [
        ("queues",), ("dead-letters",), ("dead-letters", "--type", queue),
        ("tail", queue, *where), ("tail", queue, *where, "--all"),
        ("task", "list", *where), ("task", "list", "--type", queue),
        ("task", "show", failed), ("task", "show", done), ("task", "watch", failed),
        ("task", "watch", done), ("task", "explain", failed), ("task", "explain", done),
        ("task", "cancel", done), ("agents",), ("agents", "show", "evil"),
        ("events", "--kind", "message."), ("dead-letters", "redrive", "--dry-run", failed),
    ]  # fmt: skip
    for words in commands:
        for more in ((), ("--json",)):
            said = shared(*words, *more)
            harmless(said)
            assert "Traceback" not in said.err, words

    shown = shared("task", "show", done)
    kept = shared("task", "show", done, "--json").json()
    assert kept["result"] == EVIL  # nothing of it is lost
    assert "␛]52" in shown.out
    assert "\ufffd" in shown.out
    assert "[@click=app.quit]click[/]" in shared("task", "watch", done).out


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_words_are_said_back_harmless(shared: Shell, text: str) -> None:
    commands = [
        ("task", "show", text), ("task", "watch", text), ("task", "cancel", text),
        ("task", "explain", text), ("task", "submit", text), ("task", text),
        ("task", "list", "--status", text), ("task", "list", "--cursor", text),
        ("task", "submit", "x", "--data", text), ("task", "submit", "x", "--id", text),
        ("task", "submit", "x", "--label", text), ("task", "submit", "x", "--delay", text),
        ("tail", text), ("tail", "t", "--namespace", text), ("send", text, "x"),
        ("send", "a", "x", "--id", text), ("send", "a", "x", "--ttl", text),
        ("send", f"topic:{text}", "x"), ("send", "a", "x", "--data", f"@{text}/none"),
        ("dead-letters", text), ("dead-letters", "redrive", text),
        ("dead-letters", "purge", "--yes", text), ("queues", text), (text,),
    ]  # fmt: skip
    for words in commands:
        if any("\0" in word for word in words) and "@" in words[-1]:
            continue  # no argument can hold it
        said = shared(*words)
        harmless(said)
        assert said.code in {0, 1, 2, 5}, (words, said)
        if said.code == 0:  # for a label, or a message's id, some of it is good enough
            assert words[-2] in {"--label", "--id"}
            continue
        assert said.out in {"", "0 back in the queue\n", "0 forgotten\n"}, words
        assert 1 <= said.err.count("\n") <= 2, (words, said.err)
        assert "Traceback" not in said.err


# -- exit codes ------------------------------------------------------------------

READS = [
    ("queues",), ("dead-letters",), ("tail", "t"), ("task", "list"), ("task", "show", "x"),
    ("task", "explain", "x"), ("task", "watch", "x"),
]  # fmt: skip
WRITES = [
    ("dead-letters", "redrive", "--all"), ("dead-letters", "purge", "--all", "--yes"),
    ("send", "a", "x"), ("task", "submit", "x"), ("task", "cancel", "x"),
]  # fmt: skip


@pytest.mark.parametrize("words", READS + WRITES, ids=" ".join)
def test_without_a_node_it_is_3_and_without_a_token_4(
    shared: Shell, tmp_path: Path, words: tuple[str, ...]
) -> None:
    nowhere = Shell(environment(tmp_path))(*words)
    gone = Shell({**shared.environ, "NEXA_URL": "http://127.0.0.1:9"})(*words)
    stranger = Shell({**shared.environ, "NEXA_TOKEN": "nxa_wrong"})(*words)

    one_line(nowhere, 3, "mend: nexa node start")
    one_line(gone, 3, "127.0.0.1:9")
    one_line(stranger, 4, "token")


def test_a_viewer_may_read_and_not_write(shared: Shell) -> None:
    made = shared("token", "create", "--role", "viewer", "--json").json()["token"]
    viewer = Shell({**shared.environ, "NEXA_TOKEN": made})

    for words in READS:
        if words != ("tail", "t"):
            assert viewer(*words).code in {0, 5}, words
    for words in (*WRITES, ("tail", "t")):  # what agents say is not for viewers
        one_line(viewer(*words), 4, "viewer")


@pytest.mark.parametrize("verb", ["show", "watch", "cancel", "explain"])
def test_what_is_not_there_is_5(shared: Shell, verb: str) -> None:
    one_line(shared("task", verb, "nobody"), 5, "nobody")


def test_a_parent_that_is_not_there_is_5(shared: Shell) -> None:
    one_line(shared("task", "submit", "x", "--parent", "nobody"), 5, "the parent")


@pytest.mark.parametrize("verb", ["show", "watch", "cancel", "explain"])
@pytest.mark.parametrize(
    "task", ["", "a b", "..", "x/../y", "a?wait_s=1", "%2e", "\x9b"]
)
def test_what_is_no_id_is_asked_of_nobody(shared: Shell, verb: str, task: str) -> None:
    one_line(shared("task", verb, task), 2, f"{task!a} is no id")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("task", "submit", "x", "--delay", "nan"), "seconds"),
        (("task", "submit", "x", "--deadline", "inf"), "seconds"),
        (("task", "submit", "x", "--start-by", "-1"), "seconds"),
        (("task", "submit", "x", "--wait", "--timeout", "1e300"), "seconds"),
        (("task", "submit", "x", "--priority", "urgent"), "urgent"),
        (("task", "submit", "x", "y"), "y"),
        (("task", "list", "--limit", "many"), "many"),
        (("task", "show"), "id"),
        (("send", "a"), "type"),
        (("send", "a", "x", "--ttl", "soon"), "soon"),
        (("tail",), "topic"),
        (("tail", "t", "-n", "some"), "some"),
        (("tail", "t", "-n", "1001"), "0 to 1,000"),
        (("tail", "t", "-n", "-1"), "0 to 1,000"),
        (("queues", "--frobnicate"), "--frobnicate"),
        (("dead-letters", "bury"), "bury"),
        (("send", "a", "x", "--data", '"\udcff"'), "UTF-8"),
        (("send", "\udcff", "x"), "UTF-8"),
    ],
    ids=lambda value: ascii(" ".join(value)) if isinstance(value, tuple) else "",
)
def test_words_that_mean_nothing_are_2(
    shared: Shell, words: tuple[str, ...], says: str
) -> None:
    one_line(shared(*words), 2, says)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("send", "topic:Not A Topic", "x"), "topic"),
        (("send", "", "x"), "slug"),
        (("send", "capability:nobody-has-it", "x"), "nobody-has-it"),
        (("send", "never-seen", "x", "--fast"), "not connected"),
        (("tail", "a..b"), "topic"),
        (("task", "list", "--status", "sleeping"), "sleeping"),
        (("task", "submit", "x", "--max-attempts", "0"), "max_attempts"),
        (("task", "submit", "x", "--id", "i", "--idempotency-key", "k"), "leave one"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_the_node_refuses_is_1(
    shared: Shell, words: tuple[str, ...], says: str
) -> None:
    one_line(shared(*words), 1, says)


def test_data_over_the_limit_says_what_to_do(shared: Shell, tmp_path: Path) -> None:
    (tmp_path / "large").write_text("x" * 300_000)
    data = f"@{tmp_path / 'large'}"

    for words in (("task", "submit", "x"), ("send", "a", "x")):
        one_line(shared(*words, "--data", data), 1, "$ref")


def test_a_reader_that_has_seen_enough_is_no_failure(shared: Shell, topic: str) -> None:
    """`nexa tail … | head -1` ends well, with nothing on stderr."""
    inside, outside_ = os.pipe()
    os.close(inside)
    said = subprocess.run(
        [sys.executable, "-m", "nexa_tui", "tail", topic, "--all"],
        env=shared.environ,
        stdout=outside_,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    os.close(outside_)

    assert (said.returncode, said.stderr) == (0, "")
