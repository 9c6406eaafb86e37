"""What nodes log: structured lines, as GET /v1/logs tells them."""

from datetime import datetime
from typing import Any, Literal

import msgspec

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error", "critical")
"""From the least to the worst."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a node's log."""

    seq: int
    """Grows from line to line of a node, also from one of its runs to the next:
    microseconds since 1970, or one more than the line before."""
    time: datetime
    level: LogLevel
    node: str
    """The name of the node that logged it."""
    component: str = ""
    """The logger: a part of nexa, or of a library."""
    event: str
    """What happened, in a few words."""
    fields: dict[str, Any] = {}
    """What else was said: anything JSON can hold."""


def worse_or_equal(level: LogLevel, least: LogLevel | None) -> bool:
    """Say whether a line of `level` is wanted where `least` is the least that is."""
    return least is None or LEVELS.index(level) >= LEVELS.index(least)
