"""The newest lines of something that goes on: a bounded tail that follows its end.

While the cursor is on the last line the view goes along; somewhere else it stays where
the eye is, and what is new comes below.
"""

from collections.abc import Sequence
from typing import NamedTuple

from nexa_tui.state.formats import CLOCK_WIDTH
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.table import Row, Table

LINES_MAX = 2000

_COLUMNS = (
    Column("time", "", CLOCK_WIDTH),
    Column("mark", "", 1),
    Column("source", "", 18, priority=1),
    Column("text", "", 20, flexible=1),
)


_TEXT_STYLES = {"crit": "crit-text", "warn": "warn-text", "unknown": "unknown"}
"""How a line reads whose glyph is of that style; all others read plainly."""


class LogLine(NamedTuple):
    """One line. All text is clean."""

    key: str
    """Its identity."""
    time: str
    """`CLOCK_WIDTH` characters."""
    glyph: str
    style: str
    """Of the glyph, and of the text unless it is nothing special."""
    source: str
    text: str


class LogLines(Table):
    """A tail of lines, newest last."""

    HEADER = 0

    def __init__(
        self,
        *,
        empty: str = "Nothing has happened yet.",
        hint: str = "",
        limit: int = LINES_MAX,
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Start empty.

        Args:
            empty: What to say while there is no line.
            hint: The command that would put one there.
            limit: How many lines are kept; the oldest go.
            id: For style sheets and queries.
            classes: For style sheets.
        """
        super().__init__(_COLUMNS, empty=empty, hint=hint, id=id, classes=classes)
        self._limit = limit
        self._following = True

    @property
    def following(self) -> bool:
        """Whether the view goes along with what is new."""
        return self._following

    def update_lines(self, lines: Sequence[LogLine]) -> None:
        """Show these lines, oldest first, the newest `limit` of them."""
        self._following = self._at_end()
        self.update_rows([_row(line) for line in lines[-self._limit :]])
        if self._following:
            self.move_to(self.line_count() - 1, tell=False)

    def _at_end(self) -> bool:
        return self.cursor >= self.line_count() - 1


def _row(line: LogLine) -> Row:
    return Row(
        line.key,
        (
            (line.time, "muted"),
            (line.glyph, line.style),
            (line.source, "muted"),
            (line.text, _TEXT_STYLES.get(line.style, "text")),
        ),
    )
