"""The notation of made-up series: `0+10x5 _x3 7 stale` (Prometheus, promql/parser).

`a+bxn` is a and n more, each b larger; `axn` is a and n more of it; `_` is a sample that
is missing; `stale` marks the end of a series.
"""

import re
import struct

import numpy as np

from nexa_node.core.promql.samples import STALE_BITS, Floats, Times

SAMPLES_MAX = 200_000
"""Of one series."""
STALE: float = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]
_FLOAT = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|[iI]nf|[nN]a[nN])"
_ITEM = re.compile(
    rf"(?P<gap>_)(?:x(?P<gaps>\d+))?"
    rf"|(?P<stale>stale)"
    rf"|(?P<first>{_FLOAT})(?P<step>[-+](?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+))?"
    rf"(?:x(?P<times>\d+))?"
)


def samples(text: str, interval_ms: int) -> tuple[Times, Floats]:
    """Read a series.

    Args:
        text: Its values, in the notation.
        interval_ms: Between two of them; the first is at 0.

    Raises:
        ValueError: It is not understood; says which part.
    """
    values: list[float | None] = []
    for word in text.split():
        values += _read(word)
        if len(values) > SAMPLES_MAX:
            raise ValueError(f"a series has at most {SAMPLES_MAX} samples")
    there = [(at, value) for at, value in enumerate(values) if value is not None]
    times = np.array([at * interval_ms for at, _ in there], np.int64)
    return times, np.array([value for _, value in there], np.float64)


def _read(word: str) -> list[float | None]:
    found = _ITEM.fullmatch(word)
    if found is None:
        raise ValueError(f"{word[:40]!r} is no value: 1, 1x4, 0+10x5, _, _x3, stale")
    if found["gap"]:
        return [None] * _bounded(found["gaps"] or "1")
    if found["stale"]:
        return [STALE]
    first = float(found["first"])
    if found["times"] is None:
        if found["step"] is not None:
            raise ValueError(f"{word[:40]!r} lacks how often: {word[:40]}x5")
        return [first]
    count, step = _bounded(found["times"]), float(found["step"] or 0)
    made: list[float | None] = []
    value = first
    for _ in range(count + 1):
        made.append(value)
        value += step  # adds up as Prometheus does, rounding included
    return made


def _bounded(text: str) -> int:
    count = int(text) if len(text) <= len(str(SAMPLES_MAX)) else SAMPLES_MAX + 1
    if count > SAMPLES_MAX:
        raise ValueError(f"a series has at most {SAMPLES_MAX} samples")
    return count
