"""A million lines of a log in a pseudo-terminal: key to frame, memory, a filter's time.

    python bench/logs.py [lines=1000000]

A child process fills the console's own store and shows it in the console's own pane
(120x40); the parent presses keys and waits for the first bytes of each answer. Printed as
one JSON line. `filter_*` is one word that a line in a thousand has, without a terminal:
until a screenful is found, and until all lines were looked at.
"""

import json
import os
import pty
import signal
import statistics
import struct
import sys
import termios
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]
from table import HEIGHT, WIDTH, key_to_frame, read, rss_of  # noqa: E402

READY = b"following"
KEYS = {"line": b"k", "page": b"\x1b[5~", "home": b"\x1b[H", "end": b"\x1b[F"}
PRESSES = {"line": 40, "page": 40, "home": 10, "end": 10}
SCREEN = 36


def lines(count: int) -> Iterator[Any]:
    """What nodes log, more or less."""
    from nexa_node.contract.logs import LogLine

    first = datetime(2026, 3, 1, tzinfo=UTC)
    for n in range(count):
        yield LogLine(
            seq=n,
            time=first + timedelta(milliseconds=n),
            level="warning" if n % 1000 == 0 else "info",
            node=f"node-{n % 3}",
            component="nexa.tasks",
            event="beat_missed" if n % 1000 == 0 else "task_completed",
            fields={"task": f"01jn8qk0{n:08}", "agent": f"wc-{n % 40}", "ms": n % 977},
        )


def store_of(count: int) -> Any:
    """Filled as answers fill it: some hundred lines at a time."""
    from nexa_tui.state.log_store import LogStore

    store, some = LogStore(), []
    for one in lines(count):
        some.append(one)
        if len(some) == 500:
            store.add(some)
            some = []
    store.add(some)
    return store


def child(count: int) -> None:
    """Show them."""
    from textual.app import ComposeResult

    from nexa_tui.state.log_index import LogIndex
    from nexa_tui.state.logs import glyph, said, text_style
    from nexa_tui.widgets.dressed import DressedApp
    from nexa_tui.widgets.logpane import LogCells, LogPane

    index = LogIndex(store_of(count))

    def cells(row: int) -> LogCells:
        line = index.line(row)
        sign, style = glyph(line, ascii_only=False)
        return (
            (f"{line.time:%H:%M:%S}", "muted"),
            (sign, style),
            (line.node, "muted"),
            (line.component, "muted"),
            (said(line), text_style(line)),
        )

    class Bench(DressedApp[None]):
        def compose(self) -> ComposeResult:
            yield LogPane(index, cells)

        def on_mount(self) -> None:
            pane = self.query_one(LogPane)
            pane.show(index, anew=True)
            pane.focus()

    os.write(2, READY)
    Bench().run(mouse=False)


def filtered(count: int) -> dict[str, float]:
    """How long a word is looked for."""
    from nexa_tui.state.filters import parse
    from nexa_tui.state.log_index import LogIndex
    from nexa_tui.state.logs import KEYS as NAMES

    store = store_of(count)
    index = LogIndex(store, parse("beat_missed", NAMES))
    began, first = time.perf_counter(), 0.0
    longest = 0.0
    while not index.done:
        at = time.perf_counter()
        index.look()
        longest = max(longest, time.perf_counter() - at)
        if not first and len(index) >= SCREEN:
            first = time.perf_counter() - began
    return {
        "filter_screen_ms": round(1000 * first, 1),
        "filter_all_s": round(time.perf_counter() - began, 2),
        "filter_piece_ms": round(1000 * longest, 1),
        "packed_mb": round(store.packed_bytes / 1e6, 1),
    }


def measure(count: int) -> dict[str, float]:
    """Press keys."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.environ.pop("NO_COLOR", None)
        child(count)
        os._exit(0)
    ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    told: dict[str, float] = {"lines": count}
    try:
        seen = b""
        while READY not in seen:
            seen += read(fd, 0.5)
        read(fd, 2.0)
        for name, key in KEYS.items():
            took: list[float] = []
            for _ in range(PRESSES[name]):
                # Home and End go there and back, so that each press moves.
                if name in {"home", "end"}:
                    os.write(fd, KEYS["home" if name == "end" else "end"])
                    read(fd, 0.1)
                took.append(1000 * key_to_frame(fd, key)[0])
                read(fd, 0.1)
            took.sort()
            told[f"{name}_p50_ms"] = round(statistics.median(took), 1)
            told[f"{name}_p95_ms"] = round(took[int(len(took) * 0.95)], 1)
        told["rss_mb"] = round(rss_of(pid) / 1e6, 1)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)
    return told | filtered(count)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)))
