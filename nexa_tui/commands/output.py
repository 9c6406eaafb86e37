"""How commands speak: tables, JSON, one-line errors; quiet and plain off a terminal."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_NODE = 3
EXIT_NOT_ALLOWED = 4
EXIT_NOT_FOUND = 5

_CODES = {
    "good": "32", "warn": "33", "bad": "31", "dim": "2", "bold": "1", "accent": "36",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a style; the text is foreign until it was cleaned."""

    text: str
    style: str | None = None


@dataclass(slots=True)
class Call:
    """What a command gets: the environment, and where to speak."""

    environ: Mapping[str, str]
    out: TextIO
    err: TextIO
    colour: bool = field(init=False)
    changes: str = field(default="", init=False)
    """The words that would change something; empty if nothing is."""

    def __post_init__(self) -> None:
        """Decide on colour: only on a terminal that has not said no."""
        wanted = not self.environ.get("NO_COLOR") and self.environ.get("TERM") != "dumb"
        self.colour = wanted and self.out.isatty()

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print one line of our own making; foreign parts go through `clean` first."""
        self.out.write(self.paint(text, style) + "\n")

    def note(self, text: str) -> None:
        """Tell the person, not the program that reads our output."""
        self.err.write(clean(text, 500) + "\n")
        self.err.flush()

    def json(self, value: Any) -> None:
        r"""Print one JSON document on one line, harmless on a terminal.

        What a terminal acts on, or nobody sees, is written as `\uXXXX`: the same document.
        """
        import msgspec

        self.out.write(_escaped(msgspec.json.encode(value).decode()) + "\n")
        self.out.flush()

    def table(
        self, titles: Sequence[str], rows: Iterable[Sequence[str | Cell]], *, empty: str
    ) -> None:
        """Print aligned columns; `empty` says what to do when there is no row."""
        cells = [[_cell(value) for value in row] for row in rows]
        if not cells:
            self.note(empty)
            return
        widths = [
            max(len(title), *(len(row[column].text) for row in cells))
            for column, title in enumerate(titles)
        ]
        self.line(_pad([Cell(title) for title in titles], widths, self, style="dim"))
        for row in cells:
            self.line(_pad(row, widths, self))

    def paint(self, text: str, style: str | None) -> str:
        """Colour `text` if colour is wanted."""
        if style is None or not self.colour:
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def standard_call() -> Call:
    """The process's own environment and streams."""
    return Call(environ=os.environ, out=sys.stdout, err=sys.stderr)


def clean(text: str, limit: int = 200) -> str:
    """Make foreign text harmless on a terminal."""
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return text
    from nexa_tui.state.text import clean as clean_text

    return clean_text(text, limit)


def _escaped(document: str) -> str:
    """Escape whatever is not plainly visible; outside of strings JSON has none of it."""
    if document.isascii() and "\x7f" not in document:
        return document
    from nexa_tui.state.text import is_seen

    return "".join(
        character if is_seen(character) else _unicode_escapes(character)
        for character in document
    )


def _unicode_escapes(character: str) -> str:
    units = character.encode("utf-16-be")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{pair.hex()}" for pair in pairs)


def pretty(value: Any) -> str:
    """JSON for a person: indented, every string made harmless."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return "\n".join(clean(line, 10_000) for line in text.split("\n"))


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago, in two units at most: `3m12s`."""
    if moment is None:
        return "-"
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, size, smaller, part in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if seconds >= size:
            return f"{seconds // size}{unit}{seconds % size // part}{smaller}"
    return f"{seconds}s"


def state_style(state: str) -> str | None:
    """The colour of a state's word; the word itself always stands there too."""
    if state in {"running", "healthy", "completed", "idle", "active", "pass", "ready"}:
        return "good"
    if state in {"failed", "dead_lettered", "unhealthy", "error", "fail", "critical"}:
        return "bad"
    if state in {"degraded", "draining", "warn", "warning", "expired", "maintenance"}:
        return "warn"
    return "dim" if state in {"offline", "cancelled", "skipped", "stopped"} else None


def _cell(value: str | Cell) -> Cell:
    if isinstance(value, Cell):
        return Cell(clean(value.text), value.style)
    return Cell(clean(value))


def _pad(
    row: Sequence[Cell], widths: Sequence[int], call: Call, style: str | None = None
) -> str:
    painted = [
        call.paint(cell.text, cell.style or style) + " " * (width - len(cell.text))
        for cell, width in zip(row, widths, strict=True)
    ]
    return "  ".join(painted).rstrip()
