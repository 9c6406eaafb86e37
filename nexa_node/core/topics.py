"""Topics: what may be one, and which subscriptions a message of one meets. Pure.

A topic is slugs with dots between. In a pattern `*` stands for one token and `>`, which
only comes last, for one or more: as NATS reads them, so the store finds the same
messages as `Trie` does.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import is_slug

T = TypeVar("T")

TOPIC_LENGTH = 255
TOPIC_TOKENS = 16
SUBSCRIPTIONS_LIMIT = 256
"""Of one session."""
COVER_LIMIT = 8
"""Patterns the store is asked for at once when a session catches up."""
ONE, REST = "*", ">"


def check_topic(name: str, topic: str) -> None:
    """Check a topic that is sent to.

    Raises:
        Invalid: It is none; says what is wrong with which token.
    """
    for token in _tokens(name, topic):
        _slug(name, topic, token)


def check_pattern(name: str, pattern: str) -> None:
    """Check a topic that is subscribed to: wildcards are allowed.

    Raises:
        Invalid: It is none; says what is wrong with which token.
    """
    tokens = _tokens(name, pattern)
    for token in tokens[:-1]:
        if token == REST:
            raise Invalid(f"{name}: {_shown(pattern)}: > may only be the last token")
    for token in tokens:
        if token not in (ONE, REST):
            _slug(name, pattern, token)


def matches(pattern: str, topic: str) -> bool:
    """Say whether a pattern meets a topic. For one pair; `Trie` is for many."""
    wanted, told = pattern.split("."), topic.split(".")
    for at, token in enumerate(wanted):
        if token == REST:
            return len(told) > at
        if at >= len(told) or token not in (ONE, told[at]):
            return False
    return len(wanted) == len(told)


def covers(wide: str, narrow: str) -> bool:
    """Say whether all that `narrow` meets is met by `wide`, too."""
    outer, inner = wide.split("."), narrow.split(".")
    for at, token in enumerate(outer):
        if token == REST:
            return len(inner) > at
        if at >= len(inner) or inner[at] == REST:
            return False
        if token not in (ONE, inner[at]):
            return False
    return len(outer) == len(inner)


def cover(patterns: Iterable[str], *, at_most: int = COVER_LIMIT) -> tuple[str, ...]:
    """Find few patterns that meet at least what `patterns` meet.

    Those that are within others go first; if too many are left, those that begin with
    the same token become one, and if that does not help, all of them `>`.
    """
    kept = _widest(patterns)
    if len(kept) > at_most:
        kept = _widest(_by_first_token(kept))
    return tuple(kept) if len(kept) <= at_most else (REST,)


class Trie(Generic[T]):
    """Items by pattern, found by topic.

    Finding costs steps in the topic's length and in what is found, not in how many
    items there are.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._root: _Branch[T] = _Branch()

    def add(self, pattern: Sequence[str], item: T) -> None:
        """Put an item under the tokens of a pattern."""
        branch = self._root
        for token in pattern:
            branch = branch.children.setdefault(token, _Branch())
        branch.items[item] = None

    def remove(self, pattern: Sequence[str], item: T) -> None:
        """Take it away; without it nothing happens. Empty branches go with it."""
        path = [self._root]
        for token in pattern:
            child = path[-1].children.get(token)
            if child is None:
                return
            path.append(child)
        path[-1].items.pop(item, None)
        for token, parent, child in reversed(
            list(zip(pattern, path, path[1:], strict=False))
        ):
            if child.items or child.children:
                return
            del parent.children[token]

    def match(self, topic: Sequence[str]) -> list[T]:
        """Find the items of all patterns that meet the tokens of a topic."""
        found: list[T] = []
        branches = [self._root]
        for token in topic:
            following: list[_Branch[T]] = []
            for branch in branches:
                children = branch.children
                if REST in children:
                    found.extend(children[REST].items)
                if token in children:
                    following.append(children[token])
                if ONE in children:
                    following.append(children[ONE])
            branches = following
        for branch in branches:
            found.extend(branch.items)
        return found

    def __bool__(self) -> bool:
        """Whether there is any item."""
        return bool(self._root.children)


class _Branch(Generic[T]):
    __slots__ = ("children", "items")

    def __init__(self) -> None:
        self.children: dict[str, _Branch[T]] = {}
        self.items: dict[T, None] = {}


def _widest(patterns: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for pattern in dict.fromkeys(patterns):
        if any(covers(wide, pattern) for wide in kept):
            continue
        kept = [each for each in kept if not covers(pattern, each)]
        kept.append(pattern)
    return kept


def _by_first_token(patterns: Iterable[str]) -> list[str]:
    """Join those that begin alike; one token alone can't be joined with longer ones."""
    found: dict[str, None] = {}
    for pattern in patterns:
        first, dot, _ = pattern.partition(".")
        found[f"{first}.{REST}" if dot else pattern] = None
    return list(found)


def _tokens(name: str, topic: str) -> list[str]:
    if not 0 < len(topic) <= TOPIC_LENGTH:
        raise Invalid(
            f"{name}: {len(topic):,} characters; 1 to {TOPIC_LENGTH} are allowed"
        )
    tokens = topic.split(".")
    if len(tokens) > TOPIC_TOKENS:
        raise Invalid(f"{name}: {len(tokens)} tokens; at most {TOPIC_TOKENS}")
    return tokens


def _slug(name: str, topic: str, token: str) -> None:
    if not is_slug(token):
        raise Invalid(
            f"{name}: {_shown(topic)} is not slugs with dots between: see {_shown(token)}",
            remedy="a lower-case letter or digit, then at most 62 of those, - and _",
            details={"member": name},
        )


def _shown(text: str) -> str:
    return ascii(text[:64])
