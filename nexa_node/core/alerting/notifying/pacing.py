"""How often a receiver is called, and how long to wait before it is tried again."""

import random
from collections import deque

WINDOW_S = 60.0
RETRY_MAX_S = 300.0
ASKED_MAX_S = 3600.0
"""The longest that a receiver may make us wait (`Retry-After`)."""


class Pace:
    """At most so many calls within any minute."""

    def __init__(self, per_minute: int) -> None:
        """Allow `per_minute` at once."""
        self._most = per_minute
        self._times: deque[float] = deque()

    def wait_s(self, tick: float) -> float:
        """How long to wait before the next call; 0 if it may be made now."""
        while self._times and tick - self._times[0] >= WINDOW_S:
            self._times.popleft()
        if len(self._times) < self._most:
            return 0.0
        return self._times[0] + WINDOW_S - tick

    def called(self, tick: float) -> None:
        """Count one."""
        self._times.append(tick)


def retry_in_s(attempts: int, asked_s: float | None, rng: random.Random) -> float:
    """How long to wait after so many failed attempts.

    Doubles from one second up to five minutes, ±20 %; never less than was asked for.
    """
    wait = min(2.0 ** min(attempts - 1, 20), RETRY_MAX_S) * rng.uniform(0.8, 1.2)
    return max(wait, min(asked_s or 0.0, ASKED_MAX_S))
