"""Prometheus' HTTP API: what a node answers has the shape and order of Prometheus' own."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from nexa_node.core.promql.answers import step_ms, time_ms
from nexa_node.core.promql.samples import QueryError
from nexa_node.services.metrics.querying import Querying
from tests.fakes import FakeClock
from tests.node.core.promql.prometheus import (
    START_S,
    Prometheus,
    Samples,
    installed,
    number,
    prometheus,
    same,
)
from tests.node.core.promql.test_against_prometheus import END, START, made_once

AT = START_S + 1800


class Kept:
    """Samples, as a node's history is asked."""

    def __init__(self, samples: Samples) -> None:
        self.select = samples.select
        self._samples = samples

    def labels(self) -> tuple[Any, ...]:
        return tuple(one.labels for one in self._samples.series)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if not installed():
        pytest.skip("there is no Prometheus, and Debian's can't be installed here")
    with prometheus(tmp_path_factory.mktemp("prometheus"), made_once()) as running:
        yield running


@pytest.fixture
def querying() -> Querying:
    return Querying(Kept(made_once()), clock=FakeClock())  # type: ignore[arg-type]


def data(answer: bytes) -> Any:
    told = msgspec.json.decode(answer)
    assert told["status"] == "success"
    return told["data"]


def alike(mine: Any, theirs: Any) -> bool:
    match mine, theirs:
        case dict(), dict():
            return mine.keys() == theirs.keys() and all(
                alike(mine[key], theirs[key]) for key in mine
            )
        case list(), list():
            return len(mine) == len(theirs) and all(map(alike, mine, theirs))
        case str(), str():
            if mine == theirs:
                return True
            try:
                return same(number(mine), number(theirs))
            except ValueError:
                return False
        case _:
            return mine == theirs


@pytest.mark.parametrize(
    "text",
    [
        "load",
        "sum by (node) (load)",
        "1 + 1",
        "time()",
        '"text"',
        "topk(3, load)",
        "bottomk(2, load)",
        "sort(load)",
        "sort_desc(load)",
        "odd",
        "nothing",
        "rate(requests_total[5m])",
        "1e100 * load",
        "load / 1e30",
        "vector(1e21)",
        "vector(0.000001)",
        "vector(123456789.123)",
    ],
)
async def test_a_moment_is_told_alike(
    truth: Prometheus, querying: Querying, text: str
) -> None:
    mine = data(await querying.instant(text, at_ms=AT * 1000))
    theirs = truth.ask("query", query=text, time=AT)

    if mine["resultType"] == "vector" and not text.startswith(
        ("topk", "bottom", "sort")
    ):
        theirs["result"].sort(key=lambda one: sorted(one["metric"].items()))
    assert alike(mine, theirs), (mine, theirs)


@pytest.mark.parametrize("text", ["load", "sum(load)", "2", "nothing", "time()"])
async def test_a_range_is_told_alike(
    truth: Prometheus, querying: Querying, text: str
) -> None:
    mine = data(
        await querying.over_time(
            text, start_ms=START * 1000, end_ms=END * 1000, step_ms=60_000
        )
    )
    theirs = truth.ask("query_range", query=text, start=START, end=END, step=60)

    theirs["result"].sort(key=lambda one: sorted(one["metric"].items()))
    assert alike(mine, theirs)


async def test_series_and_labels_are_told_alike(
    truth: Prometheus, querying: Querying
) -> None:
    wanted = '{job="nexa",node=~"a.*|b.*"}'
    when = {"start": START, "end": END}
    span = {"start_ms": START * 1000, "end_ms": END * 1000}
    asked = {"match[]": wanted, **when}

    mine = [
        data(await querying.series([wanted], **span)),
        data(await querying.labels([wanted], **span)),
        data(await querying.labels([], **span)),
        data(await querying.values("node", [wanted], **span)),
        data(await querying.values("zone", [], **span)),
        data(await querying.values("nothing", [], **span)),
    ]

    def ordered(told: list[Any]) -> list[Any]:
        return sorted(told, key=str)

    theirs = [
        truth.ask("series", **asked),
        truth.ask("labels", **asked),
        truth.ask("labels", **when),
        truth.ask("label/node/values", **asked),
        truth.ask("label/zone/values", **when),
        truth.ask("label/nothing/values", **when),
    ]
    assert [ordered(each) for each in mine] == [ordered(each) for each in theirs]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1760000400", 1760000400000),
        ("1760000400.5", 1760000400500),
        ("2025-10-09T09:00:00Z", 1760000400000),
        ("2025-10-09T11:00:00.25+02:00", 1760000400250),
    ],
)
def test_a_moment_is_read(text: str, expected: int) -> None:
    assert time_ms(text, name="time") == expected


@pytest.mark.parametrize(
    "text", ["", "now", "-5", "1e99", "2025-10-09T09:00:00", "nan"]
)
def test_no_moment_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        time_ms(text, name="time")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("15", 15000), ("0.5", 500), ("5m", 300_000), ("1h30m", 5400000)],
)
def test_a_span_is_read(text: str, expected: int) -> None:
    assert step_ms(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "0s", "soon", "inf"])
def test_no_span_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        step_ms(text)


@pytest.mark.parametrize(
    "text", ["load +", "rate(load[5m])", "load offset 5m", "load[5m]", "{}", "1"]
)
async def test_what_is_no_selector_is_refused(querying: Querying, text: str) -> None:
    with pytest.raises(QueryError):
        await querying.series([text], start_ms=None, end_ms=None)


async def test_a_query_that_costs_too_much_has_an_end(querying: Querying) -> None:
    costly = "+".join(["load"] * 140)
    with pytest.raises(QueryError, match=r"too many|11,000|nested"):
        await querying.over_time(
            costly * 1, start_ms=0, end_ms=10_999_000_000, step_ms=1_000
        )
    with pytest.raises(QueryError):
        await querying.instant("(" * 200 + "1" + ")" * 200, at_ms=0)
