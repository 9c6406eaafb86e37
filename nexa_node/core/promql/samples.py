"""What an expression is computed from, and what it may cost.

Times are milliseconds since 1970, values are floats; a series' samples are in order.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import msgspec
import numpy as np
import re2
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Mask = NDArray[np.bool_]
Labels = Mapping[str, str]
_T = TypeVar("_T")
_KNOWN_MAX = 64
"""Answers that are kept with the labels of one selection."""
STALE_BITS = 0x7FF0000000000002
"""A series that ended is marked by this NaN (Prometheus, model/value)."""


class QueryError(Exception):
    """An expression that can't be computed: why, in Prometheus' words where it has any."""


class TooMuch(QueryError):
    """It would cost more than it may."""


class Series(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One series; `labels` include its name."""

    labels: Labels
    times: Times
    values: Floats
    key: tuple[tuple[str, str], ...] | None = None
    """The labels as something that compares (`vectors.key_of`), if the source has it."""


class Shared(tuple[Labels, ...]):  # noqa: SLOT001 - a tuple can have no slot
    """Labels of series that are asked for again and again, and what follows from them."""

    known: dict[Hashable, Any]
    """What was found out about them, by what was asked."""

    def __init__(self, iterable: Iterable[Labels] = (), /) -> None:
        """Know nothing yet of these labels."""
        self.known = {}


def learned(labels: tuple[Labels, ...], what: Hashable, learn: Callable[[], _T]) -> _T:
    """What follows from labels alone: found out once for those that are `Shared`.

    Args:
        labels: Of series, in order.
        what: Names the question, with all that the answer depends on besides.
        learn: Finds the answer, which nobody may change.
    """
    if not isinstance(labels, Shared):
        return learn()
    try:  # one look: another thread may forget everything behind a second one
        found: _T = labels.known[what]
    except KeyError:
        found = learn()
        if len(labels.known) >= _KNOWN_MAX:
            labels.known.clear()
        labels.known[what] = found
    return found


class Table(msgspec.Struct, frozen=True, eq=False):
    """Series, in the order of their labels, that have the same times."""

    labels: tuple[Labels, ...]
    times: Times
    values: Floats
    """Of shape (series, times)."""


MatchKind = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; a label that is not there is an empty one."""

    label: str
    kind: MatchKind
    value: str
    _regex: Any = field(default=None, compare=False, repr=False)

    def matches(self, text: str) -> bool:
        """Say whether a label's value meets it."""
        if self._regex is None:
            return (text == self.value) == (self.kind == "=")
        found = self._regex.fullmatch(text) is not None
        return found == (self.kind == "=~")


def matcher(label: str, kind: MatchKind, value: str) -> Matcher:
    """Make a condition; regular expressions are RE2's, so none can run away.

    Raises:
        QueryError: The regular expression is none.
    """
    if kind in ("=", "!="):
        return Matcher(label, kind, value)
    try:
        return Matcher(label, kind, value, re2.compile(value))
    except re2.error as error:
        raise QueryError(f"{value!r} is no regular expression: {error}") from error


def meets(labels: Labels, matchers: Iterable[Matcher]) -> bool:
    """Say whether a series meets all conditions."""
    return all(each.matches(labels.get(each.label, "")) for each in matchers)


class Source(Protocol):
    """Where samples come from."""

    def select(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
    ) -> Iterable[Series]:
        """All series that meet `matchers`, with their samples of that time.

        Both ends belong to it. More samples than asked for are no error.
        """
        ...


class Tabled(Protocol):
    """A source that has many series as one table, which is quicker."""

    def table(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
    ) -> Table | None:
        """As `Source.select`; None: there is no such table, ask for the series."""
        ...


def table_of(
    source: Source, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
) -> Table | None:
    """What `Tabled.table` gives; None of a source that has no tables."""
    # An isinstance() of a protocol takes longer than many a selection.
    tabled: Tabled | None = source if hasattr(source, "table") else None  # pyright: ignore[reportAssignmentType]  # by its name
    return None if tabled is None else tabled.table(matchers, start_ms, end_ms)


def is_stale(values: Floats) -> Mask:
    """Say which values mark the end of a series."""
    return values.view(np.uint64) == STALE_BITS


@dataclass(slots=True)
class Budget:
    """How much one expression may cost."""

    samples: int = 20_000_000
    """Samples it may look at, and values it may make."""
    ended: Callable[[], bool] = lambda: False
    """Asked between steps: whether its time is over."""
    spent: int = 0

    def spend(self, samples: int) -> None:
        """Count what is about to be done.

        Raises:
            TooMuch: It is more than is left, or the time is over.
        """
        self.spent += samples
        if self.spent > self.samples:
            raise TooMuch(
                "query processing would load too many samples into memory in query"
                f" execution (more than {self.samples})"
            )
        if self.ended():
            raise TooMuch("query timed out in expression evaluation")
