"""Plans: the name of what would be done, so that nothing else is done in its place.

A plan's id is its end and a digest over the operation, its arguments, the facts it
looked at, and that end. Whoever does it looks again: other facts give another digest, and
nothing is done. No node has to remember a plan, so any of them can carry it out; one that
remembers the facts can say what changed.

Not every figure is a fact. How many tasks an agent has in hand changes all the time and
changes nothing about the decision: it is told, and not part of the digest.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard, cast

import msgspec

LIFE_S = 600
"""How long a plan is good for."""
TOLD_MAX = 20
"""Differences that are named; of more, their number is told."""

_ID = re.compile(r"plan-([0-9a-f]{8,12})-([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Deed:
    """One dangerous operation with its arguments."""

    action: str
    """The call of `NodeApi` it stands for."""
    target: str = ""
    """What the path names."""
    body: msgspec.Struct | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a deed would do now."""

    what: str
    effects: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the decision rests on, by name: JSON values; lists are in order."""


@dataclass(frozen=True, slots=True)
class Known:
    """A plan's id, read."""

    ends: int
    """Seconds since 1970."""
    digest: str


def plan_id(deed: Deed, facts: Mapping[str, Any], ends: int) -> str:
    """Name a plan that ends at `ends`, seconds since 1970."""
    return f"plan-{ends:08x}-{_digest(deed, facts, ends)}"


def read_id(text: str) -> Known | None:
    """Read a plan's id; None if it is none."""
    found = _ID.fullmatch(text)
    return None if found is None else Known(int(found[1], 16), found[2])


def holds(known: Known, deed: Deed, facts: Mapping[str, Any]) -> bool:
    """Say whether the plan was made for this deed, and for facts that are the same."""
    digest = _digest(deed, facts, known.ends)
    return hmac.compare_digest(digest, known.digest)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what is not as it was, one sentence each, at most `TOLD_MAX`.

    Of lists it is told what came and what went.
    """
    told: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if _is_list(was) and _is_list(now):
            told += [f"{name}: {one} is new" for one in now if one not in set(was)]
            told += [f"{name}: {one} is gone" for one in was if one not in set(now)]
        else:
            told.append(f"{name}: was {_word(was)}, is {_word(now)}")
    more = len(told) - TOLD_MAX
    if more > 0:
        told[TOLD_MAX:] = [f"and {more} more differences"]
    return tuple(told)


def _digest(deed: Deed, facts: Mapping[str, Any], ends: int) -> str:
    named = {
        "action": deed.action,
        "target": deed.target,
        "body": deed.body,
        "facts": dict(facts),
        "ends": ends,
    }
    content = msgspec.json.encode(named, order="deterministic")
    return hashlib.sha256(content).hexdigest()[:32]


def _is_list(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(
        isinstance(one, str) for one in cast("list[Any]", value)
    )


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return (text if len(text) <= 100 else text[:99] + "…") or "nothing"
