"""Operators between two values: arithmetic, comparison, and the sets.

How series find their partners, and which labels the result has: Prometheus 2.42,
promql/engine.go, VectorBinop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.parsing import ARITHMETIC, COMPARING
from nexa_node.core.promql.samples import (
    Floats,
    Labels,
    Mask,
    QueryError,
    Shared,
    Times,
    learned,
)
from nexa_node.core.promql.vectors import (
    TWINS,
    Key,
    Scalar,
    Value,
    Vector,
    empty,
    key_but,
    key_by,
    merged,
    only,
    rows,
    unnamed,
    with_present,
    without,
)

Side = Literal["one", "left", "right"]
_ARITHMETIC: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
_COMPARING: Mapping[str, Callable[[Floats, Floats], Mask]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


@dataclass(frozen=True, slots=True)
class Matching:
    """How the series of two sides find each other."""

    on: bool = False
    """By `labels` alone; else by all but these and the name."""
    labels: tuple[str, ...] = ()
    many: Side = "one"
    """Which side may have several partners."""
    taken: tuple[str, ...] = ()
    """Labels taken from the side that has one."""

    def signature(self, labels: Labels) -> Key:
        """What partners have in common."""
        if self.on:
            return key_by(labels, sorted(set(self.labels)))
        return key_but(labels, (*self.labels, NAME))


def operate(
    operator: str, left: Value, right: Value, matching: Matching, *, as_bool: bool
) -> Value:
    """Apply an operator.

    Raises:
        QueryError: Series have more than one partner where they may have one.
    """
    match left, right:
        case Scalar(), Scalar():
            return Scalar(_numbers(operator, left.values, right.values))
        case Vector(), Scalar():
            return _with_number(operator, left, right.values, as_bool, swapped=False)
        case Scalar(), Vector():
            return _with_number(operator, right, left.values, as_bool, swapped=True)
        case Vector(), Vector() if operator in ("and", "or", "unless"):
            return _set(operator, left, right, matching)
        case Vector(), Vector():
            return _pairs(operator, left, right, matching, as_bool=as_bool)
        case _:
            raise QueryError("an operator can't be applied to a string")


def _numbers(operator: str, left: Floats, right: Floats) -> Floats:
    if operator in ARITHMETIC:
        return _ARITHMETIC[operator](left, right)
    return _COMPARING[operator](left, right).astype(np.float64)


def _with_number(
    operator: str, vector: Vector, number: Floats, as_bool: bool, *, swapped: bool
) -> Vector:
    wide = np.broadcast_to(number, vector.values.shape)
    sides = (wide, vector.values) if swapped else (vector.values, wide)
    found = _numbers(operator, *sides)
    if operator in COMPARING and not as_bool:
        return with_present(vector, vector.present & (found == 1))
    made = Vector(vector.labels, found, vector.present)
    return made if _keeps_name(operator, as_bool) else unnamed(made)


def _keeps_name(operator: str, as_bool: bool) -> bool:
    """As Prometheus 2.42 has it, which forgot atan2."""
    return not as_bool and (operator in COMPARING or operator == "atan2")


def _by_signature(vector: Vector, matching: Matching) -> dict[Key, list[int]]:
    """Which rows have each signature; none has two."""

    def learn() -> dict[Key, list[int]]:
        found: dict[Key, list[int]] = {}
        for at, key in enumerate(_signatures(vector, matching)):
            found.setdefault(key, []).append(at)
        return found

    return learned(vector.labels, ("by signature", matching), learn)


def _signatures(vector: Vector, matching: Matching) -> list[Key]:
    """Of each row."""
    return learned(
        vector.labels,
        ("signatures", matching),
        lambda: [matching.signature(labels) for labels in vector.labels],
    )


def _partnered(vector: Vector, other: Vector, matching: Matching) -> Mask:
    """Where each row of `vector` has a partner in `other`."""
    places = _by_signature(other, matching)
    if not places:
        return np.zeros(vector.values.shape, np.bool_)
    rows_of = [at for each in places.values() for at in each]
    begins = np.cumsum([0, *map(len, places.values())])[:-1]
    met = np.logical_or.reduceat(other.present[rows_of], begins, axis=0)
    met = np.concatenate((met, np.zeros((1, met.shape[1]), np.bool_)))
    number = {key: at for at, key in enumerate(places)}
    found = [number.get(key, -1) for key in _signatures(vector, matching)]
    return met[found]  # of none: the last row


def _set(operator: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    steps = left.values.shape[1]
    if operator == "or":
        if not left.labels:
            return right
        if not right.labels:
            return left
        present = right.present & ~_partnered(right, left, matching)
        both = rows(
            (*left.labels, *right.labels),
            (*left.values, *right.values),
            (*left.present, *present),
            steps,
        )
        return merged(both, TWINS)
    if not left.labels:
        return left
    mask = _partnered(left, right, matching)
    return with_present(left, left.present & (mask if operator == "and" else ~mask))


def _pairs(
    operator: str, left: Vector, right: Vector, matching: Matching, *, as_bool: bool
) -> Vector:
    steps = left.values.shape[1]
    if not left.labels or not right.labels:
        return empty(steps)
    swapped = matching.many == "right"
    many, one = (right, left) if swapped else (left, right)
    ones = _by_signature(one, matching)
    _check_one_side(one, ones, many, "left" if swapped else "right")
    filters = operator in COMPARING and not as_bool
    keeps_name = _keeps_name(operator, as_bool)
    complaint = (
        "multiple matches for labels: many-to-one matching must be explicit"
        " (group_left/group_right)"
        if matching.many == "one"
        else "multiple matches for labels: grouping labels must ensure unique matches"
    )
    found = _partners(many, one, matching, keeps_name=keeps_name)
    index = found.index
    if not len(index):
        return empty(steps)
    sides = (many.values[index[:, 0]], one.values[index[:, 1]])
    sides = sides[::-1] if swapped else sides
    values = _numbers(operator, *sides)
    present = many.present[index[:, 0]] & one.present[index[:, 1]]
    if filters:
        present, values = present & (values == 1), sides[0]
    if matching.many == "one":
        _match_once(found.keys, present, complaint)
    whole = Vector(found.labels, values, present)
    return merged(with_present(whole, present), complaint)


@dataclass(frozen=True, slots=True)
class _Partners:
    """Which rows of two sides belong together."""

    index: Times
    """Of shape (pairs, 2): a row of the side of many, and one of the other."""
    keys: list[Key]
    """What the two of each pair have in common."""
    labels: Shared
    """Of the results."""
    other: tuple[Labels, ...]
    """Of the side of one; held, so that its `id` stays its own."""


def _partners(
    many: Vector, one: Vector, matching: Matching, *, keeps_name: bool
) -> _Partners:
    def learn() -> _Partners:
        ones, keys = _by_signature(one, matching), _signatures(many, matching)
        pairs = [(at, of) for at, key in enumerate(keys) for of in ones.get(key, ())]
        return _Partners(
            np.array(pairs, np.intp).reshape(-1, 2),
            [keys[at] for at, _ in pairs],
            Shared(
                _labels_of(
                    many.labels[at], one.labels[of], matching, keeps_name=keeps_name
                )
                for at, of in pairs
            ),
            one.labels,
        )

    if not isinstance(one.labels, Shared):
        return learn()
    what = "partners", matching, keeps_name, id(one.labels)
    return learned(many.labels, what, learn)


def _match_once(keys: Sequence[Key], present: Mask, complaint: str) -> None:
    """See that no series has several partners at the same step."""
    if len(set(keys)) == len(keys):
        return
    matched: dict[Key, Mask] = {}
    for key, both in zip(keys, present, strict=True):
        before = matched.get(key)
        if before is not None and (before & both).any():
            raise QueryError(complaint)
        matched[key] = both if before is None else before | both


def _check_one_side(
    one: Vector, ones: Mapping[Key, list[int]], many: Vector, side: str
) -> None:
    asked = np.any(many.present, axis=0)
    for key, places in ones.items():
        if len(places) > 1 and ((one.present[places].sum(axis=0) > 1) & asked).any():
            group = ", ".join(f'{name}="{text}"' for name, text in key)
            raise QueryError(
                f"found duplicate series for the match group {{{group}}} on the {side}"
                " hand-side of the operation;many-to-many matching not allowed:"
                " matching labels must be unique on one side"
            )


def _labels_of(
    mine: Labels, partner: Labels, matching: Matching, *, keeps_name: bool
) -> Labels:
    made = dict(mine) if keeps_name else without(mine, (NAME,))
    if matching.many == "one":
        if matching.on:
            made = only(made, matching.labels)
        else:
            made = without(made, matching.labels)
        return made
    for name in matching.taken:
        text = partner.get(name, "")
        if text:
            made[name] = text
        else:
            made.pop(name, None)
    return made
