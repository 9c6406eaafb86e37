"""Screen updates in few bytes, for a slow link.

Textual 8.2 writes a changed cell together with everything left of it in its widget, for
every piece of text the whole style and a reset, and while starting the same screen
several times. Here it is remembered what the terminal shows; only cells that differ are
written, and of a style only what differs from the piece before. The screen afterwards is
the same: a test compares them cell by cell.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual import _compositor as compositor  # the updates have no public home

Parts = tuple[tuple[str, ...], str, str]
"""A style: attributes, foreground, background; the terminal's own colours are empty."""
Cell = tuple[str, Parts]
"""What one cell shows; the second half of a wide character shows nothing."""

_PLAIN: Parts = ((), "", "")
_ATTRIBUTES = (
    ("bold", "1"), ("dim", "2"), ("italic", "3"), ("underline", "4"), ("blink", "5"),
    ("blink2", "6"), ("reverse", "7"), ("conceal", "8"), ("strike", "9"),
    ("underline2", "21"), ("overline", "53"),
)  # fmt: skip
_SHOW_ON_BLANKS = frozenset({"4", "7", "9", "21", "53"})
_SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
}
_GAP = 3
"""Cells that are written again rather than jumped over: a jump costs more."""


class Memory:
    """What the terminal shows, as far as it was written by us."""

    def __init__(self) -> None:
        """Nothing is known of the terminal yet."""
        self._rows: dict[int, list[Cell | None]] = {}

    def forget(self) -> None:
        """Something else may have written: the next update is written in full."""
        self._rows.clear()

    def lean(self, update: object) -> object:
        """The same update, but one that writes little; anything else as it is."""
        if type(update) is compositor.ChopsUpdate:
            return _Pieces(self, update)
        if type(update) is compositor.LayoutUpdate:
            return _Whole(self, update)
        return update

    def changes(self, x: int, y: int, new: list[Cell]) -> Iterator[tuple[int, int]]:
        """Remember cells and answer from where to where they differ from before."""
        row = self._rows.setdefault(y, [])
        end = x + len(new)
        row.extend([None] * (end + 1 - len(row)))
        old = row[x:end]
        if old != new:
            yield from _runs(old, new)
            row[x:end] = new
            _halves(row, x, end)


class _Pieces(compositor.ChopsUpdate):
    """Some cells of the screen."""

    def __init__(self, memory: Memory, update: compositor.ChopsUpdate) -> None:
        super().__init__(update.chops, update.spans, update.chop_ends)
        self._memory = memory

    def render_segments(self, console: Console) -> str:
        """Write the changed cells and no others."""
        pen = _Pen(self._memory, console)
        for y, x1, x2 in self.spans:
            for end, (x, strip) in zip(
                self.chop_ends[y], self.chops[y].items(), strict=False
            ):
                if strip is not None and x < x2 and end > x1:
                    start, stop = max(x, x1), min(end, x2)
                    pen.write(start, y, strip.crop(start - x, stop - x))
        return pen.done()


class _Whole(compositor.LayoutUpdate):
    """A region of the screen."""

    def __init__(self, memory: Memory, update: compositor.LayoutUpdate) -> None:
        super().__init__(update.strips, update.region)
        self._memory = memory

    def render_segments(self, console: Console) -> str:
        """Write what differs in the lines of the region."""
        pen = _Pen(self._memory, console)
        for y, line in enumerate(self.strips, self.region.y):
            segments = [segment for strip in line for segment in strip]
            pen.write(self.region.x, y, segments)
        return pen.done()


class _Pen:
    """Writes cells and knows which style the terminal is in."""

    def __init__(self, memory: Memory, console: Console) -> None:
        self._memory = memory
        self._system = _SYSTEMS.get(console.color_system or "", ColorSystem.TRUECOLOR)
        self._written: list[str] = []
        self._style = _PLAIN

    def write(self, x: int, y: int, segments: Iterable[Segment]) -> None:
        cells = _cells(segments, self._system)
        for start, end in self._memory.changes(x, y, cells):
            self._written.append(f"\x1b[{y + 1};{x + start + 1}H")
            for text, style in cells[start:end]:
                if style != self._style:
                    self._dip(style, blank=text == " ")
                self._written.append(text)

    def done(self) -> str:
        if self._style != _PLAIN:
            self._written.append("\x1b[0m")
        return "".join(self._written)

    def _dip(self, style: Parts, *, blank: bool) -> None:
        """Change the style, as far as it shows."""
        attributes, *colours = style
        now, *old = self._style
        if blank and not _SHOW_ON_BLANKS.intersection(attributes + now):
            attributes, colours = now, [old[0], colours[1]]
        if attributes != now:
            codes = ["0", *attributes, *filter(None, colours)]
        else:
            told = zip(colours, old, ("39", "49"), strict=True)
            codes = [new or default for new, before, default in told if new != before]
        if codes:
            self._written.append(f"\x1b[{';'.join(codes)}m")
            self._style = (attributes, colours[0], colours[1])


def _cells(segments: Iterable[Segment], system: ColorSystem) -> list[Cell]:
    cells: list[Cell] = []
    for text, style, control in segments:
        if control is not None:
            continue
        parts = _PLAIN if style is None else _parts(style, system)
        blank = parts if _SHOW_ON_BLANKS.intersection(parts[0]) else ((), "", parts[2])
        if text.isascii():
            cells += [(one, blank if one == " " else parts) for one in text]
            continue
        for one in text:
            width = cell_len(one)
            if width:
                cells.append((one, blank if one == " " else parts))
                cells += [("", parts)] * (width - 1)
            elif cells:  # a mark belongs to the character before it
                at = -1 if cells[-1][0] else -2
                cells[at] = (cells[at][0] + one, cells[at][1])
    return cells


def _runs(old: list[Cell | None], new: list[Cell]) -> Iterator[tuple[int, int]]:
    """Where cells differ; near neighbours in one run, wide characters whole."""
    start = end = -1
    for index, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        if start >= 0 and index - end > _GAP:
            yield _whole(new, start, end)
            start = -1
        start = index if start < 0 else start
        end = index + 1
    if start >= 0:
        yield _whole(new, start, end)


def _whole(new: list[Cell], start: int, end: int) -> tuple[int, int]:
    while start > 0 and not new[start][0]:
        start -= 1
    while end < len(new) and not new[end][0]:
        end += 1
    return start, end


def _halves(row: list[Cell | None], x: int, end: int) -> None:
    """A terminal blanks a wide character of which one half is written over."""
    after = row[end]
    if after is not None and not after[0]:
        row[end] = None
    before = row[x - 1] if x else None
    if before is not None and cell_len(before[0]) > 1:
        row[x - 1] = None


@lru_cache(4096)
def _parts(style: Style, system: ColorSystem) -> Parts:
    attributes = tuple(code for name, code in _ATTRIBUTES if getattr(style, name))
    colours = ["", ""]
    for at, colour in enumerate((style.color, style.bgcolor)):
        if colour is not None and not colour.is_default:
            colours[at] = ";".join(colour.downgrade(system).get_ansi_codes(at == 0))
    return attributes, colours[0], colours[1]
