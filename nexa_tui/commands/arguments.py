"""Arguments: argparse, with errors of one line and the nearest word."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from nexa_node.contract.errors import Invalid
from nexa_tui.state.spans import seconds_of


class Usage(Invalid):
    """The call's words are off: exit code 2."""


class Help(Exception):
    """Help was asked for and printed."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `Usage` and never exits by itself."""

    def __init__(self, name: str, about: str, **options: Any) -> None:
        """Name the command: `task submit`."""
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(
            prog=f"nexa {name}",
            description=about,
            allow_abbrev=False,
            **options,
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise Usage(message, remedy=f"{self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """After help was printed."""
        raise Help


def seconds(text: str) -> float:
    """Read a span, in seconds or with a unit (`90`, `1.5m`, `2h`): an argument's `type`."""
    try:
        return seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def choose_verb(
    noun: str, arguments: Sequence[str], verbs: Sequence[str], *, default: str | None
) -> tuple[str, list[str]]:
    """Take the verb off the arguments.

    Raises:
        Usage: There is none of that name; tells the nearest.
    """
    if not arguments or arguments[0].startswith("-"):
        if default is None or (arguments and arguments[0] in {"-h", "--help"}):
            raise Usage(
                f"nexa {noun} needs one of: {', '.join(verbs)}",
                remedy=f"nexa {noun} {verbs[0]} --help",
            )
        return default, list(arguments)
    if arguments[0] in verbs:
        return arguments[0], list(arguments[1:])
    raise Usage(
        f"there is no `nexa {noun} {arguments[0]}`",
        remedy=_did_you_mean(noun, arguments[0], verbs),
    )


def nearest(word: str, words: Sequence[str]) -> str | None:
    """The word most like `word`, if any is like it."""
    from difflib import get_close_matches

    found = get_close_matches(word, words, n=1, cutoff=0.5)
    return found[0] if found else None


def _did_you_mean(noun: str, word: str, verbs: Sequence[str]) -> str:
    like = nearest(word, verbs)
    return f"nexa {noun} {like}" if like else f"nexa {noun} {' | '.join(verbs)}"
