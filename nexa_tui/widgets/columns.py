"""Which columns fit, where they stand, and how a text fills its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size

ELLIPSIS = "…"
_TAIL_MIN = 8
"""Cells from which on two ends say more than one."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    key: str
    title: str
    width: int
    """Cells; of a flexible column the least it can live with."""
    align: Literal["left", "right"] = "left"
    priority: int = 0
    """Where the room is short the highest goes first; 0 always stays."""
    flexible: int = 0
    """Its share of the room that is left over; 0 keeps the width."""
    tail: bool = False
    """Whether its texts differ at their ends: what is too long is cut in the middle."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column stands: `index` is its number in the rows' cells."""

    index: int
    x: int
    width: int
    right: bool
    tail: bool = False


def fit(columns: Sequence[Column], width: int, gap: int) -> tuple[Place, ...]:
    """Lay columns out side by side.

    Args:
        columns: In order.
        width: Cells there are.
        gap: Blank cells between two columns.
    """
    kept = list(enumerate(columns))
    while len(kept) > 1 and _needed(kept, gap) > width:
        hideable = [pair for pair in kept if pair[1].priority > 0]
        if not hideable:
            break
        kept.remove(max(hideable, key=lambda pair: (pair[1].priority, pair[0])))
    shares = _shares(kept, max(0, width - _needed(kept, gap)))
    places: list[Place] = []
    x = 0
    for index, column in kept:
        wide = column.width + shares.get(index, 0)
        wide = min(wide, max(0, width - x))
        if wide:
            places.append(Place(index, x, wide, column.align == "right", column.tail))
        x += wide + gap
    return tuple(places)


def filled(
    text: str,
    width: int,
    *,
    right: bool = False,
    tail: bool = False,
    mark: str = ELLIPSIS,
) -> str:
    """Make text exactly `width` cells wide; a cut is told by `mark`.

    Args:
        text: Clean.
        width: Cells.
        right: Whether it stands at the right.
        tail: Whether its end is kept, too, and what is cut is in the middle.
        mark: One cell.
    """
    if tail and text.isascii() and len(text) > width >= _TAIL_MIN:
        end = width // 2
        return text[: width - 1 - end] + mark + text[-end:]
    if text.isascii():
        length = len(text)
        if length <= width:
            return text.rjust(width) if right else text.ljust(width)
        return text[: width - 1] + mark if width else ""
    length = cell_len(text)
    if length <= width:
        blank = " " * (width - length)
        return blank + text if right else text + blank
    return set_cell_size(text, width - 1) + mark if width else ""


def _shares(kept: Sequence[tuple[int, Column]], spare: int) -> dict[int, int]:
    """Deal out what is left; the last one takes what does not divide."""
    flexible = [(index, column.flexible) for index, column in kept if column.flexible]
    total = sum(weight for _, weight in flexible)
    shares = {index: spare * weight // total for index, weight in flexible}
    if flexible:
        shares[flexible[-1][0]] += spare - sum(shares.values())
    return shares


def _needed(kept: Sequence[tuple[int, Column]], gap: int) -> int:
    return sum(column.width for _, column in kept) + gap * max(0, len(kept) - 1)
