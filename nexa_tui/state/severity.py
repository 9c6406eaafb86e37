"""What a state looks like: glyph, word and style key, and what comes first.

Never colour alone: every mark has a word, and glyphs of different urgency differ in
shape. The glyphs have one cell and are neutral where East Asian terminals widen
characters; the ASCII set needs nothing but ASCII.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Kind = Literal[
    "health", "node", "agent", "task", "check", "event", "alert", "condition", "feed"
]  # fmt: skip
"""Whose state it is: the same word may weigh differently."""

StyleKey: TypeAlias = str
"""A name of the theme; `STYLE_KEYS` is the closed list."""

STYLE_KEYS: tuple[StyleKey, ...] = (
    "text", "muted", "strong", "accent", "border", "track",
    "ok", "warn", "crit", "unknown", "stale", "self",
)  # fmt: skip

Urgency = Literal["crit", "warn", "unknown", "busy", "ok", "quiet"]
_ORDER: Mapping[Urgency, int] = {
    "crit": 0, "warn": 1, "unknown": 2, "busy": 3, "ok": 4, "quiet": 5,
}  # fmt: skip
_STYLES: Mapping[Urgency, StyleKey] = {
    "crit": "crit", "warn": "warn", "unknown": "unknown", "busy": "accent",
    "ok": "ok", "quiet": "muted",
}  # fmt: skip
_UNICODE: Mapping[Urgency, str] = {
    "crit": "✗", "warn": "!", "unknown": "?", "busy": "▸", "ok": "✓", "quiet": "∙",
}  # fmt: skip
_ASCII: Mapping[Urgency, str] = {
    "crit": "x", "warn": "!", "unknown": "?", "busy": "*", "ok": "+", "quiet": "-",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """How one state is shown."""

    glyph: str
    """One cell."""
    word: str
    style: StyleKey
    order: int
    """The most urgent has the lowest."""

    @property
    def text(self) -> str:
        """Glyph and word, the way they always appear together."""
        return f"{self.glyph} {self.word}"


_STATES: Mapping[Kind, Mapping[str, Urgency]] = {
    "health": {
        "unhealthy": "crit", "degraded": "warn", "unknown": "unknown", "healthy": "ok",
    },
    "node": {
        "error": "crit", "stopping": "warn", "maintenance": "warn",
        "starting": "busy", "running": "ok", "stopped": "quiet",
    },
    "agent": {
        "error": "crit", "draining": "warn", "maintenance": "warn", "busy": "busy",
        "active": "ok", "idle": "ok", "offline": "quiet",
    },
    "task": {
        "dead_lettered": "crit", "failed": "crit", "expired": "warn",
        "running": "busy", "assigned": "busy", "completed": "ok",
        "pending": "quiet", "cancelled": "quiet",
    },
    "check": {
        "fail": "crit", "warn": "warn", "running": "busy", "pass": "ok",
        "pending": "quiet", "skipped": "quiet",
    },
    "event": {
        "critical": "crit", "warning": "warn", "info": "ok", "debug": "quiet",
    },
    "alert": {
        "critical": "crit", "error": "crit", "warning": "warn", "unknown": "unknown",
        "info": "busy", "ok": "ok", "none": "quiet", "silenced": "quiet",
    },
    "condition": {
        "firing": "crit", "pending": "warn", "recovering": "busy", "resolved": "ok",
    },
    "feed": {
        "lost": "crit", "refused": "crit", "stale": "warn", "reconnecting": "warn", "paused": "warn",
        "connecting": "busy", "live": "ok",
    },
}  # fmt: skip
_WORDS: Mapping[str, str] = {"dead_lettered": "dead letter"}
_GLYPHS: Mapping[tuple[Kind, str], tuple[str, str]] = {
    # Where the shape of the urgency alone would say the wrong thing.
    ("event", "info"): ("∙", "-"),
    ("agent", "idle"): ("◦", "o"),
    ("agent", "offline"): ("◌", "."),
    ("task", "pending"): ("◌", "."),
    ("check", "pending"): ("◌", "."),
}
_STYLED: Mapping[tuple[Kind, str], StyleKey] = {
    ("event", "info"): "text",
    ("agent", "offline"): "stale",
}


def _mark(kind: Kind, state: str, urgency: Urgency, *, ascii_only: bool) -> Mark:
    glyphs = _ASCII if ascii_only else _UNICODE
    own = _GLYPHS.get((kind, state))
    return Mark(
        glyph=own[ascii_only] if own else glyphs[urgency],
        word=_WORDS.get(state, state),
        style=_STYLED.get((kind, state), _STYLES[urgency]),
        order=_ORDER[urgency],
    )


_MARKS: Mapping[tuple[Kind, str, bool], Mark] = MappingProxyType(
    {
        (kind, state, ascii_only): _mark(kind, state, urgency, ascii_only=ascii_only)
        for kind, states in _STATES.items()
        for state, urgency in states.items()
        for ascii_only in (False, True)
    }
)


def mark(kind: Kind, state: str, *, ascii_only: bool = False) -> Mark:
    """Say how a state is shown.

    A word that this console does not know (a newer node said it) is shown as it is,
    marked unknown; it comes from outside, so clean it first.
    """
    known = _MARKS.get((kind, state, ascii_only))
    if known is not None:
        return known
    glyphs = _ASCII if ascii_only else _UNICODE
    return Mark(glyphs["unknown"], state, "unknown", _ORDER["unknown"])


def states(kind: Kind) -> tuple[str, ...]:
    """The known words of a kind, the most urgent first."""
    return tuple(_STATES[kind])
