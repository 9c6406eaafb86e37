"""Lines that somebody else composed: verdicts, figures, banners."""

from collections.abc import Sequence

from nexa_tui.widgets.columns import filled
from nexa_tui.widgets.drawn import Drawn, Pieces
from nexa_tui.widgets.lines import Piece


class Said(Drawn):
    """A few lines of pieces; what is too long is cut, and the cut is told."""

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Say nothing yet."""
        super().__init__(id=id, classes=classes)
        self._told: tuple[tuple[Piece, ...], ...] = ()

    def say(self, lines: Sequence[Sequence[Piece]]) -> None:
        """Say these lines from now on."""
        told = tuple(tuple(line) for line in lines)
        if told != self._told:
            self._told = told
            self.redraw()

    def drawing(self, width: int, height: int) -> list[Pieces]:
        """The lines that fit."""
        return [self._cut(line, width) for line in self._told[:height]]

    def _cut(self, line: Sequence[Piece], width: int) -> Pieces:
        pieces: list[Piece] = []
        left = width
        for text, key in line:
            if left <= 0:
                break
            shown = (
                text
                if len(text) <= left
                else filled(text, left, mark="~" if self.ascii_only else "…")
            )
            pieces.append((shown, key))
            left -= len(shown)
        return pieces
