"""The console at the far end of a real SSH connection: a line that is slow, or cut."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nexa_tui.client.discovery import local_nodes
from tests.system import sshd
from tests.system.conftest import Shell, servers_under, until
from tests.system.screen import Terminal
from tests.system.shells import (
    environment_of,
    mouse_taken,
    ready,
    settings,
)

pytestmark = [
    pytest.mark.skipif(not sshd.there(), reason="needs OpenSSH's server"),
    pytest.mark.timeout(180),
]
VERDICT = "HEALTHY|DEGRADED"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Server]:
    with sshd.serving(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def far(shared: Shell, server: sshd.Server, tmp_path: Path) -> Terminal:
    """A shell over SSH on the machine with the node; use it with `with`."""
    environ = environment_of(shared.environ, tmp_path)
    words = sshd.spelled({**environ, "TERM": "xterm-256color"}, "sh", "-i")
    return Terminal(os.environ, command=server.command(words), columns=100, rows=30)


def console_of(home: Path) -> psutil.Process:
    """The console that runs on this folder."""

    def found() -> psutil.Process | None:
        return next(
            (one for one in servers_under(home) if "nexa_tui" in one.cmdline()), None
        )

    return until(found, "the console runs")


def test_a_session_is_drawn_follows_the_size_and_leaves_the_terminal_as_it_was(
    far: Terminal, shared: Shell
) -> None:
    with far:
        before = settings(far)
        ready(far)
        far.press("nexa --no-splash\r")
        text = far.until(VERDICT)
        assert "shared" in text
        assert max(map(len, text.splitlines())) <= 100

        far.resize(140, 40)
        far.until(lambda text: max(map(len, text.splitlines())) > 130)
        far.press("2")
        far.until("Nodes 1")
        far.press("\x11")
        far.until("Detach")
        far.press("q")

        assert settings(far) == before
        far.press("exit\r")
        assert far.wait(20) == 0
        assert not mouse_taken(far.raw), "the mouse is the person's own over SSH"
        assert b"\x1b[?25h" in far.raw[far.raw.rfind(b"\x1b[?1049l") :]
        assert b"Traceback" not in far.raw
    assert shared("node", "status").code == 0


@pytest.mark.parametrize("cut", ["client", "server", "silence"])
def test_a_line_that_is_cut_ends_the_console_and_nothing_else(
    far: Terminal, shared: Shell, server: sshd.Server, cut: str
) -> None:
    """`silence`: neither end is told; the server notices that nobody answers."""
    with far:
        ready(far)
        far.press("nexa --no-splash\r")
        far.until(VERDICT)
        console = console_of(shared.home)
        [session] = psutil.Process(server.pid).children()

        if cut == "server":
            for process in (*session.children(), session):
                if process.name() == "sshd":
                    process.kill()
        else:
            far.send(signal.SIGKILL if cut == "client" else signal.SIGSTOP)

        _, left = psutil.wait_procs([console], 60)
        assert not left
        far.send(signal.SIGKILL)
    assert shared("node", "status").code == 0
    assert [one.name for one in local_nodes(shared.environ)] == ["shared"]


def test_the_command_alone_runs_in_a_terminal_too_and_says_what_the_line_carries(
    server: sshd.Server, shared: Shell, tmp_path: Path
) -> None:
    """`ssh -t host nexa`: there is no shell to come back to."""
    environ = environment_of(shared.environ, tmp_path) | {"TERM": "xterm-256color"}
    words = sshd.spelled(environ, "nexa", "--no-splash", "--slow-link")
    with Terminal(os.environ, command=server.command(words)) as terminal:
        terminal.until(VERDICT)
        terminal.press("b")
        terminal.until(r"tty +[\d.]+ ?k?B/s")
        terminal.press("\x11")
        terminal.until("Detach")
        terminal.press("q")
        assert terminal.wait(20) == 0
        assert not mouse_taken(terminal.raw)


def test_without_a_terminal_there_is_a_plain_report(
    server: sshd.Server, shared: Shell, tmp_path: Path
) -> None:
    environ = environment_of(shared.environ, tmp_path)
    words = sshd.spelled(environ, "nexa")
    command = [word for word in server.command(words) if word != "-tt"]
    with Terminal(os.environ, command=command) as terminal:
        assert terminal.wait(30) == 0
        assert "shared" in terminal.text
        assert b"\x1b" not in terminal.raw
