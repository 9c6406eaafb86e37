"""The columns an operator chose, by list, in `console.toml`.

[columns]
agents = ["state", "id", "load"]

Only the line of the list is written; whatever else the file says stays as it is, comments
too. Where that can't be done the file is written anew, and the old one is kept beside it.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from nexa_node.contract.errors import Invalid
from nexa_tui.settings import read_document, replace_file, settings_path

_HEADER = re.compile(r"^[ \t]*\[columns\][ \t]*(?:#.*)?$", re.MULTILINE)
_NEXT = re.compile(r"^[ \t]*\[", re.MULTILINE)


def columns_of(environ: Mapping[str, str], place: str) -> tuple[str, ...]:
    """The columns that were chosen for a list; none if the standard ones are wanted.

    A file that can't be read has none: what is wrong with it was told at the start.
    """
    try:
        _, document = read_document(settings_path(environ))
    except Invalid:
        return ()
    return tuple(_chosen(document).get(place, ()))


def keep_columns(
    environ: Mapping[str, str], place: str, columns: Sequence[str]
) -> Path:
    """Remember the columns of a list; none of them: the standard ones again.

    Returns:
        The file; made if there was none.

    Raises:
        Invalid: It is no TOML, and so left as it is; or it can't be written.
    """
    path = settings_path(environ)
    text, document = read_document(path)
    chosen = {key: list(value) for key, value in _chosen(document).items()}
    chosen.pop(place, None)
    if columns:
        chosen[place] = list(columns)
    wanted: dict[str, object] = {**document, "columns": chosen}
    try:
        replace_file(path, _edited(path, text, place, columns, wanted))
    except OSError as error:
        raise Invalid(
            f"{path} can't be written: {error.strerror}",
            remedy=f"make {path.parent} writable",
        ) from error
    return path


def _chosen(document: Mapping[str, object]) -> dict[str, Sequence[str]]:
    table = document.get("columns")
    if not isinstance(table, dict):
        return {}
    return {
        key: [str(one) for one in cast("list[object]", value)]
        for key, value in cast("dict[str, object]", table).items()
        if isinstance(value, list)
    }


def _edited(
    path: Path,
    text: str,
    place: str,
    columns: Sequence[str],
    wanted: Mapping[str, object],
) -> str:
    import tomli_w

    named = ", ".join(f'"{one}"' for one in columns)
    line = f"{place} = [{named}]\n" if columns else ""
    edited = _with_line(text, place, line)
    try:
        told = tomllib.loads(edited)
    except tomllib.TOMLDecodeError:
        told = None
    if told is not None and {**told, "columns": told.get("columns", {})} == wanted:
        return edited
    if text:
        replace_file(path.with_suffix(".toml.before"), text)
    return tomli_w.dumps(wanted)


def _with_line(text: str, place: str, line: str) -> str:
    """The text with that one line in `[columns]`, in the place of its like."""
    header = _HEADER.search(text)
    if header is None:
        if not line:
            return text
        gap = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{gap}{chr(10) if text else ''}[columns]\n{line}"
    begin = min(header.end() + 1, len(text))
    after = _NEXT.search(text, begin)
    end = after.start() if after else len(text)
    table = text[begin:end]
    own = re.compile(rf"^[ \t]*{re.escape(place)}[ \t]*=.*(?:\n|\Z)", re.MULTILINE)
    table, found = own.subn(lambda _: line, table, count=1)
    if not found:
        table = line + table
    gap = "" if text[:begin].endswith("\n") else "\n"
    return text[:begin] + gap + table + text[end:]
