"""Records as a table's rows, formatted only when a row is looked at."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from nexa_tui.state.listing import Column as Described, Listing, Look
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.table import Row

R = TypeVar("R")
OLD = "stale, "
"""Said before figures that may not be true any more: not every terminal can dim them."""


class Rows(Generic[R]):
    """Rows for `Table.update_rows`, of any length at the cost of those on the screen."""

    def __init__(self, listing: Listing[R], records: Sequence[R], look: Look) -> None:
        """Format nothing yet."""
        self._listing = listing
        self._records = records
        self._look = look
        self._made: dict[int, Row] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._records)

    def key(self, index: int) -> str:
        """The identity of one row; costs no formatting."""
        return self._listing.key(self._records[index])

    def row(self, index: int) -> Row:
        """One row, formatted when it is first looked at."""
        row = self._made.get(index)
        if row is None:
            row = self._make(self._records[index])
            self._made[index] = row
        return row

    def _make(self, record: R) -> Row:
        cells = (column.cell(record, self._look) for column in self._listing.columns)
        return Row(
            self._listing.key(record), tuple((cell.text, cell.style) for cell in cells)
        )


def table_columns(listing: Listing[R], *, narrow: bool = False) -> tuple[Column, ...]:
    """The same columns, as the widget wants them."""
    return tuple(_column(column, narrow=narrow) for column in listing.columns)


def _column(column: Described[R], *, narrow: bool) -> Column:
    return Column(
        key=column.key,
        title=column.title,
        width=(narrow and column.narrow) or column.width,
        align="right" if column.right else "left",
        priority=column.rank - 1,
        flexible=column.grows,
        tail=column.tail,
    )
