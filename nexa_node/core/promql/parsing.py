"""From text to an expression that is known to be supported.

The parser is promql-parser, which accepts newer syntax than Prometheus 2.42 has; what
this evaluator does not do is refused here, by name, before anything is computed.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeGuard

import promql_parser as pq

from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.samples import Matcher, MatchKind, QueryError, matcher

TEXT_MAX = 10_000
"""Characters of an expression."""
DEPTH_MAX = 60
"""Levels of brackets: the parser is recursive."""
TREE_MAX = 150
"""Levels of the tree: `1 + 1 + …` has one for each; the evaluator is recursive."""

OVER_TIME = frozenset(
    f"{what}_over_time"
    for what in (
        "avg", "min", "max", "sum", "count", "last", "stddev", "stdvar", "quantile",
        "present", "absent",
    )
)  # fmt: skip
RATES = frozenset(
    {"rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear",
     "changes", "resets"}
)  # fmt: skip
PLAIN = frozenset(
    {"abs", "ceil", "floor", "round", "exp", "ln", "log2", "log10", "sqrt", "sgn",
     "clamp", "clamp_min", "clamp_max"}
)  # fmt: skip
SHAPING = frozenset(
    {"absent", "vector", "scalar", "time", "timestamp", "histogram_quantile", "sort",
     "sort_desc", "label_replace", "label_join", "pi"}
)  # fmt: skip
CALENDAR = frozenset(
    {"minute", "hour", "day_of_week", "day_of_month", "day_of_year", "month", "year",
     "days_in_month"}
)  # fmt: skip
FUNCTIONS = OVER_TIME | RATES | PLAIN | SHAPING | CALENDAR
AGGREGATES = frozenset(
    {"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk",
     "bottomk", "quantile", "count_values"}
)  # fmt: skip
ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "^", "atan2"})
COMPARING = frozenset({"==", "!=", ">", "<", ">=", "<="})
SETS = frozenset({"and", "or", "unless"})

_KINDS: dict[str, MatchKind] = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}


class Unsupported(QueryError):
    """Prometheus knows it; nexa does not."""


def parse(text: str) -> Any:
    """Parse an expression and see that all of it is supported.

    Raises:
        Unsupported: Part of it is not; the message names it.
        QueryError: It is no expression.
    """
    if len(text) > TEXT_MAX:
        raise QueryError(f"an expression has at most {TEXT_MAX} characters")
    if _depth(text) > DEPTH_MAX:
        raise QueryError(f"an expression is nested at most {DEPTH_MAX} deep")
    try:
        found = pq.parse(text)
    except ValueError as error:
        raise QueryError(f"parse error: {error}") from None
    waiting = [(found, 1)]
    while waiting:
        node, level = waiting.pop()
        if level > TREE_MAX:
            raise QueryError(f"an expression is nested at most {TREE_MAX} deep")
        _check(node)
        waiting += [(part, level + 1) for part in _parts(node)]
    return found


def walk(node: Any) -> Iterator[Any]:
    """The expression and all its parts."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += _parts(one)


def selectors(node: Any) -> Iterator[Any]:
    """All vector selectors of an expression."""
    return (one for one in walk(node) if isinstance(one, pq.VectorSelector))


def conditions(selector: Any) -> tuple[Matcher, ...]:
    """What a vector selector asks of a series, its name included."""
    named = (matcher(NAME, "=", selector.name),) if selector.name else ()
    return (
        *named,
        *(
            matcher(one.name, _KINDS[str(one.op)], one.value)
            for one in selector.matchers.matchers
        ),
    )


def name_of(selector: Any) -> str:
    """The one name that its series must have; empty if it may be any."""
    named = [one for one in conditions(selector) if one.label == NAME]
    return named[0].value if named and named[0].kind == "=" else ""


def milliseconds(span: timedelta | None) -> int:
    """A duration in milliseconds; 0 of none."""
    return 0 if span is None else round(span.total_seconds() * 1000)


def is_text(node: Any) -> TypeGuard["pq.StringLiteral"]:
    """Say whether it is a string."""
    return isinstance(bare(node), pq.StringLiteral)


def bare(node: Any) -> Any:
    """Take the parentheses off."""
    while isinstance(node, pq.ParenExpr):
        node = node.expr
    return node


def _parts(node: Any) -> list[Any]:
    match node:
        case pq.BinaryExpr():
            return [node.lhs, node.rhs]
        case pq.AggregateExpr():
            return [node.expr] if node.param is None else [node.expr, node.param]
        case pq.Call():
            return list(node.args)
        case pq.UnaryExpr() | pq.ParenExpr():
            return [node.expr]
        case pq.MatrixSelector():
            return [node.vector_selector]
        case _:
            return []


def _check(node: Any) -> None:
    match node:
        case pq.SubqueryExpr():
            raise Unsupported(
                "subqueries are not supported: record the inner one first"
            )
        case pq.VectorSelector():
            _check_selector(node)
        case pq.Call() if node.func.name not in FUNCTIONS:
            raise Unsupported(f"the function {node.func.name} is not supported")
        case pq.AggregateExpr() if str(node.op) not in AGGREGATES:
            raise Unsupported(f"the aggregation {node.op} is not supported")
        case pq.BinaryExpr() if str(node.op) not in ARITHMETIC | COMPARING | SETS:
            raise Unsupported(f"the operator {node.op} is not supported")
        case pq.BinaryExpr() if node.modifier is not None and _fills(node.modifier):
            raise Unsupported("fill values are not supported")
        case _:
            return


def _check_selector(node: Any) -> None:
    if node.at is not None:
        raise Unsupported("the modifier @ is not supported")
    if node.matchers.or_matchers:
        raise Unsupported("`or` between label matchers is not supported")
    wanted = conditions(node)
    if all(each.matches("") for each in wanted):
        raise QueryError(
            "parse error: vector selector must contain at least one non-empty matcher"
        )


def _fills(modifier: Any) -> bool:
    fill = getattr(modifier, "fill_values", None)
    if fill is None:
        return False
    return any(getattr(fill, side, None) is not None for side in ("lhs", "rhs"))


def _depth(text: str) -> int:
    deepest = level = 0
    for character in text:
        if character in "([{":
            level += 1
            deepest = max(deepest, level)
        elif character in ")]}":
            level -= 1
    return deepest
