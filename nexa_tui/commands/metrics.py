"""`nexa metrics`: what all nodes measured, asked in PromQL."""

import argparse
import time
from typing import Any

import msgspec

from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, seconds
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.state.charts import Glyphs, sparkline
from nexa_tui.state.metrics import QUESTIONS, Answer, Question, read, together, told

_STEPS = 60
"""Of a range, without `--step`."""
_STEP_MIN_S = 10.0
_NOW_S = 600
_WIDTH = 30


class _Point(msgspec.Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    resultType: str  # noqa: N815  # Prometheus' word
    result: msgspec.Raw


class _Told(msgspec.Struct):
    data: _Data


def run(arguments: list[str], call: Call) -> int:
    """Answer a query, or tell what matters most now."""
    parser = Parser(
        "metrics",
        "What all nodes measured, asked in PromQL; without a query what matters most.",
        epilog="""examples:
  nexa metrics
  nexa metrics 'sum by (instance) (rate(nexa_messages_received_total[5m]))'
  nexa metrics 'nexa_queue_depth' --range 1h --step 1m
  nexa metrics --text nexa_node     this node's own, as Prometheus reads them""",
    )
    parser.add_argument("query", nargs="?", default="", help="PromQL")
    parser.add_argument(
        "--range", type=seconds, metavar="SPAN", help="over the last 30m, 6h, …"
    )
    parser.add_argument("--step", type=seconds, metavar="SPAN", help="of a range")
    parser.add_argument(
        "--text", action="store_true", help="Prometheus' text; QUERY is part of a name"
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        if options.text:
            return _text(node, options, call)
        if not options.query:
            return _summary(node, options, call)
        if options.range is None:
            return _instant(node, options, call)
        return _over_time(node, options, call)


# -- a query -------------------------------------------------------------------


def _instant(node: Rest, options: argparse.Namespace, call: Call) -> int:
    data = _ask(node, "query", query=options.query)
    if options.json:
        call.json(data)
        return 0
    if data.resultType in ("scalar", "string"):
        _, value = msgspec.json.decode(data.result, type=tuple[float, str])
        call.line(clean(value))
        return 0
    rows = [(_name(one.metric), one.value[1]) for one in _points(data) if one.value]
    call.table(
        ("SERIES", "VALUE"), rows, empty="no series: nexa metrics --text shows names"
    )
    return 0


def _over_time(node: Rest, options: argparse.Namespace, call: Call) -> int:
    end = time.time()
    step = options.step or max(_STEP_MIN_S, round(options.range / _STEPS))
    data = _ask(
        node,
        "query_range",
        query=options.query,
        start=end - options.range,
        end=end,
        step=step,
    )
    if options.json:
        call.json(data)
        return 0
    answer = _answer(data, end - options.range, step, options.range)
    rows: list[tuple[str, ...]] = []
    for drawing in answer.drawings:
        there = [value for value in drawing.values if value is not None]
        if there:
            least, most = min(there), max(there)
            mean = sum(there) / len(there)
            numbers = (f"{one:.6g}" for one in (least, mean, most, there[-1]))
            rows.append((drawing.name, *numbers, _spark(drawing.values, call)))
    call.table(
        ("SERIES", "LEAST", "MEAN", "MOST", "NOW", "OVER TIME"),
        rows,
        empty="no samples in that time: nexa metrics --text shows names",
    )
    return 0


# -- without a query -----------------------------------------------------------


def _summary(node: Rest, options: argparse.Namespace, call: Call) -> int:
    end, step = time.time(), _STEP_MIN_S
    found: list[tuple[Question, Answer]] = []
    for question in QUESTIONS:
        data = _ask(
            node,
            "query_range",
            query=question.expression,
            start=end - _NOW_S,
            end=end,
            step=step,
        )
        found.append((question, _answer(data, end - _NOW_S, step, _NOW_S)))
    if options.json:
        call.json({"items": [_item(*one) for one in found]})
        return 0
    rows: list[tuple[str, ...]] = []
    for question, answer in found:
        whole = together(answer, question)
        now = whole[-1] if whole else None
        rows.append((question.title, told(now, question.unit), _spark(whole, call)))
    call.table(("FIGURE", "NOW", "LAST 10 MINUTES"), rows, empty="")
    return 0


def _item(question: Question, answer: Answer) -> dict[str, Any]:
    whole = together(answer, question)
    return {
        "key": question.key,
        "title": question.title,
        "query": question.expression,
        "unit": question.unit,
        "value": whole[-1] if whole else None,
        "series": [
            {"labels": dict(one.labels), "value": one.last} for one in answer.drawings
        ],
    }


def _text(node: Rest, options: argparse.Namespace, call: Call) -> int:
    lines = [
        line for line in node.text("/metrics").splitlines() if options.query in line
    ]
    if options.json:
        samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        items = [{"series": series, "value": value} for series, _, value in samples]
        call.json({"items": items})
        return 0
    for line in lines:
        call.line(clean(line, 2000))
    return 0


# -- parts ---------------------------------------------------------------------


def _ask(node: Rest, what: str, **query: Any) -> _Data:
    return node.get(f"/api/v1/{what}", _Told, query=query, wait_s=20.0).data


def _points(data: _Data) -> list[_Point]:
    return msgspec.json.decode(data.result, type=list[_Point])


def _answer(data: _Data, start: float, step: float, span: float) -> Answer:
    found = [
        (one.metric, [(at, float(value)) for at, value in one.values])
        for one in _points(data)
    ]
    return read(found, start=start, step=step, steps=int(span // step) + 1)


def _name(labels: dict[str, str]) -> str:
    name = labels.get("__name__", "")
    rest = ", ".join(
        f'{key}="{value}"' for key, value in sorted(labels.items()) if key != "__name__"
    )
    return clean(f"{name}{{{rest}}}" if rest or not name else name, 300)


def _spark(values: tuple[float | None, ...], call: Call) -> str:
    glyphs: Glyphs = "block" if _speaks_unicode(call) else "ascii"
    every = max(1, -(-len(values) // _WIDTH))
    thinned = [
        next(
            (one for one in reversed(values[at : at + every]) if one is not None), None
        )
        for at in range(0, len(values), every)
    ]
    known = [one for one in thinned if one is not None]
    low = min(0.0, *known) if known else 0.0
    return sparkline(thinned, len(thinned), glyphs=glyphs, low=low).text


def _speaks_unicode(call: Call) -> bool:
    encoding = getattr(call.out, "encoding", None) or "utf-8"
    return "utf" in encoding.lower()
