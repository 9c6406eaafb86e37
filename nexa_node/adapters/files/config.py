"""Read the settings: flag, `NEXA_…` variable, file, default, in that order.

A variable names a section and a key: `NEXA_NODE_PORT=7000` is `[node] port`. Whatever is
wrong is told with its file, its line and the nearest key there is.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import msgspec

from nexa_node.adapters.files.config_meaning import ConfigInvalid, check_meaning
from nexa_node.core.policies import (
    CheckSpec,
    InhibitPolicy,
    OidcRolePolicy,
    Policy,
    QueuePolicy,
    ReceiverPolicy,
    RoutePolicy,
    WatchdogPolicy,
)
from nexa_node.settings import Settings

PREFIX = "NEXA_"
_NOT_SETTINGS = {
    *("HOME", "URL", "TOKEN", "TOKEN_FILE", "DEBUG", "DEMO"),
    *("CA_FILE", "CERT_FILE", "KEY_FILE", "CA_PINNED"),
}
_PATH = re.compile(r" - at `\$(.*)`$")
LISTED: dict[str, type[Policy]] = {
    "check": CheckSpec,
    "queue": QueuePolicy,
    "receiver": ReceiverPolicy,
    "route": RoutePolicy,
    "inhibit": InhibitPolicy,
    "watchdog": WatchdogPolicy,
    "oidc_role": OidcRolePolicy,
}
"""Sections that are arrays of tables."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each one that is no default came from."""

    settings: Settings
    origins: dict[str, str]
    """`node.port` → `/…/nexa.toml:3`, `NEXA_NODE_PORT` or `--port`."""
    path: Path
    exists: bool


def load_settings(
    path: Path,
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, str] | None = None,
    required: bool = False,
) -> Loaded:
    """Read and check everything.

    Args:
        path: The file; one that is missing is empty unless `required`.
        environ: For variables that begin with `NEXA_`.
        flags: Dotted keys and values, as text.
        required: The operator named the file, so it must be there.

    Raises:
        ConfigInvalid: Something is wrong; names file, line, key and the nearest key.
    """
    text = _read(path, required=required)
    document = _parse(text or "", path)
    origins = {key: f"{path}:{_line_of(text or '', key)}" for key in _leaves(document)}
    for key, value, origin in (*_variables(environ), *_flag_values(flags or {})):
        _refuse_bytes(f"{key}{value}", origin)
        _put(document, key, value, origin)
        origins[key] = origin
    settings = _convert(document, origins, path)
    check_meaning(settings, origins)
    return Loaded(settings, origins, path, exists=text is not None)


def sections() -> dict[str, type[Policy]]:
    """The sections there are, arrays of tables included."""
    found: dict[str, type[Policy]] = {}
    for field in msgspec.structs.fields(Settings):
        listed = LISTED.get(field.encode_name)
        found[field.encode_name] = listed or _kind_of(field.default)
    return found


def _kind_of(default: Any) -> type[Policy]:
    assert isinstance(default, Policy)
    return type(default)


def _read(path: Path, *, required: bool) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if required:
            raise ConfigInvalid(
                f"there is no settings file {path}",
                remedy="nexa config init; or leave --config out",
            ) from None
        return None
    except UnicodeDecodeError as error:
        raise ConfigInvalid(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}",
            remedy=f"iconv -t utf-8 {path}",
        ) from error
    except OSError as error:
        raise ConfigInvalid(
            f"{path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from error


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"\(at (?:line (\d+)|end of document)", str(error))
        line = f":{found[1] or text.count(chr(10)) + 1}" if found else ""
        why = re.sub(r" \(at .*\)$", "", str(error))
        raise ConfigInvalid(
            f"{path}{line}: no TOML: {why}", remedy=f"correct {path}{line}"
        ) from error


def _leaves(document: Mapping[str, Any]) -> list[str]:
    """Dotted keys of all values; `check.0.name` for arrays of tables."""
    found: list[str] = []

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, inner in cast("dict[str, Any]", value).items():
                walk(inner, f"{key}.{name}" if key else name)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, inner in enumerate(cast("list[Any]", value)):
                walk(inner, f"{key}.{number}")
        else:
            found.append(key)

    walk(document, "")
    return found


def _line_of(text: str, dotted: str) -> int:
    """Find the line of a key by reading tables as they stand; 1 if it is hidden."""
    table = ""
    counts: dict[str, int] = {}
    best = 1
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        header = re.match(r"^(\[\[?)\s*([^\[\]]+?)\s*\]\]?", line)
        if header:
            table = _plain(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}.{counts[table]}"
            if dotted == table or dotted.startswith(f"{table}."):
                best = number
            continue
        key = re.match(r"^([A-Za-z0-9_.\"' -]+?)\s*=", line)
        if key:
            here = f"{table}.{_plain(key[1])}" if table else _plain(key[1])
            if here == dotted:
                return number
            if dotted.startswith(f"{here}."):
                best = number
    return best


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def _refuse_bytes(text: str, origin: str) -> None:
    """Python makes half pairs of bytes that are no UTF-8; no setting can hold them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigInvalid(
            f"{origin}: it is not UTF-8", remedy="write it as UTF-8 text"
        ) from None


def _variables(environ: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    found: list[tuple[str, Any, str]] = []
    for variable, text in sorted(environ.items()):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in _NOT_SETTINGS or "_" not in name:
            continue
        section, _, key = name.lower().partition("_")
        if section in sections() and section not in LISTED:
            found.append((f"{section}.{key}", _value(section, key, text), variable))
    return found


def _flag_values(flags: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    found: list[tuple[str, Any, str]] = []
    for dotted, text in flags.items():
        section, _, key = dotted.partition(".")
        origin = f"--{key}" if dotted in {"node.name", "node.port"} else "--set"
        found.append((dotted, _value(section, key, text), origin))
    return found


def _value(section: str, key: str, text: str) -> Any:
    """Read a value from text: a string stays one where a string is wanted."""
    kind = sections().get(section)
    wanted = (
        {one.name: one.type for one in msgspec.structs.fields(kind)} if kind else {}
    )
    if wanted.get(key) is str:
        return text
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _put(document: dict[str, Any], dotted: str, value: Any, origin: str) -> None:
    *tables, last = dotted.split(".")
    table = document
    for name in tables:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigInvalid(
                f"{origin}: '{dotted}' is no setting", remedy="nexa config show"
            )
        table = cast("dict[str, Any]", inner)
    table[last] = value


def _convert(document: dict[str, Any], origins: dict[str, str], path: Path) -> Settings:
    for dotted, origin in origins.items():
        _known(dotted, origin)
    for name in document:
        _known(name, str(path))
    try:
        return msgspec.convert(document, Settings)
    except UnicodeEncodeError as error:
        raise ConfigInvalid(
            f"{path}, or a variable: {ascii(error.object)[:60]} is no text",
            remedy="write it in UTF-8",
        ) from error
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        dotted = _dotted(found[1]) if found else ""
        where = next(
            (
                origin
                for key, origin in origins.items()
                if f"{key}.".startswith(f"{dotted}.")
            ),
            str(path),
        )
        why = _PATH.sub("", str(error))
        raise ConfigInvalid(
            f"{where}: {dotted}: {why}",
            remedy=f"correct {dotted}; see nexa config show",
        ) from error


def _dotted(path: str) -> str:
    return re.sub(r"\[(\d+)\]", r".\1", path).replace("[...]", "").lstrip(".")


def _known(dotted: str, origin: str) -> None:
    """Refuse a key that doesn't exist, and name the nearest one that does."""
    parts = dotted.split(".")
    kinds = sections()
    if parts[0] not in kinds:
        raise _unknown(parts[0], list(kinds), origin, what="section")
    keys = [name for name in parts[1:] if not name.isdigit()]
    if not keys:
        return
    names = [one.encode_name for one in msgspec.structs.fields(kinds[parts[0]])]
    if keys[0] not in names:
        raise _unknown(keys[0], names, origin, what=f"key in [{parts[0]}]")


def _unknown(word: str, words: list[str], origin: str, *, what: str) -> ConfigInvalid:
    like = get_close_matches(word, words, n=1, cutoff=0.4)
    hint = f"did you mean '{like[0]}'?" if like else f"there are: {', '.join(words)}"
    return ConfigInvalid(
        f"{origin}: '{word}' is no {what}; {hint}",
        remedy=f"write '{like[0]}'" if like else "nexa config show",
    )
