"""The examples of docs/protocol.md: read from the page, and played against a node.

    wc-1 → {"id": 1, "method": "inbox.ack", …}      wc-1 sends
    wc-1 ← {"id": 1, "result": {}}                   wc-1 is sent this, sooner or later

A line may go on, indented, on the next. What is awaited need only be part of what comes;
`…` is anything, `<name>` is bound where it comes first and the same from there on.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BLOCK = re.compile(r"^```session\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINE = re.compile(
    r"^([a-z][a-z0-9-]*)\s+([→←]) (\{.*?)(?=^[a-z]|\Z)", re.MULTILINE | re.DOTALL
)
_NAME = re.compile(r"<[a-z]+>")
ANYTHING = "…"


@dataclass(frozen=True)
class Line:
    """One frame, and who sends it or is sent it."""

    peer: str
    sent: bool
    frame: dict[str, Any]


@dataclass(frozen=True)
class Session:
    """One example."""

    title: str
    lines: tuple[Line, ...]


def sessions(page: str) -> Iterator[Session]:
    """Read every example of a page."""
    for block in _BLOCK.finditer(page):
        heading = page[: block.start()].rpartition("\n## ")[2].partition("\n")[0]
        number = page[: block.start()].count("```session") + 1
        lines = tuple(
            Line(peer, arrow == "→", json.loads(text))
            for peer, arrow, text in _LINE.findall(block[1])
        )
        assert lines, f"an example without lines: {block[1]}"
        yield Session(f"{number}-{heading.lower().replace(' ', '-')}", lines)


def bound(value: Any, names: dict[str, Any]) -> Any:
    """Put in what names stand for."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return names[value]
    if isinstance(value, dict):
        return {key: bound(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [bound(each, names) for each in value]
    return value


def matches(wanted: Any, came: Any, names: dict[str, Any]) -> bool:
    """Say whether `wanted` is part of `came`; binds names only if it is."""
    found = dict(names)
    if not _matches(wanted, came, found):
        return False
    names.update(found)
    return True


def _matches(wanted: Any, came: Any, names: dict[str, Any]) -> bool:
    if wanted == ANYTHING:
        return came is not None
    if isinstance(wanted, str) and _NAME.fullmatch(wanted):
        return names.setdefault(wanted, came) == came
    if isinstance(wanted, dict):
        return isinstance(came, dict) and all(
            key in came and _matches(each, came[key], names)
            for key, each in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(came, list)
            and len(wanted) == len(came)
            and all(
                _matches(one, other, names)
                for one, other in zip(wanted, came, strict=True)
            )
        )
    return wanted == came
