"""Run a command in a pseudo-terminal and measure what a person would see.

Time from exec to the first byte and to a complete screen, bytes, processor time and
memory; then, if asked, what it costs while nothing happens.

    python bench/terminal.py --size 120x40 --until Overview --idle 10 -- nexa
"""

import argparse
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

import psutil
import pyte

Predicate = Callable[[list[str]], bool]
"""Says whether the screen, line by line, is what was waited for."""

QUIET_S = 0.02
"""The screen is looked at when nothing came for so long; see `Terminal.until`."""
END_S = 5.0

_IGNORED = re.compile(
    rb"\x1b\[[<=>][0-9;:]*[ $]?[a-zA-Z]"  # private sequences of newer terminals
    rb"|\x1b\[\?[0-9;]*\$[a-z]"
    rb"|\x1b[PX^_][^\x1b]*\x1b\\"  # strings for the terminal itself
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
)
_OTHER = re.compile(rb"(\x1b\[\?1049[hl])")
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;:<=>?$ ]*|[PX^_\]][^\x07\x1b]*\x1b?)?$")


class Screen:
    """What a terminal shows after the bytes so far.

    As a terminal's, it is two: a program that asks for the other one leaves the shell's as
    it was.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self._size = (columns, rows)
        self._rest = b""
        self._turn_to(pyte.Screen(columns, rows))
        self._shells = self._screen

    def _turn_to(self, screen: pyte.Screen) -> None:
        self._screen = screen
        self._stream = pyte.ByteStream(screen)

    def resize(self, columns: int, rows: int) -> None:
        """Another size: the shell's lines stay, a program draws its own anew."""
        self._size = (columns, rows)
        other = self._screen is not self._shells
        self._shells.resize(rows, columns)
        if other:
            self._turn_to(pyte.Screen(columns, rows))

    def feed(self, data: bytes) -> None:
        """Take bytes; a sequence that is cut in two waits for its end."""
        data = self._rest + data
        cut = _UNFINISHED.search(data)
        data, self._rest = (
            (data[: cut.start()], data[cut.start() :]) if cut else (data, b"")
        )
        for part in _OTHER.split(data):
            if _OTHER.fullmatch(part) is None:
                self._stream.feed(_IGNORED.sub(b"", part))
            elif part.endswith(b"h"):
                self._turn_to(pyte.Screen(*self._size))
            else:
                self._turn_to(self._shells)

    @property
    def lines(self) -> list[str]:
        return list(self._screen.display)

    @property
    def drawn(self) -> pyte.Screen:
        """The cells, with their colours."""
        return self._screen


@dataclass(frozen=True)
class Started:
    """How a start went."""

    first_ms: float
    """From exec to the first byte."""
    visible_ms: float
    """From exec to the first chunk that put anything on the screen."""
    complete_ms: float
    """From exec to the chunk of bytes that made the screen complete."""
    bytes: int
    """Until then."""
    zlib_bytes: int
    """What `ssh -C` would carry of them."""
    cpu_s: float
    """Of the process and its children, when it was noticed."""
    rss_mb: float
    """Of the process alone, then."""


@dataclass(frozen=True)
class Idle:
    """What it costs when nobody touches it."""

    seconds: float
    bytes_per_s: float
    zlib_bytes_per_s: float
    cpu_percent: float
    """Of one core, children included."""
    rss_mb: float


class NotComplete(Exception):
    """The screen never became what was waited for; it is in the message."""


class Terminal:
    """A pseudo-terminal with a program in it. Use it with `with`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.command = list(command)
        self.columns, self.rows = columns, rows
        self.environ = dict(environ if environ is not None else os.environ)
        self.environ |= {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "COLUMNS": str(columns),
            "LINES": str(rows),
        }
        self.screen = Screen(columns, rows)
        self.chunks: list[tuple[float, bytes]] = []
        self._shown = 0

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        self._open = True
        _tell_size(slave, self.columns, self.rows)
        self.began = time.perf_counter()
        self.child = subprocess.Popen(
            self.command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self.environ,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  # no threads here
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self.vanish()

    def vanish(self) -> None:
        """Close the terminal, as a window that is closed or a line that is cut."""
        if self._open:
            self._open = False
            os.close(self._master)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the program is told by a signal."""
        self._show()
        self.columns, self.rows = columns, rows
        self.screen.resize(columns, rows)
        _tell_size(self._master, columns, rows)

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def until(self, predicate: Predicate, *, timeout: float = 30.0) -> Started:
        """Wait for a screen, and say when it was complete.

        Bytes are only collected while they come, and put on the screen in the pauses, so
        that looking does not slow down what is looked at. Which chunk completed the
        screen is then found by playing all of them again.

        Raises:
            NotComplete: Not within `timeout` seconds of exec, or the program ended.
        """
        ends = self.began + timeout
        while True:
            alive = self._collect(QUIET_S)
            if alive and select.select([self._master], [], [], 0)[0]:
                continue
            if self._show() and predicate(self.screen.lines):
                return self._started(predicate)
            if not alive or time.perf_counter() > ends:
                shown = "\n".join(line.rstrip() for line in self.screen.lines)
                why = "it did not become complete" if alive else "it ended"
                raise NotComplete(f"{self.command}: {why}\n{shown.rstrip()}")

    def idle(self, seconds: float, *, settle: float = 2.0) -> Idle:
        """Leave it alone for `settle` seconds, then watch it for `seconds`."""
        self._watch(settle)
        at, cpu, count = time.perf_counter(), self._cpu(), len(self.chunks)
        self._watch(seconds)
        took = time.perf_counter() - at
        data = b"".join(chunk for _, chunk in self.chunks[count:])
        return Idle(
            seconds=round(took, 2),
            bytes_per_s=round(len(data) / took, 1),
            zlib_bytes_per_s=round(len(zlib.compress(data)) / took if data else 0, 1),
            cpu_percent=round(100 * (self._cpu() - cpu) / took, 2),
            rss_mb=self._rss(),
        )

    def watch(self, seconds: float) -> int:
        """Take what comes for so long, and forget it once it is on the screen; its bytes.

        Raises:
            NotComplete: The program ended.
        """
        self._watch(seconds)
        self._show()
        count = sum(len(data) for _, data in self.chunks)
        self.chunks.clear()
        self._shown = 0
        return count

    def _collect(self, wait: float) -> bool:
        """Read what there is; False once the program closed the terminal."""
        ready, _, _ = select.select([self._master], [], [], wait)
        if not ready:
            return self.child.poll() is None
        try:
            data = os.read(self._master, 1 << 20)
        except OSError:
            return False
        self.chunks.append((time.perf_counter(), data))
        return bool(data)

    def _show(self) -> bool:
        """Put what is new on the screen; False when nothing is."""
        new = self.chunks[self._shown :]
        self._shown = len(self.chunks)
        for _, chunk in new:
            self.screen.feed(chunk)
        return bool(new)

    def _watch(self, seconds: float) -> None:
        ends = time.perf_counter() + seconds
        while (left := ends - time.perf_counter()) > 0:
            if not self._collect(left):
                self._show()
                raise NotComplete(f"{self.command}: it ended while it was watched")

    def _started(self, predicate: Predicate) -> Started:
        cpu, rss = self._cpu(), self._rss()
        screen = Screen(self.columns, self.rows)
        data = b""
        at = self.chunks[-1][0]
        visible: float | None = None
        for when, chunk in self.chunks:
            screen.feed(chunk)
            data += chunk
            if visible is None and anything(screen.lines):
                visible = when
            if predicate(screen.lines):
                at = when
                break
        return Started(
            first_ms=round((self.chunks[0][0] - self.began) * 1000, 1),
            visible_ms=round(((visible or at) - self.began) * 1000, 1),
            complete_ms=round((at - self.began) * 1000, 1),
            bytes=len(data),
            zlib_bytes=len(zlib.compress(data)),
            cpu_s=round(cpu, 3),
            rss_mb=rss,
        )

    def _cpu(self) -> float:
        total = 0.0
        for process in self._family():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
            total += times.children_user + times.children_system
        return total

    def _rss(self) -> float:
        return round(psutil.Process(self.child.pid).memory_info().rss / 1e6, 1)

    def _family(self) -> list[psutil.Process]:
        main = psutil.Process(self.child.pid)
        return [main, *main.children(recursive=True)]

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.child.poll() is not None:
                return
            self.child.send_signal(number)
            ends = time.perf_counter() + END_S
            while self.child.poll() is None and time.perf_counter() < ends:
                if not self._open:
                    time.sleep(0.05)
                    continue
                self._collect(0.05)  # a full terminal would keep it from ending
        self.child.wait()


def shows(*patterns: str) -> Predicate:
    """Complete when each of the regular expressions is somewhere on the screen."""
    compiled = [re.compile(pattern) for pattern in patterns]

    def predicate(lines: list[str]) -> bool:
        text = "\n".join(lines)
        return all(pattern.search(text) for pattern in compiled)

    return predicate


def anything(lines: list[str]) -> bool:
    """Complete when there is anything to see."""
    return any(line.strip() for line in lines)


def _tell_size(descriptor: int, columns: int, rows: int) -> None:
    size = struct.pack("HHHH", rows, columns, 0, 0)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, size)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="120x40", help="COLUMNSxROWS")
    parser.add_argument(
        "--until",
        action="append",
        default=[],
        metavar="REGEX",
        help="complete when it is on the screen; may be repeated; default: anything",
    )
    parser.add_argument("--idle", type=float, default=0.0, metavar="S")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S")
    parser.add_argument("--show", action="store_true", help="print the screen")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    columns, rows = (int(word) for word in given.size.split("x"))
    predicate = shows(*given.until) if given.until else anything
    with Terminal(given.command, columns=columns, rows=rows) as terminal:
        try:
            started = terminal.until(predicate, timeout=given.timeout)
        except NotComplete as error:
            print(error, file=sys.stderr)
            return 1
        told = {"start": asdict(started)}
        if given.show:
            print("\n".join(line.rstrip() for line in terminal.screen.lines))
        if given.idle:
            told["idle"] = asdict(terminal.idle(given.idle))
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
