"""The second wall: whatever reaches the screen, no line of it holds what a terminal obeys.

The first wall is `untrusted`. This one stands behind every widget, Textual's own too, and
does not trust the first: it looks at the finished line, keeps its width, and drops links.
"""

import re

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

from nexa_tui.state.text import REPLACEMENT

_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


class Wall(LineFilter):
    """Takes control, bidi, unseen characters and links out of finished lines."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Answer the same line without anything a terminal acts on.

        Characters without a width vanish, others become `�` so that nothing moves.
        """
        return [_safe(segment) for segment in segments]


def _safe(segment: Segment) -> Segment:
    text, style, control = segment
    if control is not None:
        return segment
    harmless = text.isascii() and text.isprintable()
    if not harmless and _HOSTILE.search(text):
        text = set_cell_size(_HOSTILE.sub(_replacement, text), cell_len(text))
    elif style is None or style.link is None:
        return segment
    return Segment(text, _unlinked(style), None)


def _replacement(match: re.Match[str]) -> str:
    return REPLACEMENT * cell_len(match[0])


def _unlinked(style: Style | None) -> Style | None:
    if style is None or style.link is None:
        return style
    return style.update_link(None)
