"""From words to a command's module, and from errors to exit codes."""

import importlib
import os

from nexa_node.contract.errors import NexaError
from nexa_node.contract.version import VERSION
from nexa_tui.client import read_only
from nexa_tui.commands.arguments import Help, Usage, nearest
from nexa_tui.commands.output import (
    EXIT_FAILED,
    EXIT_NO_NODE,
    EXIT_NOT_ALLOWED,
    EXIT_NOT_FOUND,
    EXIT_USAGE,
    Call,
    clean,
    standard_call,
)
from nexa_tui.commands.table import BY_NAME, COMMANDS, Command

_NAMES = tuple([name] for name in BY_NAME)
_EXIT = {
    "no_node": EXIT_NO_NODE,
    "unauthorized": EXIT_NOT_ALLOWED,
    "forbidden": EXIT_NOT_ALLOWED,
    "not_found": EXIT_NOT_FOUND,
}


def dispatch(arguments: list[str], call: Call | None = None) -> int:
    """Run one command; every expected failure becomes one line and an exit code."""
    call = call or standard_call()
    try:
        return _run(arguments, call)
    except Help:
        return 0
    except NexaError as error:
        if os.environ.get("NEXA_DEBUG"):
            raise
        say_error(call, error)
        if isinstance(error, Usage):
            return EXIT_USAGE
        return _EXIT.get(error.reason, EXIT_FAILED)
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        call.note("nexa: an argument holds bytes that are no UTF-8 text")
        return EXIT_USAGE
    except OSError as error:
        if isinstance(error, BrokenPipeError) or os.environ.get("NEXA_DEBUG"):
            raise
        call.note(f"nexa: {error}")
        return EXIT_FAILED


def say_error(call: Call, error: NexaError) -> None:
    """One line on stderr: what failed, why, and what mends it."""
    text = clean(f"nexa: {error.message}", 600)
    if error.remedy:
        text += f" — mend: {clean(error.remedy, 300)}"
    call.err.write(text + "\n")


_OWN_READ_ONLY = frozenset(("console", "web", "login"))
"""Commands to which `--read-only` means something of their own."""


def _run(arguments: list[str], call: Call) -> int:
    if arguments[:1] == [read_only.OPTION] and arguments[1:2] in _NAMES:
        arguments = [arguments[1], read_only.OPTION, *arguments[2:]]
    if arguments and arguments[0] in {"-h", "--help", "help"}:
        _help(call)
        return 0
    name = arguments[0] if arguments and not arguments[0].startswith("-") else "console"
    command = BY_NAME.get(name)
    if command is None:
        like = nearest(name, list(BY_NAME))
        raise Usage(
            f"there is no command '{name}'",
            remedy=f"nexa {like}" if like else "nexa --help",
        )
    rest = arguments[1:] if arguments and arguments[0] == name else arguments
    rest = _only_looking(command, rest, call)
    module = importlib.import_module(f"nexa_tui.commands.{command.module}")
    return module.run(rest, call)


def _only_looking(command: Command, arguments: list[str], call: Call) -> list[str]:
    """Refuse what changes something where only looking is wanted; before anything else.

    Returns:
        The arguments without `--read-only`, unless the command has its own.

    Raises:
        ReadOnly: It is refused.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    mine, foreign = arguments[:end], arguments[end:]
    if read_only.OPTION in mine and command.name not in _OWN_READ_ONLY:
        mine = [word for word in mine if word != read_only.OPTION]
        call.environ = read_only.with_read_only(call.environ)
    asks = not {"-h", "--help", "--dry-run"}.isdisjoint(mine)
    words = None if asks else command.changing(mine)
    call.changes = words or ""
    if words is not None and read_only.wanted(call.environ):
        raise read_only.refuse(f"nexa {words}", f"{read_only.VARIABLE} or --read-only")
    return [*mine, *foreign]


def _help(call: Call) -> None:
    call.line(f"nexa {VERSION} — operations console and node for fleets of agents")
    call.line()
    call.line("  nexa                              open the console")
    call.line("  nexa node start                   start a node on this machine")
    call.line("  nexa agent run --id wc-1 --capability wc -- wc -w")
    call.line("  nexa task submit wc --data @README.md --wait")
    width = max(len(command.name) for command in COMMANDS) + 2
    for group in dict.fromkeys(command.group for command in COMMANDS):
        call.line()
        call.line(group, "bold")
        for command in COMMANDS:
            if command.group == group:
                call.line(f"  {command.name:<{width}}{command.help}")
                if command.verbs:
                    call.line(f"  {'':<{width}}{' · '.join(command.verbs)}", "dim")
    call.line()
    call.line("Any command takes --help, and --json where it prints data.")
    call.line("With --read-only, or NEXA_READ_ONLY=1, nothing is changed.")
    call.line(
        "Exit codes: 0 done, 1 failed, 2 usage, 3 no node, 4 not allowed, 5 not found."
    )
