"""What a terminal was sent, as an asciinema recording (version 2)."""

import codecs
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

_PAUSE_MAX_S = 1.0
_WAIT_S = 5.0
"""Nobody wants to watch a cluster wait: no scene takes longer."""
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
    begins = [0, *(number for number, _ in scenes), len(chunks)]
    names = ["", *(name for _, name in scenes)]
    at = 0.0
    for name, (first, last) in zip(names, pairwise(begins), strict=True):
        if name:
            at += _SCENE_S if at else 0.0
            lines.append([round(at, 3), "m", name])
        part = chunks[first:last]
        pauses = [
            min(when - before, _PAUSE_MAX_S)
            for (before, _), (when, _) in pairwise(part)
        ]
        faster = min(1.0, _WAIT_S / (sum(pauses) or 1.0))
        for pause, (_, data) in zip([0.0, *pauses], part, strict=False):
            at += pause * faster
            text = _ASKED.sub("", decoder.decode(data))
            if text:
                lines.append([round(at, 3), "o", text])
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def read_cast(path: Path) -> tuple[dict[str, Any], list[tuple[float, str, str]]]:
    """A recording's header and events."""
    header, *events = (json.loads(line) for line in path.read_text().splitlines())
    return header, [(float(at), kind, text) for at, kind, text in events]
