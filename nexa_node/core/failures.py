"""How many failed logins are too many. Bounded in memory whatever an attacker does."""

from collections import OrderedDict, deque

WINDOW_S = 60.0
PER_ADDRESS = 20
PER_TOKEN = 5
"""From one address with one token id: an agent in a loop with an old token."""
KEYS_MAX = 10_000
"""Addresses and pairs that are remembered; the ones longest quiet go first."""


class FailureLimit:
    """Counts failures of the last minute by address, and by address and token id."""

    def __init__(self) -> None:
        """Know of no failure."""
        self._seen: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def failed(self, address: str, token_id: str, *, now: float) -> float | None:
        """Count one failure.

        Args:
            address: Where it came from.
            token_id: The public part of the token; empty if it could not be read.
            now: Monotonic seconds.

        Returns:
            None while they are few; else after how many seconds to try again.
        """
        waits = [self._count((address, ""), PER_ADDRESS, now)]
        if token_id:
            waits.append(self._count((address, token_id), PER_TOKEN, now))
        while len(self._seen) > KEYS_MAX:
            self._seen.popitem(last=False)
        longest = max(waits)
        return longest if longest > 0 else None

    def _count(self, key: tuple[str, str], limit: int, now: float) -> float:
        times = self._seen.setdefault(key, deque(maxlen=limit + 1))
        self._seen.move_to_end(key)
        while times and times[0] <= now - WINDOW_S:
            times.popleft()
        times.append(now)
        return times[0] + WINDOW_S - now if len(times) > limit else 0.0
