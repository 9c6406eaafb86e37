"""A chart over time with a cross-hair, and marks for what happened meanwhile."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from nexa_tui.state.charts import Sample, area, ceiling, per_cell
from nexa_tui.widgets.drawn import Drawn, Pieces
from nexa_tui.widgets.ink import terminal_of
from nexa_tui.widgets.lines import Piece

_MARK, _MARK_ASCII = "▲", "^"


class TimeChart(Drawn):
    """An area; the column under the cross-hair stands out, marks are on the last line."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  as Textual calls it
        """Start empty."""
        super().__init__(id=id)
        self._samples: Sequence[Sample] = ()
        self._hair: int | None = None
        self._marks: frozenset[int] = frozenset()

    @property
    def steps(self) -> int:
        """How many samples fill the width."""
        return max(1, self.size.width) * per_cell(terminal_of(self).charts)

    @property
    def top(self) -> float:
        """The value of the topmost dot."""
        return ceiling(self._samples)

    def show(
        self,
        samples: Sequence[Sample],
        *,
        hair: int | None = None,
        marks: frozenset[int] = frozenset(),
    ) -> None:
        """Show samples, oldest first.

        Args:
            samples: None is a moment of which nothing is known.
            hair: The sample under the cross-hair.
            marks: Samples at which something happened.
        """
        self._samples, self._hair, self._marks = samples, hair, marks
        self.redraw()

    def drawing(self, width: int, height: int) -> list[Pieces]:
        """The area, and below it the marks."""
        glyphs = terminal_of(self).charts
        rows = max(1, height - 1)
        lines = area(self._samples, width, rows, glyphs=glyphs, high=self.top)
        shift = width * per_cell(glyphs) - len(self._samples)
        hair = self._cell(self._hair, shift, glyphs_per=per_cell(glyphs))
        drawn: list[Pieces] = [
            _crossed([(text, f"flow-{step}") for text, step in line.runs()], hair)
            for line in lines
        ]
        if height > 1:
            drawn.append(self._marked(width, shift, per_cell(glyphs), hair))
        return drawn

    def _cell(self, index: int | None, shift: int, *, glyphs_per: int) -> int | None:
        return None if index is None else (index + shift) // glyphs_per

    def _marked(
        self, width: int, shift: int, each: int, hair: int | None
    ) -> list[Piece]:
        glyph = _MARK_ASCII if self.ascii_only else _MARK
        cells = {self._cell(one, shift, glyphs_per=each) for one in self._marks}
        line = "|" if self.ascii_only else "│"
        styles = ["warn" if n in cells else "accent" for n in range(width)]
        marked = [
            (glyph if n in cells else line if n == hair else " ", styles[n])
            for n in range(width)
        ]
        return [
            ("".join(text for text, _ in run), style)
            for style, run in groupby(marked, key=itemgetter(1))
        ]


def _crossed(pieces: Sequence[Piece], hair: int | None) -> list[Piece]:
    """The line with the cell under the cross-hair in the accent's style."""
    if hair is None:
        return list(pieces)
    crossed: list[Piece] = []
    x = 0
    for text, style in pieces:
        at = hair - x
        if 0 <= at < len(text):
            parts = ((text[:at], style), (text[at], "self"), (text[at + 1 :], style))
            crossed.extend(part for part in parts if part[0])
        else:
            crossed.append((text, style))
        x += len(text)
    return crossed
