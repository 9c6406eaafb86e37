"""The newest lines of this process's log, in memory, for those who look from afar.

It begins with the end of the file, so what came before a restart is seen, too.
"""

import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.contract.logs import LEVELS, LogLevel, LogLine

LINES_MAX = 10_000
LINE_MAX = 16 * 1024
"""Bytes of a line; a longer one is told by its beginning."""
TAIL_BYTES = 512 * 1024
"""Of the file, read at the start."""
_KNOWN = frozenset(("time", "level", "event", "node", "logger"))
_LEVELS: dict[str, LogLevel] = {known: known for known in LEVELS}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class LogRing(logging.Handler):
    """Satisfies `ports.LogRing`. Its formatter must write JSON, as the file's does."""

    def __init__(self, *, lines: int = LINES_MAX) -> None:
        """Keep so many lines."""
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=lines)
        self._wakes: dict[int, Callable[[], None]] = {}
        self._count = 0

    def begin(self, path: Path, *, node: str) -> None:
        """Start with the end of a file: what this node logged in its run before.

        Nodes with one home write one file; each tells its own lines.
        """
        self._lines.clear()
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                text = file.read(TAIL_BYTES)
        except OSError:
            return
        lines = text.splitlines()
        for line in lines[1:] if size > TAIL_BYTES else lines:
            self._take(line.decode(errors="replace"), node, only=node)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line and wake who waits for it; called under the handler's lock."""
        self._take(self.format(record), "")
        for wake in list(self._wakes.values()):
            wake()

    def newest(self) -> int:
        """The position of the newest line; 0 if there is none."""
        return self._lines[-1].seq if self._lines else 0

    def since(self, after: int) -> Iterator[LogLine]:
        """The lines past a position, the oldest first."""
        lines = self._now()
        return islice(lines, bisect_right(lines, after, key=_seq), None)

    def backwards(self) -> Iterator[LogLine]:
        """All lines, the newest first."""
        return reversed(self._now())

    def on_line(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake`, from any thread, at each line; answers what ends that."""
        self._count += 1
        number = self._count
        self._wakes[number] = wake

        def forget() -> None:
            self._wakes.pop(number, None)

        return forget

    def _now(self) -> list[LogLine]:
        self.acquire()
        try:
            return list(self._lines)
        finally:
            self.release()

    def _take(self, text: str, node: str, *, only: str | None = None) -> None:
        line = _line(text[:LINE_MAX], node, self.newest())
        if line is not None and only in {None, line.node}:
            self._lines.append(line)


def _line(text: str, node: str, before: int) -> LogLine | None:
    """Read a line; one that can't be is told as it stands, an empty one not at all."""
    try:
        told = _decode(text)
    except msgspec.DecodeError:
        told = {"event": text.strip(), "cut": len(text) == LINE_MAX}
        if not told["event"]:
            return None
    time = _moment(told.get("time"))
    written = told.get("level")
    level: LogLevel = _LEVELS.get(str(written), "info")
    return LogLine(
        seq=max(before + 1, int(time.timestamp() * 1e6)),
        time=time,
        level=level,
        node=str(told.get("node") or node),
        component=str(told.get("logger") or "nexa"),
        event=str(told.get("event", "")),
        fields={key: value for key, value in told.items() if key not in _KNOWN},
    )


def _moment(told: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(told))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        return datetime.now(UTC)
    return found


def _seq(line: LogLine) -> int:
    return line.seq
