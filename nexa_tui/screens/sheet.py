"""A record in full: labelled lines, folded to the width, with a cursor to read along."""

from collections.abc import Sequence
from textwrap import wrap

from rich.cells import cell_len, chop_cells
from textual import events

from nexa_tui.state.detail import Heading, Line, Words
from nexa_tui.widgets.columns import filled
from nexa_tui.widgets.lines import LineView, Piece

_LABEL_MAX = 14
_WIDTH_MIN = 8
_INDENT = 2


class Sheet(LineView):
    """Labelled lines."""

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002  as Textual calls it
        empty: str = "Loading…",
    ) -> None:
        """Start empty."""
        super().__init__(empty=empty, id=id)
        self._told: tuple[Line, ...] = ()
        self._folded: list[tuple[Piece, ...]] = []
        self._folded_for = 0

    def show_lines(self, lines: Sequence[Line]) -> None:
        """Show these; the cursor stays where it is."""
        if tuple(lines) == self._told:
            return
        self._told = tuple(lines)
        self._fold()

    def lines_at(self, width: int) -> int:
        """How many lines it would take at that width."""
        return len(self._folded_at(width))

    def on_resize(self, _event: events.Resize | None = None) -> None:
        """Fold for the new width."""
        if self.size.width != self._folded_for:
            self._fold()

    def line_count(self) -> int:
        """How many lines there are after folding."""
        return len(self._folded)

    def line_state(self, index: int) -> object:
        """The line itself."""
        return self._folded[index]

    def line_pieces(self, index: int, width: int) -> list[Piece]:
        """A label and its text."""
        pieces = list(self._folded[index])
        used = sum(cell_len(text) for text, _ in pieces)
        return [*pieces, (" " * max(0, width - used), "text")]

    def _fold(self) -> None:
        self._folded_for = self.size.width
        if self.size.width - 2 < _WIDTH_MIN:
            return
        self._folded = self._folded_at(self.size.width)
        self.lines_changed()
        self.move_to(self.cursor, tell=False)
        self.refresh()

    def _folded_at(self, width: int) -> list[tuple[Piece, ...]]:
        room = max(_WIDTH_MIN, width - 2)
        label = min(_LABEL_MAX, max(0, room // 4))
        folded = [one for line in self._told for one in _folded(line, label, room)]
        return folded[1:] if folded and not folded[0] else folded


def _folded(line: Line, label: int, room: int) -> list[tuple[Piece, ...]]:
    if isinstance(line, Heading):
        return [(), ((filled(line.title, room), "accent"),)]
    if isinstance(line, Words):
        parts = _parts(line.text, max(1, room - _INDENT))
        return [((" " * _INDENT, "muted"), (part, line.style)) for part in parts]
    width = max(1, room - label - 2)
    parts = _parts(line.text, width)
    first = (
        (filled(line.label, label, right=True) + "  ", "muted"),
        (filled(parts[0], width), line.style),
    )
    rest = [
        ((" " * (label + 2), "muted"), (filled(part, width), line.style))
        for part in parts[1:]
    ]
    return [first, *rest]


def _parts(text: str, width: int) -> list[str]:
    """Fold between words where every character has one cell, else anywhere."""
    if cell_len(text) <= width:
        return [text]
    if text.isascii() and not text.startswith(" "):
        return wrap(text, width, break_on_hyphens=False)
    return chop_cells(text, width)
