"""A small coverage-guided loop: what reaches new lines of ours is changed further.

Works wherever Python does. `atheris`, where it can be installed, is many times faster:
see `tests/fuzz/frames.py`.
"""

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from tests.fuzz.mutating import mutated

Run = Callable[[bytes], None]
Edge = tuple[str, int, int]


@dataclass
class Found:
    """What a run found."""

    runs: int = 0
    edges: int = 0
    news: list[bytes] = field(default_factory=list)
    """Inputs that reached what none before did."""
    crash: bytes | None = None
    error: BaseException | None = None


class Tracer:
    """Collects the steps from line to line in files whose name holds one of `parts`."""

    def __init__(self, parts: Sequence[str]) -> None:
        self._parts = tuple(parts)
        self._wanted: dict[str, bool] = {}
        self._last: dict[int, int] = {}
        self.edges: set[Edge] = set()
        self._before: Any = None

    def __enter__(self) -> "Tracer":
        self.edges = set()
        self._before = sys.gettrace()  # coverage's own, perhaps
        sys.settrace(self._call)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        name = frame.f_code.co_filename
        wanted = self._wanted.get(name)
        if wanted is None:
            wanted = self._wanted[name] = any(part in name for part in self._parts)
        if not wanted:
            return None
        last = 0

        def line(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal last
            if event == "line":
                self.edges.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return line

        return line


def explore(
    run: Run,
    corpus: Sequence[bytes],
    *,
    parts: Sequence[str],
    seconds: float,
    seed: int = 0,
    runs: int = sys.maxsize,
) -> Found:
    """Run the corpus, then what becomes of it, until the time or the runs are over.

    Args:
        run: Takes an input; whatever it raises is a fault.
        corpus: Where to begin.
        parts: Of the names of files whose lines count.
        seconds: How long, at most.
        seed: The same one tries the same inputs.
        runs: How many inputs, at most.
    """
    rng, tracer, found = random.Random(seed), Tracer(parts), Found()
    pool, seen = list(corpus), set[Edge]()
    waiting = list(corpus)
    end = time.monotonic() + seconds
    while found.runs < runs and time.monotonic() < end:
        given = not found.runs >= len(waiting)
        data = waiting[found.runs] if given else mutated(rng, _pick(rng, pool), pool)
        found.runs += 1
        try:
            with tracer:
                run(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault
            found.crash, found.error = data, error
            break
        if not tracer.edges <= seen:
            seen |= tracer.edges
            if not given:
                pool.append(data)
                found.news.append(data)
    found.edges = len(seen)
    return found


def _pick(rng: random.Random, pool: Sequence[bytes]) -> bytes:
    """The newest are the most promising."""
    return pool[-1 - int(len(pool) * rng.random() ** 2)]
