"""A list of records as rows: columns, order, filter; cells made when they are drawn.

With ten thousand records nothing is formatted but what is on the screen, unless a filter
has to read the words. Sorting is by value, never by the text that is shown.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from nexa_tui.state.filters import NOTHING, Filter
from nexa_tui.state.severity import StyleKey

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Look(msgspec.Struct, frozen=True):
    """What every cell depends on beside its record."""

    now: datetime | None = None
    """The node's time."""
    ascii_only: bool = False


class Cell(msgspec.Struct, frozen=True):
    """Words and how they look. The words are clean."""

    text: str
    style: StyleKey = "text"


class Column(msgspec.Struct, Generic[R], frozen=True):
    """One column of a list."""

    key: str
    """What the filter and the sort order call it."""
    title: str
    width: int
    cell: Callable[[R, Look], Cell]
    value: Callable[[R], Any]
    """What it is sorted by: always comparable with itself."""
    right: bool = False
    grows: int = 0
    """Its share of the room that is left; 0 keeps the width."""
    narrow: int = 0
    """The width in a panel beside others; 0 is the same."""
    rank: int = 1
    """On a narrow screen the highest rank leaves first; 1 always stays."""
    tail: bool = False
    """Whether its texts differ at their ends: they are cut in the middle."""
    descending: bool = False
    """Whether the most interesting value is the largest."""


class Order(msgspec.Struct, frozen=True):
    """How a list is sorted."""

    column: str
    descending: bool = False


class Listing(msgspec.Struct, Generic[R], frozen=True):
    """One list: what it is called, its columns, what is wrong with a record."""

    title: str
    columns: tuple[Column[R], ...]
    key: Callable[[R], str]
    """Stable over time: the cursor stays on it."""
    problem: Callable[[R], bool]
    address: Callable[[R], str]
    """`nexa://agents/wc-1`: to copy and to paste."""
    first: Order
    empty: tuple[str, ...]
    """What to do when there is nothing: a sentence, then a command."""
    note: str = ""
    """What holds for every row, for the border."""

    @property
    def keys(self) -> frozenset[str]:
        """The columns that a filter may name."""
        return frozenset(column.key for column in self.columns)

    def column(self, key: str) -> Column[R]:
        """Find a column."""
        return next(column for column in self.columns if column.key == key)

    def only(self, names: Sequence[str]) -> "Listing[R]":
        """The same list with these columns alone, in this order.

        Unknown ones are left out; none at all means all of them.
        """
        known = {column.key: column for column in self.columns}
        chosen = tuple(known[name] for name in dict.fromkeys(names) if name in known)
        return msgspec.structs.replace(self, columns=chosen) if chosen else self

    def next_order(self, order: Order) -> Order:
        """Sort by the column after this one."""
        keys = [column.key for column in self.columns]
        after = keys[(keys.index(order.column) + 1) % len(keys)]
        return Order(after, self.column(after).descending)

    def words(self, record: R, look: Look) -> dict[str, str]:
        """The record as the filter reads it."""
        return {column.key: column.cell(record, look).text for column in self.columns}


class Choice(msgspec.Struct, frozen=True):
    """What a person wants to see of a list."""

    order: Order
    filter: Filter = NOTHING
    problems: bool = False


class Arranged(msgspec.Struct, Generic[R], frozen=True):
    """The records to show, in their order."""

    records: Sequence[R] = msgspec.field(default_factory=tuple[R, ...])
    total: int = 0
    """Before the filter."""


def arrange(
    listing: Listing[R], records: Iterable[R], choice: Choice, look: Look
) -> Arranged[R]:
    """Choose and sort. Ties stand in the order of the keys, so that nothing jumps."""
    everything = list(records)
    kept = everything
    if choice.problems:
        kept = [one for one in kept if listing.problem(one)]
    if choice.filter:
        accepts = choice.filter.accepts
        kept = [one for one in kept if accepts(listing.words(one, look))]
    value, reverse = listing.column(choice.order.column).value, choice.order.descending
    kept = sorted(kept, key=listing.key, reverse=reverse)
    kept.sort(key=value, reverse=reverse)
    return Arranged(kept, len(everything))


def since(then: datetime | None, now: datetime | None) -> float | None:
    """Seconds from `then` to `now`; None if either is unknown."""
    if then is None or now is None:
        return None
    return max(0.0, (now - then).total_seconds())


def stamp(moment: datetime | None) -> float:
    """A moment for sorting: unknown ones first."""
    return 0.0 if moment is None else moment.timestamp()


def how_old(moment: datetime | None) -> float:
    """An age for sorting, the youngest first; what is unknown counts as the oldest."""
    return -stamp(moment)
