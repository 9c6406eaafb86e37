"""The self-test as a list: groups, and a line for every check.

The check in focus opens by itself: cause, and the exact command that mends it. What
changed is repainted, nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len

from nexa_tui.state.formats import DURATION_WIDTH, duration
from nexa_tui.state.severity import mark
from nexa_tui.state.text import clean
from nexa_tui.widgets.columns import filled
from nexa_tui.widgets.lines import LineView, Piece

_LEAD = 13
"""Cells before a title: indentation, glyph and word."""
_WORD_WIDTH = 8
_TITLE_WIDTHS = ((100, 34), (64, 26))
"""From which width on, titles are how wide; narrower, they take all there is."""
_OPENED = 2
"""Lines that are kept free for what the check in focus shows."""


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check as it is shown. Foreign text is cleaned here."""

    id: str
    group: str
    title: str
    status: str
    duration_ms: float | None = None
    """What it took, or takes already."""
    detail: str = ""
    cause: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Shown:
    """One line on the screen."""

    kind: Literal["group", "check", "opened", "blank"]
    pieces: tuple[Piece, ...]
    check: str = ""
    """The check it is the line of; nothing on lines of other kinds."""


class Checks(LineView):
    """All checks of a run, group by group."""

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Start without checks."""
        super().__init__(empty="The self-test starts.", hint="", id=id, classes=classes)
        self._checks: tuple[CheckLine, ...] = ()
        self._open: str | None = None
        self._shown: list[_Shown] = []

    @property
    def current(self) -> CheckLine | None:
        """The check in focus."""
        return next((one for one in self._checks if one.id == self._open), None)

    def update_checks(self, checks: Sequence[CheckLine]) -> None:
        """Show these checks; those of one group stand together."""
        self._checks = tuple(checks)
        if self._open is None and self._checks:
            self._open = self._checks[0].id
        self._arrange()

    def focus_check(self, check: str, *, until: str = "") -> None:
        """Put the cursor on a check and open it.

        Args:
            check: Its id; nothing happens if there is none of it.
            until: The id of one below, to be seen too if there is room for both.
        """
        if not any(line.check == check for line in self._shown):
            return
        self.move_to(self._first_line_of(check))
        end = self._first_line_of(until) if until else 0
        if end >= self.top + self.window:
            self._scroll_lines(min(self._block()[0], end - self.window + 1))

    # What the base asks.

    def line_count(self) -> int:
        """Lines on the screen, all kinds."""
        return len(self._shown)

    def line_key(self, index: int) -> str:
        """The check's identity."""
        return self._shown[index].check

    def line_state(self, index: int) -> object:
        """What is on the line."""
        return self._shown[index]

    def line_pieces(self, index: int, width: int) -> list[Piece]:
        """What is on the line, cut and filled to the width."""
        *pieces, (text, key) = self._shown[index].pieces
        used = sum(cell_len(before) for before, _ in pieces)
        return [*pieces, (self._filled(text, width - used), key)]

    def move_to(self, index: int, *, tell: bool = True) -> None:
        """Move to the nearest check in that direction and open it."""
        target = self._nearest(max(0, min(index, len(self._shown) - 1)))
        if target is None:
            return
        check = self._shown[target].check
        if check != self._open:
            self._open = check
            self._arrange()
            target = self._first_line_of(check)
        super().move_to(target, tell=tell)

    def on_resize(self) -> None:
        """Long causes break elsewhere."""
        self._arrange()

    # Inside.

    def _arrange(self) -> None:
        old = self._shown
        self._shown = self._lines()
        self.lines_changed()
        if self._open is not None and self._shown:
            super().move_to(self._first_line_of(self._open), tell=False)
        changed = [
            region
            for index in range(max(len(old), len(self._shown)))
            if old[index : index + 1] != self._shown[index : index + 1]
            for region in self._line_regions(index)
        ]
        if changed and self.is_mounted:
            self.refresh(*changed)

    def _lines(self) -> list[_Shown]:
        lines: list[_Shown] = []
        group, airy = None, self._airy()
        for check in self._checks:
            if check.group != group:
                group = check.group
                if lines and airy:
                    lines.append(_Shown("blank", (("", "text"),)))
                lines.append(self._group_line(group))
            lines.append(_Shown("check", self._check_line(check), check.id))
            if check.id == self._open:
                lines.extend(self._opened(check))
        return lines

    def _airy(self) -> bool:
        """Whether there is room for a blank line between groups."""
        groups = len({check.group for check in self._checks})
        return len(self._checks) + 2 * groups + _OPENED <= self.window

    def _block(self) -> tuple[int, int]:
        """The first and the last line of the check in focus, its group's if it leads it."""
        first = last = self._cursor
        if first and self._shown[first - 1].kind == "group":
            first -= 1
        while last + 1 < len(self._shown) and self._shown[last + 1].kind == "opened":
            last += 1
        return first, last

    def _bring_into_view(self) -> bool:
        """Scroll until all of the check in focus is seen, its first line at least."""
        before, window = self.top, self.window
        if not window or not self._shown:
            return False
        first, last = self._block()
        if first < before:
            return self._scroll_lines(first)
        if last >= before + window:
            return self._scroll_lines(min(first, last - window + 1))
        return False

    def _group_line(self, group: str) -> _Shown:
        mine = [check for check in self._checks if check.group == group]
        done = sum(check.status not in {"pending", "running"} for check in mine)
        pieces = [
            (f" {clean(group, 30)}", "strong"),
            (f"  {done}/{len(mine)}", "muted"),
        ]
        for status in ("fail", "warn"):
            if number := sum(check.status == status for check in mine):
                verb = f"{status}s" if number == 1 else status
                pieces.append((f"  {number} {verb}", mark("check", status).style))
        return _Shown("group", tuple(pieces))

    def _check_line(self, check: CheckLine) -> tuple[Piece, ...]:
        shown = mark("check", clean(check.status, 10), ascii_only=self.ascii_only)
        title_width, detailed = self._title_width()
        calm = check.status in {"pending", "skipped"}
        took = duration(check.duration_ms) if check.duration_ms is not None else ""
        pieces: list[Piece] = [
            (f"  {shown.glyph} {self._filled(shown.word, _WORD_WIDTH)} ", shown.style),
            (
                self._filled(clean(check.title, 60), title_width),
                "muted" if calm else "text",
            ),
            (f" {took:>{DURATION_WIDTH}}", "muted"),
        ]
        if detailed:
            said = check.detail or ("" if check.id == self._open else check.cause)
            pieces.append((f"  {clean(said, 200)}", "muted"))
        return tuple(pieces)

    def _title_width(self) -> tuple[int, bool]:
        """How wide titles are, and whether there is room for details."""
        for least, wide in _TITLE_WIDTHS:
            if self.size.width >= least:
                return wide, True
        return max(8, self.size.width - _LEAD - DURATION_WIDTH - 3), False

    def _filled(self, text: str, width: int) -> str:
        return filled(text, max(0, width), mark="~" if self.ascii_only else "…")

    def _opened(self, check: CheckLine) -> list[_Shown]:
        indent = _LEAD if self._title_width()[1] else 4
        width = max(16, self.size.width - indent - 9)
        return [
            _Shown(
                "opened",
                (
                    (f"{'':{indent}}{label if at == 0 else '':<5} ", "muted"),
                    (part, key),
                ),
            )
            for label, text, key in (
                ("why", check.cause, "text"),
                ("mend", check.remedy, "strong"),
            )
            for at, part in enumerate(_wrapped(clean(text, 600), width))
        ]

    def _nearest(self, index: int) -> int | None:
        """The check nearest to a line, further in the direction of the move first."""
        if not self._shown:
            return None
        down = index >= self._cursor
        ahead = range(index, len(self._shown)) if down else range(index, -1, -1)
        behind = range(index, -1, -1) if down else range(index, len(self._shown))
        for one in (*ahead, *behind):
            if self._shown[one].check:
                return one
        return None

    def _first_line_of(self, check: str) -> int:
        return next((i for i, line in enumerate(self._shown) if line.check == check), 0)


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    current = ""
    for word in text.split():
        if current and len(current) + 1 + len(word) > width:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}" if current else word
    return [*lines, current] if current else lines
