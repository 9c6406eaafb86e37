"""What the supervised server said, as far as it concerns us.

Its log is read for causes only: nothing is decided by the absence of a line.
"""

import os
import re
from pathlib import Path

_LINE = re.compile(r"^\[\d+\] \S+ \S+ \[(?P<level>[A-Z]{3})\] (?P<text>.*)$")
_LIMIT = 256 * 1024


class Tail:
    """The lines of a log that came since the last look, rotation included."""

    def __init__(self, path: Path) -> None:
        """Begin with the first line."""
        self._path = path
        self._at = (0, 0)

    def skip(self) -> None:
        """Go on from the end of what is there now."""
        try:
            found = self._path.stat()
        except OSError:
            self._at = (0, 0)
        else:
            self._at = (found.st_ino, found.st_size)

    def lines(self) -> list[str]:
        """Read on; at most the last 256 KiB."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                inode, size = found.st_ino, found.st_size
                known, offset = self._at
                start = offset if inode == known and offset <= size else 0
                file.seek(max(start, size - _LIMIT))
                content = file.read(_LIMIT)
        except OSError:
            return []
        self._at = (inode, size)
        return content.decode("utf-8", "replace").splitlines()


def whole(path: Path) -> list[str]:
    """Read a small file; no lines if it can't be."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def fatal(lines: list[str]) -> str | None:
    """Find why a server ended: its last fatal line, or its last line at all."""
    for line in reversed(lines):
        match = _LINE.match(line)
        if match is not None and match["level"] == "FTL":
            return match["text"]
    told = [line.strip() for line in lines if line.strip()]
    return told[-1] if told else None


def write_error(lines: list[str]) -> str | None:
    """Find a write that failed for good.

    The stream it happened on takes no more until the server is started anew, also when
    there is space again; and a publisher gets no answer at all (seen with 2.15.1).
    """
    for line in reversed(lines):
        if "ritical write error" in line or "no space left on device" in line:
            match = _LINE.match(line)
            return line if match is None else match["text"]
    return None


def warnings(lines: list[str]) -> list[str]:
    """Find what a server reported while it recovered its store."""
    found = [match for line in lines if (match := _LINE.match(line))]
    return [match["text"] for match in found if match["level"] in ("WRN", "ERR")]
