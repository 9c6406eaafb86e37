"""The console in terminals of every type and size, and what a shell does with a job."""

import os
import re
import signal
from pathlib import Path

import psutil
import pytest

from tests.system.conftest import Shell, until
from tests.system.screen import Terminal
from tests.system.shells import environment_of, ready, settings
from tests.system.test_console import console, given_back, leave, sgr

pytestmark = pytest.mark.timeout(120)
VERDICT = "HEALTHY|DEGRADED"
COLOUR = re.compile(r"[34][0-7]|(38|48);.*|9[0-7]|10[0-7]")


@pytest.mark.parametrize(
    ("term", "colours", "ascii_only"),
    [
        ("xterm-256color", "256", False),
        ("screen-256color", "256", False),
        ("linux", "16", True),
        ("vt100", "none", True),
    ],
)
def test_a_type_gets_what_it_can_show(
    shared: Shell, term: str, colours: str, ascii_only: bool
) -> None:
    with console(shared, term=term) as terminal:
        terminal.until(VERDICT)
        terminal.press("2")
        terminal.until("Nodes 1")
        leave(terminal)

    used = {one for one in sgr(terminal.raw) if COLOUR.fullmatch(one)}
    assert not any(one.endswith(";2") for one in used)
    assert any(";" in one for one in used) is (colours == "256")
    assert bool(used) is (colours != "none")
    assert all(byte < 0x80 for byte in terminal.raw) is ascii_only


def test_a_dumb_type_is_told_what_would_help(shared: Shell) -> None:
    with Terminal(shared.environ, term="dumb", columns=200) as terminal:
        assert terminal.wait(20) == 0
        assert "TERM is dumb" in terminal.text
        assert "--screen-reader" in terminal.text
        assert b"\x1b" not in terminal.raw


def test_a_wall_of_a_terminal_is_filled(shared: Shell) -> None:
    with console(shared, columns=300, rows=100) as terminal:
        text = terminal.until(VERDICT)
        assert "shared" in text
        assert len(text.rstrip().splitlines()) == 100
        assert 290 < max(map(len, text.splitlines())) <= 300
        leave(terminal)


def test_below_the_least_size_it_says_so_and_goes_on_when_there_is_room(
    shared: Shell,
) -> None:
    with console(shared, columns=20, rows=5) as terminal:
        terminal.until("too small")
        terminal.resize(100, 30)
        terminal.until(VERDICT)
        terminal.press("?")
        terminal.until("Esc closes")
        terminal.resize(24, 6)
        text = terminal.until("too small")
        assert "24x6" in text
        assert re.search(VERDICT, text)
        terminal.resize(100, 30)
        terminal.until("Esc closes")
        terminal.press("\x1b")
        terminal.until(lambda text: "Esc closes" not in text)

        terminal.resize(24, 6)
        terminal.until("too small")
        terminal.press("q")
        assert terminal.wait(20) == 0
        assert given_back(terminal.raw)


def test_a_shell_stops_it_and_has_it_in_front_again(
    shared: Shell, tmp_path: Path
) -> None:
    """SIGTSTP gives the terminal back to the shell, `fg` draws all of it anew."""
    environ = environment_of(shared.environ, tmp_path)
    with Terminal(environ, command=["sh", "-m", "-i"], columns=100) as terminal:
        before = settings(terminal)
        ready(terminal)
        terminal.press("nexa --no-splash\r")
        terminal.until(VERDICT)
        job = until(lambda: _console_under(terminal.child.pid), "the console runs")
        os.kill(job.pid, signal.SIGTSTP)
        terminal.until("(?s)Stopped.*ready>")
        assert settings(terminal) == before

        terminal.press("fg\r")
        terminal.until(VERDICT)
        terminal.press("2")
        terminal.until("Nodes 1")
        terminal.press("\x11")
        terminal.until("Detach")
        terminal.press("q")
        assert settings(terminal) == before
        terminal.press("exit\r")
        terminal.wait(10)
    assert b"Traceback" not in terminal.raw


def _console_under(pid: int) -> psutil.Process | None:
    for one in psutil.Process(pid).children(recursive=True):
        if "nexa_tui" in one.cmdline():
            return one
    return None
