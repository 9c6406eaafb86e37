"""The first and the last line of every screen: where am I, and what can I do.

The top bar always says which cluster and node, as whom, whether only to look, how old
the data is, and what is firing. Where room is short, what matters least goes first; how
old the data is never goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from textual import events
from textual.message import Message

from nexa_tui.state.formats import AGE_WIDTH, age, rate
from nexa_tui.state.severity import mark
from nexa_tui.state.text import clean
from nexa_tui.widgets.drawn import Drawn, Pieces, length
from nexa_tui.widgets.lines import Piece

Feed = Literal[
    "live", "paused", "stale", "connecting", "reconnecting", "lost", "refused"
]
_NAME_MAX = 24
_LOUD = frozenset(("stale", "lost", "refused"))
_NOTICES = {"degraded": "warn", "unhealthy": "crit", "unknown": "unknown"}
"""Styles of the words that are verdicts; other modes are nothing bad."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the top bar says. Names may be foreign: they are cleaned here."""

    cluster: str | None = None
    node: str | None = None
    identity: str | None = None
    role: str | None = None
    read_only: bool = False
    production: bool = False
    """Marked so that nobody takes it for another: never left out."""
    feed: Feed = "connecting"
    age_s: float | None = None
    """Since the data was last known to be true."""
    alerts: tuple[tuple[str, int], ...] = ()
    """What is firing: severity and how many, the worst first."""
    link: float | None = None
    """Bytes a second to this terminal; None while nobody wants to see it."""
    notice: str = ""
    """A word on the mode: `demo`, `replay 14:03`, `degraded`."""


class TopBar(Drawn):
    """One line at the top."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  as Textual calls it
        """Start with nothing known."""
        super().__init__(id=id)
        self._standing = Standing()

    def show(self, standing: Standing) -> None:
        """Say how things stand now."""
        if standing != self._standing:
            self._standing = standing
            self.redraw()

    def drawing(self, width: int, height: int) -> list[Pieces]:
        """The left and the right half, without what does not fit."""
        left, right = self._left(), self._right()
        while length(_flat(left)) + length(_flat(right)) + 2 > width:
            droppable = [part for part in (*left, *right) if part.rank]
            if not droppable:
                break
            worst = max(droppable, key=lambda part: part.rank)
            left = [part for part in left if part is not worst]
            right = [part for part in right if part is not worst]
        start, end = [(" ", "text"), *_flat(left)], [*_flat(right), (" ", "text")]
        gap = max(1, width - length(start) - length(end))
        return [[*start, (" " * gap, "text"), *end]]

    def _left(self) -> list["_Part"]:
        now = self._standing
        parts = [_Part(((" nexa ", "brand"),), rank=6)]
        where = [(clean(now.cluster or "no cluster", _NAME_MAX), "strong")]
        if now.node:
            arrow = ">" if self.ascii_only else "›"
            where += [(f" {arrow} ", "muted"), (clean(now.node, _NAME_MAX), "text")]
        parts.append(_Part((("  ", "text"), *where)))
        if now.production:
            parts.append(_Part((("  PRODUCTION", "crit"),)))
        if now.identity:
            who = clean(now.identity, _NAME_MAX)
            parts.append(_Part(((f"  {who}", "muted"),), rank=5))
        if now.role:
            parts.append(_Part(((f"  {clean(now.role, 12)}", "muted"),), rank=4))
        if now.read_only:
            parts.append(_Part((("  read-only", "self"),), rank=1))
        if now.notice:
            told = clean(now.notice, 30)
            style = _NOTICES.get(now.notice.rpartition(" ")[2], "self")
            parts.append(_Part(((f"  {told}", style),), rank=3))
        return parts

    def _right(self) -> list["_Part"]:
        now = self._standing
        parts: list[_Part] = []
        for severity, count in now.alerts:
            shown = mark("alert", severity, ascii_only=self.ascii_only)
            figure = (f"{shown.glyph} {count}", shown.style)
            parts.append(_Part((figure,)))
            parts.append(_Part(((f" {clean(shown.word, 12)}", shown.style),), rank=2))
            parts.append(_Part((("  ", "text"),)))
        if now.link is not None:
            parts.append(_Part(((f"tty {rate(now.link)}  ", "muted"),), rank=1))
        feed = mark("feed", now.feed, ascii_only=self.ascii_only)
        word = feed.word.upper() if now.feed in _LOUD else feed.word
        how_old = "" if now.age_s is None else f" {age(now.age_s).strip()}"
        told = (f"{feed.glyph} {word}", feed.style)
        # As wide as can be, so that nothing beside it moves when a figure is added.
        blank = " " * max(0, AGE_WIDTH + 1 - len(how_old))
        quiet = "muted" if now.feed == "live" else feed.style
        parts.append(_Part(((blank, "text"), told, (how_old, quiet))))
        return parts


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    pieces: tuple[Piece, ...]
    rank: int = 0
    """The highest goes first; 0 stays."""


@dataclass(frozen=True, slots=True)
class KeyHint:
    """One key of the key bar."""

    key: str
    """As a person reads it: `enter`, `/`, `^p`."""
    label: str
    """One or two words."""
    action: str = ""
    """What a click on it asks for."""


class KeyBar(Drawn):
    """One line at the bottom: the keys that matter here, the last one at the right."""

    class Pressed(Message):
        """A hint was clicked."""

        def __init__(self, hint: KeyHint) -> None:
            """Say which."""
            super().__init__()
            self.hint = hint

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  as Textual calls it
        """Start without keys."""
        super().__init__(id=id)
        self._hints: tuple[KeyHint, ...] = ()
        self._spans: list[tuple[int, int, KeyHint]] = []

    def show(self, hints: Sequence[KeyHint]) -> None:
        """Show hints, the most useful first; the last one always stays."""
        if tuple(hints) != self._hints:
            self._hints = tuple(hints)
            self.redraw()

    def drawing(self, width: int, height: int) -> list[Pieces]:
        """As many hints as fit, then the last one at the right edge."""
        self._spans = []
        if not self._hints:
            return [[]]
        *others, last = self._hints
        room = width - length(_hint(last)) - 1
        pieces: list[Piece] = []
        x = 0
        for hint in others:
            made = _hint(hint)
            wide = length(made)
            if x + wide > room:
                break
            self._spans.append((x, x + wide, hint))
            pieces.extend(made)
            x += wide
        gap = max(0, width - x - length(_hint(last)) - 1)
        self._spans.append((x + gap, width, last))
        return [[*pieces, (" " * gap, "muted"), *_hint(last)]]

    def on_click(self, event: events.Click) -> None:
        """A click on a hint is its key."""
        for start, end, hint in self._spans:
            if start <= event.x < end:
                self.post_message(self.Pressed(hint))


def _hint(hint: KeyHint) -> list[Piece]:
    return [(f" {hint.key}", "key"), (f" {hint.label} ", "muted")]


def _flat(parts: Sequence[_Part]) -> list[Piece]:
    return [piece for part in parts for piece in part.pieces]
