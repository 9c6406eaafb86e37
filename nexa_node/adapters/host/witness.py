"""What this process can say of a moment: its log, and where its time goes."""

import asyncio
import sys
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from nexa_node.contract.alerts import EvidenceLine

TAIL_BYTES = 512 * 1024
LINES_MAX = 100
TEXT_MAX = 500
LOOK_S, EVERY_S = 1.0, 0.02
"""A look costs some 60 µs for ten threads: 50 of them a second are 0.3 %."""
TOP = 10
_IDLE = frozenset(("select", "poll", "wait", "epoll_wait", "run_once", "_run_once"))
_STANDARD = frozenset(("time", "level", "event", "node", "logger", "timestamp"))


class ProcessWitness:
    """`ports.Witness` of this process."""

    def __init__(self, log: Path, *, node: str) -> None:
        """Read `log`, the JSON lines that this node and its neighbours write."""
        self._log = log
        self._node = node

    async def log(self, since: datetime, until: datetime) -> tuple[EvidenceLine, ...]:
        """Lines that this node logged then, the oldest first, at most 100."""
        return await asyncio.to_thread(self._lines, since, until)

    async def profile(self) -> tuple[str, ...]:
        """The functions in which the loop's thread spends its time now."""
        return await asyncio.to_thread(profiled, threading.get_ident())

    def _lines(self, since: datetime, until: datetime) -> tuple[EvidenceLine, ...]:
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
                content = file.read()
        except OSError:
            return ()
        found: list[EvidenceLine] = []
        for raw in content.split(b"\n"):
            line = _line(raw)
            if line is None or line.node != self._node:
                continue
            if since <= line.time <= until:
                found.append(line)
        return tuple(found[-LINES_MAX:])


def profiled(thread: int) -> tuple[str, ...]:
    """Look at one thread for a second: `where it is, share of the looks`."""
    seen: Counter[str] = Counter()
    looks = 0
    end = time.monotonic() + LOOK_S
    while time.monotonic() < end:
        frame = _frames().get(thread)
        looks += 1
        if frame is not None:
            seen[_place(frame)] += 1
        time.sleep(EVERY_S)
    return tuple(
        f"{place} {count * 100 // looks} %" for place, count in seen.most_common(TOP)
    )


def _frames() -> dict[int, FrameType]:
    return sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented


def _place(frame: FrameType) -> str:
    code = frame.f_code
    if code.co_name in _IDLE:
        return "idle"
    return f"{code.co_qualname} ({Path(code.co_filename).name}:{frame.f_lineno})"


def _line(raw: bytes) -> EvidenceLine | None:
    if not raw.startswith(b"{"):
        return None
    try:
        told: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
        moment = datetime.fromisoformat(str(told["time"]))
    except (msgspec.DecodeError, KeyError, ValueError):
        return None
    if moment.tzinfo is None or "subject" in told:
        return None  # what has a subject is an event, and told as one
    more = " ".join(
        f"{name}={value}" for name, value in told.items() if name not in _STANDARD
    )
    return EvidenceLine(
        time=moment,
        severity=str(told.get("level", "info")),
        node=str(told.get("node", "")),
        text=f"{told.get('event', '')} {more}".strip()[:TEXT_MAX],
    )
