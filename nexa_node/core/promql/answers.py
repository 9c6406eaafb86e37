"""What Prometheus' HTTP API is asked, and the `data` it answers, as plain values.

Shapes: https://prometheus.io/docs/prometheus/2.42/querying/api/. Numbers are strings,
times are seconds; series are sorted by their labels.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import promql_parser as pq

from nexa_node.core.promql import parsing
from nexa_node.core.promql.aggregating import written
from nexa_node.core.promql.durations import duration_s
from nexa_node.core.promql.samples import Labels, Matcher, QueryError, Series, Times
from nexa_node.core.promql.vectors import Scalar, Value, Vector, key_of

_NUMBER = re.compile(r"[+-]?\d{1,12}(\.\d{0,9})?(e[+-]?\d{1,2})?")
TIMES_MAX = 253_402_300_799
"""The end of the year 9999, seconds."""


def time_ms(text: str, *, name: str) -> int:
    """Read a moment: seconds since 1970, or RFC 3339.

    Raises:
        QueryError: It is neither.
    """
    complaint = (
        f'invalid parameter "{name}": cannot parse "{text[:80]}" to a valid timestamp'
    )
    if _NUMBER.fullmatch(text):
        seconds = float(text)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise QueryError(complaint) from None
        if moment.tzinfo is None:
            raise QueryError(complaint)
        seconds = moment.timestamp()
    if not 0 <= seconds <= TIMES_MAX:
        raise QueryError(complaint)
    return round(seconds * 1000)


def step_ms(text: str, *, name: str = "step") -> int:
    """Read a span: seconds, or `5m`.

    Raises:
        QueryError: It is neither, or no span at all.
    """
    complaint = (
        f'invalid parameter "{name}": cannot parse "{text[:80]}" to a valid duration'
    )
    if _NUMBER.fullmatch(text):
        seconds = float(text)
    else:
        try:
            seconds = duration_s(text)
        except ValueError:
            raise QueryError(complaint) from None
    if not 0 < seconds <= TIMES_MAX:
        raise QueryError(
            f'invalid parameter "{name}": zero or negative query resolution step widths'
            " are not accepted. Try a positive integer"
        )
    return max(1, round(seconds * 1000))


def selector(text: str) -> tuple[Matcher, ...]:
    """Read a `match[]`: a selector of series and nothing more.

    Raises:
        QueryError: It is something else.
    """
    found = parsing.parse(text)
    if not isinstance(found, pq.VectorSelector) or found.offset is not None:
        raise QueryError(f'invalid parameter "match[]": "{text[:80]}" is no selector')
    return parsing.conditions(found)


def instant(value: Value, at_ms: int, *, ordered: bool = False) -> dict[str, Any]:
    """The answer to `query`.

    Args:
        value: At one step.
        at_ms: Which one.
        ordered: Keep the order the expression gave, by value: `sort`, `topk`.
    """
    at = at_ms / 1000
    match value:
        case Scalar():
            told: Any = [at, written(float(value.values[0]))]
            return {"resultType": "scalar", "result": told}
        case Vector():
            rows = [
                (labels, float(row[0]))
                for labels, row, there in zip(
                    value.labels, value.values, value.present, strict=True
                )
                if there[0]
            ]
            if not ordered:
                rows.sort(key=lambda row: key_of(row[0]))
            result = [
                {"metric": dict(labels), "value": [at, written(number)]}
                for labels, number in rows
            ]
            return {"resultType": "vector", "result": result}
        case _:
            return {"resultType": "string", "result": [at, value]}


def over_time(value: Value, steps: Times) -> dict[str, Any]:
    """The answer to `query_range`.

    Raises:
        QueryError: It is a string, which has no range.
    """
    times = [at / 1000 for at in steps.tolist()]
    match value:
        case Scalar():
            numbers = value.values.tolist()
            points = list(zip(times, map(written, numbers), strict=True))
            result: list[dict[str, Any]] = [{"metric": {}, "values": points}]
        case Vector():
            result = []
            for labels, row, there in sorted(
                zip(value.labels, value.values, value.present, strict=True),
                key=lambda one: key_of(one[0]),
            ):
                numbers = row.tolist()
                if there.all():
                    points = list(zip(times, map(written, numbers), strict=True))
                else:
                    points = [
                        (times[at], written(numbers[at]))
                        for at in np.flatnonzero(there).tolist()
                    ]
                result.append({"metric": dict(labels), "values": points})
        case _:
            raise QueryError(
                'invalid expression type "string" for range query, must be Scalar or'
                " instant Vector"
            )
    return {"resultType": "matrix", "result": result}


def series(found: Iterable[Series]) -> list[dict[str, str]]:
    """The answer to `series`: labels, each once."""
    unique = {key_of(one.labels): dict(one.labels) for one in found}
    return [unique[key] for key in sorted(unique)]


def label_names(labels: Iterable[Labels]) -> list[str]:
    """The answer to `labels`."""
    return sorted({name for each in labels for name in each})


def label_values(labels: Iterable[Labels], name: str) -> list[str]:
    """The answer to `label/<name>/values`."""
    return sorted({each[name] for each in labels if name in each})


def is_ordered(expression: Any) -> bool:
    """Whether the order of what an expression gives has a meaning."""
    node = parsing.bare(expression)
    if isinstance(node, pq.Call):
        return node.func.name in ("sort", "sort_desc")
    return isinstance(node, pq.AggregateExpr) and str(node.op) in ("topk", "bottomk")


def sorted_by_value(value: Value, expression: Any) -> Value:
    """Put the rows of a vector at one step into the order the expression asks for."""
    node = parsing.bare(expression)
    if not isinstance(value, Vector) or not len(value.labels) or not is_ordered(node):
        return value
    if isinstance(node, pq.Call):
        largest = node.func.name == "sort_desc"
    else:
        largest = str(node.op) == "topk"
    numbers = [float(row[0]) for row in value.values]

    def place(at: int) -> tuple[bool, float]:
        number = numbers[at]
        lost = math.isnan(number)
        return lost, 0.0 if lost else -number if largest else number

    order = sorted(range(len(numbers)), key=place)
    return Vector(
        tuple(value.labels[at] for at in order),
        value.values[order],
        value.present[order],
    )


def build_info(version: str) -> Mapping[str, str]:
    """The answer to `status/buildinfo`: which Prometheus the answers are like."""
    return {
        "version": "2.42.0",
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "nexa": version,
    }


def moment(at_ms: int) -> datetime:
    """Milliseconds as a date."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC)
