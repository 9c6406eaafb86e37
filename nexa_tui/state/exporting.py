"""A list as a file: CSV as it is shown, JSON as the node told it."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from nexa_tui.state.listing import Listing, Look

R = TypeVar("R")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes what begins so for something to compute."""


def as_csv(listing: Listing[R], records: Iterable[R], look: Look) -> str:
    """The rows with the titles of their columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.title for column in listing.columns])
    for record in records:
        cells = [column.cell(record, look).text for column in listing.columns]
        writer.writerow([harmless(text.strip()) for text in cells])
    return out.getvalue()


def as_json(records: Iterable[Any]) -> str:
    """The records themselves, one list."""
    content = msgspec.json.encode(list(records))
    return msgspec.json.format(content, indent=2).decode() + "\n"


def table_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows that have names for what is in them; the first of each decides the order."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([harmless(name) for name in names])
    for row in rows:
        writer.writerow([harmless(_text(row.get(name, ""))) for name in names])
    return out.getvalue()


def harmless(text: str) -> str:
    """The same text, and nothing a spreadsheet would compute."""
    number = text[:1] in {"-", "+"} and text[1:].replace(".", "", 1).isdigit()
    return f"'{text}" if text.startswith(_FORMULA) and not number else text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
