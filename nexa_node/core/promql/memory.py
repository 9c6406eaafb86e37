"""What many rules ask for at one moment is computed once.

The thresholds of a warning and of a critical alert, or the two of one with hysteresis, are
of the same figure; it is known by its text.
"""

from typing import Any, Protocol

from nexa_node.core.promql import parsing
from nexa_node.core.promql.vectors import Value


class Memory(Protocol):
    """What was computed from one source at one moment."""

    def recall(self, text: str) -> Value | None:
        """What an expression gave, if it is known."""
        ...

    def begin(self) -> int:
        """Before an expression is computed; what it gives is for `remember`."""
        ...

    def remember(self, text: str, names: frozenset[str], found: Value, at: int) -> None:
        """Know what an expression gave, which depends on series of these names alone."""
        ...


_texts: dict[int, tuple[Any, str]] = {}
"""By `id`: nodes of trees, held so that it stays theirs, and their texts."""


def text_of(node: Any) -> str:
    """An expression as text, which takes a while to write: trees of rules stay."""
    found = _texts.get(id(node))
    if found is None:
        if len(_texts) >= _NAMES_MAX:
            _texts.clear()
        found = _texts[id(node)] = node, str(node)
    return found[1]


_names: dict[str, frozenset[str] | None] = {}
_NAMES_MAX = 4096


def names_in(text: str, node: Any) -> frozenset[str] | None:
    """Names of the series that an expression reads; None if they may be any."""
    if text not in _names:
        if len(_names) >= _NAMES_MAX:
            _names.clear()
        found = [parsing.name_of(one) for one in parsing.selectors(node)]
        names = _names[text] = frozenset(found) if all(found) else None
        return names
    return _names[text]
