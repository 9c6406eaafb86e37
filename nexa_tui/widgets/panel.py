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

from nexa_tui.state.severity import StyleKey
from nexa_tui.state.text import clean
from nexa_tui.widgets.columns import filled
from nexa_tui.widgets.ink import follow_theme, inks_of, terminal_of
from nexa_tui.widgets.lines import Piece

_CORNERS = 6
"""Cells of the edge that are no label: two corners, a dash and a blank beside each."""
_GAP = 3
"""Cells between what is left and what is right: a blank on each side of the line."""
_LINE = " - "
"""Between two labels."""
_DOUBT_MIN = 12
"""Fewer cells say nothing."""


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
        self._doubt = ""
        self._edge: StyleKey = "border"

    def say(
        self,
        *,
        title: str | None = None,
        count: str | None = None,
        info: Sequence[Piece] | None = None,
        note: Sequence[Piece] | None = None,
        doubt: str | None = None,
        edge: StyleKey | None = None,
    ) -> None:
        """Change what the border says; what is not given stays.

        Args:
            title: At the top left.
            count: Beside it, muted: `3/5`.
            info: At the top right: sort order, age of the data, state.
            note: At the bottom right: filter, position, what is hidden.
            doubt: Clean text, at the top right before `info`: why what is inside can't
                be trusted wholly. It is cut where room is short, and never left out.
            edge: How bad it is, in the border's colour: `border`, `warn` or `crit`.
        """
        before = (self._top_words(), self._note)
        self._title = self._title if title is None else title
        self._count = self._count if count is None else count
        self._info = self._info if info is None else tuple(info)
        self._note = self._note if note is None else tuple(note)
        self._doubt = self._doubt if doubt is None else doubt
        self._edge = self._edge if edge is None else edge
        for bad in ("warn", "crit"):
            self.set_class(self._edge == bad, f"-{bad}")
        if self._top_words() != before[0]:
            self._label_top()
        if self._note != before[1]:
            self._label_bottom()

    def _top_words(self) -> tuple[object, ...]:
        return (self._title, self._count, self._info, self._doubt, self._edge)

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
        if self._doubt:
            if self._count and room - _length(left) - _GAP < cell_len(self._doubt):
                left.pop()  # the doubt matters more than how many there are
            right = self._doubted(room - _length(left) - _GAP)
        else:
            right = self._fitting(self._info, room - _length(left) - _GAP)
        if right:
            gap = room - _length(left) - _length(right) - 2
            left += [(" ", "text"), (self._dash() * gap + " ", self._line()), *right]
        self._write("_border_title", left, -1)

    def _label_bottom(self) -> None:
        right = self._fitting(self._note, self._room())
        self._write("_border_subtitle", right, self.size.height)

    def _doubted(self, room: int) -> list[Piece]:
        """The doubt, cut if need be, and after it what still fits beside it."""
        info = self._fitting(self._info, room - _DOUBT_MIN)
        used = _length(info) + len(_LINE) if info else 0
        doubt = [(self._cut(self._doubt, room - used), "warn")]
        return [*doubt, *([self._dashed(), *info] if info else [])]

    def _fitting(self, pieces: Sequence[Piece], room: int) -> list[Piece]:
        """The pieces with the border's line between them, without the first that don't fit."""
        kept = list(pieces)
        while kept and _length(kept) + len(_LINE) * (len(kept) - 1) > room:
            kept.pop(0)
        return [part for piece in kept for part in (self._dashed(), piece)][1:]

    def _dashed(self) -> Piece:
        return (_LINE.replace("-", self._dash()), self._line())

    def _cut(self, text: str, room: int) -> str:
        if cell_len(text) <= room:
            return text
        mark = "~" if terminal_of(self).ascii_only else "…"
        return filled(text, room, mark=mark) if room > len(_LINE) else text[:1]

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
        return "accent" if self.has_focus_within else self._edge

    def _room(self) -> int:
        return self.outer_size.width - _CORNERS


def _length(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(text) for text, _ in pieces)
