"""The console's end, however it comes: the terminal is given back as it was found.

SIGTERM, SIGHUP and SIGINT ask the application to leave in order. A terminal that is gone
does the same, and if the loop is stuck behind a terminal that no longer reads, the
process gives the terminal back by itself and ends: a console never lives on unseen.
"""

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

GRACE_S = 2.0
"""How long leaving in order may take."""
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL
_RESTORE = (
    b"\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l"
    b"\x1b[?1004l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m"
)
"""Everything Textual switches on, off again."""


class Lifeline:
    """Watches over one console's end; use it with `with`, in the main thread."""

    def __init__(self, leave: Callable[[int], None]) -> None:
        """Watch.

        Args:
            leave: Asks the application to leave with this exit code; called from the
                main thread or another, and must not block.
        """
        self._leave = leave
        self._leaving = threading.Event()
        self._over = threading.Event()
        self._before: dict[signal.Signals, Any] = {}
        self._terminal: Any = None

    def __enter__(self) -> "Lifeline":
        """Take the signals, keep the terminal's settings, begin to watch it."""
        self._terminal = _attributes()
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._signalled)
        threading.Thread(target=self._watch, daemon=True, name="nexa-tty").start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        self._over.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self._end(128 + number)

    def _watch(self) -> None:
        """Sleep until the terminal hangs up; costs nothing as long as it does not."""
        poll = select.poll()
        poll.register(sys.__stdin__.fileno() if sys.__stdin__ else 0, 0)
        for _, event in poll.poll():
            if event & _GONE and not self._over.is_set():
                self._end(128 + signal.SIGHUP)

    def _end(self, code: int) -> None:
        if self._leaving.is_set():
            return
        self._leaving.set()
        threading.Thread(target=self._insist, args=(code,), daemon=True).start()
        with suppress(RuntimeError):  # the loop is closed already
            self._leave(code)

    def _insist(self, code: int) -> None:
        if not self._over.wait(GRACE_S):
            give_back(self._terminal)
            os._exit(code)


def give_back(attributes: Any) -> None:
    """Restore the terminal without the application, and without waiting for it."""
    import termios

    descriptor = sys.__stderr__.fileno() if sys.__stderr__ else 2
    with suppress(OSError, ValueError):
        os.set_blocking(descriptor, False)  # a stalled terminal must not hold us
        try:
            os.write(descriptor, _RESTORE)
        finally:
            os.set_blocking(descriptor, True)  # the shell has the same descriptor
    if attributes is not None:
        with suppress(termios.error, OSError):
            termios.tcsetattr(0, termios.TCSANOW, attributes)


def _attributes() -> Any:
    import termios

    try:
        return termios.tcgetattr(0)
    except (termios.error, OSError):
        return None
