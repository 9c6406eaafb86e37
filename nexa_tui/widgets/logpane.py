"""Lines of a log, however many: only those on the screen are ever looked at.

It follows the end while the cursor is there, and stays where the eye is when lines come
or go before it.
"""

from collections.abc import Callable
from typing import Protocol

from rich.cells import cell_len

from nexa_tui.widgets.columns import Column, Place, filled, fit
from nexa_tui.widgets.lines import LineView, Piece

LogCells = tuple[Piece, Piece, Piece, Piece, Piece]
"""Time, glyph, node, component, text: clean, with their styles."""
_WIDE = 100
_COLUMNS = (
    Column("time", "time", 12),
    Column("mark", "", 1),
    Column("node", "node", 8, priority=1),
    Column("component", "component", 14, priority=2),
    Column("text", "what happened", 20, flexible=1),
)


class Lines(Protocol):
    """What is shown: as many lines as there are, each made when it is looked at."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def number(self, row: int) -> int:
        """What names the line in a row for ever."""
        ...


class LogPane(LineView):
    """A log under a header line."""

    HEADER = 1

    def __init__(
        self,
        lines: Lines,
        cells: Callable[[int], LogCells],
        *,
        empty: str = "Nothing was logged yet.",
        hint: str = "",
        id: str | None = None,  # noqa: A002  as Textual calls it
    ) -> None:
        """Show `lines`, each by its `cells`; equal calls give equal cells."""
        super().__init__(empty=empty, hint=hint, id=id)
        self._lines = lines
        self._cells = cells
        self._count = 0
        self._places: tuple[Place, ...] = ()
        self._placed_for = -1
        self.following = True

    def show(self, lines: Lines, *, before: int = 0, anew: bool = False) -> None:
        """Show what there is now.

        Args:
            lines: All of it.
            before: How many rows came before those that were there; fewer if negative.
            anew: Whether other lines are shown than before.
        """
        self._lines = lines
        count, self._count = self._count, len(lines)
        self.lines_changed()
        if anew:
            self._drawn.clear()
            self.move_to(
                self._count - 1 if self.following else self._cursor, tell=False
            )
            self.refresh()
        elif self.following:
            self._drawn.clear() if before else None
            if count != self._count or before:
                self.move_to(self._count - 1, tell=False)
                self.refresh()
        elif before:
            self._drawn.clear()
            self._cursor = max(0, self._cursor + before)
            self._scroll_lines(max(0, self.top + before))
            self.refresh()
        elif count < self.top + self.window and count != self._count:
            self.refresh()

    def move_to(self, index: int, *, tell: bool = True) -> None:
        """Put the cursor on a line; at the end it goes along with what comes."""
        super().move_to(index, tell=tell)
        self.following = self._cursor >= self.line_count() - 1

    # What the base asks.

    def line_count(self) -> int:
        """How many there are."""
        return self._count

    def line_key(self, index: int) -> str:
        """The line's number."""
        return str(self._lines.number(index))

    def line_state(self, index: int) -> object:
        """A line never changes: its number says all."""
        return self._lines.number(index)

    def line_pieces(self, index: int, width: int) -> list[Piece]:
        """The line's cells, each in its column."""
        return self._laid(self._cells(index), width)

    def header_pieces(self, width: int) -> list[Piece]:
        """The columns' titles."""
        titles = tuple((column.title, "muted") for column in _COLUMNS)
        return [(" ", "muted"), *self._laid(titles, max(0, width - 1))]

    def _laid(self, cells: tuple[Piece, ...], width: int) -> list[Piece]:
        pieces: list[Piece] = []
        x = 0
        mark = "~" if self.ascii_only else "…"
        for place in self._laid_out():
            text, key = cells[place.index]
            if place.x > x:
                pieces.append((" " * (place.x - x), "text"))
            pieces.append((filled(text, place.width, mark=mark), key))
            x = place.x + place.width
        used = sum(cell_len(text) for text, _ in pieces)
        pieces.append((" " * max(0, width - used), "text"))
        return pieces

    def _laid_out(self) -> tuple[Place, ...]:
        width = self.size.width - 2
        if self._placed_for != width:
            self._places = fit(_COLUMNS, width, 2 if width >= _WIDE else 1)
            self._placed_for = width
        return self._places
