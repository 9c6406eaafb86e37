"""Prometheus' text format (version 0.0.4), from plain values.

`render` writes what a scrape answers. A family that Prometheus' own linter would
complain about cannot be built: the prefix is `nexa_` (or that of the standard families
of any process, `process_` and `python_`), units are base units (seconds,
bytes, ratios), and counters, and only counters, end in `_total`.

    Counter("nexa_tasks_completed_total", "Tasks completed.", (Sample(3),))
    Gauge("nexa_agents", "Agents.", (Sample(2, {"state": "idle"}),))
    Histogram("nexa_task_duration_seconds", "Submit to result.", (buckets,))
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` returns."""

_NAME = re.compile(r"(nexa|process|python)_[a-z0-9]+(_[a-z0-9]+)*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SMALL_UNITS = re.compile(
    r"_(ms|milliseconds|us|microseconds|ns|nanoseconds|minutes|hours|days|bits|percent"
    r"|[kmg]i?b|kilobytes|megabytes|gigabytes)(_|$)"
)
_GENERATED = ("_total", "_count", "_sum", "_bucket")
_RESERVED_LABELS = frozenset(("le", "quantile"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, and the labels that tell it from its neighbours."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Buckets:
    """One histogram: how many observations fell at or below each bound."""

    bounds: tuple[float, ...]
    """Upper bounds, ascending, without infinity."""
    counts: tuple[int, ...]
    """Of each bucket alone, not cumulative; the last one is beyond the last bound."""
    total: float
    """The sum of all observed values."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Refuse what no scrape could read."""
        if len(self.counts) != len(self.bounds) + 1:
            raise ValueError(f"{len(self.bounds)} bounds need one count more than that")
        if any(low >= high for low, high in pairwise(self.bounds)):
            raise ValueError(f"bounds must ascend: {self.bounds}")
        if not all(map(math.isfinite, self.bounds)):
            raise ValueError("infinity is the bucket that is always there")


@dataclass(frozen=True, slots=True)
class Counter:
    """Something that only grows, until the process starts again."""

    name: str
    """Ends in `_total`."""
    help: str
    samples: tuple[Sample, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name that breaks the conventions."""
        _check_name(self.name.removesuffix("_total"))
        if not self.name.endswith("_total"):
            raise ValueError(f"a counter's name ends in _total: {self.name}")
        _check_labels(self.name, self.samples)


@dataclass(frozen=True, slots=True)
class Gauge:
    """Something that goes up and down."""

    name: str
    help: str
    samples: tuple[Sample, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name that breaks the conventions."""
        _check_name(self.name)
        _check_labels(self.name, self.samples)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How values are distributed."""

    name: str
    help: str
    series: tuple[Buckets, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name that breaks the conventions."""
        _check_name(self.name)
        _check_labels(self.name, self.series)


Family = Counter | Gauge | Histogram


def render(families: Iterable[Family]) -> bytes:
    """Write `families` in the text format, by name.

    Raises:
        ValueError: Two families have one name.
    """
    named: dict[str, Family] = {}
    for family in families:
        if family.name in named:
            raise ValueError(f"two families are called {family.name}")
        named[family.name] = family
    lines = [line for name in sorted(named) for line in _lines(named[name])]
    return "".join(f"{line}\n" for line in lines).encode()


def bounds_told(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """The values of `le` of a histogram's buckets, infinity last."""
    return tuple(_number(bound) for bound in (*bounds, math.inf))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped_help(family.help)}"
    yield f"# TYPE {family.name} {type(family).__name__.lower()}"
    if isinstance(family, Histogram):
        for buckets in family.series:
            yield from _histogram(family.name, buckets)
        return
    for sample in family.samples:
        yield f"{family.name}{_labels(sample.labels)} {_number(sample.value)}"


def _histogram(name: str, buckets: Buckets) -> Iterator[str]:
    below = 0
    for bound, count in zip(bounds_told(buckets.bounds), buckets.counts, strict=True):
        below += count
        labels = {**buckets.labels, "le": bound}
        yield f"{name}_bucket{_labels(labels)} {below}"
    yield f"{name}_sum{_labels(buckets.labels)} {_number(buckets.total)}"
    yield f"{name}_count{_labels(buckets.labels)} {below}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
    return f"{{{pairs}}}"


def _escaped(text: str) -> str:
    """Label values are foreign text: no value may end its line or its quotes."""
    safe = text.encode("utf-8", "replace").decode()
    return safe.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escaped_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a metric of nexa: {name!r}")
    if name.endswith(_GENERATED):
        raise ValueError(f"the ending belongs to another kind of metric: {name}")
    if _SMALL_UNITS.search(name):
        raise ValueError(f"units are seconds, bytes and ratios: {name}")


def _check_labels(name: str, series: Iterable[Sample | Buckets]) -> None:
    seen: set[frozenset[tuple[str, str]]] = set()
    for one in series:
        wrong = [
            label
            for label in one.labels
            if not _LABEL.fullmatch(label)
            or label.startswith("__")
            or label in _RESERVED_LABELS
        ]
        if wrong:
            raise ValueError(f"{name}: not a label: {wrong[0]!r}")
        key = frozenset(one.labels.items())
        if key in seen:
            raise ValueError(f"{name}: two samples with the labels {dict(one.labels)}")
        seen.add(key)
