"""A view of many lines of which one is in focus: the ground of tables and lists.

Only lines on the screen are drawn. Moving the cursor repaints two lines, a change of the
data only the pieces that changed. Data is given whole and never fetched.
"""

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from nexa_tui.widgets.columns import filled
from nexa_tui.widgets.ink import follow_theme, inks_of, plane_of, terminal_of

Piece = tuple[str, str]
"""Text that is clean, and its style key."""

_CACHE_MAX = 256
_NARROWEST = 8


class LineView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines with a cursor. Subclasses say how many there are and what is in them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="move.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="move.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="move.page-down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="move.page-up"),
        Binding("ctrl+d", "page(0.5)", "Half down", show=False, id="move.half-down"),
        Binding("ctrl+u", "page(-0.5)", "Half up", show=False, id="move.half-up"),
        Binding("home,g", "first", "First", show=False, id="move.first"),
        Binding("end,G", "last", "Last", show=False, id="move.last"),
        Binding("enter", "choose", "Open", show=False, id="move.choose"),
    ]
    HEADER = 0
    """Lines at the top that do not scroll."""

    class Highlighted(Message):
        """The cursor came to another line."""

        def __init__(self, view: "LineView", index: int, key: str) -> None:
            """Say which view, which line, and the identity of what is on it."""
            super().__init__()
            self.view = view
            self.index = index
            self.key = key

        @property
        def control(self) -> "LineView":
            """The view, for `@on` with a selector."""
            return self.view

    class Selected(Highlighted):
        """The line under the cursor was chosen, by Enter or by a click on it."""

    def __init__(
        self,
        *,
        empty: str = "Nothing here.",
        hint: str = "",
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Start empty.

        Args:
            empty: What to say while there is no line.
            hint: The command that would put one there.
            id: For style sheets and queries.
            classes: For style sheets.
        """
        super().__init__(id=id, classes=classes)
        self._empty = empty
        self._hint = hint
        self._cursor = 0
        self._drawn: dict[tuple[int, bool], tuple[object, Strip]] = {}
        self._drawn_for: tuple[object, ...] = ()

    # What a subclass says.

    def line_count(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    def line_key(self, index: int) -> str:
        """The identity of what is on a line: it follows its thing when lines move."""
        return str(index)

    def line_state(self, index: int) -> object:
        """Whatever decides how the line looks; equal states look the same."""
        raise NotImplementedError

    def line_pieces(self, index: int, width: int) -> list[Piece]:
        """What is on a line, in pieces that fill `width` cells exactly."""
        raise NotImplementedError

    def header_pieces(self, width: int) -> list[Piece]:
        """What is on the header line."""
        return [(" " * width, "muted")]

    # What everybody may ask.

    @property
    def cursor(self) -> int:
        """The line in focus; 0 while there is none."""
        return self._cursor

    @property
    def cursor_key(self) -> str | None:
        """The identity of what is in focus."""
        return self.line_key(self._cursor) if self.line_count() else None

    @property
    def ascii_only(self) -> bool:
        """Whether only ASCII may be drawn."""
        return terminal_of(self).ascii_only

    @property
    def window(self) -> int:
        """How many lines are on the screen at once."""
        return max(0, self.size.height - self.HEADER)

    @property
    def top(self) -> int:
        """The first line on the screen."""
        return round(self.scroll_y)

    def say_when_empty(self, empty: str, hint: str = "") -> None:
        """Say something else while there is no line."""
        if (empty, hint) != (self._empty, self._hint):
            self._empty, self._hint = empty, hint
            if not self.line_count():
                self.refresh()

    def move_to(self, index: int, *, tell: bool = True) -> None:
        """Put the cursor on a line and bring it into view."""
        count = self.line_count()
        target = max(0, min(index, count - 1))
        old, self._cursor = self._cursor, target
        if not self._bring_into_view() and target != old:
            self.refresh(*self._line_regions(old), *self._line_regions(target))
        if tell and target != old and count:
            self.post_message(self.Highlighted(self, target, self.line_key(target)))

    def from_the_top(self) -> None:
        """Scroll no further than the cursor needs: the same however it came to be so."""
        if self.window:
            self._scroll_lines(max(0, self._cursor - self.window + 1))

    # Keys and the mouse.

    def action_move(self, lines: int) -> None:
        """Move the cursor by lines."""
        self.move_to(self._cursor + lines)

    def action_page(self, pages: float) -> None:
        """Move the cursor by pages, or by half of one."""
        step = max(1, int(abs(pages) * self.window))
        self.move_to(self._cursor + (step if pages > 0 else -step))

    def action_first(self) -> None:
        """Move to the first line."""
        self.move_to(0)

    def action_last(self) -> None:
        """Move to the last line."""
        self.move_to(self.line_count() - 1)

    def action_choose(self) -> None:
        """Choose the line in focus."""
        if self.line_count():
            key = self.line_key(self._cursor)
            self.post_message(self.Selected(self, self._cursor, key))

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; on the line in focus it chooses it."""
        y = event.y - self.content_offset.y
        index = self.top + y - self.HEADER
        if y < self.HEADER:
            self.header_clicked(event.x - self.content_offset.x)
        elif index < self.line_count():
            if index == self._cursor:
                self.action_choose()
            else:
                self.move_to(index)

    def header_clicked(self, x: int) -> None:
        """Somebody clicked the header line."""

    def on_focus(self) -> None:
        """The cursor shows itself."""
        self.refresh(*self._line_regions(self._cursor))

    def on_blur(self) -> None:
        """The cursor steps back."""
        self.refresh(*self._line_regions(self._cursor))

    def on_resize(self) -> None:
        """Keep the line in focus on the screen."""
        self._bring_into_view()

    def on_mount(self) -> None:
        """Draw again when another theme is put on."""
        follow_theme(self, self._drawn.clear)
        self.lines_changed()

    # Drawing.

    def lines_changed(self) -> None:
        """The number of lines may have changed."""
        height = self.line_count() + self.HEADER
        if self.virtual_size.height != height:
            self.virtual_size = Size(0, height)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width = self.size.width
        dressed = (width, inks_of(self), plane_of(self))
        if self._drawn_for != dressed:
            self._drawn.clear()
            self._drawn_for = dressed
        if y < self.HEADER:
            return self._written(self.header_pieces(width), selected=False)
        index = self.top + y - self.HEADER
        if not self.line_count():
            return self._empty_line(y, width)
        if index >= self.line_count():
            return Strip.blank(width, inks_of(self).style("text", plane_of(self)))
        return self._line(index, y, width)

    def _line(self, index: int, y: int, width: int) -> Strip:
        rail = self._rail(y)
        inner = width - len(rail) - 1
        selected = index == self._cursor
        state = (self.line_state(index), rail, self.has_focus if selected else None)
        known = self._drawn.get((index, selected))
        if known is not None and known[0] == state:
            return known[1]
        pieces = [self._cursor_mark(selected), *self.line_pieces(index, inner)]
        if rail:
            pieces.append((rail, "muted"))
        strip = self._written(pieces, selected=selected)
        if len(self._drawn) >= _CACHE_MAX:
            self._drawn.clear()
        self._drawn[index, selected] = (state, strip)
        return strip

    def _cursor_mark(self, selected: bool) -> Piece:
        if not selected:
            return (" ", "text")
        mark = ">" if self.ascii_only else "▌"
        return (mark, "accent" if self.has_focus else "muted")

    def _written(self, pieces: Sequence[Piece], *, selected: bool) -> Strip:
        plane, extra = plane_of(self), Style.null()
        inks = inks_of(self)
        if selected:
            plane, extra = inks.cursor(plane, focused=self.has_focus)
        return Strip(inks.written(pieces, plane, extra), self.size.width)

    def _empty_line(self, y: int, width: int) -> Strip:
        said = [
            (line, key)
            for text, key in ((self._empty, "muted"), (self._hint, "strong"))
            for line in wrap(text, max(_NARROWEST, width - 3))
        ]
        at = y - self.HEADER - max(0, (self.window - len(said)) // 3)
        text, key = said[at] if 0 <= at < len(said) else ("", "text")
        return self._written([(filled("  " + text, width), key)], selected=False)

    def _rail(self, y: int) -> str:
        """A thumb at the right where the lines are more than the screen holds."""
        count, window = self.line_count(), self.window
        if count <= window or not window:
            return ""
        length = max(1, window * window // count)
        room, steps = window - length, count - window
        start = -(-self.top * room // steps)
        inside = start <= y - self.HEADER < start + length
        if self.ascii_only:
            return "|" if inside else " "
        return "┃" if inside else " "

    def _line_regions(self, index: int) -> tuple[Region, ...]:
        y = index - self.top + self.HEADER
        if self.HEADER <= y < self.size.height:
            return (Region(0, y, self.size.width, 1),)
        return ()

    def _bring_into_view(self) -> bool:
        """Scroll if need be; answer whether the whole window is painted again."""
        before, window = self.top, self.window
        if not window:
            return False
        if self._cursor < before:
            wanted = self._cursor
        elif self._cursor >= before + window:
            wanted = self._cursor - window + 1
        else:
            return False
        return self._scroll_lines(wanted)

    def _scroll_lines(self, top: int) -> bool:
        before = self.top
        self.scroll_to(y=top, animate=False, force=True)
        return self.top != before
