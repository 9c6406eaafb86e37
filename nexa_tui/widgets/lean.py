"""Screen updates in few bytes, for a slow link.

Textual 8.2 writes a changed cell together with everything left of it in its widget, and
for every piece of text the whole style and a reset. Here exactly the changed cells are
written, and of the style only what differs from the piece before. The screen afterwards
is the same: a test compares them cell by cell.
"""

from collections.abc import Iterable
from functools import lru_cache

from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual import _compositor as compositor  # the updates have no public home

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
_RESET = "\x1b[0m"


def lean(update: object) -> object:
    """The same update, but one that writes little; anything else as it is."""
    if type(update) is compositor.ChopsUpdate:
        return _Pieces(update.chops, update.spans, update.chop_ends)
    if type(update) is compositor.LayoutUpdate:
        return _Whole(update.strips, update.region)
    return update


class _Pieces(compositor.ChopsUpdate):
    """Some cells of the screen."""

    def render_segments(self, console: Console) -> str:
        """Write the changed cells and no others."""
        pen = _Pen(console)
        for y, x1, x2 in self.spans:
            for end, (x, strip) in zip(
                self.chop_ends[y], self.chops[y].items(), strict=False
            ):
                if strip is None or x >= x2 or end <= x1:
                    continue
                start, stop = max(x, x1), min(end, x2)
                pen.move(start, y)
                pen.write(strip.crop(start - x, stop - x))
        return pen.done()


class _Whole(compositor.LayoutUpdate):
    """A region of the screen."""

    def render_segments(self, console: Console) -> str:
        """Write all lines of the region."""
        pen = _Pen(console)
        for y, line in enumerate(self.strips, self.region.y):
            pen.move(self.region.x, y)
            for strip in line:
                pen.write(strip)
        return pen.done()


class _Pen:
    """Writes text and knows which style the terminal is in."""

    def __init__(self, console: Console) -> None:
        self._system = _SYSTEMS.get(console.color_system or "", ColorSystem.TRUECOLOR)
        self._written: list[str] = []
        self._attributes: tuple[str, ...] = ()
        self._colours = ("", "")

    def move(self, x: int, y: int) -> None:
        self._written.append(f"\x1b[{y + 1};{x + 1}H")

    def write(self, segments: Iterable[Segment]) -> None:
        for text, style, control in segments:
            if style is not None and control is None:
                self._dip(text, style)
            elif self._attributes or any(self._colours):
                self._written.append(_RESET)
                self._attributes, self._colours = (), ("", "")
            self._written.append(text)

    def done(self) -> str:
        if self._attributes or any(self._colours):
            self._written.append(_RESET)
        return "".join(self._written)

    def _dip(self, text: str, style: Style) -> None:
        """Change the style as far as it shows on this text."""
        attributes, colours = _parts(style, self._system)
        if text.isspace() and not _SHOW_ON_BLANKS.intersection(
            attributes + self._attributes
        ):
            # Nothing but the background shows where nothing is written.
            attributes, colours = self._attributes, (self._colours[0], colours[1])
        if attributes != self._attributes:
            codes = ["0", *attributes, *filter(None, colours)]
        else:
            codes = [
                new or default
                for new, old, default in zip(
                    colours, self._colours, ("39", "49"), strict=True
                )
                if new != old
            ]
        if codes:
            self._written.append(f"\x1b[{';'.join(codes)}m")
            self._attributes, self._colours = attributes, colours


@lru_cache(4096)
def _parts(
    style: Style, system: ColorSystem
) -> tuple[tuple[str, ...], tuple[str, str]]:
    """A style as attributes and colours, the terminal's own colours as nothing."""
    attributes = tuple(code for name, code in _ATTRIBUTES if getattr(style, name))
    pair: list[str] = []
    for colour, foreground in ((style.color, True), (style.bgcolor, False)):
        if colour is None or colour.is_default:
            pair.append("")
        else:
            codes = colour.downgrade(system).get_ansi_codes(foreground)
            pair.append(";".join(codes))
    return attributes, (pair[0], pair[1])
