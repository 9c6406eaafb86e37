"""A few lines of styled text that repaint only the characters that changed."""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from nexa_tui.widgets.ink import follow_theme, inks_of, plane_of, terminal_of
from nexa_tui.widgets.lines import Piece

Pieces = Sequence[Piece]


class Drawn(Widget):
    """A widget of few lines. Subclasses say what is on them."""

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Start blank."""
        super().__init__(id=id, classes=classes)
        self._lines: list[Pieces] = []

    def drawing(self, width: int, height: int) -> list[Pieces]:
        """What is on the lines, at most `height` of at most `width` cells."""
        raise NotImplementedError

    @property
    def ascii_only(self) -> bool:
        """Whether only ASCII may be drawn."""
        return terminal_of(self).ascii_only

    def redraw(self) -> None:
        """Draw again; only the characters that differ are painted."""
        if not self.is_mounted or not self.size:
            return
        new, old = self.drawing(*self.size), self._lines
        self._lines = new
        regions: list[Region] = []
        for y in range(max(len(new), len(old))):
            before = old[y] if y < len(old) else ()
            after = new[y] if y < len(new) else ()
            if before != after:
                regions.append(_changed(before, after, y, self.size.width))
        if regions:
            self.refresh(*regions)

    def on_mount(self) -> None:
        """Draw again when another theme is put on."""
        follow_theme(self, self._lines.clear)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._lines = self.drawing(*self.size)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        if not self._lines and self.size:
            self._lines = self.drawing(*self.size)
        width, plane = self.size.width, plane_of(self)
        inks = inks_of(self)
        pieces = self._lines[y] if y < len(self._lines) else ()
        strip = Strip(inks.written(pieces, plane))
        return strip.adjust_cell_length(width, inks.style("text", plane))


def length(pieces: Iterable[Piece]) -> int:
    """How many cells pieces take."""
    return sum(cell_len(text) for text, _ in pieces)


def _changed(before: Pieces, after: Pieces, y: int, width: int) -> Region:
    """The part of a line from the first to the last cell that differs."""
    old, new = _cells(before), _cells(after)
    if old is None or new is None or len(old) != len(new):
        return Region(0, y, width, 1)
    differs = [index for index, one in enumerate(old) if one != new[index]]
    if not differs:
        return Region(0, y, 1, 1)
    return Region(differs[0], y, differs[-1] - differs[0] + 1, 1)


def _cells(pieces: Pieces) -> list[Piece] | None:
    """Every cell with its style; None where characters and cells are not one to one."""
    cells = [(character, key) for text, key in pieces for character in text]
    return cells if len(cells) == length(pieces) else None
