"""Noting something once in a while, however often it happens."""

from collections.abc import Hashable

from nexa_node.ports import Clock

AGAIN_AFTER_S = 60.0
KEYS_MAX = 1000


class Once:
    """Remembers what was noted in the last minute, and not more than so much."""

    def __init__(self, clock: Clock) -> None:
        """Nothing was noted yet."""
        self._clock = clock
        self._noted: dict[Hashable, float] = {}

    def first(self, what: Hashable) -> bool:
        """Say whether `what` is to be noted now: it was not in the last minute."""
        now = self._clock.monotonic()
        last = self._noted.get(what)
        if last is not None and now - last < AGAIN_AFTER_S:
            return False
        if len(self._noted) >= KEYS_MAX:
            self._noted.clear()
        self._noted[what] = now
        return True
