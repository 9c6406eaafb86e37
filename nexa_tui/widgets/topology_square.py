"""Who hears whom, drawn: one line per node, scrolled where there are many."""

from nexa_tui.state.topology import Topology
from nexa_tui.state.topology_matrix import Square, square
from nexa_tui.widgets.drawn import length
from nexa_tui.widgets.lines import LineView, Piece

_MARGIN = 2
"""Cells for the cursor at the left and the rail at the right."""
_NOTHING = Square((), ())


class SquareView(LineView):
    """The square of a cluster."""

    HEADER = 1

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  as Textual calls it
        """Start without a cluster."""
        super().__init__(empty="Nothing is known yet.", id=id)
        self._view: Topology | None = None
        self._square = _NOTHING
        self._drawn_at = 0
        self._about = ""

    @property
    def hidden(self) -> int:
        """Nodes for whose columns there is no room."""
        return self._square.hidden

    def show(self, view: Topology, about: str) -> None:
        """Show a cluster, and unless somebody reads here the line of `about`."""
        self._view, self._about = view, about
        self._draw()
        if not self.has_focus:
            keys = [name for name, _ in self._square.rows]
            self.move_to(keys.index(about) if about in keys else 0, tell=False)
            self.from_the_top()

    def on_resize(self) -> None:
        """Draw for the new width."""
        super().on_resize()
        if self.size.width != self._drawn_at:
            self._draw()
        if not self.has_focus:
            self.from_the_top()

    def line_count(self) -> int:
        """One line per node."""
        return len(self._square.rows)

    def line_key(self, index: int) -> str:
        """The node's name."""
        return self._square.rows[index][0]

    def line_state(self, index: int) -> object:
        """What is on the line."""
        return self._square.rows[index]

    def line_pieces(self, index: int, width: int) -> list[Piece]:
        """What the node thinks of each other one."""
        return _filled(list(self._square.rows[index][1]), width)

    def header_pieces(self, width: int) -> list[Piece]:
        """Of whom."""
        return _filled([(" ", "muted"), *self._square.header], width)

    def _draw(self) -> None:
        self._drawn_at = self.size.width
        if self._view is None or self.size.width <= _MARGIN:
            return
        before = self._square
        self._square = square(
            self._view, self.size.width - _MARGIN, ascii_only=self.ascii_only
        )
        if self._square == before:
            return
        self.lines_changed()
        self.refresh()


def _filled(pieces: list[Piece], width: int) -> list[Piece]:
    return [*pieces, (" " * max(0, width - length(pieces)), "muted")]
