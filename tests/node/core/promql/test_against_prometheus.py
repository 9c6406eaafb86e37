"""The same samples, the same expressions: Debian's Prometheus and ours answer alike."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from nexa_node.core.promql.evaluate import evaluate, steps_of
from nexa_node.core.promql.parsing import Unsupported, parse
from nexa_node.core.promql.samples import Budget, QueryError, Series
from nexa_node.core.promql.vectors import Scalar, Vector, key_of
from tests.node.core.promql.prometheus import (
    START_S,
    Prometheus,
    Samples,
    installed,
    number,
    prometheus,
    same,
    series,
)

SPAN_S = 3600
STEP_S = 15
NODES, JOBS = ("alpha", "beta", "gamma"), ("nexa", "other")


def made() -> Samples:
    """Counters with resets, gauges with gaps and odd values, histograms."""
    rng = random.Random(7)
    found: list[Series] = []
    beats = list(range(0, SPAN_S, STEP_S))
    for node in NODES:
        for job in JOBS:
            labels = {"node": node, "job": job}
            value, values = 0.0, []
            for _ in beats:
                value = 0.0 if rng.random() < 0.02 else value + rng.randrange(0, 9)
                values.append(value)
            jitter = [at + rng.random() for at in beats]
            found.append(series("requests_total", labels, jitter, values))
            kept = [at for at in beats if not (900 < at < 1500 and node == "beta")]
            drift = [100 + at / 60 + rng.gauss(0, 5) for at in kept]
            found.append(series("load", labels, kept, drift))
    for node in NODES[:2]:
        odd = [
            rng.choice([0.0, 1.0, -1.0, 2.5, np.inf, -np.inf, np.nan]) for _ in beats
        ]
        found.append(series("odd", {"node": node}, beats, odd))
    found.append(
        series("info", {"node": "alpha", "zone": "a"}, beats, [1.0] * len(beats))
    )
    found.append(
        series("info", {"node": "beta", "zone": "b"}, beats, [1.0] * len(beats))
    )
    found.append(series("limit", {"zone": "a"}, beats, [110.0] * len(beats)))
    found.append(series("lone", {}, beats[100:110], [3.0] * 10))
    for node in NODES:
        counts = np.zeros(5)
        rows: list[Any] = []
        for _ in beats:
            counts = counts + np.cumsum([rng.randrange(0, 4) for _ in range(5)])
            rows.append(counts)
        for at, bound in enumerate(("0.1", "0.5", "1", "5", "+Inf")):
            labels = {"node": node, "le": bound}
            found.append(series("seconds_bucket", labels, beats, [r[at] for r in rows]))
    return Samples(tuple(found))


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if not installed():
        pytest.skip("there is no Prometheus, and Debian's can't be installed here")
    with prometheus(tmp_path_factory.mktemp("prometheus"), made()) as running:
        yield running


CORPUS = """
load
load{node="alpha"}
load{node=~"al.*|beta"}
load{node!="alpha",job!~"o.*"}
load offset 5m
load offset -1m
{__name__=~"load|info",job="nexa"}
rate(requests_total[5m])
rate(requests_total[1m] offset 3m)
increase(requests_total[10m])
delta(load[5m])
idelta(load[5m])
irate(requests_total[2m])
deriv(load[5m])
predict_linear(load[10m], 3600)
changes(load[5m])
changes(odd[10m])
resets(requests_total[30m])
avg_over_time(load[5m])
avg_over_time(odd[1m])
min_over_time(odd[5m])
max_over_time(odd[5m])
sum_over_time(load[5m])
sum_over_time(odd[2m])
count_over_time(load[5m])
last_over_time(load[5m])
present_over_time(load[5m])
absent_over_time(load{node="beta"}[1m])
absent_over_time(nothing{a="b",c=~"d"}[5m])
stddev_over_time(load[5m])
stdvar_over_time(load[5m])
quantile_over_time(0.9, load[5m])
quantile_over_time(0.5, odd[5m])
quantile_over_time(2, load[5m])
quantile_over_time(scalar(lone), load[5m])
absent(load)
absent(nothing)
absent(nothing{a="b"})
absent(nothing{a="b",a="c"})
absent(sum(nothing))
absent(load{node="beta"})
abs(odd)
ceil(load)
floor(-load)
round(load)
round(load, 7)
exp(odd)
ln(odd)
log2(load)
log10(load)
sqrt(odd)
sgn(odd)
clamp(load, 100, 110)
clamp(load, 110, 100)
clamp_min(odd, 0)
clamp_max(odd, 0)
vector(1)
vector(time())
time()
pi()
scalar(lone)
scalar(load)
timestamp(load)
timestamp(load offset 3m)
timestamp(load + 1)
minute()
hour(vector(1760000000))
day_of_week()
day_of_month()
day_of_year()
month()
year()
days_in_month()
days_in_month(load * 1e7)
sum(load)
sum by (node) (load)
sum without (node) (load)
sum by (nothing) (load)
avg by (job) (load)
avg(odd)
min(odd)
max(odd)
min by (node) (load)
count by (node, job) (load)
count(load) by (job)
group by (node) (load)
stddev(load)
stdvar by (job) (load)
topk(2, load)
bottomk(2, load)
topk by (job) (1, load)
topk(0, load)
topk(scalar(lone), load)
quantile(0.5, load)
quantile by (job) (0.9, load)
quantile(-1, load)
count_values("value", floor(load / 50))
count_values by (job) ("v", floor(load / 50))
sort(load)
-load
+load
-1 ^ 2
1 + 2 * 3
2 ^ 3 ^ 2
7 % 4
-7 % 4
1 / 0
0 / 0
5 % 0
1 > bool 2
2 == bool 2
load + 1
1 - load
load * load
load / on (node, job) requests_total
load > 110
110 < load
load > bool 110
110 >= bool load
load != load offset 1m
load == load
load > on (node, job) load offset 1m
load and requests_total
load and on (node) info
load unless on (node) info
load or requests_total
info or on (node) load
load and ignoring (job) info
load * on (node) group_left (zone) info
info * on (node) group_right (zone) load
load > on (node) group_left (zone) (info * 105)
load * on (node) group_left () info
load / ignoring (job) group_left info
load + on (node) info
load + ignoring (job) load
sum by (node) (load) / sum by (node) (requests_total)
sum(load) / count(load)
load + odd
odd + odd
odd % 2
odd ^ 2
odd atan2 2
histogram_quantile(0.9, seconds_bucket)
histogram_quantile(0.5, rate(seconds_bucket[5m]))
histogram_quantile(0.99, sum by (le) (rate(seconds_bucket[5m])))
histogram_quantile(2, seconds_bucket)
histogram_quantile(-1, seconds_bucket)
histogram_quantile(0, seconds_bucket)
histogram_quantile(1, seconds_bucket)
histogram_quantile(0.5, seconds_bucket{le!="+Inf"})
histogram_quantile(0.5, seconds_bucket{le="+Inf"})
histogram_quantile(0.5, load)
label_replace(load, "short", "$1", "node", "(.).*")
label_replace(load, "node", "same", "node", ".*")
label_replace(load, "short", "${1}x$$", "node", "(al).*")
label_replace(load, "node", "", "node", "alpha")
label_join(load, "both", "-", "node", "job")
rate(load[5m]) > 0 and on (node) info
(load > 100) * 2
load{node="alpha",job="nexa"} * 2 or vector(0)
vector(0) unless on () load
sum(rate(requests_total[5m])) by (node) > 0.2
max by (node) (load) - min by (node) (load)
{node="alpha"} * 2
rate({__name__=~"load|requests_total",node="alpha"}[5m])
sum(odd) by (node) == 1
stddev(odd)
scalar(sum(load)) + load
scalar(nothing) + load
time() - timestamp(load)
avg_over_time(load[5s])
rate(requests_total[10s])
lone
lone offset 10m
count(nothing)
sum(nothing) or vector(0)
bool
""".strip().splitlines()


def generated(count: int) -> list[str]:
    """Expressions nobody thought of; the same ones at each run."""
    rng = random.Random(20261123)
    return [_vector(rng, 3) for _ in range(count)]


def _vector(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(
            ["load", "requests_total", "odd", "info", 'load{job="nexa"}', "lone",
             'requests_total{node=~"a.*"}', "load offset 2m", "nothing"]
        )  # fmt: skip
    inner = _vector(rng, depth - 1)
    match rng.randrange(9):
        case 0:
            function = rng.choice(
                ["rate", "increase", "delta", "irate", "deriv", "changes", "resets"]
                + [
                    f"{k}_over_time"
                    for k in ("avg", "min", "max", "sum", "count", "last")
                ]
            )
            name = rng.choice(["load", "requests_total", "odd"])
            return f"{function}({name}[{rng.choice(['1m', '5m', '20m', '20s'])}])"
        case 1:
            labels = rng.choice(["node", "job", "node, job", "zone", ""])
            how = rng.choice(["by", "without"])
            what = rng.choice(["sum", "avg", "min", "max", "count", "group", "stddev"])
            return f"{what} {how} ({labels}) ({inner})"
        case 2:
            what = rng.choice(
                ["abs", "ceil", "floor", "sgn", "sqrt", "round", "ln", "-"]
            )
            return f"{what}({inner})"
        case 3:
            operator = rng.choice(["+", "-", "*", "/", "%", "^"])
            return f"({inner}) {operator} {rng.choice(['2', '0', '-1.5', '1e3'])}"
        case 4:
            operator = rng.choice(["==", "!=", ">", "<", ">=", "<="])
            word = rng.choice(["", " bool"])
            return f"({inner}) {operator}{word} {rng.choice(['1', '100', '0'])}"
        case 5:
            operator = rng.choice(["and", "or", "unless"])
            match_by = rng.choice(["", "on (node)", "ignoring (job)", "on ()"])
            return f"({inner}) {operator} {match_by} ({_vector(rng, depth - 1)})"
        case 6:
            operator = rng.choice(["+", "-", "*", "/", ">", "==", "> bool"])
            match_by = rng.choice(
                ["", "on (node, job)", "ignoring (zone)", "on (node)",
                 "on (node) group_left ()", "on (node) group_left (zone)",
                 "ignoring (job) group_right ()"]
            )  # fmt: skip
            return f"({inner}) {operator} {match_by} ({_vector(rng, depth - 1)})"
        case 7:
            return rng.choice([f"absent({inner})", f"vector(scalar({inner}))"])
        case _:
            return inner


START, END = START_S + 600, START_S + SPAN_S + 400


def ours(text: str, steps: Any) -> Any:
    """{labels: {seconds: value}}, a list of numbers, or a refusal."""
    try:
        found = evaluate(parse(text), made_once(), steps, Budget())
    except Unsupported:
        raise
    except QueryError as error:
        return str(error)
    match found:
        case Scalar():
            return {(): dict(zip(steps / 1000, found.values, strict=True))}
        case Vector():
            return {
                key_of(labels): {
                    at: value
                    for at, value, there in zip(
                        steps / 1000, values, present, strict=True
                    )
                    if there
                }
                for labels, values, present in zip(
                    found.labels, found.values, found.present, strict=True
                )
            }
        case _:
            return found


_SAMPLES: list[Samples] = []


def made_once() -> Samples:
    if not _SAMPLES:
        _SAMPLES.append(made())
    return _SAMPLES[0]


def theirs(truth: Prometheus, text: str, step: int) -> Any:
    told = truth.ask("query_range", query=text, start=START, end=END, step=step)
    if isinstance(told, str):
        return told
    return {
        key_of(one["metric"]): {at: number(value) for at, value in one["values"]}
        for one in told["result"]
    }


def compare(text: str, mine: Any, their: Any) -> None:
    if isinstance(their, str) or isinstance(mine, str):
        assert isinstance(mine, str), f"{text}: Prometheus refuses ({their}), nexa not"
        assert isinstance(their, str), f"{text}: nexa refuses ({mine}), Prometheus not"
        return
    assert mine.keys() == their.keys(), text
    for labels, expected in their.items():
        got = mine[labels]
        assert got.keys() == expected.keys(), (text, labels)
        for at, value in expected.items():
            assert same(float(got[at]), value), (text, labels, at, got[at], value)


@pytest.mark.parametrize("text", CORPUS)
def test_the_corpus_is_answered_alike(truth: Prometheus, text: str) -> None:
    step = 37
    their = theirs(truth, text, step)
    compare(text, ours(text, steps_of(START * 1000, END * 1000, step * 1000)), their)


@pytest.mark.parametrize("lot", range(10))
def test_generated_expressions_are_answered_alike(truth: Prometheus, lot: int) -> None:
    step = 101
    steps = steps_of(START * 1000, END * 1000, step * 1000)
    for text in generated(4000)[lot * 400 : (lot + 1) * 400]:
        compare(text, ours(text, steps), theirs(truth, text, step))
