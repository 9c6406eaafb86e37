"""How often each message was delivered, as far as one node knows. Counting only."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

ATTEMPTS_KEPT = 100_000
"""Messages whose count is remembered: those of the longest silent inbox go first."""


class Attempts(Generic[K]):
    """Deliveries by inbox and position; bounded."""

    def __init__(self, limit: int = ATTEMPTS_KEPT) -> None:
        """Remember at most `limit` messages."""
        self._limit = limit
        self._counts: dict[K, dict[int, int]] = {}
        self._total = 0

    def count(self, inbox: K, seq: int) -> int:
        """Count one more delivery; how many that are."""
        mine = self._counts.pop(inbox, None)
        if mine is None:
            mine = {}
        self._counts[inbox] = mine
        if seq not in mine:
            self._total += 1
        mine[seq] = mine.get(seq, 0) + 1
        self._shrink()
        return mine.get(seq, 1)

    def forget(self, inbox: K, *, seq: int | None, upto: int | None) -> None:
        """Forget one that is dealt with, or all up to one."""
        mine = self._counts.get(inbox)
        if mine is None:
            return
        gone = [] if upto is None else [at for at in mine if at <= upto]
        if seq in mine and seq not in gone:
            gone.append(seq)
        for at in gone:
            del mine[at]
        self._total -= len(gone)
        if not mine:
            del self._counts[inbox]

    def _shrink(self) -> None:
        while self._total > self._limit:
            inbox, oldest = next(iter(self._counts.items()))
            del oldest[next(iter(oldest))]
            self._total -= 1
            if not oldest:
                del self._counts[inbox]
