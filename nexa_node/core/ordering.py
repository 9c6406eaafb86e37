"""Keys in order, cheap to change near either end, and read from the newest on."""

from bisect import bisect_left, insort
from collections.abc import Iterator

Key = tuple[float, str]
"""When, and which: unique, and ordered by time first."""


class Order:
    """Keys, ascending. Adding and removing costs a search and a short move."""

    def __init__(self) -> None:
        """Begin empty."""
        self._keys: list[Key] = []

    def __len__(self) -> int:
        """How many there are."""
        return len(self._keys)

    def add(self, key: Key) -> None:
        """Put `key` at its place; it must not be there yet."""
        if not self._keys or self._keys[-1] < key:
            self._keys.append(key)
        else:
            insort(self._keys, key)

    def discard(self, key: Key) -> None:
        """Take `key` out, if it is there."""
        at = bisect_left(self._keys, key)
        if at < len(self._keys) and self._keys[at] == key:
            del self._keys[at]

    def newest_first(self, *, before: Key | None = None) -> Iterator[Key]:
        """Walk back from the newest, or from the one older than `before`.

        Nothing may be added or taken out meanwhile.
        """
        at = len(self._keys) if before is None else bisect_left(self._keys, before)
        while at > 0:
            at -= 1
            yield self._keys[at]

    def oldest_first(self) -> Iterator[Key]:
        """Walk on from the oldest. Nothing may be added or taken out meanwhile."""
        return iter(self._keys)
