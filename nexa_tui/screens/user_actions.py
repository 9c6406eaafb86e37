"""`actions.toml`: an operator's own actions. A key, a place, a command; no shell.

[restart-worker]
key = "f6"
label = "restart"
help = "Restart the unit that runs the agent."
where = ["agents"]
command = ["systemctl", "--user", "restart", "worker@{id}"]
confirm = true            # the default
terminal = false          # true gives it the terminal, as `less` needs

What stands in braces is a field of the record under the cursor, or of the node and the
cluster that are watched. A value goes into its argument as it is: it is never split, and
no shell reads it. One that would be taken for an option is refused.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

import msgspec

from nexa_node.contract.errors import Invalid, NexaError
from nexa_node.contract.ids import is_slug
from nexa_tui.actions import BY_ID, FORBIDDEN_KEYS, Action, Place

PREFIX = "own-"
_SIZE_MAX = 256 * 1024
_VARIABLE = re.compile(r"\{([a-z_]{1,30})\}")
_PLACES = frozenset(get_args(Place)) - {"splash", "no-node"}
_VALUE_MAX = 4096


class UserAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of them, as it stands in the file."""

    command: tuple[str, ...]
    """The program and its arguments."""
    key: str = ""
    """Textual's name of a key; without one only the palette has it."""
    label: str = ""
    help: str = ""
    where: tuple[str, ...] = ("everywhere",)
    confirm: bool = True
    """Whether to ask before."""
    terminal: bool = False
    """Whether it gets the terminal until it ends."""
    looks: bool = False
    """Whether it changes nothing: only such a one runs in a console that is read-only."""
    timeout_s: float = 60.0
    """Then it is killed; not of one that has the terminal."""


def read_user_actions(path: Path) -> dict[str, UserAction]:
    """Read the file; nothing if there is none.

    Returns:
        By the id of the action in the registry.

    Raises:
        Invalid: It isn't what it should be; names the file and the action.
    """
    try:
        with path.open("rb") as file:
            document = tomllib.loads(file.read(_SIZE_MAX).decode())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Invalid(
            f"{path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"{path}: {error}", remedy=f"correct {path}") from error
    return {
        PREFIX + name: _checked(path, name, table) for name, table in document.items()
    }


def actions_of(own: Mapping[str, UserAction]) -> tuple[Action, ...]:
    """As the registry has actions: for help, palette and keys."""
    return tuple(
        Action(
            name,
            (one.key,) if one.key else (),
            one.label or name.removeprefix(PREFIX),
            one.help or f"Your own: {' '.join(one.command)[:80]}",
            cast("tuple[Place, ...]", one.where),
            words=name.removeprefix(PREFIX),
            takes=None,
            right="watch",
        )
        for name, one in own.items()
    )


def expanded(action: UserAction, values: Mapping[str, str]) -> list[str]:
    """The command with what its variables are now.

    Raises:
        Invalid: A variable is none, is empty, or would be taken for an option.
    """
    words: list[str] = []
    for word in action.command:
        filled = _VARIABLE.sub(lambda found: _value(found[1], values), word)
        opens = _VARIABLE.match(word) is not None
        if opens and filled.startswith("-") and "--" not in words:
            raise Invalid(
                f"{filled[:40]!a} would be taken for an option",
                remedy='put "--" before it in the command, or text before the {…}',
            )
        words.append(filled)
    return words


def _value(name: str, values: Mapping[str, str]) -> str:
    value = values.get(name, "")
    if not value:
        have = ", ".join(sorted(key for key, text in values.items() if text))
        raise Invalid(
            f"{{{name}}} is nothing here", remedy=f"there are: {have or 'none'}"
        )
    if "\0" in value or len(value) > _VALUE_MAX:
        raise Invalid(f"{{{name}}} can't be an argument: it is too long, or has a NUL")
    return value


def _checked(path: Path, name: str, table: object) -> UserAction:
    where = f"{path}, [{name}]"
    try:
        if not is_slug(name):
            raise Invalid("its name is no id", remedy="use a-z, 0-9, - and _")
        action = msgspec.convert(table, UserAction)
        _check(action)
    except (msgspec.ValidationError, NexaError) as error:
        remedy = error.remedy if isinstance(error, NexaError) else None
        raise Invalid(
            f"{where}: {error}", remedy=remedy or f"correct {path}"
        ) from error
    return action


def _check(action: UserAction) -> None:
    if not action.command or not action.command[0]:
        raise Invalid("command names no program", remedy='command = ["echo", "{id}"]')
    if action.command[0].startswith("{"):
        raise Invalid("the program itself is no variable", remedy="name a program")
    if action.key in FORBIDDEN_KEYS:
        raise Invalid(
            f"{action.key} belongs to terminals and multiplexers", remedy="take another"
        )
    for place in action.where:
        if place not in _PLACES:
            near = difflib.get_close_matches(place, sorted(_PLACES), n=1)
            like = f"; did you mean {near[0]}?" if near else ""
            raise Invalid(f"there is no place {place[:40]!a}{like}")
    _check_key(action)
    if not 0.1 <= action.timeout_s <= 3600:
        raise Invalid("timeout_s lies between 0.1 and 3600")


def _check_key(action: UserAction) -> None:
    taken = [
        one.id
        for one in BY_ID.values()
        if action.key and action.key in one.keys and _meet(one.where, action.where)
    ]
    if taken:
        raise Invalid(
            f"the key {action.key} is {taken[0]}'s",
            remedy=f"take another, or give {taken[0]} another one in console.toml",
        )


def _meet(one: Sequence[str], other: Sequence[str]) -> bool:
    lists = {"list", "overview", "detail"}
    if "everywhere" in one or "everywhere" in other:
        return True
    return bool(set(one) & set(other)) or bool(lists & set(one))
