"""What a terminal was sent, as an asciinema recording (version 2)."""

import codecs
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PAUSE_MAX_S = 1.0
"""Nobody wants to watch a cluster wait."""
_SCENE_S = 1.6
"""How long what a scene ends with stays, to be read."""
_ASKED = re.compile(r"\x1b\[\?\d+(?:;\d+)*\$p|\x1b\[c|\x1b\[>[0-9;]*[cqu]|\x1b\[<u")
"""What a program asks its terminal: a player would not answer."""


def cast(
    chunks: Sequence[tuple[float, bytes]],
    scenes: Sequence[tuple[int, str]],
    *,
    columns: int,
    rows: int,
    title: str,
) -> str:
    """The recording, one event a line.

    Args:
        chunks: When what came, by any clock, in seconds.
        scenes: Before which chunk, counted from 0, a scene begins, and its name.
        columns: Of the terminal.
        rows: Of the terminal.
        title: What is shown.
    """
    header = {
        "version": 2,
        "width": columns,
        "height": rows,
        "idle_time_limit": _SCENE_S,
        "title": title,
        "env": {"TERM": "xterm-256color"},
    }
    lines: list[Any] = [header]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    names = {number: name for number, name in reversed(scenes)}
    at, before = 0.0, chunks[0][0] if chunks else 0.0
    for number, (when, data) in enumerate(chunks):
        passed, before = when - before, when
        if number in names:
            at += _SCENE_S
            lines.append([round(at, 3), "m", names[number]])
        else:
            at += min(passed, _PAUSE_MAX_S)
        text = _ASKED.sub("", decoder.decode(data))
        if text:
            lines.append([round(at, 3), "o", text])
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def read_cast(path: Path) -> tuple[dict[str, Any], list[tuple[float, str, str]]]:
    """A recording's header and events."""
    header, *events = (json.loads(line) for line in path.read_text().splitlines())
    return header, [(float(at), kind, text) for at, kind, text in events]
