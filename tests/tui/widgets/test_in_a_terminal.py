"""What really comes out of the terminal's end: only there the driver is seen."""

import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WIDTH, HEIGHT = 80, 24
COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:[34][0-7]|[34]8;[0-9;]+|9[0-7]|10[0-7])m")
REVERSE = re.compile(rb"\x1b\[(?:[0-9]+;)*7[;m]")
OURS = re.compile(
    rb"\x1b\[[0-9;]*[mH]"  # styles and jumps
    rb"|\x1b\[[<=>?][0-9;]*[hluncp$]+|\x1b\[\?[0-9;]*\$p"  # modes, set and asked for
    rb"|\x1b\[>[0-9;]*[a-zA-Z]|\x1b\[[<=>]?[0-9;]*[ucq]"  # keyboard protocol
    rb"|\x1b\][0-9;]*\x1b\\|\x1b\[\?[0-9]+n|\x1b\[1?6t"
    rb"|\x1b\]22;default\x07"  # the shape of the mouse pointer
)
PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from textual.widgets import Static
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.dressed import DressedApp
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Row, Table
from nexa_tui.state.text import clean
from tests.tui.hostile import CORPUS

class Stage(DressedApp[None]):
    def compose(self):
        table = Table([Column("a", "a", 60), Column("b", "b", 6)])
        table.update_rows(
            [Row(str(n), ((clean(text), "crit"), ("ok", "ok")))
             for n, text in enumerate(CORPUS)])
        yield Panel(table, title="hostile")
        for text in {raw}:
            yield Static(text, markup=False)
    def on_mount(self):
        self.query_one(Table).focus()

Stage().run(mouse=False)
"""

pytestmark = pytest.mark.system


class Terminal:
    def __init__(self, pid: int, fd: int) -> None:
        self.pid, self.fd, self.got = pid, fd, b""

    def read(self, seconds: float) -> bytes:
        """What comes within some time."""
        start, end = len(self.got), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                try:
                    self.got += os.read(self.fd, 65536)
                except OSError:  # the other end is gone
                    break
        return self.got[start:]

    def until(self, wanted: bytes) -> bytes:
        """What comes until something came, and a little after it."""
        start, end = len(self.got), time.monotonic() + 20
        while wanted not in self.got[start:]:
            assert time.monotonic() < end, f"{wanted!r} did not come: {self.got!r}"
            self.read(0.05)
        self.read(0.3)
        return self.got[start:]


@contextmanager
def running(raw: str = "()", **environ: str) -> Iterator[Terminal]:
    program = PROGRAM.format(root=str(ROOT), raw=raw)
    pid, fd = pty.fork()
    if pid == 0:
        base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color"}
        os.execve(sys.executable, [sys.executable, "-c", program], base | environ)
    ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    try:
        yield Terminal(pid, fd)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)


def foreign_escapes(written: bytes) -> list[bytes]:
    """Control bytes that are not of the driver."""
    rest = OURS.sub(b"", written)
    text = rest.decode("utf-8", "strict")
    return [
        one.encode()
        for one in text
        if one != "\r" and one != "\n" and (ord(one) < 32 or 0x7F <= ord(one) < 0xA0)
    ]


def test_hostile_text_brings_no_escape_to_the_terminal() -> None:
    with running() as terminal:
        terminal.until(b"hostile")
        os.write(terminal.fd, b"G")
        terminal.read(0.5)

        assert foreign_escapes(terminal.got) == []


def test_the_second_wall_alone_brings_none_either() -> None:
    with running(raw="CORPUS[:12]") as terminal:
        terminal.until(b"hostile")
        terminal.read(0.5)

        assert foreign_escapes(terminal.got) == []


def test_no_color_writes_no_colour_and_turns_the_cursor_around() -> None:
    with running(NO_COLOR="1", COLORTERM="truecolor") as terminal:
        written = terminal.until(b"hostile")
        os.write(terminal.fd, b"j")
        written += terminal.read(0.5)

        assert COLOUR.findall(written) == []
        assert REVERSE.search(written)


def test_an_empty_no_color_is_not_set() -> None:
    with running(NO_COLOR="", COLORTERM="truecolor") as terminal:
        assert COLOUR.search(terminal.until(b"hostile"))


def test_after_a_stop_the_whole_screen_is_written_again() -> None:
    with running() as terminal:
        terminal.until(b"hostile")
        os.kill(terminal.pid, signal.SIGTSTP)
        os.waitpid(terminal.pid, os.WUNTRACED)
        terminal.read(0.1)

        os.kill(terminal.pid, signal.SIGCONT)

        assert b"hostile" in terminal.until(b"hostile")


def test_another_size_writes_the_whole_screen_again() -> None:
    with running() as terminal:
        terminal.until(b"hostile")

        ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 70, 0, 0))
        os.kill(terminal.pid, signal.SIGWINCH)

        terminal.until(b"hostile")
