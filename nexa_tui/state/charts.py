"""Samples drawn as characters: sparklines, area charts and gauges, without a terminal.

A chart says the truth about what it does not know: a sample of None draws nothing, a
sample of zero draws its line on the ground. The newest sample is at the right. Each
character carries a step of the gradient, 0 to `STEPS - 1`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Glyphs = Literal["braille", "block", "ascii"]
Sample = float | None

STEPS = 8
"""Steps of a gradient, from low to high."""

_NOTHING = 1e-12
_BLOCKS = " ▁▂▃▄▅▆▇█"
_BLOCKS_DOWN = " ▔▔▀▀▀▀██"  # no other upper blocks are in every font
_ASCII = " .:|"
_ASCII_DOWN = " ':|"
_BRAILLE = 0x2800
_DOTS_LEFT = (0x40, 0x04, 0x02, 0x01)  # from the ground up
_DOTS_RIGHT = (0x80, 0x20, 0x10, 0x08)
_DOTS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: as many steps as characters."""

    text: str
    steps: tuple[int, ...]

    def runs(self) -> list[tuple[str, int]]:
        """The line in pieces of one step each, for few style changes."""
        pieces: list[tuple[str, int]] = []
        start = 0
        for index in range(1, len(self.text) + 1):
            if index == len(self.text) or self.steps[index] != self.steps[start]:
                pieces.append((self.text[start:index], self.steps[start]))
                start = index
        return pieces


def per_cell(glyphs: Glyphs) -> int:
    """How many samples one character shows."""
    return 2 if glyphs == "braille" else 1


def sparkline(
    samples: Sequence[Sample],
    width: int,
    *,
    glyphs: Glyphs = "braille",
    low: float = 0.0,
    high: float | None = None,
) -> Line:
    """Draw samples on one line; a character's step follows its value.

    Args:
        samples: Oldest first; the last `width` characters' worth are drawn.
        width: Characters; missing history is blank at the left.
        glyphs: What to draw with.
        low: The value of the ground.
        high: The value of the top; None takes a round number above the highest.
    """
    top = ceiling(samples, low) if high is None else high
    levels = _levels(samples, width, glyphs, low, top, height=1)
    text = _row_of(levels, 0, glyphs, down=False)
    full = _levels_of(glyphs)
    each = per_cell(glyphs)
    steps = tuple(
        _step(max(levels[cell * each : cell * each + each]), full)
        for cell in range(width)
    )
    return Line(text, steps)


def area(
    samples: Sequence[Sample],
    width: int,
    height: int,
    *,
    glyphs: Glyphs = "braille",
    low: float = 0.0,
    high: float | None = None,
    down: bool = False,
) -> tuple[Line, ...]:
    """Draw samples as a filled area; a line's step follows its height.

    Args:
        samples: Oldest first; the last `width` characters' worth are drawn.
        width: Characters of each line.
        height: Lines.
        glyphs: What to draw with.
        low: The value of the ground.
        high: The value of the top; None takes a round number above the highest.
        down: Hang from the top instead, for the second half of a mirrored chart.
    """
    top = ceiling(samples, low) if high is None else high
    levels = _levels(samples, width, glyphs, low, top, height=height)
    lines: list[Line] = []
    for row in range(height):
        above_ground = row if down else height - 1 - row
        step = _step(above_ground + 1, height)
        text = _row_of(levels, above_ground, glyphs, down=down)
        lines.append(Line(text, (step,) * width))
    return tuple(lines)


def gauge(fraction: float | None, width: int, *, ascii_only: bool = False) -> Line:
    """Draw a bar whose characters' steps go from low to high along it.

    Returns:
        The filled part only; the rest of `width` is the caller's to draw.
    """
    if fraction is None or width <= 0:
        return Line("", ())
    bounded = min(1.0, max(0.0, fraction))
    filled = round(bounded * width)
    if bounded > 0 and filled == 0:
        filled = 1  # something is not nothing
    steps = tuple(_step(cell + 1, width) for cell in range(filled))
    return Line(("#" if ascii_only else "■") * filled, steps)


def ceiling(samples: Sequence[Sample], low: float = 0.0) -> float:
    """A round number (1, 2 or 5 times a power of ten) not below any sample.

    Round, so that the scale does not tremble with the newest sample.
    """
    highest = max((value for value in samples if value is not None), default=low)
    reach = highest - low
    if not math.isfinite(reach) or reach <= _NOTHING:
        return low + 1.0
    magnitude = 10.0 ** math.floor(math.log10(reach))
    for factor in (1.0, 2.0, 5.0):
        if reach <= factor * magnitude * (1 + 1e-9):
            return low + factor * magnitude
    return low + 10.0 * magnitude


def _levels_of(glyphs: Glyphs) -> int:
    """Levels that one character can tell apart, without the empty one."""
    return {"braille": _DOTS, "block": len(_BLOCKS) - 1, "ascii": len(_ASCII) - 1}[
        glyphs
    ]


def _levels(
    samples: Sequence[Sample],
    width: int,
    glyphs: Glyphs,
    low: float,
    top: float,
    *,
    height: int,
) -> list[int]:
    """How high each sample reaches, in levels; 0 is no sample, 1 the ground."""
    wanted = width * per_cell(glyphs)
    full = height * _levels_of(glyphs)
    shown = samples[-wanted:] if wanted else ()
    span = top - low
    levels = [0] * (wanted - len(shown))
    for value in shown:
        if value is None or math.isnan(value):
            levels.append(0)
            continue
        share = max(0.0, min(1.0, (value - low) / span)) if span > 0 else 0.0
        levels.append(max(1, math.ceil(share * full - 1e-9)))
    return levels


def _row_of(levels: Sequence[int], row: int, glyphs: Glyphs, *, down: bool) -> str:
    """Draw the characters of one row, counted from the ground."""
    each = _levels_of(glyphs)
    inside = [min(each, max(0, level - row * each)) for level in levels]
    if glyphs == "braille":
        return _braille(inside, down=down)
    if glyphs == "block":
        ramp = _BLOCKS_DOWN if down else _BLOCKS
    else:
        ramp = _ASCII_DOWN if down else _ASCII
    return "".join(ramp[level] for level in inside)


def _braille(inside: Sequence[int], *, down: bool) -> str:
    left = _DOTS_LEFT[::-1] if down else _DOTS_LEFT
    right = _DOTS_RIGHT[::-1] if down else _DOTS_RIGHT
    cells: list[str] = []
    for index in range(0, len(inside), 2):
        dots = sum(left[: inside[index]]) + sum(right[: inside[index + 1]])
        cells.append(chr(_BRAILLE + dots) if dots else " ")
    return "".join(cells)


def _step(level: int, full: int) -> int:
    return min(STEPS - 1, max(0, (level * STEPS - 1) // max(1, full)))
