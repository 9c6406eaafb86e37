"""What the nodes of the scenes measured: a value for each place in time, by expression."""

import math
from collections.abc import Sequence

from nexa_tui.state.metrics import QUESTIONS

_COUNT = 360
_SCALES: dict[str, tuple[float, float]] = {
    "done": (40, 22), "failed": (0.2, 0.2), "p99": (0.31, 0.2), "waiting": (5, 4),
    "messages": (3.2, 2), "agents": (4, 0), "connections": (5, 1), "cpu": (0.42, 0.2),
    "memory": (0.58, 0.02), "network": (121_900, 60_000), "store": (0.004, 0.002),
    "lag": (0.002, 0.001),
}  # fmt: skip
_NAMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "waiting": ("queue", ("wc", "translate")),
    "agents": ("state", ("busy", "idle", "active")),
    "p99": ("", ("",)),
}


def _wave(key: str, which: int) -> tuple[float, ...]:
    middle, swing = _SCALES[key]
    return tuple(
        max(0.0, middle + swing * (math.sin(n / 23 + which) + 0.4 * math.sin(n / 5)))
        for n in range(_COUNT)
    )


def _series(key: str) -> Sequence[tuple[dict[str, str], Sequence[float]]]:
    label, names = _NAMES.get(key, ("instance", ("alpha", "beta", "gamma")))
    return tuple(
        ({label: name} if label else {}, _wave(key, which))
        for which, name in enumerate(names)
    )


RECORDED = {one.expression: _series(one.key) for one in QUESTIONS}
