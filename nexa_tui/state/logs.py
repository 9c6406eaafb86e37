"""A line of a log as it is shown, filtered, read in full and written to a file."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from nexa_node.contract.logs import LEVELS, LogLine
from nexa_tui.state.detail import Field, Heading, Line, Words, moment
from nexa_tui.state.listing import Look
from nexa_tui.state.severity import StyleKey, mark
from nexa_tui.state.spans import seconds_of
from nexa_tui.state.text import clean, clean_lines

KEYS = frozenset(("time", "level", "node", "component", "text"))
"""What a filter may name."""
_TEXT: Mapping[str, StyleKey] = {
    "debug": "muted", "warning": "warn-text", "error": "crit-text",
    "critical": "crit-text",
}  # fmt: skip
_CLOCK = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2}))?$")


def is_problem(line: LogLine) -> bool:
    """Say whether somebody should look at it."""
    return LEVELS.index(line.level) >= LEVELS.index("warning")


def glyph(line: LogLine, *, ascii_only: bool) -> tuple[str, StyleKey]:
    """The sign of its level, and how that looks."""
    urgency = "critical" if line.level == "error" else line.level
    shown = mark("event", urgency, ascii_only=ascii_only)
    return shown.glyph, shown.style


def said(line: LogLine) -> str:
    """What happened, and what else was said, in one clean line."""
    fields = dict(line.fields)
    message = fields.pop("message", "")
    more = " ".join(f"{key}={_short(value)}" for key, value in fields.items())
    parts = (line.event, _short(message) if message else "", more)
    return clean("  ".join(part for part in parts if part).replace("\n", " "), 1000)


def words_of(line: LogLine) -> dict[str, str]:
    """The line as a filter reads it."""
    return {
        "time": f"{line.time:%Y-%m-%d %H:%M:%S}",
        "level": line.level,
        "node": line.node,
        "component": line.component,
        "text": said(line),
    }


def text_style(line: LogLine) -> StyleKey:
    """How what it says is written."""
    return _TEXT.get(line.level, "text")


def line_lines(line: LogLine, look: Look) -> Sequence[Line]:
    """One line in full: each field, and a traceback as it is."""
    told: list[Line] = [
        Field("event", clean(line.event, 1000), "strong"),
        Field("level", line.level, glyph(line, ascii_only=look.ascii_only)[1]),
        Field("time", moment(line.time, look)),
        Field("node", clean(line.node, 60)),
        Field("component", clean(line.component or "-", 100)),
    ]
    long: list[tuple[str, str]] = []
    for key, value in line.fields.items():
        text = value if isinstance(value, str) else _json(value)
        if "\n" in text or len(text) > 200:
            long.append((key, text))
        else:
            told.append(Field(clean(key, 40), clean(text, 500)))
    for key, text in long:
        told.append(Heading(clean(key, 40)))
        told += [Words(one) for one in clean_lines(text, 2000, 400)]
    return told


def moment_of(text: str, now: datetime) -> datetime:
    """Understand a time: `14:03`, `14:03:20`, `5m` ago, or a whole date.

    Args:
        text: As it was typed.
        now: The node's time; a time of day means its latest one.

    Raises:
        ValueError: It is none; the message says what one looks like.
    """
    text = text.strip()
    clock = _CLOCK.match(text)
    try:
        if clock:
            hour, minute, second = (int(part or 0) for part in clock.groups())
            found = now.astimezone(UTC).replace(
                hour=hour, minute=minute, second=second, microsecond=0
            )
            return found if found <= now else found - timedelta(days=1)
        if text[:4].isdigit() and "-" in text:
            told = datetime.fromisoformat(text)
            return told if told.tzinfo else told.replace(tzinfo=UTC)
        return now - timedelta(seconds=seconds_of(text))
    except (ValueError, OverflowError):
        raise ValueError(
            f"no time: {clean(text, 40)}; 14:03, 5m (ago) or 2026-03-01T14:03"
        ) from None


def _short(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
