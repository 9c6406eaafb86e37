"""The `/` filter: words, all of which must fit.

    wc                  the row says "wc" somewhere, in whatever case
    "two words"         with the blank
    state:busy          the column's value says "busy"
    re:^wc-[0-9]+$      a regular expression; also state:re:...
    !idle  !state:idle  and not that

A pattern that is none yet (a bracket left open) is told, and the last good one stays.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

LENGTH_MAX = 200
_WORD = re.compile(r"""(!?)(?:([a-z]+):)?(?:"([^"]*)"|(\S+))""")

Row = Mapping[str, str]
"""A row for filtering: each column's name and its words, as they are shown."""


class Filter(msgspec.Struct, frozen=True):
    """What was typed and what it means."""

    text: str = ""
    accepts: Callable[[Row], bool] = lambda _row: True
    error: str | None = None
    """Why `text` is not in force; then `accepts` is that of the last good one."""

    def __bool__(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.text.strip())


NOTHING = Filter()


def parse(text: str, keys: frozenset[str], last: Filter = NOTHING) -> Filter:
    """Understand what was typed.

    Args:
        text: As typed so far.
        keys: The columns that may be named before a colon.
        last: Stays in force as long as `text` means nothing.
    """
    text = text[:LENGTH_MAX]
    try:
        terms = [_term(match, keys) for match in _WORD.finditer(text)]
    except re.error as error:
        return Filter(text, last.accepts, f"not a pattern: {error}")
    except KeyError as error:
        known = ", ".join(sorted(keys))
        return Filter(
            text, last.accepts, f"no column {error.args[0]}; there are {known}"
        )
    return Filter(text, lambda row: all(term(row) for term in terms))


def _term(match: re.Match[str], keys: frozenset[str]) -> Callable[[Row], bool]:
    inverted, key, quoted, plain = match.groups()
    wanted = quoted if quoted is not None else plain
    if key == "re":
        key, wanted = None, f"re:{wanted}"
    if key is not None and key not in keys:
        raise KeyError(key)
    fits = _fits(wanted)
    found = _anywhere(fits) if key is None else _in_column(fits, key)
    return (lambda row: not found(row)) if inverted else found


def _fits(wanted: str) -> Callable[[str], bool]:
    if wanted.startswith("re:"):
        pattern = re.compile(wanted.removeprefix("re:"), re.IGNORECASE)
        return lambda text: pattern.search(text) is not None
    folded = wanted.casefold()
    return lambda text: folded in text.casefold()


def _anywhere(fits: Callable[[str], bool]) -> Callable[[Row], bool]:
    return lambda row: any(fits(text) for text in row.values())


def _in_column(fits: Callable[[str], bool], key: str) -> Callable[[Row], bool]:
    return lambda row: fits(row.get(key, ""))
