"""The table in a pseudo-terminal: bytes a second, CPU, and key to frame.

    python bench/table.py [rows=1000] [seconds=12] [share=0.1]

A child process shows `rows` x 10 columns of which `share` of all cells change each second;
the parent reads what comes out of the pseudo-terminal (120x40), presses cursor keys
meanwhile, and measures. Printed as one JSON line.
"""

import json
import os
import pty
import random
import resource
import select
import signal
import statistics
import struct
import sys
import termios
import time
import zlib
from fcntl import ioctl
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
WIDTH, HEIGHT = 120, 40
COLUMNS = 10
WARM_UP_S = 2.0


def child(rows: int, share: float) -> None:
    from textual.app import ComposeResult

    from nexa_tui.widgets.columns import Column
    from nexa_tui.widgets.dressed import DressedApp
    from nexa_tui.widgets.table import Row, Table

    dice = random.Random(7)
    words = ["alpha", "beta", "gamma", "delta", "idle", "busy"]
    styles = ["text", "muted", "ok", "warn", "accent"]

    def cell(column: int) -> tuple[str, str]:
        if column % 2:
            return f"{dice.randrange(10_000)}", "text"
        return dice.choice(words), styles[column // 2]

    class Bench(DressedApp[None]):
        def compose(self) -> ComposeResult:
            yield Table([
                Column(f"c{n}", f"column {n}", 9, "right" if n % 2 else "left",
                       flexible=n == 0)
                for n in range(COLUMNS)
            ])  # fmt: skip

        def on_mount(self) -> None:
            self.rows = [
                Row(str(n), tuple(cell(c) for c in range(COLUMNS))) for n in range(rows)
            ]
            self.query_one(Table).update_rows(self.rows)
            self.query_one(Table).focus()
            self.set_interval(1, self.change)

        def change(self) -> None:
            fresh = list(self.rows)
            for _ in range(int(rows * COLUMNS * share)):
                place, column = dice.randrange(rows), dice.randrange(COLUMNS)
                row = fresh[place]
                cells = (
                    *row.cells[:column],
                    cell(column),
                    *row.cells[column + 1 :],
                )
                fresh[place] = Row(row.key, cells)
            self.rows = fresh
            self.query_one(Table).update_rows(fresh)

    Bench().run(mouse=False)


def read(fd: int, seconds: float) -> bytes:
    """Whatever comes within some time."""
    end = time.monotonic() + seconds
    got = bytearray()
    while (left := end - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            got += os.read(fd, 65536)
    return bytes(got)


def key_to_frame(fd: int, key: bytes) -> tuple[float, bytes]:
    """Press a key and wait for the first bytes of an answer."""
    start = time.monotonic()
    os.write(fd, key)
    if not select.select([fd], [], [], 1.0)[0]:
        return 1.0, b""
    took = time.monotonic() - start
    return took, os.read(fd, 65536)


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_of(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def measure(rows: int, seconds: float, share: float) -> dict[str, float]:
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.environ.pop("NO_COLOR", None)
        child(rows, share)
        os._exit(0)
    ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    try:
        read(fd, WARM_UP_S)
        cpu = cpu_of(pid)
        still = read(fd, seconds)
        cpu = cpu_of(pid) - cpu
        delays: list[float] = []
        pressed = bytearray()
        for number in range(60):
            took, got = key_to_frame(fd, b"k" if number >= 30 else b"j")
            delays.append(took)
            pressed += got + read(fd, 0.1)
        memory = rss_of(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)
    delays.sort()
    return {
        "rows": rows,
        "cpu_percent": round(100 * cpu / seconds, 2),
        "bytes_s": round(len(still) / seconds),
        "zlib_bytes_s": round(len(zlib.compress(still, 6)) / seconds),
        "key_p50_ms": round(1000 * statistics.median(delays), 1),
        "key_p95_ms": round(1000 * delays[int(len(delays) * 0.95)], 1),
        "rss_mb": round(memory / 1e6, 1),
    }


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]]
    rows, seconds, share = (*given, *(1000, 12, 0.1)[len(given) :])
    print(json.dumps(measure(int(rows), seconds, share)))
