"""Reading one theme file, strictly: whatever is wrong is told with file and line."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, cast

from nexa_tui.state.text import clean
from nexa_tui.theming.look import (
    CHARTS,
    COLOURS,
    DEFAULT_THEME,
    PLAIN_STYLES,
    STATES,
    STYLES,
    Look,
)

_HEAD = ("name", "title", "extends", "dark", "ansi")
_SECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"colors": COLOURS, "states": STATES, "charts": CHARTS, "styles": STYLES}
)
_VARIABLE: Mapping[str, str] = {"charts": "chart-", "styles": "style-"}
_TEXT_STYLES = frozenset({"none", "bold", "dim", "italic", "underline", "reverse"})
_HUES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ANSI = frozenset(
    f"ansi_{bright}{hue}" for bright in ("", "bright_") for hue in _HUES
) | {"ansi_default"}
_HEX = re.compile(r"#[0-9a-fA-F]{6}\Z")
_SIZE_MAX = 64 * 1024
_EXTENDS_MAX = 4
_TOML_LINE = re.compile(r"at line (\d+)")

TomlTable = Mapping[str, object]


class ThemeProblem(Exception):
    """A theme that cannot be worn: which file, which line, why, and what mends it."""

    def __init__(self, path: Path | str, line: int, what: str) -> None:
        """Say it in one line that is safe to show."""
        self.path = str(path)
        self.line = line
        self.what = clean(what, 300)
        place = f"{clean(self.path, 300)}:{line}" if line else clean(self.path, 300)
        super().__init__(f"{place}: {self.what}")


class Shelf(Protocol):
    """Where the files are that a theme may extend."""

    def names(self) -> tuple[str, ...]:
        """Every theme there is."""
        ...

    def find(self, name: str) -> Path | None:
        """The file of a theme, or None."""
        ...


def read_look(path: Path, shelf: Shelf) -> Look:
    """Read a theme and those it extends.

    Raises:
        ThemeProblem: If a file is not right.
    """
    values, head = _read(path, shelf, depth=0)
    for style in PLAIN_STYLES:
        values.setdefault(_variable("styles", style), "none")
    for section, keys in _SECTIONS.items():
        for key in keys:
            if _variable(section, key) not in values:
                raise ThemeProblem(path, 0, _lacks(section, key))
    return Look(
        name=path.stem,
        title=clean(str(head.get("title", path.stem)), 40),
        dark=bool(head.get("dark", True)),
        ansi=bool(head.get("ansi", False)),
        values=MappingProxyType(values),
    )


def _read(
    path: Path, shelf: Shelf, *, depth: int
) -> tuple[dict[str, str], dict[str, object]]:
    text = _text(path)
    table = _parsed(path, text)
    head = _head(path, text, table)
    values: dict[str, str] = {}
    if "extends" in head:
        parent = shelf.find(str(head["extends"]))
        if parent is None or parent == path or depth >= _EXTENDS_MAX:
            others = ", ".join(name for name in shelf.names() if name != path.stem)
            what = f'cannot extend "{head["extends"]}"; there are {others}'
            raise ThemeProblem(path, _line(text, "", "extends"), what)
        values, inherited = _read(parent, shelf, depth=depth + 1)
        head = {**inherited, **head}
    for section in _SECTIONS:
        values |= _section(path, text, table, section, ansi=bool(head.get("ansi")))
    return values, head


def _lacks(section: str, key: str) -> str:
    return (
        f'[{section}] lacks "{key}"; name it, or say extends = "{DEFAULT_THEME}"'
        " to take the rest from there"
    )


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _SIZE_MAX:
            raise ThemeProblem(path, 0, f"more than {_SIZE_MAX} bytes is no theme")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ThemeProblem(path, 0, "not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise ThemeProblem(path, 0, f"cannot be read: {error.strerror}") from None


def _parsed(path: Path, text: str) -> TomlTable:
    import tomllib  # 3 ms, and not needed by commands that only ask for the terminal

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_LINE.search(str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        raise ThemeProblem(path, line, f"not TOML: {error}") from None


def _head(path: Path, text: str, table: TomlTable) -> dict[str, object]:
    known = (*_HEAD, *_SECTIONS)
    for key in table:
        if key not in known:
            raise ThemeProblem(path, _line(text, "", key), _unknown(key, known))
    head = {key: table[key] for key in _HEAD if key in table}
    for key, value in head.items():
        wanted = bool if key in {"dark", "ansi"} else str
        if not isinstance(value, wanted):
            told = "true or false" if wanted is bool else "a text in quotes"
            raise ThemeProblem(path, _line(text, "", key), f'"{key}" must be {told}')
    if head.get("name") != path.stem:
        raise ThemeProblem(
            path, _line(text, "", "name"), f'name must be "{path.stem}", as the file is'
        )
    return head


def _section(
    path: Path, text: str, table: TomlTable, section: str, *, ansi: bool
) -> dict[str, str]:
    given = table.get(section, {})
    if not isinstance(given, dict):
        raise ThemeProblem(path, _line(text, "", section), f"[{section}] is a table")
    keys = _SECTIONS[section]
    values: dict[str, str] = {}
    for key, value in cast("dict[str, object]", given).items():
        line = _line(text, section, key)
        if key not in keys:
            raise ThemeProblem(path, line, _unknown(key, keys))
        if not isinstance(value, str):
            raise ThemeProblem(path, line, f'"{key}" must be a text in quotes')
        wrong = _bad_style(value) if section == "styles" else _bad_colour(value, ansi)
        if wrong:
            raise ThemeProblem(path, line, f'"{key}" is "{value}": {wrong}')
        values[_variable(section, key)] = value
    return values


def _bad_style(value: str) -> str | None:
    words = value.split()
    if words and set(words) <= _TEXT_STYLES:
        return None
    return f"write one or more of {', '.join(sorted(_TEXT_STYLES))}"


def _bad_colour(value: str, ansi: bool) -> str | None:
    if ansi:
        return None if value in _ANSI else "with ansi = true, write ansi_green or so"
    return None if _HEX.match(value) else 'write six hex figures, as in "#5ccfd6"'


def _unknown(key: str, known: tuple[str, ...]) -> str:
    import difflib

    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    mend = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
    return f'unknown key "{key}"; {mend}'


def _variable(section: str, key: str) -> str:
    return _VARIABLE.get(section, "") + key


def _line(text: str, section: str, key: str) -> int:
    """The line where a key is set, 1 at least; TOML's reader does not tell."""
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if bare.startswith("["):
            inside = bare.strip("[] ").strip("\"'")
            if not section and inside == key:
                return number
        elif inside == section and bare.split("=")[0].strip().strip("\"'") == key:
            return number
    return 1
