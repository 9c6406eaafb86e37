"""Who hears whom, as a square: a row is a node, and what it thinks of each other one.

Where two rows differ in one column, nodes disagree; a column of crosses is a dead node, a
row of them one that is cut off. Figures where there is room, else one sign each.
"""

from collections.abc import Sequence

import msgspec

from nexa_tui.state.formats import duration
from nexa_tui.state.severity import StyleKey
from nexa_tui.state.text import clean
from nexa_tui.state.topology import Part, Topology, pair

Piece = tuple[str, str]
WIDE, MIDDLE, THIN = 8, 5, 2
"""Cells of one entry: with its unit, as a figure, as a sign."""
_LABEL_MAX = 12
_FEW = 9
"""Up to so many nodes stand by name; of more, those with something wrong first."""


class Signs(msgspec.Struct, frozen=True):
    """What stands for a state where there is room for one sign."""

    alive: str
    slow: str
    suspect: str
    dead: str
    nothing: str
    self: str


UNICODE = Signs("∙", "▪", "!", "✗", " ", "─")
ASCII = Signs(".", "o", "!", "x", " ", "-")


class Entry(msgspec.Struct, frozen=True):
    """What a node thinks of another: in a word, in a sign, and how bad it is."""

    word: str
    sign: str
    style: StyleKey
    rtt_ms: float | None = None

    def text(self, cell: int) -> str:
        """As much of it as a cell takes."""
        if cell == WIDE:
            return self.word
        if cell == MIDDLE and self.rtt_ms is not None:
            return duration(self.rtt_ms).replace("ms", "").strip()[: cell - 1]
        return self.sign


class Square(msgspec.Struct, frozen=True):
    """The square as lines of pieces, for a width."""

    header: tuple[Piece, ...]
    rows: tuple[tuple[str, tuple[Piece, ...]], ...]
    """Per node its name and its line."""
    hidden: int = 0
    """Columns for which there was no room."""


def entry(view: Topology, by: Part, of: Part, *, ascii_only: bool) -> Entry:
    """What `by` thinks of `of`."""
    signs = ASCII if ascii_only else UNICODE
    if by.name == of.name:
        return Entry(signs.self, signs.self, "muted")
    if by.down:
        return Entry("", signs.nothing, "muted")
    told = view.opinion(by.name, of.name)
    if told is not None and told.suspicion != "alive":
        sign = signs.suspect if told.suspicion == "suspect" else signs.dead
        style = "warn" if told.suspicion == "suspect" else "crit"
        word = told.suspicion
        fits = f"{sign} {word}" if len(word) + 2 < WIDE else word
        return Entry(fits, sign, style)
    key = pair(by.name, of.name)
    if key in view.missing:
        return Entry("none", signs.suspect, "warn")
    way = view.ways.get(key)
    if way is not None and way.slow:
        return Entry(duration(way.rtt_ms).strip(), signs.slow, "warn", way.rtt_ms)
    if way is not None and way.rtt_ms is not None:
        return Entry(duration(way.rtt_ms).strip(), signs.alive, "ok", way.rtt_ms)
    if told is not None:
        return Entry("hears" if not of.down else "", signs.alive, "ok")
    return Entry("", signs.nothing, "muted")


def square(view: Topology, width: int, *, ascii_only: bool = False) -> Square:
    """Draw the square.

    Args:
        view: The cluster.
        width: Cells of a line.
        ascii_only: Whether only ASCII may be drawn.
    """
    parts = _ordered(view.parts)
    longest = max((len(clean(one.name)) for one in parts), default=0)
    label = min(_LABEL_MAX, longest, max(4, width // 4)) + 1
    room = width - label
    number = len(parts)
    cell = next((one for one in (WIDE, MIDDLE, THIN) if number * one <= room), 1)
    shown = parts[: max(1, room // cell)]
    header = (_fit("", label), "muted"), *_titles(shown, cell)
    rows = tuple(
        (by.name, _row(view, by, shown, label=label, cell=cell, ascii_only=ascii_only))
        for by in parts
    )
    return Square(header, rows, hidden=number - len(shown))


def _titles(parts: Sequence[Part], cell: int) -> list[Piece]:
    shown = [clean(one.name) for one in parts]
    if cell >= MIDDLE:
        return [(name[: cell - 1].rjust(cell), "muted") for name in shown]
    first, last = ([name[at] for name in shown] for at in (0, -1))
    telling = first if len(set(first)) >= len(set(last)) else last
    return [("".join(letter.rjust(cell) for letter in telling), "muted")]


def _row(
    view: Topology,
    by: Part,
    of: Sequence[Part],
    *,
    label: int,
    cell: int,
    ascii_only: bool,
) -> tuple[Piece, ...]:
    pieces: list[Piece] = [
        (_fit(clean(by.name, label - 1), label), "stale" if by.down else "strong")
    ]
    for one in of:
        told = entry(view, by, one, ascii_only=ascii_only)
        pieces.append((_right(told.text(cell), cell), told.style))
    return tuple(_joined(pieces))


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """One piece where neighbours look the same: fifty signs are few pieces."""
    joined: list[Piece] = []
    for text, style in pieces:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    return joined


def _ordered(parts: Sequence[Part]) -> list[Part]:
    if len(parts) <= _FEW:
        return list(parts)
    return sorted(parts, key=lambda one: (not one.wrong, one.name))


def _fit(text: str, width: int) -> str:
    return text[:width].ljust(width)


def _right(text: str, width: int) -> str:
    return text[:width].rjust(width)
