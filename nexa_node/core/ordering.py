"""Keys in order, cheap to change anywhere, and read from the newest on.

A sorted list in chunks: a change moves at most one chunk's keys, so working through a
backlog of 100,000 tasks from its old end costs as little as adding to its new one.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import chain

Key = tuple[float, str]
"""When, and which: unique, and ordered by time first."""

CHUNK_MAX = 1024


class Order:
    """Keys, ascending."""

    def __init__(self) -> None:
        """Begin empty."""
        self._chunks: list[list[Key]] = []
        self._lasts: list[Key] = []
        self._size = 0

    def __len__(self) -> int:
        """How many there are."""
        return self._size

    def add(self, key: Key) -> None:
        """Put `key` at its place; it must not be there yet."""
        self._size += 1
        if not self._chunks:
            self._chunks.append([key])
            self._lasts.append(key)
            return
        at = min(bisect_left(self._lasts, key), len(self._chunks) - 1)
        chunk = self._chunks[at]
        insort(chunk, key)
        self._lasts[at] = chunk[-1]
        if len(chunk) > CHUNK_MAX:
            self._split(at)

    def discard(self, key: Key) -> None:
        """Take `key` out, if it is there."""
        at = bisect_left(self._lasts, key)
        if at == len(self._chunks):
            return
        chunk = self._chunks[at]
        place = bisect_left(chunk, key)
        if chunk[place] != key:
            return
        self._size -= 1
        del chunk[place]
        if chunk:
            self._lasts[at] = chunk[-1]
        else:
            del self._chunks[at], self._lasts[at]

    def newest_first(self, *, before: Key | None = None) -> Iterator[Key]:
        """Walk back from the newest, or from the one older than `before`.

        Nothing may be added or taken out meanwhile.
        """
        end = len(self._chunks)
        at = end if before is None else bisect_left(self._lasts, before)
        if before is not None and at < end:
            chunk = self._chunks[at]
            yield from reversed(chunk[: bisect_left(chunk, before)])
        for chunk in reversed(self._chunks[:at]):
            yield from reversed(chunk)

    def oldest_first(self) -> Iterator[Key]:
        """Walk on from the oldest. Nothing may be added or taken out meanwhile."""
        return chain.from_iterable(self._chunks)

    def _split(self, at: int) -> None:
        chunk = self._chunks[at]
        # New keys come at the end: leave the older chunk nearly full there.
        middle = len(chunk) // 2 if at < len(self._chunks) - 1 else CHUNK_MAX * 3 // 4
        self._chunks[at : at + 1] = [chunk[:middle], chunk[middle:]]
        self._lasts[at : at + 1] = [chunk[middle - 1], chunk[-1]]
