"""The text format, read back by Prometheus' own parser."""

import math

import pytest
from hypothesis import given, strategies as st
from prometheus_client.parser import text_string_to_metric_families

from nexa_node.core.exposition import (
    Buckets,
    Counter,
    Family,
    Gauge,
    Histogram,
    Sample,
    render,
)


def read(*families: Family) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(render(families).decode())
        for sample in family.samples
    }


def test_a_gauge_is_written_with_its_help_and_type() -> None:
    gauge = Gauge(
        "nexa_agents", "Agents\nby \\ state.", (Sample(2, {"state": "idle"}),)
    )

    assert render([gauge]).decode() == (
        "# HELP nexa_agents Agents\\nby \\\\ state.\n"
        "# TYPE nexa_agents gauge\n"
        'nexa_agents{state="idle"} 2\n'
    )


def test_families_come_by_name() -> None:
    text = render([Gauge("nexa_b", "B."), Counter("nexa_a_total", "A.")]).decode()

    assert text.index("nexa_a_total") < text.index("nexa_b")


def test_a_histogram_is_cumulative() -> None:
    buckets = Buckets((0.1, 1.0), (2, 3, 1), 4.5, {"kind": "x"})
    told = read(Histogram("nexa_task_duration_seconds", "Took.", (buckets,)))

    kind = ("kind", "x")
    name = "nexa_task_duration_seconds"
    assert told == {
        (f"{name}_bucket", frozenset((kind, ("le", "0.1")))): 2,
        (f"{name}_bucket", frozenset((kind, ("le", "1.0")))): 5,
        (f"{name}_bucket", frozenset((kind, ("le", "+Inf")))): 6,
        (f"{name}_sum", frozenset((kind,))): 4.5,
        (f"{name}_count", frozenset((kind,))): 6,
    }


@given(
    value=st.floats(allow_nan=False),
    # The parser that reads it back splits lines where Python does; Prometheus does not.
    label=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])),
)
def test_any_value_and_any_label_survive(value: float, label: str) -> None:
    told = read(Gauge("nexa_any", "Any.", (Sample(value, {"label": label}),)))

    assert told == {("nexa_any", frozenset((("label", label),))): value}


@given(st.text())
def test_no_label_can_begin_a_line_of_its_own(label: str) -> None:
    text = render([Gauge("nexa_any", "Any.", (Sample(1, {"label": label}),))])

    assert text.count(b"\n") == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.inf, b" +Inf\n"),
        (-math.inf, b" -Inf\n"),
        (math.nan, b" NaN\n"),
        (3, b" 3\n"),
        (0.25, b" 0.25\n"),
    ],
)
def test_numbers_are_written_as_prometheus_reads_them(
    value: float, text: bytes
) -> None:
    assert render([Gauge("nexa_any", "Any.", (Sample(value),))]).endswith(text)


@pytest.mark.parametrize(
    "name",
    [
        "agents",
        "nexa_Agents",
        "nexa__agents",
        "nexa_lag_ms",
        "nexa_lag_milliseconds",
        "nexa_free_mb",
        "nexa_cpu_percent",
        "nexa_things_total",
        "nexa_things_count",
        "nexa_things_bucket",
        "nexa_a\nb",
    ],
)
@pytest.mark.parametrize("kind", [Gauge, Histogram])
def test_a_name_against_the_conventions_is_refused(
    kind: type[Gauge | Histogram], name: str
) -> None:
    with pytest.raises(ValueError, match=r"nexa|units|ending"):
        kind(name, "Wrong.")


@pytest.mark.parametrize("name", ["nexa_things", "nexa_total", "nexa_x_ms_total"])
def test_a_counter_ends_in_total_and_counts_base_units(name: str) -> None:
    with pytest.raises(ValueError, match="nexa"):
        Counter(name, "Wrong.")


@pytest.mark.parametrize("label", ["le", "quantile", "__name__", "a-b", "", "a\n"])
def test_a_label_that_is_none_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="not a label"):
        Gauge("nexa_any", "Any.", (Sample(1, {label: "x"}),))


def test_the_same_sample_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two samples"):
        Gauge("nexa_any", "Any.", (Sample(1, {"a": "x"}), Sample(2, {"a": "x"})))


def test_the_same_family_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two families"):
        render([Gauge("nexa_any", "Any."), Gauge("nexa_any", "Any.")])


@pytest.mark.parametrize(
    ("bounds", "counts"),
    [((1.0,), (1,)), ((2.0, 1.0), (0, 0, 0)), ((math.inf,), (0, 0))],
)
def test_buckets_that_no_scrape_could_read_are_refused(
    bounds: tuple[float, ...], counts: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"bounds|infinity"):
        Buckets(bounds, counts, 0.0)
