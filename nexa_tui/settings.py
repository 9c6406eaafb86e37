"""`console.toml`: how the console looks and behaves. Nothing in it is secret.

The console writes one thing to it, the theme that was chosen, and leaves all else in it
as the operator wrote it, comments too.

theme = "nexa-light"      # see: nexa, then t
ascii = false             # draw with ASCII alone
mouse = false             # off over SSH whatever it says
refresh_s = 1.0           # how often live data is repainted
slow_link = true          # every 5 s at most, without a mouse
bell = false              # an alert that is new is said, and does not ring
[keys]
filter = "/"              # action = "key" or "key,key"; names: ? in the console
[columns]
agents = ["state", "id"]  # what a list shows, in order; see: c in the console
"""

import difflib
import os
import re
import tomllib
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from nexa_node.contract import places
from nexa_node.contract.errors import Invalid
from nexa_tui.client.places import base_folders

REFRESH_MIN_S = 0.2
REFRESH_MAX_S = 60.0
SLOW_REFRESH_S = 5.0
_SIZE_MAX = 256 * 1024
_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)
_VALUE = r"^{name}[ \t]*=[ \t]*(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s#\"']+)(?P<rest>[ \t]*(?:#[^\n]*)?)$"
"""A value on one line; what stands behind it is kept."""


class ConsoleSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The file."""

    theme: str | None = None
    """By name; None follows the terminal."""
    ascii: bool | None = None
    """Whether to draw with ASCII alone; None follows the locale."""
    mouse: bool | None = None
    """Whether to take the mouse; None takes it unless it is an SSH session."""
    refresh_s: float = 1.0
    """How often live data is repainted."""
    slow_link: bool = False
    """Whether to repaint every `SLOW_REFRESH_S` at most, and to leave the mouse alone."""
    bell: bool = True
    """Whether an alert that begins to need somebody rings, if it is an error or worse."""
    keys: dict[str, str] = {}
    """Actions' ids to keys, separated by commas."""
    columns: dict[str, list[str]] = {}
    """Lists' names to the columns that are shown, in their order."""


class ConsoleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; it goes before the file."""

    environ: Mapping[str, str]
    context: str | None = None
    """A cluster the operator knows by name."""
    attach: str | None = None
    """A node's URL."""
    start: bool = False
    """Start a node here, unasked, if none is found."""
    read_only: bool = False
    theme: str | None = None
    ascii: bool = False
    no_splash: bool = False
    mouse: bool = True
    first: str = "overview"
    """The view to begin with."""
    record: Path | None = None
    """Where all that is seen is written."""
    replay: Path | None = None
    """A recording to be shown instead of a node."""
    speed: float = 1.0
    """Of a replay."""
    slow_link: bool = False
    """Write as little as can be: see `ConsoleSettings.slow_link`."""
    remembers: bool = True
    """Keep what was seen last, to tell what changed until the next time."""
    announced: deque[str] = msgspec.field(default_factory=deque[str])
    """What somebody beside the console, a demo's crew, wants shown for a moment."""


def settings_path(environ: Mapping[str, str]) -> Path:
    """Where the file is, or would be."""
    config, _ = base_folders(environ)
    return Path(places.console_config(config))


def read_settings(
    environ: Mapping[str, str], *, actions: frozenset[str], refused: frozenset[str]
) -> ConsoleSettings:
    """Read the file; the defaults if there is none.

    Args:
        environ: For `NEXA_HOME`.
        actions: The ids that may be bound.
        refused: Keys that may not be bound.

    Raises:
        Invalid: It isn't what it should be; names file, line and the nearest known key.
    """
    path = settings_path(environ)
    text, document = read_document(path)
    _check_names(path, text, document, actions)
    try:
        settings = msgspec.convert(document, ConsoleSettings)
    except msgspec.ValidationError as error:
        raise _wrong(path, text, _key_in(str(error)), str(error)) from error
    _check_values(path, text, settings, refused)
    return settings


def keep_theme(environ: Mapping[str, str], name: str) -> Path:
    """Write the theme into the file; see `keep_values`."""
    return keep_values(environ, {"theme": name})


def keep_values(environ: Mapping[str, str], values: Mapping[str, object]) -> Path:
    """Write settings into the file, and change nothing else that it says.

    Args:
        environ: For `NEXA_HOME`.
        values: By name; None takes a setting out, so that its default holds.

    Returns:
        The file; made if there was none.

    Raises:
        Invalid: It is no TOML, and so left as it is; or it can't be written.
    """
    path = settings_path(environ)
    text, document = read_document(path)
    for name, value in values.items():
        document = {key: one for key, one in document.items() if key != name}
        if value is not None:
            document[name] = value
        text = _with_value(text, name, value, document)
    try:
        replace_file(path, text)
    except OSError as error:
        raise Invalid(
            f"{path} can't be written: {error.strerror}",
            remedy=f"make {path.parent} writable",
        ) from error
    return path


def read_document(path: Path) -> tuple[str, dict[str, object]]:
    """The file as it is written, and what it says; nothing of both if there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_SIZE_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return "", {}
    except OSError as error:
        raise Invalid(
            f"{path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from error
    try:
        text = data.decode()
        return text, tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"{path}: {error}", remedy=f"correct {path}") from error


def _with_value(
    text: str, name: str, value: object, wanted: Mapping[str, object]
) -> str:
    """The same text with another value; written anew only if that can't be done."""
    import tomli_w

    line = "" if value is None else tomli_w.dumps({name: value})
    table = _TABLE.search(text)
    at = table.start() if table else len(text)
    pattern = re.compile(_VALUE.format(name=re.escape(name)), re.MULTILINE)
    kept = line.rstrip()
    head, found = pattern.subn(
        lambda old: kept + (old["rest"] if kept else ""), text[:at], count=1
    )
    edited = (head if found or not line else line + head) + text[at:]
    try:
        same = tomllib.loads(edited) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    return edited if same else tomli_w.dumps(wanted)


def replace_file(path: Path, text: str) -> None:
    """Write the file in one step; a link stays one."""
    path = path.resolve()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _check_names(
    path: Path, text: str, document: Mapping[str, object], actions: frozenset[str]
) -> None:
    known = ConsoleSettings.__struct_fields__
    for key in document:
        if key not in known:
            raise _wrong(path, text, key, _unknown(key, known))
    keys = document.get("keys")
    if not isinstance(keys, dict):
        return  # told by the conversion
    for key in cast("dict[str, object]", keys):
        if key not in actions:
            raise _wrong(path, text, key, _unknown(key, sorted(actions)))


def _check_values(
    path: Path, text: str, settings: ConsoleSettings, refused: frozenset[str]
) -> None:
    if not REFRESH_MIN_S <= settings.refresh_s <= REFRESH_MAX_S:
        bounds = f"refresh_s lies between {REFRESH_MIN_S:g} and {REFRESH_MAX_S:g}"
        raise _wrong(path, text, "refresh_s", bounds)
    for action, keys in settings.keys.items():
        for key in keys.split(","):
            if key.strip() in refused:
                why = f"{key.strip()} belongs to terminals and multiplexers"
                raise _wrong(path, text, action, why)


def _unknown(key: str, known: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown key {key}{hint}"


def _wrong(path: Path, text: str, key: str | None, why: str) -> Invalid:
    line = _line_of(text, key) if key else None
    where = f"{path}:{line}" if line else str(path)
    return Invalid(f"{where}: {why}", remedy=f"correct {where}")


def _line_of(text: str, key: str) -> int | None:
    pattern = re.compile(
        rf"""^\s*["']?{re.escape(key)}["']?\s*(=|\])|^\s*\[{re.escape(key)}\]"""
    )
    for number, line in enumerate(text.splitlines(), 1):
        if pattern.search(line):
            return number
    return None


def _key_in(told: str) -> str | None:
    """Find the key in msgspec's words: `... - at `$.refresh_s``."""
    found = re.search(r"\$\.([a-z_]+)", told)
    return found.group(1) if found else None
