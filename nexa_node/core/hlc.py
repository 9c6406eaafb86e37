"""A hybrid logical clock: wall time where it can be had, never backwards, never equal.

A stamp is text; of two, the greater one was made later, or at least did not know of the
smaller one's write without being after it. A clock that is wrong by hours is followed by
all that hear of it, at most `AHEAD_MS`: further ahead it is not believed.
"""

from dataclasses import dataclass

AHEAD_MS = 60_000
_COUNTER_MAX = 0xFFFF


@dataclass(slots=True)
class HybridClock:
    """One node's."""

    node: str
    """Makes stamps of two nodes differ."""
    _ms: int = 0
    _counter: int = 0

    def stamp(self, now_ms: int) -> str:
        """Make the next one; `now_ms` is the wall clock's."""
        if now_ms > self._ms:
            self._ms, self._counter = now_ms, 0
        elif self._counter < _COUNTER_MAX:
            self._counter += 1
        else:
            self._ms, self._counter = self._ms + 1, 0
        return _text(self._ms, self._counter, self.node)

    def at(self, ms: int) -> str:
        """The stamp of something that was written at `ms`, by whom does not matter."""
        return _text(max(0, ms), 0, self.node)

    def see(self, stamp: str, now_ms: int) -> None:
        """Know of another's stamp: the next one of ours is greater."""
        head, _, _ = stamp.partition("@")
        try:
            ms, counter = (int(part, 16) for part in head.split("."))
        except ValueError:
            return
        if ms > now_ms + AHEAD_MS:
            return
        if (ms, counter) > (self._ms, self._counter):
            self._ms, self._counter = ms, min(counter, _COUNTER_MAX)


def _text(ms: int, counter: int, node: str) -> str:
    return f"{ms:012x}.{counter:04x}@{node}"
