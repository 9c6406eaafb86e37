"""Themes: read, judged and handed to Textual; and what the terminal can show.

A theme is a file of data: a closed list of keys, one colour or text style each. A file
that is not right is a `ThemeProblem` with file, line and what would mend it, never a
crash; the caller keeps the theme it has. Only the file that is asked for is read, and
those it extends.

What a colour means is fixed here for all themes: see `COLOURS`, `STATES`, `CHARTS`.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

from textual.theme import Theme

from nexa_tui.state.charts import Glyphs
from nexa_tui.state.text import clean

DEFAULT_THEME = "nexa-dark"
NO_COLOUR_THEME = "ansi-16"
"""Worn under NO_COLOR and where there are 16 colours or fewer."""

COLOURS = (
    "background", "surface", "panel",  # three planes, the farthest first
    "cursor",  # the plane of the row in focus
    "text", "muted",
    "accent",  # focus, and nothing else
    "border", "track",  # lines, and the empty part of a gauge
)  # fmt: skip
STATES = ("ok", "warn", "crit", "unknown", "stale", "self")
CHARTS = ("low", "mid", "high", "flow_low", "flow_high", "second")
"""`low` to `high` for what has a limit; `flow_…` for what has none; `second` series."""
STYLES = (
    "cursor", "cursor_blurred", "heading", "title_focused", "key", "strong", "muted",
    *STATES,
)  # fmt: skip
_PLAIN_STYLES = ("muted", *STATES)
"""Styles that a theme need not name: plain unless it does."""

_HEAD = ("name", "title", "extends", "dark", "ansi")
_SECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"colors": COLOURS, "states": STATES, "charts": CHARTS, "styles": STYLES}
)
_VARIABLE: Mapping[str, str] = {"charts": "chart-", "styles": "style-"}
_TEXT_STYLES = frozenset({"none", "bold", "dim", "italic", "underline", "reverse"})
_ANSI = frozenset(
    f"ansi_{bright}{hue}"
    for bright in ("", "bright_")
    for hue in "black red green yellow blue magenta cyan white".split()
) | {"ansi_default"}
_HEX = re.compile(r"#[0-9a-fA-F]{6}\Z")
_NAME = re.compile(r"[a-z0-9-]{1,32}\Z")
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


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the terminal can show, and what the operator wants of it."""

    colours: Literal["none", "16", "256", "true"] = "true"
    ascii_only: bool = False

    @property
    def charts(self) -> Glyphs:
        """What charts are drawn with."""
        return "ascii" if self.ascii_only else "braille"

    @property
    def no_colour(self) -> bool:
        """Whether no colour at all may be written."""
        return self.colours == "none"

    def wears(self, wanted: str) -> str:
        """The theme to wear when `wanted` was asked for."""
        return NO_COLOUR_THEME if self.colours in {"none", "16"} else wanted


def terminal(environ: Mapping[str, str], *, ascii_only: bool = False) -> Terminal:
    """Judge the terminal by its environment.

    Args:
        environ: TERM, COLORTERM, NO_COLOR, TEXTUAL_COLOR_SYSTEM and the locale count.
        ascii_only: Asked for by the operator, whatever the locale says.
    """
    return Terminal(
        colours=_colours(environ),
        ascii_only=ascii_only
        or environ.get("TERM") == "linux"  # its font has neither marks nor braille
        or not _speaks_unicode(environ),
    )


def tidy_environment(environ: MutableMapping[str, str]) -> None:
    """Forget an empty NO_COLOR, which by its standard is not set, before Textual looks."""
    if environ.get("NO_COLOR") == "":
        del environ["NO_COLOR"]


def _colours(environ: Mapping[str, str]) -> Literal["none", "16", "256", "true"]:
    if environ.get("NO_COLOR"):
        return "none"
    forced = environ.get("TEXTUAL_COLOR_SYSTEM", "auto")
    if forced in {"standard", "256", "truecolor"}:
        return cast(
            Literal["16", "256", "true"],
            {"standard": "16", "truecolor": "true"}.get(forced, forced),
        )
    if environ.get("COLORTERM", "").strip().lower() in {"truecolor", "24bit"}:
        return "true"
    term = environ.get("TERM", "")
    if term.endswith(("-256color", "-direct")) or term in {"xterm-kitty", "alacritty"}:
        return "256"
    return "16"


def _speaks_unicode(environ: Mapping[str, str]) -> bool:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if environ.get(name):
            return "utf" in environ[name].lower()
    return True  # an ssh that passes no locale on: the terminal is a modern one


@dataclass(frozen=True, slots=True)
class Look:
    """One theme, judged: every key has a value that means something."""

    name: str
    title: str
    dark: bool
    ansi: bool
    values: Mapping[str, str]
    """By variable: `ok`, `chart-low`, `style-cursor` …"""

    def variables(self) -> dict[str, str]:
        """The variables that style sheets may use: `$nexa-ok` …"""
        return {f"nexa-{key}": value for key, value in self.values.items()}

    def theme(self) -> Theme:
        """What Textual needs to wear it; its own widgets are dressed to match."""
        of = self.values
        return Theme(
            name=self.name,
            primary=of["accent"],
            secondary=of["self"],
            accent=of["accent"],
            warning=of["warn"],
            error=of["crit"],
            success=of["ok"],
            foreground=of["text"],
            background=of["background"],
            surface=of["surface"],
            panel=of["panel"],
            dark=self.dark,
            ansi=self.ansi,
            variables={**_borrowed(of), **self.variables()},
        )


def _borrowed(of: Mapping[str, str]) -> dict[str, str]:
    """Variables of Textual's own widgets (inputs, lists, the palette)."""
    return {
        "text": of["text"],
        "text-muted": of["muted"],
        "border": of["accent"],
        "border-blurred": of["border"],
        "block-cursor-background": of["cursor"],
        "block-cursor-foreground": of["text"],
        "block-cursor-text-style": of["style-cursor"],
        "block-cursor-blurred-background": of["cursor"],
        "block-cursor-blurred-foreground": of["text"],
        "block-hover-background": of["cursor"],
        "input-cursor-background": of["text"],
        "input-cursor-foreground": of["background"],
        "input-selection-background": of["cursor"],
        "scrollbar": of["border"],
        "scrollbar-hover": of["muted"],
        "scrollbar-active": of["accent"],
        "scrollbar-background": of["surface"],
        "scrollbar-background-hover": of["surface"],
        "scrollbar-background-active": of["surface"],
        "scrollbar-corner-color": of["surface"],
    }


def variable_defaults() -> dict[str, str]:
    """A value for every variable of ours, for themes that are not ours.

    For `App.get_theme_variable_defaults`: without them, switching to any theme of
    Textual's own would be an unresolved variable and the end of the application.
    """
    return {
        "nexa-background": "#0b0f14", "nexa-surface": "#10161e",
        "nexa-panel": "#18212c", "nexa-cursor": "#1c2f3c", "nexa-text": "#d3dce6",
        "nexa-muted": "#8496a9", "nexa-accent": "#5ccfd6", "nexa-border": "#2b3a49",
        "nexa-track": "#26323f", "nexa-ok": "#7fcf8e", "nexa-warn": "#e8b95c",
        "nexa-crit": "#ff8080", "nexa-unknown": "#b7a1f0", "nexa-stale": "#93a0ad",
        "nexa-self": "#82b4ff", "nexa-chart-low": "#3f8f9c",
        "nexa-chart-mid": "#e0b25a", "nexa-chart-high": "#ff7474",
        "nexa-chart-flow_low": "#37698c", "nexa-chart-flow_high": "#7fd4e8",
        "nexa-chart-second": "#b39bea",
        **{f"nexa-style-{key}": "none" for key in STYLES},
    }  # fmt: skip


class Themes:
    """The themes there are: our own, and those in the operator's folder.

    A file in the operator's folder goes before one of ours with the same name.
    """

    def __init__(self, *folders: Path) -> None:
        """Look in `folders`, the first match wins; a missing folder holds nothing."""
        self._folders = (*folders, packaged_folder())

    def names(self) -> tuple[str, ...]:
        """Every theme there is, by file name; nothing is read yet."""
        found = {path.stem for path in self._files()}
        return tuple(sorted(found, key=lambda name: (name != DEFAULT_THEME, name)))

    def find(self, name: str) -> Path | None:
        """The file of a theme, or None."""
        if not _NAME.match(name):
            return None
        for folder in self._folders:
            path = folder / f"{name}.toml"
            if path.is_file():
                return path
        return None

    def load(self, name: str) -> Look:
        """Read one theme.

        Raises:
            ThemeProblem: If there is none of that name, or its file is not right.
        """
        path = self.find(name)
        if path is None:
            raise ThemeProblem(
                name, 0, f"no such theme; there are {', '.join(self.names())}"
            )
        return _Reading(self).look(path)

    def problems(self) -> tuple[ThemeProblem, ...]:
        """Read every theme and tell all that is wrong."""
        found: list[ThemeProblem] = []
        for name in self.names():
            try:
                self.load(name)
            except ThemeProblem as problem:
                found.append(problem)
        return tuple(found)

    def stamp(self, name: str) -> int | None:
        """Something that differs once the theme's file was written again."""
        path = self.find(name)
        try:
            return None if path is None else path.stat().st_mtime_ns
        except OSError:
            return None

    def _files(self) -> Iterator[Path]:
        for folder in self._folders:
            if folder.is_dir():
                yield from (p for p in folder.glob("*.toml") if _NAME.match(p.stem))


def packaged_folder() -> Path:
    """Where our own themes are: beside this module, or beside the checkout's package."""
    here = Path(__file__).parent
    inside = here / "themes"
    return inside if inside.is_dir() else here.parent / "themes"


class _Reading:
    """The reading of one file and those it extends; knows where each line is."""

    def __init__(self, themes: Themes) -> None:
        self._themes = themes

    def look(self, path: Path) -> Look:
        values, head = self._read(path, depth=0)
        dark = head.get("dark", True)
        ansi = head.get("ansi", False)
        for style in _PLAIN_STYLES:
            values.setdefault(f"style-{style}", "none")
        for section, keys in _SECTIONS.items():
            for key in keys:
                if _variable(section, key) not in values:
                    raise ThemeProblem(
                        path, 0, f'[{section}] lacks "{key}"; name it, or say extends'
                        f' = "{DEFAULT_THEME}" to take the rest from there',
                    )  # fmt: skip
        return Look(
            name=path.stem,
            title=clean(str(head.get("title", path.stem)), 40),
            dark=bool(dark),
            ansi=bool(ansi),
            values=MappingProxyType(values),
        )

    def _read(
        self, path: Path, *, depth: int
    ) -> tuple[dict[str, str], dict[str, object]]:
        text = _text(path)
        table = _parsed(path, text)
        head = _head(path, text, table)
        values: dict[str, str] = {}
        inherited: dict[str, object] = {}
        if "extends" in head:
            parent = self._themes.find(str(head["extends"]))
            if parent is None or parent == path or depth >= _EXTENDS_MAX:
                raise ThemeProblem(
                    path, _line(text, "", "extends"),
                    f'cannot extend "{head["extends"]}": there are '
                    + ", ".join(n for n in self._themes.names() if n != path.stem),
                )  # fmt: skip
            values, inherited = self._read(parent, depth=depth + 1)
        head = {**inherited, **head}
        ansi = bool(head.get("ansi", False))
        for section in _SECTIONS:
            values |= _section(path, text, table, section, ansi=ansi)
        return values, head


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
