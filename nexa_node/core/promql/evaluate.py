"""Computing an expression at one moment or at many.

evaluate(parse("rate(x[5m])"), source, steps_of(start, end, step), budget)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
import promql_parser as pq
import re2

from nexa_node.core.promql import parsing, windows
from nexa_node.core.promql.aggregating import (
    aggregate,
    counted,
    histogram_quantile,
    ranked,
)
from nexa_node.core.promql.binary import Matching, operate
from nexa_node.core.promql.calendar import CALENDAR
from nexa_node.core.promql.memory import Memory, names_in, text_of
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.samples import (
    Budget,
    Floats,
    Labels,
    Mask,
    QueryError,
    Series,
    Source,
    Table,
    Times,
    is_stale,
    table_of,
)
from nexa_node.core.promql.vectors import (
    TWINS,
    Scalar,
    Value,
    Vector,
    constant,
    empty,
    key_of,
    mapped,
    merged,
    rows,
    unnamed,
    with_present,
)

LOOKBACK_MS = 300_000
"""How old a sample may be that stands for now: Prometheus' default."""
STEPS_MAX = 11_000
"""Points of one series, as Prometheus' API has it."""
_KEY = attrgetter("key")
_LABEL = re2.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def steps_of(start_ms: int, end_ms: int, step_ms: int) -> Times:
    """The moments of a range query.

    Raises:
        QueryError: They end before they begin, or are too many.
    """
    if step_ms <= 0:
        raise QueryError(
            "zero or negative query resolution step widths are not accepted. Try a"
            " positive integer"
        )
    if end_ms < start_ms:
        raise QueryError("end timestamp must not be before start time")
    if (end_ms - start_ms) // step_ms > STEPS_MAX:
        raise QueryError(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing"
            " the query resolution (?step=XX)"
        )
    return np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)


def evaluate(
    expression: Any,
    source: Source,
    steps: Times,
    budget: Budget,
    *,
    lookback_ms: int = LOOKBACK_MS,
    memory: Memory | None = None,
) -> Value:
    """Compute what `parsing.parse` gave at each of `steps`.

    Args:
        expression: Parsed.
        source: Samples.
        steps: When.
        budget: What it may cost.
        lookback_ms: How old a sample may be that stands for now.
        memory: Of this source, these steps and this lookback.

    Raises:
        QueryError: It can't be computed from these samples; says why.
        TooMuch: It would cost more than `budget`.
    """
    with np.errstate(all="ignore"):  # NaN and infinities are values here
        return _Evaluation(source, steps, budget, lookback_ms, memory).value(expression)


@dataclass(frozen=True, slots=True)
class _Evaluation:
    source: Source
    steps: Times
    budget: Budget
    lookback_ms: int
    memory: Memory | None

    def value(self, node: Any) -> Value:
        """Recall or compute one node of the tree."""
        if self.memory is None or not isinstance(node, _WORTH_KEEPING):
            return self._value(node)
        text = text_of(node)
        known = self.memory.recall(text)
        if known is not None:
            return known
        begun = self.memory.begin()
        found = self._value(node)
        names = names_in(text, node)
        if names is not None:
            self.memory.remember(text, names, found, begun)
        return found

    def _value(self, node: Any) -> Value:
        self.budget.spend(len(self.steps))
        match node:
            case pq.NumberLiteral():
                return constant(float(node.val), self.steps)
            case pq.StringLiteral():
                return str(node.val)
            case pq.ParenExpr():
                return self.value(node.expr)
            case pq.UnaryExpr():
                return self._negated(self.value(node.expr))
            case pq.VectorSelector():
                return self._selected(node)
            case pq.BinaryExpr():
                return self._binary(node)
            case pq.AggregateExpr():
                return self._aggregate(node)
            case pq.Call():
                return self._call(node)
            case _:
                raise QueryError("a range of samples is no value: apply rate() to it")

    def vector(self, node: Any) -> Vector:
        """Compute a node that must be a vector."""
        found = self.value(node)
        if not isinstance(found, Vector):
            raise QueryError("expected an instant vector")
        return found

    def number(self, node: Any) -> Floats:
        """Compute a node that must be a number."""
        found = self.value(node)
        if not isinstance(found, Scalar):
            raise QueryError("expected a scalar")
        return found.values

    # -- samples ---------------------------------------------------------------

    def _table(self, selector: Any, before_ms: int) -> Table | None:
        """All that a selector asks for, if it is one table."""
        offset = parsing.milliseconds(selector.offset)
        start = int(self.steps[0]) - offset - before_ms
        end = int(self.steps[-1]) - offset
        found = table_of(self.source, parsing.conditions(selector), start, end)
        if found is not None:
            self.budget.spend(found.values.size + len(found.labels) * len(self.steps))
        return found

    def _series(self, selector: Any, before_ms: int) -> list[Series]:
        offset = parsing.milliseconds(selector.offset)
        start = int(self.steps[0]) - offset - before_ms
        end = int(self.steps[-1]) - offset
        wanted = parsing.conditions(selector)
        found = list(self.source.select(wanted, start, end))
        if None in map(_KEY, found):
            found.sort(key=lambda one: one.key or key_of(one.labels))
        else:
            found.sort(key=_KEY)
        self.budget.spend(sum([len(one.times) for one in found]))
        self.budget.spend(len(found) * len(self.steps))
        return found

    def _selected(self, selector: Any) -> Vector:
        """For each step the newest sample, unless it is too old or marks the end."""
        at = self.steps - parsing.milliseconds(selector.offset)
        table = self._table(selector, self.lookback_ms)
        if table is not None:
            if not table.labels:
                return empty(len(self.steps))
            newest, fresh = self._newest(table.times, table.values, at)
            return with_present(Vector(table.labels, newest, fresh), fresh)
        labels: list[Labels] = []
        values: list[Floats] = []
        present: list[Mask] = []
        found = self._series(selector, self.lookback_ms)
        for _, mates in groupby(found, key=lambda one: id(one.times)):
            alike = list(mates)
            times = alike[0].times
            if not len(times):
                continue
            rows = np.stack([one.values for one in alike])
            newest, fresh = self._newest(times, rows, at)
            labels += [one.labels for one in alike]
            values.append(newest)
            present.append(fresh)
        if not labels:
            return empty(len(self.steps))
        whole = Vector(tuple(labels), np.concatenate(values), np.concatenate(present))
        return with_present(whole, whole.present)

    def _newest(self, times: Times, rows: Floats, at: Times) -> tuple[Floats, Mask]:
        index = np.searchsorted(times, at, side="right") - 1
        safe = np.maximum(index, 0)
        fresh = (index >= 0) & (times[safe] >= at - self.lookback_ms)
        newest = rows[:, safe]
        return newest, fresh & ~is_stale(newest)

    def _windows(self, selector: Any) -> list[tuple[Labels, windows.Windows]]:
        inner = selector.vector_selector
        span = parsing.milliseconds(selector.range)
        ends = self.steps - parsing.milliseconds(inner.offset)
        found: list[tuple[Labels, windows.Windows]] = []
        for series in self._series(inner, span):
            alive = ~is_stale(series.values)
            times, values = series.times[alive], series.values[alive]
            if not len(times):
                continue
            made = windows.Windows(
                times=times,
                values=values,
                first=np.searchsorted(times, ends - span, side="left"),
                past=np.searchsorted(times, ends, side="right"),
                starts=ends - span,
                ends=ends,
                steps=self.steps,
            )
            found.append((series.labels, made))
        return found

    # -- operators -------------------------------------------------------------

    def _negated(self, value: Value) -> Value:
        match value:
            case Scalar():
                return Scalar(-value.values)
            case Vector():
                return unnamed(
                    Vector(value.labels, -value.values, value.present), whole=True
                )
            case _:
                raise QueryError("a string can't be negated")

    def _binary(self, node: Any) -> Value:
        left, right = self.value(node.lhs), self.value(node.rhs)
        modifier = node.modifier
        as_bool = modifier is not None and bool(modifier.return_bool)
        return operate(str(node.op), left, right, _matching(modifier), as_bool=as_bool)

    def _aggregate(self, node: Any) -> Value:
        operator = str(node.op)
        labels = () if node.modifier is None else tuple(node.modifier.labels)
        by = node.modifier is None or _is(node.modifier.type, "By")
        vector = self.vector(node.expr)
        self.budget.spend(vector.values.size)
        match operator:
            case "topk" | "bottomk":
                count, largest = self.number(node.param), operator == "topk"
                return ranked(
                    vector, labels=labels, by=by, count=count, largest=largest
                )
            case "count_values":
                label = _text(node.param)
                if not _LABEL.fullmatch(label):
                    raise QueryError(f'invalid label name "{label}"')
                return counted(vector, labels=labels, by=by, label=label)
            case "quantile":
                number = self.number(node.param)
            case _:
                number = np.zeros(len(self.steps))
        return aggregate(operator, vector, labels=labels, by=by, number=number)

    # -- functions -------------------------------------------------------------

    def _call(self, node: Any) -> Value:
        name, arguments = node.func.name, list(node.args)
        if name == "absent_over_time":
            return self._absent_over_time(arguments[0])
        if name in windows.WINDOW_FUNCTIONS:
            return self._over_window(name, arguments)
        if name in _NUMBERS:
            return self._plain(name, arguments)
        if name in CALENDAR:
            return self._calendar(name, arguments)
        does: Mapping[str, Callable[[list[Any]], Value]] = {
            "time": lambda _: Scalar(self.steps / 1000.0),
            "pi": lambda _: constant(float(np.pi), self.steps),
            "vector": self._vector,
            "scalar": self._scalar,
            "timestamp": self._timestamp,
            "absent": self._absent,
            "sort": lambda given: self.vector(given[0]),
            "sort_desc": lambda given: self.vector(given[0]),
            "histogram_quantile": lambda given: histogram_quantile(
                self.number(given[0]), self.vector(given[1])
            ),
            "label_replace": self._label_replace,
            "label_join": self._label_join,
        }
        return does[name](arguments)

    def _over_window(self, name: str, arguments: list[Any]) -> Vector:
        number_at = windows.NUMBER_AT.get(name)
        number = np.zeros(len(self.steps))
        if number_at is not None:
            number = self.number(arguments[number_at])
        ranged = parsing.bare(arguments[0 if number_at != 0 else 1])
        if len(self.steps) == 1:
            return self._over_one_window(name, ranged, number)
        labels: list[Labels] = []
        values: list[Floats] = []
        present: list[Mask] = []
        for mine, made in self._windows(ranged):
            self.budget.spend(int(made.counts.sum()))
            found, mask = windows.WINDOW_FUNCTIONS[name](made, number)
            labels.append(mine)
            values.append(found)
            present.append(mask)
        vector = rows(labels, values, present, len(self.steps))
        return vector if name in windows.KEEP_NAME else unnamed(vector, whole=True)

    def _over_one_window(self, name: str, ranged: Any, number: Floats) -> Vector:
        """All series at one step: each is one window of a long row of samples."""
        inner = ranged.vector_selector
        span = parsing.milliseconds(ranged.range)
        end = int(self.steps[0]) - parsing.milliseconds(inner.offset)
        table = self._table(inner, span)
        tables = [table] if table else windows.tables(self._series(inner, span))
        if not tables:
            return empty(1)
        labels = (
            tables[0].labels
            if len(tables) == 1
            else tuple(each for one in tables for each in one.labels)
        )
        if not labels:
            return empty(1)
        joined = windows.joined(tables, start=end - span, end=end, step=self.steps[0])
        self.budget.spend(len(joined.values))
        number = np.broadcast_to(number, len(labels))
        values, mask = windows.WINDOW_FUNCTIONS[name](joined, number)
        whole = Vector(labels, values[:, None], mask[:, None])
        vector = with_present(whole, whole.present)
        return vector if name in windows.KEEP_NAME else unnamed(vector, whole=True)

    def _plain(self, name: str, arguments: list[Any]) -> Vector:
        vector = self.vector(arguments[0])
        numbers = [self.number(argument) for argument in arguments[1:]]
        if name == "clamp":
            low, high = numbers
            vector = Vector(
                vector.labels, vector.values, vector.present & ~(low > high)
            )
            vector = rows(
                vector.labels, tuple(vector.values), tuple(vector.present), len(low)
            )
        return mapped(vector, lambda values: _NUMBERS[name](values, *numbers))

    def _calendar(self, name: str, arguments: list[Any]) -> Vector:
        if arguments:
            vector = self.vector(arguments[0])
        else:
            vector = self._vector_of(self.steps / 1000.0)
        part = np.vectorize(CALENDAR[name], otypes=[np.float64])
        return mapped(
            vector,
            lambda values: part(values) if values.size else values,
        )

    def _vector(self, arguments: list[Any]) -> Vector:
        return self._vector_of(self.number(arguments[0]))

    def _vector_of(self, numbers: Floats) -> Vector:
        return Vector(({},), numbers[None, :], np.ones((1, len(self.steps)), np.bool_))

    def _scalar(self, arguments: list[Any]) -> Scalar:
        vector = self.vector(arguments[0])
        if not vector.labels:
            return constant(float("nan"), self.steps)
        single = vector.present.sum(axis=0) == 1
        value = np.where(vector.present, vector.values, 0.0).sum(axis=0)
        return Scalar(np.where(single, value, np.nan))

    def _timestamp(self, arguments: list[Any]) -> Vector:
        inner = parsing.bare(arguments[0])
        vector = self.vector(inner)
        if not isinstance(inner, pq.VectorSelector):
            when = np.broadcast_to(self.steps / 1000.0, vector.values.shape)
            return unnamed(Vector(vector.labels, when, vector.present))
        at = self.steps - parsing.milliseconds(inner.offset)
        times = {
            key_of(one.labels): one.times
            for one in self._series(inner, self.lookback_ms)
        }
        stamps = [
            times[key_of(labels)][
                np.maximum(
                    np.searchsorted(times[key_of(labels)], at, side="right") - 1, 0
                )
            ]
            / 1000.0
            for labels in vector.labels
        ]
        values = np.stack(stamps) if stamps else vector.values
        return unnamed(Vector(vector.labels, values, vector.present))

    def _absent(self, arguments: list[Any]) -> Vector:
        vector = self.vector(arguments[0])
        return self._missing(arguments[0], np.any(vector.present, axis=0))

    def _absent_over_time(self, ranged: Any) -> Vector:
        inner = parsing.bare(ranged)
        there = np.zeros(len(self.steps), np.bool_)
        for _, made in self._windows(inner):
            there |= made.counts > 0
        return self._missing(inner.vector_selector, there)

    def _missing(self, node: Any, there: Mask) -> Vector:
        if there.all():
            return empty(len(self.steps))
        labels = _labels_of_absent(parsing.bare(node))
        return Vector((labels,), np.ones((1, len(self.steps))), ~there[None, :])

    def _label_replace(self, arguments: list[Any]) -> Vector:
        vector = self.vector(arguments[0])
        target, replacement, source, pattern = (_text(one) for one in arguments[1:])
        if not _LABEL.fullmatch(target):
            raise QueryError(
                f"invalid destination label name in label_replace(): {target}"
            )
        try:
            regex = re2.compile(pattern)
        except re2.error as error:
            raise QueryError(
                f"invalid regular expression in label_replace(): {pattern}"
            ) from error
        made: list[Labels] = []
        for labels in vector.labels:
            found = regex.fullmatch(labels.get(source, ""))
            if found is None:
                made.append(labels)
                continue
            made.append(_labelled(labels, target, _expanded(replacement, found)))
        return merged(
            Vector(tuple(made), vector.values, vector.present),
            TWINS,
        )

    def _label_join(self, arguments: list[Any]) -> Vector:
        vector = self.vector(arguments[0])
        target, separator, *sources = (_text(one) for one in arguments[1:])
        if not _LABEL.fullmatch(target):
            raise QueryError(
                f"invalid destination label name in label_join(): {target}"
            )
        made = tuple(
            _labelled(
                labels, target, separator.join(labels.get(s, "") for s in sources)
            )
            for labels in vector.labels
        )
        return merged(
            Vector(made, vector.values, vector.present),
            TWINS,
        )


_WORTH_KEEPING = (pq.VectorSelector, pq.AggregateExpr, pq.BinaryExpr, pq.Call)


def _is(member: Any, name: str) -> bool:
    return str(member).rpartition(".")[2] == name


def _text(node: Any) -> str:
    found = parsing.bare(node)
    if not isinstance(found, pq.StringLiteral):
        raise QueryError("expected a string")
    return str(found.val)


def _matching(modifier: Any) -> Matching:
    if modifier is None:
        return Matching()
    named = modifier.matching
    card = str(modifier.card).rpartition(".")[2]
    many = {"ManyToOne": "left", "OneToMany": "right"}.get(card, "one")
    return Matching(
        on=named is not None and _is(named.type, "Include"),
        labels=() if named is None else tuple(named.labels),
        many=many,  # pyright: ignore[reportArgumentType]  # one of the three
        taken=tuple(modifier.group_labels or ()),
    )


def _labels_of_absent(node: Any) -> Labels:
    """What can be known of the labels of a series that is not there."""
    if not isinstance(node, pq.VectorSelector):
        return {}
    found: dict[str, str] = {}
    seen: set[str] = set()
    for each in parsing.conditions(node):
        if each.label == NAME:
            continue
        if each.kind == "=" and each.label not in seen:
            found[each.label] = each.value
        else:
            found.pop(each.label, None)
        seen.add(each.label)
    return {name: text for name, text in found.items() if text}


def _labelled(labels: Labels, name: str, text: str) -> Labels:
    made = dict(labels)
    if text:
        made[name] = text
    else:
        made.pop(name, None)
    return made


_REFERENCE = re2.compile(r"\$(?:(\w+)|\{(\w+)\}|(\$))")


def _expanded(template: str, found: Any) -> str:
    """Put groups into a template, as Go's regexp.Expand does: `$1`, `${name}`, `$$`."""

    def group(reference: Any) -> str:
        if reference.group(3):
            return "$"
        name = reference.group(1) or reference.group(2)
        try:
            return found.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""

    return str(_REFERENCE.sub(group, template))


def _round(values: Floats, to: Floats | None = None) -> Floats:
    inverse = 1.0 / (1.0 if to is None else to)
    return np.floor(values * inverse + 0.5) / inverse


_NUMBERS: Mapping[str, Callable[..., Floats]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "round": _round,
    "exp": np.exp,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sgn": np.sign,
    "clamp": lambda values, low, high: np.maximum(low, np.minimum(high, values)),
    "clamp_min": np.maximum,
    "clamp_max": np.minimum,
}
