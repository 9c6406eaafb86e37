"""A framed part of the screen: title, count and what else matters set into its border.

    ╭─ 2 Nodes 3/5 ────────────────────────────── cpu ▾  2s ─╮
    │                                                         │
    ╰──────────────────────────────── /busy  3 of 120  ! only ─╯

Focus is the border and the title together. A figure that ticks in the border repaints
itself, not the panel.
"""

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.containers import Container
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from nexa_tui.state.text import clean
from nexa_tui.widgets.ink import follow_theme, inks_of, terminal_of
from nexa_tui.widgets.lines import Piece

_CORNERS = 6
"""Cells of the edge that are no label: two corners, a dash and a blank beside each."""


class Panel(Container):
    """A border with words in it, around whatever is put inside."""

    def __init__(
        self,
        *children: Widget,
        title: str,
        key: str = "",
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Frame the children.

        Args:
            children: What is inside.
            title: Our own words.
            key: The key that leads here, shown before the title.
            id: For style sheets and queries.
            classes: For style sheets.
        """
        super().__init__(*children, id=id, classes=classes)
        self._title = title
        self._key = key
        self._count = ""
        self._info: tuple[Piece, ...] = ()
        self._note: tuple[Piece, ...] = ()

    def say(
        self,
        *,
        title: str | None = None,
        count: str | None = None,
        info: Sequence[Piece] | None = None,
        note: Sequence[Piece] | None = None,
    ) -> None:
        """Change what the border says; what is not given stays.

        Args:
            title: At the top left.
            count: Beside it, muted: `3/5`.
            info: At the top right: sort order, age of the data, state.
            note: At the bottom right: filter, position, what is hidden.
        """
        before = (self._title, self._count, self._info, self._note)
        self._title = self._title if title is None else title
        self._count = self._count if count is None else count
        self._info = self._info if info is None else tuple(info)
        self._note = self._note if note is None else tuple(note)
        if (self._title, self._count, self._info) != before[:3]:
            self._label_top()
        if self._note != before[3]:
            self._label_bottom()

    def on_mount(self) -> None:
        """Write the border; again when another theme is put on."""
        follow_theme(self, self._label)
        self._label()

    def on_resize(self) -> None:
        """The border has another length."""
        self._label()

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        """The title shows where the focus is."""
        self._label()

    def on_descendant_blur(self, _event: events.DescendantBlur) -> None:
        """The title steps back."""
        self._label()

    def _label(self) -> None:
        self._label_top()
        self._label_bottom()

    def _label_top(self) -> None:
        room = self._room()
        focus = self.has_focus_within
        left = [(self._title, "title" if focus else "strong")]
        if self._key:
            left.insert(0, (f"{self._key} ", "accent" if focus else "muted"))
        if self._count:
            left.append((f" {clean(self._count, 40)}", "muted"))
        right = _spaced(self._info)
        while right and _length(left) + _length(right) + 3 > room:
            right.pop(0)
        if right:
            gap = room - _length(left) - _length(right) - 2
            left += [(" ", "text"), (self._dash() * gap + " ", self._line()), *right]
        self._write("_border_title", left, -1)

    def _label_bottom(self) -> None:
        room = self._room()
        right = _spaced(self._note)
        while right and _length(right) > room:
            right.pop(0)
        self._write("_border_subtitle", right, self.size.height)

    def _write(self, edge: str, pieces: Sequence[Piece], y: int) -> None:
        """Write on an edge and paint that edge alone.

        Textual's own setter would paint the panel and all that is in it.
        """
        inks = inks_of(self)
        made = Content.assemble(*[(text, inks.visual(key)) for text, key in pieces])
        before: Content | None = getattr(self, edge)
        if before is None or not before.is_same(made):
            setattr(self, edge, made if pieces else None)
            self.refresh(Region(-1, y, self.outer_size.width, 1))

    def _dash(self) -> str:
        return "-" if terminal_of(self).ascii_only else "─"

    def _line(self) -> str:
        return "accent" if self.has_focus_within else "border"

    def _room(self) -> int:
        return self.outer_size.width - _CORNERS


def _length(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(text) for text, _ in pieces)


def _spaced(pieces: Sequence[Piece]) -> list[Piece]:
    return [(f" {text}" if at else text, key) for at, (text, key) in enumerate(pieces)]
