"""Which lines of a log are shown: their numbers, found a piece at a time.

A filter over a million lines takes seconds; it is looked for in pieces, the newest
first, so that what is on the screen is right at once and the rest follows.
"""

from array import array
from bisect import bisect_left

from nexa_node.contract.logs import LogLine
from nexa_tui.state.filters import NOTHING, Filter
from nexa_tui.state.log_store import LogStore
from nexa_tui.state.logs import is_problem, words_of

PIECE = 4096


class LogIndex:
    """The numbers of the lines that are wanted, in their order."""

    def __init__(
        self, store: LogStore, wanted: Filter = NOTHING, *, problems: bool = False
    ) -> None:
        """Begin at the end of `store`; `look` does the work."""
        self._store = store
        self._filter = wanted
        self._problems = problems
        self._all = not wanted and not problems
        self._found: array[int] = array("q")
        self._from = self._to = store.end
        """What was looked at already."""

    def __len__(self) -> int:
        """How many are wanted, of what was looked at."""
        return len(self._store) if self._all else len(self._found)

    @property
    def done(self) -> bool:
        """Whether everything was looked at."""
        return self._all or (
            self._from <= self._store.first and self._to >= self._store.end
        )

    @property
    def share(self) -> float:
        """How much of it was looked at, 0 to 1."""
        total = len(self._store)
        if self._all or not total:
            return 1.0
        return min(1.0, (self._to - max(self._from, self._store.first)) / total)

    def look(self, lines: int = PIECE) -> int:
        """Look at what is new, then at a piece of what is older.

        Returns:
            How many rows came before those that were there: what is shown moves by it.
        """
        if self._all:
            return 0
        store = self._store
        gone = bisect_left(self._found, store.first)
        if gone:
            del self._found[:gone]
        if self._to < store.end:
            self._found.extend(self._wanted(self._to, store.end))
            self._to = store.end
        if self._from <= store.first:
            return -gone
        first = max(store.first, self._from - lines)
        older = array("q", self._wanted(first, self._from))
        self._from = first
        if older:
            self._found = older + self._found
        return len(older) - gone

    def number(self, row: int) -> int:
        """The number of the line in a row."""
        return self._store.first + row if self._all else self._found[row]

    def line(self, row: int) -> LogLine:
        """The line in a row."""
        return self._store.get(self.number(row))

    def row_at(self, seq: int) -> int:
        """The first row that was logged at a position or later; the end if there is none."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.line(middle).seq < seq:
                low = middle + 1
            else:
                high = middle
        return low

    def _wanted(self, first: int, end: int) -> list[int]:
        return [
            number
            for number, line in self._store.between(first, end)
            if (not self._problems or is_problem(line))
            and (not self._filter or self._filter.accepts(words_of(line)))
        ]
