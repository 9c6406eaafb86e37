"""A real pseudo-terminal with a program in it: its screen, and every byte it sent."""

import fcntl
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from bench.terminal import Screen

WAIT_S = 15.0
_PAUSE_S = 0.02
_CHUNK = 1 << 20


class NotShown(AssertionError):
    """The screen never became what was waited for; it is in the message."""


class Terminal:
    """A pseudo-terminal with a console in it. Use it with `with`: nothing outlives it."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *words: str,
        columns: int = 110,
        rows: int = 34,
        term: str = "xterm-256color",
        command: Sequence[str] = (),
    ) -> None:
        """Prepare `nexa` with these words; it starts when the `with` begins.

        With a `command`, that is what starts: a shell, a multiplexer, ssh.
        The terminal's size is told by the terminal alone, as it is to a person's shell.
        """
        kept = {
            key: value
            for key, value in environ.items()
            if key not in {"COLUMNS", "LINES", "COLORTERM"}
        }
        self._command = [*(command or (sys.executable, "-m", "nexa_tui")), *words]
        self._environ = {**kept, "TERM": term}
        self._screen = Screen(columns, rows)
        self._size = (columns, rows)
        self.raw = b""
        """All that the program sent."""
        self.chunks: list[tuple[float, bytes]] = []
        """The same, with the time at which it came."""

    def __enter__(self) -> Self:
        """Start the program, in a session of its own that this terminal controls."""
        self._master, slave = pty.openpty()
        self._open = True
        self._tell_size(slave)
        self.child = subprocess.Popen(
            self._command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self._environ,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  it calls one ioctl, no more
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        return self

    def __exit__(self, *_: object) -> None:
        """End the program, gently at first, and close the terminal."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.child.poll() is None:
                self.child.send_signal(number)
                with suppress(NotShown):
                    self.wait(5)
        self.vanish()
        self.child.wait(5)

    @property
    def lines(self) -> list[str]:
        """The screen as a person sees it, now."""
        self.take(_PAUSE_S)
        return self._screen.lines

    @property
    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(line.rstrip() for line in self.lines)

    def until(
        self, wanted: str | Callable[[str], object], seconds: float = WAIT_S
    ) -> str:
        """Wait until the screen shows a regular expression, or satisfies a predicate.

        Raises:
            NotShown: Not within `seconds`, or the program ended before.
        """
        fits = wanted if callable(wanted) else re.compile(wanted).search
        end = time.monotonic() + seconds
        while True:
            alive = self.take(_PAUSE_S)
            text = "\n".join(line.rstrip() for line in self._screen.lines)
            if fits(text):
                return text
            if not alive or time.monotonic() > end:
                why = f"not within {seconds:.0f} s" if alive else "the program ended"
                raise NotShown(f"{why}: {wanted}\n{text.rstrip()}")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            os.write(self._master, key.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the program is told by a signal."""
        self.take(0)
        self._size = (columns, rows)
        self._screen.resize(columns, rows)
        self._tell_size(self._master)

    def send(self, number: int) -> None:
        """Send a signal."""
        self.child.send_signal(number)

    def vanish(self) -> None:
        """Close the terminal, as a window that is closed."""
        if self._open:
            self._open = False
            os.close(self._master)

    def wait(self, seconds: float = 5.0) -> int:
        """Wait for the program's end; its exit code, and all its bytes are in `raw`.

        Raises:
            NotShown: It still runs.
        """
        end = time.monotonic() + seconds
        while self.child.poll() is None:
            self.take(_PAUSE_S)
            if time.monotonic() > end:
                raise NotShown(f"it still runs after {seconds:.0f} s\n{self.text}")
        while self.take(0):
            pass
        return self.child.returncode

    def take(self, seconds: float) -> bool:
        """Take what comes until nothing did for `seconds`; False at the end of it all."""
        if not self._open:
            time.sleep(seconds)
            return False
        while select.select([self._master], [], [], seconds)[0]:
            try:
                data = os.read(self._master, _CHUNK)
            except OSError:
                return False
            if not data:
                return False
            self.raw += data
            self.chunks.append((time.monotonic(), data))
            self._screen.feed(data)
        return self.child.poll() is None

    def _tell_size(self, descriptor: int) -> None:
        columns, rows = self._size
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, size)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
