"""A gauge on one line: `cpu    ■■■■■■■■∙∙∙∙∙∙∙∙∙∙∙   42%  load 0.82`."""

from nexa_tui.state.charts import gauge
from nexa_tui.state.formats import PERCENT_WIDTH, percent
from nexa_tui.widgets.columns import filled
from nexa_tui.widgets.drawn import Drawn, Pieces
from nexa_tui.widgets.lines import Piece

_BAR_MIN = 4


class Meter(Drawn):
    """A fraction as a bar and as a figure, with a word on what it is of."""

    def __init__(
        self,
        label: str,
        *,
        label_width: int = 6,
        note_width: int = 0,
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Start unknown.

        Args:
            label: What is measured, our own word.
            label_width: Cells for it, the same for meters that stand together.
            note_width: Cells for the note at the right, the same for all of them too.
            id: For style sheets and queries.
            classes: For style sheets.
        """
        super().__init__(id=id, classes=classes)
        self._label = label
        self._label_width = label_width
        self._note_width = note_width
        self._fraction: float | None = None
        self._note: Piece = ("", "muted")

    def show(self, fraction: float | None, note: str = "", key: str = "muted") -> None:
        """Show a value.

        Args:
            fraction: 0 to 1; None is unknown and has no bar.
            note: Clean text at the right: `9.3 of 15.6 GiB`.
            key: How the note is written.
        """
        self._fraction = fraction
        self._note = (note, key)
        self.redraw()

    def _empty_cell(self) -> str:
        """Another character than that of the bar: colours alone tell nothing to some."""
        return "." if self.ascii_only else "∙"

    def drawing(self, width: int, height: int) -> list[Pieces]:
        """Label, bar, percentage, note; the note goes first where room is short."""
        note = self._note_width + 2 if self._note_width else 0
        fixed = self._label_width + 1 + 1 + PERCENT_WIDTH
        if width - fixed - note < _BAR_MIN:
            note = 0
        bar = max(0, width - fixed - note)
        full = gauge(self._fraction, bar, ascii_only=self.ascii_only)
        rest = self._empty_cell() * (bar - len(full.text))
        pieces: list[Piece] = [
            (filled(self._label, self._label_width) + " ", "muted"),
            *[(text, f"load-{step}") for text, step in full.runs()],
            (rest, "track"),
            (" " + percent(self._fraction), "text"),
        ]
        if note:
            text, key = self._note
            mark = "~" if self.ascii_only else "…"
            pieces.append(("  " + filled(text, self._note_width, mark=mark), key))
        return [pieces]
