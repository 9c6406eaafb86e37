"""Values of an expression at many moments at once.

A vector is a matrix: a row for each series, a column for each step. `present` says where
there is a sample, since NaN is a value like any other.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.samples import (
    Floats,
    Labels,
    Mask,
    QueryError,
    Shared,
    Times,
    learned,
)

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Vector:
    """Series over the steps."""

    labels: tuple[Labels, ...]
    values: Floats
    """Of shape (series, steps)."""
    present: Mask
    """Of the same shape."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number a step."""

    values: Floats


Value = Vector | Scalar | str


def empty(steps: int) -> Vector:
    """A vector of nothing."""
    return Vector((), np.zeros((0, steps)), np.zeros((0, steps), np.bool_))


def rows(
    labels: Sequence[Labels],
    values: Sequence[Floats],
    present: Sequence[Mask],
    steps: int,
) -> Vector:
    """Stack rows; those without any sample go."""
    kept = [i for i, mask in enumerate(present) if mask.any()]
    if not kept:
        return empty(steps)
    return Vector(
        tuple(labels[i] for i in kept),
        np.stack([values[i] for i in kept]),
        np.stack([present[i] for i in kept]),
    )


def pick(vector: Vector, kept: Sequence[int]) -> Vector:
    """Take some rows."""
    index = np.asarray(kept, np.intp)
    return Vector(
        tuple(vector.labels[i] for i in kept),
        vector.values[index],
        vector.present[index],
    )


def with_present(vector: Vector, present: Mask) -> Vector:
    """Keep only some samples; rows that have none left go."""
    kept = np.flatnonzero(present.any(axis=1))
    if len(kept) == len(vector.labels):
        return Vector(vector.labels, vector.values, present)
    return Vector(
        tuple(vector.labels[i] for i in kept), vector.values[kept], present[kept]
    )


def key_of(labels: Labels) -> Key:
    """Labels as something that compares."""
    return tuple(sorted(labels.items()))


def key_by(labels: Labels, names: Iterable[str]) -> Key:
    """Labels of some names as something that compares.

    Args:
        labels: All of them.
        names: In order, each once.
    """
    return tuple([(name, text) for name in names if (text := labels.get(name))])


def key_but(labels: Labels, dropped: Collection[str]) -> Key:
    """All labels but some as something that compares."""
    return tuple(sorted([pair for pair in labels.items() if pair[0] not in dropped]))


def without(labels: Labels, dropped: Iterable[str]) -> dict[str, str]:
    """Labels without some."""
    gone = set(dropped)
    return {name: text for name, text in labels.items() if name not in gone}


def only(labels: Labels, kept: Iterable[str]) -> dict[str, str]:
    """Labels of some names; those that are empty are not there."""
    return {name: labels[name] for name in kept if labels.get(name)}


TWINS = "vector cannot contain metrics with the same labelset"


def unnamed(vector: Vector, *, whole: bool = False) -> Vector:
    """The vector without its series' names.

    Raises:
        QueryError: Two series are the same but for the name, at the same step; or, with
            `whole`, at any.
    """
    labels, alike = learned(vector.labels, "bare", lambda: _bare(vector.labels))
    bare = Vector(labels, vector.values, vector.present)
    if alike:
        return bare  # all have one name: without it they differ as they did with it
    if not whole:
        return merged(bare, TWINS)
    if len({key_of(each) for each in labels}) < len(labels):
        raise QueryError(TWINS)
    return bare


def _bare(labels: tuple[Labels, ...]) -> tuple[Shared, bool]:
    """Labels without names, and whether all had the same name."""
    names = {each.get(NAME) for each in labels}
    return Shared([_nameless(each) for each in labels]), len(names) <= 1


def _nameless(labels: Labels) -> dict[str, str]:
    made = dict(labels)
    made.pop(NAME, None)
    return made


def mapped(vector: Vector, change: Callable[[Floats], Floats]) -> Vector:
    """Change every value; the names go."""
    return unnamed(Vector(vector.labels, change(vector.values), vector.present))


def merged(vector: Vector, complaint: str) -> Vector:
    """Put rows of the same labels into one.

    Raises:
        QueryError: Two of them have a sample at the same step; says `complaint`.
    """
    places = learned(vector.labels, "places", lambda: _places(vector.labels))
    if len(places) == len(vector.labels):
        return vector
    kept: list[int] = []
    values, present = vector.values.copy(), vector.present.copy()
    for at, *others in places.values():
        kept.append(at)
        for other in others:
            if (present[at] & present[other]).any():
                raise QueryError(complaint)
            values[at] = np.where(present[other], values[other], values[at])
            present[at] |= present[other]
    return pick(Vector(vector.labels, values, present), kept)


def _places(labels: tuple[Labels, ...]) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = {}
    for at, each in enumerate(labels):
        found.setdefault(key_of(each), []).append(at)
    return found


def constant(value: float, steps: Times) -> Scalar:
    """The same number at every step."""
    return Scalar(np.full(len(steps), value))
