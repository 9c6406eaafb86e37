"""The console in a real terminal: what a person sees, and what the terminal is sent."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from nexa_node.adapters.asgi.examples import CLUSTER, STATUS
from nexa_node.contract.events import Snapshot
from nexa_node.contract.nodes import TaskCounts
from nexa_node.contract.version import JSON_SUBPROTOCOL
from nexa_tui.client.discovery import Target, local_nodes
from tests.system.conftest import Shell, end, until
from tests.system.screen import Terminal

ON, OFF = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_ON, CURSOR_OFF = b"\x1b[?25h", b"\x1b[?25l"
EMPTY = "nexa node start"
VERDICT = "HEALTHY|DEGRADED"
"""A busy machine makes a node degraded: no failure of the console's."""
_STALE = re.compile("stale|lost", re.IGNORECASE)
_SGR = re.compile(rb"\x1b\[([0-9;:]*)m")


def console(shell: Shell, *words: str, **options: Any) -> Terminal:
    """The console without its splash."""
    return Terminal(shell.environ, "--no-splash", *words, **options)


def given_back(raw: bytes) -> bool:
    """Whether the screen and the cursor are as they were before."""
    return raw.rfind(OFF) > raw.rfind(ON) >= 0 and (
        raw.rfind(CURSOR_ON) > raw.rfind(CURSOR_OFF)
    )


def leave(terminal: Terminal) -> None:
    """Quit, nodes go on."""
    terminal.press("\x11")
    terminal.until("Detach")
    terminal.press("q")
    assert terminal.wait() == 0
    assert given_back(terminal.raw)
    assert b"Traceback" not in terminal.raw


def alive(terminal: Terminal) -> bool:
    return terminal.child.poll() is None and b"Traceback" not in terminal.raw


def sgr(raw: bytes) -> set[str]:
    """Every colour and attribute that was set: `31`, `38;5`, `48;2`, `7`."""
    found: set[str] = set()
    for match in _SGR.finditer(raw):
        words = iter(re.split("[;:]", match[1].decode()))
        for word in words:
            if word in {"38", "48"}:
                kind = next(words, "")
                found.add(f"{word};{kind}")
                for _ in range(3 if kind == "2" else 1):
                    next(words, None)
            elif word:
                found.add(word)
    return found


# Without a node.


def test_the_splash_tests_itself_and_a_key_goes_on(shell: Shell) -> None:
    with Terminal(shell.environ) as terminal:
        terminal.until("self-test")
        terminal.until(r"(\d+) of \1 checks")
        rows = terminal.until(r"(pass|warn|fail).*Python")
        assert "node" in rows
        terminal.press(" ")
        terminal.until(EMPTY)

        leave(terminal)

    assert local_nodes(shell.environ) == []


def test_a_key_goes_on_before_the_self_test_is_over(shell: Shell) -> None:
    with Terminal(shell.environ) as terminal:
        terminal.until("self-test")
        terminal.press(" ")
        terminal.until("No node runs here")

        leave(terminal)


def test_the_splash_starts_a_node_that_outlives_the_console(shell: Shell) -> None:
    with Terminal(shell.environ) as terminal:
        terminal.until("s start")
        terminal.press("s")
        terminal.until("Agents", 20)
        [target] = local_nodes(shell.environ)
        terminal.until(re.escape(target.name))
        leave(terminal)

    assert shell("node", "status").code == 0
    with console(shell) as again:
        again.until("Agents")
        again.until(re.escape(target.name))
        assert "No node" not in again.text


def test_the_empty_dashboard_starts_a_node(shell: Shell) -> None:
    with console(shell) as terminal:
        terminal.until(EMPTY)
        terminal.press("s")
        terminal.until(VERDICT, 20)
        [target] = local_nodes(shell.environ)
        terminal.until(re.escape(target.name))
        leave(terminal)

    assert shell("node", "status").code == 0


def test_a_broken_settings_file_is_told_and_stops_nothing(shell: Shell) -> None:
    path = shell.home / "config" / "console.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("them = 1\n")
    with console(shell) as terminal:
        terminal.until("unknown key them")
        terminal.until(EMPTY)

        leave(terminal)


def test_a_theme_that_was_chosen_is_worn_the_next_time(shell: Shell) -> None:
    path = shell.home / "config" / "console.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# mine\nrefresh_s = 0.5\n")
    with console(shell) as terminal:
        terminal.until(EMPTY)
        terminal.press(":")
        terminal.until("Command")
        terminal.press("theme monochrome", "\r")
        terminal.until("kept in")
        leave(terminal)

    assert path.read_text() == 'theme = "monochrome"\n# mine\nrefresh_s = 0.5\n'
    with console(shell) as again:
        again.until(EMPTY)
        again.press("t")
        again.until(r"[▌>] *monochrome")
        again.press("\x1b")
        again.until(lambda text: "Theme" not in text)
        leave(again)


# With a node.


@pytest.mark.usefixtures("node")
def test_a_node_elsewhere_is_attached_with_a_url_and_its_token(
    shell: Shell, tmp_path: Path
) -> None:
    [target] = local_nodes(shell.environ)
    token = shell("token", "create", "--role", "viewer").out.splitlines()[0]
    elsewhere = {**shell.environ, "NEXA_HOME": str(tmp_path / "elsewhere")}
    with Terminal(elsewhere, "--no-splash") as terminal:
        terminal.until(EMPTY)
        terminal.press("a")
        terminal.until("Attach to")
        terminal.press(target.url, "\r")
        terminal.take(0.5)  # the cursor goes to the next line, which shows no word
        terminal.press(token)
        assert token not in terminal.text
        terminal.press("\r")
        terminal.until(VERDICT)
        terminal.until("viewer")

        leave(terminal)


@pytest.mark.usefixtures("node")
def test_agents_and_tasks_are_seen_and_survive_a_killed_console(shell: Shell) -> None:
    with console(shell, columns=140, rows=40) as terminal:
        terminal.until("alpha")
        agent = shell.agent("counter-1", "count", "cat")
        try:
            terminal.until("counter-1")
            task = shell("task", "submit", "count", "--data", '"abc"', "--json").json()
            terminal.until("completed")
            terminal.send(signal.SIGKILL)
            assert terminal.wait() == -signal.SIGKILL

            assert shell("node", "status").code == 0
            assert shell.connected("counter-1")
            seen = shell("task", "show", task["id"], "--json").json()
            assert seen["status"] == "completed"
        finally:
            end(agent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_in_order(shell: Shell, number: int) -> None:
    with console(shell) as terminal:
        terminal.until(EMPTY)
        terminal.send(number)

        assert terminal.wait(2) == 128 + number
        assert given_back(terminal.raw)
        assert b"Traceback" not in terminal.raw


def test_a_signal_during_the_self_test_leaves_nothing_behind(shell: Shell) -> None:
    with Terminal(shell.environ) as terminal:
        terminal.until("self-test")
        main = psutil.Process(terminal.child.pid)
        trial = until(lambda: main.children(recursive=True), "the trial began")
        terminal.send(signal.SIGTERM)

        assert terminal.wait(3) == 128 + signal.SIGTERM
        assert given_back(terminal.raw)
    until(lambda: not any(map(running, trial)), "the trial is ended", 5)


def running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_terminal_that_vanishes_ends_it(shell: Shell) -> None:
    with console(shell) as terminal:
        terminal.until(EMPTY)
        terminal.vanish()

        terminal.wait(5)


@pytest.mark.usefixtures("node")
def test_a_terminal_that_vanishes_ends_it_though_signals_are_ignored(
    shell: Shell,
) -> None:
    """As under nohup, or a session leader that does not pass SIGHUP on."""
    with ExitStack() as stack:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            terminal = stack.enter_context(console(shell))
        finally:
            signal.signal(signal.SIGHUP, before)
        terminal.until("alpha")
        terminal.vanish()

        terminal.wait(5)


# Terminals.


@pytest.mark.usefixtures("node")
def test_without_colour_the_cursor_is_reversed(shell: Shell) -> None:
    shell.environ["NO_COLOR"] = "1"
    with console(shell) as terminal:
        terminal.until("alpha")
        terminal.press("4", "3", "8")
        terminal.until("Logs")
        terminal.press("\x11")
        terminal.until("Detach")
        used = sgr(terminal.raw)

    colours = {
        one for one in used if re.fullmatch(r"[34][0-7]|(38|48);.*|9[0-7]|10[0-7]", one)
    }
    assert colours == set()
    assert "7" in used


def test_a_dumb_terminal_gets_a_plain_report(shell: Shell) -> None:
    with Terminal(shell.environ, term="dumb") as terminal:
        assert terminal.wait(10) == 3
        assert b"\x1b" not in terminal.raw
        assert b"nexa node start" in terminal.raw


@pytest.mark.usefixtures("node")
def test_a_dumb_terminal_gets_a_plain_report_of_the_node(shell: Shell) -> None:
    with Terminal(shell.environ, term="dumb") as terminal:
        assert terminal.wait(10) == 0
        assert b"\x1b" not in terminal.raw
        assert b"alpha" in terminal.raw


@pytest.mark.parametrize("with_node", [False, True])
def test_a_pipe_gets_a_plain_report(
    shell: Shell, with_node: bool, request: pytest.FixtureRequest
) -> None:
    if with_node:
        request.getfixturevalue("node")
    said = subprocess.run(
        [sys.executable, "-m", "nexa_tui"],
        env={**shell.environ, "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )

    assert said.returncode == (0 if with_node else 3)
    assert b"\x1b" not in said.stdout + said.stderr
    assert (b"alpha" if with_node else b"nexa node start") in said.stdout + said.stderr


# When things break.


def test_a_node_that_dies_is_told_and_found_again(shell: Shell, node: Target) -> None:
    assert node.pid is not None
    with console(shell) as terminal:
        terminal.until(VERDICT)
        os.kill(node.pid, signal.SIGKILL)
        terminal.until(lambda text: _STALE.search(text) and EMPTY in text, 15)
        started = shell("node", "start", "--name", "alpha", "--port", "0")
        assert started.code == 0, started.err
        terminal.until(
            lambda text: re.search(VERDICT, text) and not _STALE.search(text)
        )
        leave(terminal)


def test_a_wrong_token_is_told(shell: Shell, node: Target) -> None:
    shell.environ["NEXA_TOKEN"] = "nxa_wrong"
    with console(shell, "--attach", node.url) as terminal:
        terminal.until("(?i)token")
        terminal.until("(?i)mend")
        leave(terminal)
    del shell.environ["NEXA_TOKEN"]


def test_a_wrong_token_is_told_on_the_splash(shell: Shell, node: Target) -> None:
    shell.environ["NEXA_TOKEN"] = "nxa_wrong"
    with Terminal(shell.environ, "--attach", node.url) as terminal:
        terminal.until("(?is)mend.*(NEXA_TOKEN|login)")
        leave(terminal)
    del shell.environ["NEXA_TOKEN"]


@contextmanager
def old_node() -> Generator[str]:
    """A node of a version before this feed; its URL."""

    def answer(socket: ServerConnection) -> None:
        snapshot = Snapshot(
            seq=1,
            time=STATUS.started or CLUSTER.nodes[0].started,  # pyright: ignore[reportArgumentType]  # both are set there
            node=msgspec.structs.replace(STATUS, console_protocol=0, version="0.0.1"),
            cluster=CLUSTER,
            agents=(),
            tasks=(),
            counts=TaskCounts(),
            events=(),
            history=(),
            selftest=None,
        )
        socket.send(msgspec.json.encode(snapshot).decode())
        for _ in socket:
            pass

    with serve(answer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join(5)


def test_a_node_that_is_too_old_is_told(shell: Shell) -> None:
    with old_node() as url, console(shell, "--attach", url) as terminal:
        terminal.until("too old")
        terminal.until("upgrade")
        leave(terminal)


HOSTILE = (
    "\x1b]52;c;aGFja2Vk\x07",
    "\x1b[2J\x1b[H",
    "\x9b2J\u202eevil\u2066",
    "[@click=app.quit]x[/]",
    "[/]",
    "[bold red",
    "\r\n\t\x00\x7f",
)


@contextmanager
def hostile_agent(node: Target, agent: str, name: str) -> Generator[None]:
    """An agent that says a name of its own, over a plain WebSocket."""
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "session.hello",
        "params": {
            "protocol": "1.0",
            "agent": {"id": agent, "name": name},
            "capabilities": [{"name": "evil"}],
        },
    }
    with connect(
        node.url.replace("http", "ws", 1) + "/v1/agent",
        subprotocols=[JSON_SUBPROTOCOL],  # type: ignore[list-item]  # NewType
        additional_headers={"Authorization": f"Bearer {node.token}"},
        proxy=None,
    ) as socket:
        socket.send(msgspec.json.encode(hello).decode())
        assert "result" in msgspec.json.decode(socket.recv(10))
        yield


def test_hostile_names_do_nothing(node: Target, shell: Shell) -> None:
    names = ("".join(HOSTILE), *HOSTILE)
    with console(shell) as terminal, ExitStack() as agents:
        terminal.until(VERDICT)
        before = terminal.raw.count(b"\x1b[2J")
        for number, name in enumerate(names):
            agents.enter_context(hostile_agent(node, f"hostile-{number}", name))
        terminal.until(f"hostile-{len(names) - 1}")
        terminal.press("3")
        terminal.until("hostile-0")
        for _ in names:
            terminal.press("\r")
            terminal.until("(?i)evil")
            terminal.take(0.1)
            terminal.press("\x1b")
            terminal.take(0.1)
            terminal.press("j")
        terminal.press("8", "]")
        terminal.until("Events")
        terminal.press("1")
        terminal.until(VERDICT)

        assert alive(terminal)
        for sign in ("\x1b]52", "\x9b", "\u202e", "\u2066"):
            assert sign.encode() not in terminal.raw
        assert terminal.raw.count(b"\x1b[2J") == before
        leave(terminal)


# Sizes.


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(("columns", "rows"), [(40, 12), (80, 24), (200, 60)])
def test_a_size(shell: Shell, columns: int, rows: int) -> None:
    with console(shell, columns=columns, rows=rows) as terminal:
        terminal.until(VERDICT)
        for key in "2348?":
            terminal.press(key)
            terminal.take(0.1)
        terminal.until("Esc closes")
        terminal.press("\x1b")
        terminal.until(lambda text: "Esc closes" not in text)
        terminal.press("1")
        terminal.until(VERDICT)
        assert alive(terminal)
        leave(terminal)


@pytest.mark.usefixtures("node")
def test_a_storm_of_sizes(shell: Shell) -> None:
    sizes = cycle([(40, 12), (200, 60), (80, 24), (20, 5), (120, 40), (1, 1)])
    with console(shell) as terminal:
        terminal.until(VERDICT)
        for _ in range(20):
            terminal.resize(*next(sizes))
            terminal.take(0)
            time.sleep(0.05)  # the storm itself: twenty in a second
        assert alive(terminal)
        terminal.resize(100, 30)
        terminal.until(VERDICT)
        leave(terminal)
