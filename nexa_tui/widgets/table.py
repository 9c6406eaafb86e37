"""The table: rows as lines, drawn when seen, repainted where they changed.

Give it all rows at once, already sorted and filtered; it finds out what changed. Cost
follows the screen, not the number of rows. The cursor stays on its row, known by key,
wherever the row goes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from rich.cells import cell_len
from textual.geometry import Region
from textual.message import Message

from nexa_tui.widgets.columns import Column, Place, filled, fit
from nexa_tui.widgets.lines import LineView, Piece

_WIDE = 100
"""Cells from which on columns stand two blanks apart."""


class Row(NamedTuple):
    """One row: its identity, and per column clean text with its style key."""

    key: str
    cells: tuple[Piece, ...]


class Rows(Protocol):
    """Rows that are made when they are drawn."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def key(self, index: int) -> str:
        """The identity of one, without making it."""
        ...

    def row(self, index: int) -> Row:
        """Make one: equal calls give equal rows."""
        ...


class _Made:
    """Rows that are made already."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.all = rows

    def __len__(self) -> int:
        return len(self.all)

    def key(self, index: int) -> str:
        return self.all[index].key

    def row(self, index: int) -> Row:
        return self.all[index]


class Table(LineView):
    """Rows under a header line."""

    HEADER = 1

    class HeaderClicked(Message):
        """The title of a column was clicked: the owner may sort by it."""

        def __init__(self, table: "Table", column: str) -> None:
            """Say which table and which column."""
            super().__init__()
            self.table = table
            self.column = column

        @property
        def control(self) -> "Table":
            """The table, for `@on` with a selector."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str = "Nothing here.",
        hint: str = "",
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Start without rows.

        Args:
            columns: In the order of the rows' cells.
            empty: What to say while there is no row.
            hint: The command that would put one there.
            id: For style sheets and queries.
            classes: For style sheets.
        """
        super().__init__(empty=empty, hint=hint, id=id, classes=classes)
        self._columns = tuple(columns)
        self._rows: Rows = _Made(())
        self._seen: dict[int, Row] = {}
        self._sort: tuple[str, bool] | None = None
        self._places: tuple[Place, ...] = ()
        self._placed_for = -1

    def sorted_by(self, column: str | None, *, reverse: bool = False) -> None:
        """Mark the column that the given rows are sorted by."""
        sort = None if column is None else (column, reverse)
        if sort != self._sort:
            self._sort = sort
            self.refresh(Region(0, 0, self.size.width, 1))

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns; give it rows with their cells right after."""
        self._columns, self._placed_for = tuple(columns), -1
        self._rows, self._seen = _Made(()), {}
        self._drawn.clear()
        self.refresh()

    def update_rows(self, rows: Sequence[Row] | Rows) -> None:
        """Show these rows; only what differs on the screen is painted.

        Args:
            rows: All of them, in order: ready made, or `Rows` that makes one when it is
                seen. They are kept, so give others each time.
        """
        key, count, seen = self.cursor_key, len(self._rows), self._seen
        self._rows = _Made(rows) if isinstance(rows, Sequence) else rows
        self._seen = {}
        self.lines_changed()
        if key is None or not len(self._rows):
            self._begin()
        else:
            self._follow(key)
        if self.is_mounted and self.size:
            self._repaint(count, seen)

    def move_to_key(self, key: str) -> bool:
        """Put the cursor on the row of that identity, if there is one."""
        index = self._find(key)
        if index is not None:
            self.move_to(index)
        return index is not None

    # What the base asks.

    def line_count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def line_key(self, index: int) -> str:
        """The row's identity."""
        return self._rows.key(index)

    def line_state(self, index: int) -> object:
        """The row itself."""
        return self._row(index)

    def line_pieces(self, index: int, width: int) -> list[Piece]:
        """The row's cells, each in its column."""
        cells = self._row(index).cells
        pieces: list[Piece] = []
        x = 0
        for place in self._laid_out():
            text, key = cells[place.index]
            if place.x > x:
                pieces.append((" " * (place.x - x), "text"))
            pieces.append((self._in(place, text), key))
            x = place.x + place.width
        pieces.append((" " * max(0, width - x), "text"))
        return pieces

    def header_pieces(self, width: int) -> list[Piece]:
        """The columns' titles; the sorted one carries an arrow."""
        pieces: list[Piece] = [(" ", "muted")]
        x = 0
        for place in self._laid_out():
            column = self._columns[place.index]
            title, key = column.title, "muted"
            if self._sort is not None and self._sort[0] == column.key:
                title = f"{title}{self.arrow(descending=self._sort[1])}"
                key = "strong"
            pieces.append((" " * (place.x - x), "muted"))
            pieces.append((self._in(place, title), key))
            x = place.x + place.width
        pieces.append((" " * max(0, width - 1 - x), "muted"))
        return pieces

    def header_clicked(self, x: int) -> None:
        """Tell the owner which title was clicked."""
        for place in self._laid_out():
            if place.x <= x - 1 < place.x + place.width:
                column = self._columns[place.index].key
                self.post_message(self.HeaderClicked(self, column))

    # Inside.

    def arrow(self, *, descending: bool) -> str:
        """The sign of an order, in what the terminal can draw."""
        if self.ascii_only:
            return "v" if descending else "^"
        return "▾" if descending else "▴"

    def _in(self, place: Place, text: str) -> str:
        mark = "~" if self.ascii_only else "…"
        return filled(text, place.width, right=place.right, tail=place.tail, mark=mark)

    def _laid_out(self) -> tuple[Place, ...]:
        width = self.size.width - 2  # the cursor's mark, and the rail or a blank
        if self._placed_for != width:
            self._places = fit(self._columns, width, 2 if width >= _WIDE else 1)
            self._placed_for = width
        return self._places

    def _row(self, index: int) -> Row:
        row = self._seen.get(index)
        if row is None:
            row = self._rows.row(index)
            self._seen[index] = row
        return row

    def _begin(self) -> None:
        """Rows after none, or none any more."""
        self._cursor = 0
        if len(self._rows):
            self._tell()

    def _follow(self, key: str) -> None:
        """Keep the cursor on its row, and the row where the eye is."""
        count = len(self._rows)
        if self._cursor < count and self.line_key(self._cursor) == key:
            return
        found = self._find(key)
        if found is None:
            self.move_to(min(self._cursor, count - 1), tell=False)
            self._tell()
            return
        moved, self._cursor = found - self._cursor, found
        if not (self.top and self._scroll_lines(self.top + moved)):
            self._bring_into_view()
        self.refresh()

    def _tell(self) -> None:
        key = self.line_key(self._cursor)
        self.post_message(self.Highlighted(self, self._cursor, key))

    def _find(self, key: str) -> int | None:
        for index, one in enumerate(self._keys()):
            if one == key:
                return index
        return None

    def _keys(self) -> Iterator[str]:
        if isinstance(self._rows, _Made):
            return (row.key for row in self._rows.all)
        return map(self._rows.key, range(len(self._rows)))

    def _repaint(self, old_count: int, old: Mapping[int, Row]) -> None:
        count, top = len(self._rows), self.top
        regions: list[Region] = []
        for index in range(top, min(top + self.window, max(count, old_count))):
            before = old.get(index)
            if index >= count or before is None:
                regions.extend(self._line_regions(index))
            elif before != self._row(index):
                self._changes(index, before, self._row(index), regions)
        if regions:
            self.refresh(*regions)

    def _changes(self, index: int, old: Row, new: Row, regions: list[Region]) -> None:
        """Note the pieces of a row on the screen that differ, to the character."""
        y = index - self.top + self.HEADER
        if old.key != new.key:
            regions.extend(self._line_regions(index))
            return
        for place in self._laid_out():
            before, after = old.cells[place.index], new.cells[place.index]
            if before is after or before == after:
                continue
            start, end = 0, place.width
            if before[1] == after[1]:
                start, end = _difference(
                    self._in(place, before[0]), self._in(place, after[0])
                )
            if end > start:
                regions.append(Region(1 + place.x + start, y, end - start, 1))


def _difference(old: str, new: str) -> tuple[int, int]:
    """From where to where two texts of the same width differ."""
    if len(old) != len(new) or not (old.isascii() and new.isascii()):
        return 0, cell_len(new)
    different = [index for index, one in enumerate(old) if one != new[index]]
    return (different[0], different[-1] + 1) if different else (0, 0)
