"""Texts from outside, made safe to stand in somebody's message."""

import re
import unicodedata
from datetime import UTC, datetime

from nexa_node.core.alerting.notifying.notices import Notice, Notification

_DIRECTION = frozenset(
    "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Marks that turn the direction of text around: one could make a name read as another."""
_BREAKS = re.compile(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_NANOS = re.compile(r"\.?0+$")


def line(text: str, limit: int) -> str:
    """One line, without anything that a terminal or a protocol would obey."""
    return cut(" ".join(lines(_BREAKS.sub(" ", text), limit * 4).split()), limit)


def lines(text: str, limit: int) -> str:
    """Several lines, without control characters."""
    kept = "".join(
        char if char in "\n\t" or not _is_control(char) else "\ufffd"
        for char in text[: limit * 2].replace("\r\n", "\n")
        if char not in _DIRECTION
    )
    return cut(kept, limit)


def cut(text: str, limit: int) -> str:
    """The first `limit` characters, an ellipsis at the end of what was longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def stamp(moment: datetime | None) -> str:
    """Write a moment as Go does: RFC 3339, no trailing zeros; its zero time for None."""
    if moment is None:
        return "0001-01-01T00:00:00Z"
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return _NANOS.sub("", text) + "Z" if moment.microsecond else f"{text[:19]}Z"


def headline(notification: Notification, limit: int) -> str:
    """Say the whole in one line: `[FIRING:2] NexaNodeDown (critical) job=nexa`."""
    count = len(notification.firing) + (
        notification.truncated if notification.firing else 0
    )
    status = {
        "acknowledged": "ACKNOWLEDGED",
        "flapping": "FLAPPING",
        "escalated": f"ESCALATED:{count}",
        "test": "TEST",
    }.get(
        notification.reason,
        f"FIRING:{count}" if notification.status == "firing" else "RESOLVED",
    )
    names = list(dict.fromkeys(one.name for one in notification.notices))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
    others = " ".join(
        f"{name}={text}"
        for name, text in sorted(notification.labels.items())
        if name not in ("alertname", "severity")
    )
    return line(f"[{status}] {shown} ({notification.severity}) {others}", limit)


def described(notice: Notice) -> str:
    """What its rule says of it: the summary, or the description, or its name."""
    annotations = notice.annotations
    return (
        annotations.get("summary")
        or annotations.get("description")
        or annotations.get("message")
        or notice.name
    )


def details(notice: Notice) -> list[tuple[str, str]]:
    """What else is worth reading: pairs of a name and a text."""
    found: list[tuple[str, str]] = []
    for name in ("description", "runbook_url", "dashboard_url"):
        text = notice.annotations.get(name, "")
        if text and text != described(notice):
            found.append((name, text))
    labels = sorted(
        (name, text) for name, text in notice.labels.items() if name != "alertname"
    )
    found.append(("labels", " ".join(f"{name}={text}" for name, text in labels)))
    found.append(("since", stamp(notice.starts)))
    if notice.ends is not None:
        found.append(("until", stamp(notice.ends)))
    if notice.acked:
        found.append(("acknowledged by", notice.acked))
    if notice.flapping:
        found.append(("flapping", "it goes on and off; told again when that is over"))
    return found


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") or char in (
        "\u2028",
        "\u2029",
    )
