"""Figures over time: what is asked, how far back, and what came. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from nexa_tui.state.formats import count, duration, per_second, percent, rate, size
from nexa_tui.state.text import clean

Unit = Literal["percent", "seconds", "per_second", "bytes", "bytes_per_second", "count"]
RANGES_S: tuple[int, ...] = (300, 900, 3600, 6 * 3600, 24 * 3600)
"""As far as one can look back: nodes keep a day."""
STEP_MIN_S = 10
"""Nodes take a sample each ten seconds."""
OWN = "own"
"""The key of the question that a person typed."""


class Question(msgspec.Struct, frozen=True):
    """One expression, and how its answer is read."""

    key: str
    title: str
    expression: str
    unit: Unit
    total: Literal["sum", "max"] = "sum"
    """What one figure says of several series: all of them, or the worst."""


QUESTIONS: tuple[Question, ...] = (
    Question("done", "tasks completed",
             'sum by (instance) (rate(nexa_tasks_total{outcome="completed"}[1m]))',
             "per_second"),
    Question("failed", "tasks failed",
             'sum by (instance) (rate(nexa_tasks_total{outcome!="completed"}[1m]))',
             "per_second"),
    Question("p99", "task time, p99",
             "histogram_quantile(0.99, sum by (le)"
             " (rate(nexa_task_duration_seconds_bucket[5m])))", "seconds", "max"),
    Question("waiting", "tasks waiting", "max by (queue) (nexa_queue_depth)", "count"),
    Question("messages", "messages received",
             "sum by (instance) (rate(nexa_messages_received_total[1m]))",
             "per_second"),
    Question("agents", "agents", "sum by (state) (nexa_agents)", "count"),
    Question("connections", "connections", "sum by (instance) (nexa_connections)",
             "count"),
    Question("cpu", "processor",
             '1 - sum by (instance) (rate(nexa_node_cpu_seconds_total{mode="idle"}[1m]))'
             " / sum by (instance) (rate(nexa_node_cpu_seconds_total[1m]))",
             "percent", "max"),
    Question("memory", "memory",
             "1 - nexa_node_memory_available_bytes / nexa_node_memory_total_bytes",
             "percent", "max"),
    Question("network", "network sent",
             "sum by (instance) (rate(nexa_node_network_transmit_bytes_total[1m]))",
             "bytes_per_second"),
    Question("store", "store round trip, p99",
             "histogram_quantile(0.99, sum by (le, instance)"
             " (rate(nexa_nats_rtt_seconds_bucket[5m])))", "seconds", "max"),
    Question("lag", "event loop lag, p99",
             "histogram_quantile(0.99, sum by (le, instance)"
             " (rate(nexa_event_loop_lag_seconds_bucket[5m])))", "seconds", "max"),
)  # fmt: skip


class Drawing(msgspec.Struct, frozen=True):
    """One series, a value for each step; None where there is none."""

    labels: Mapping[str, str]
    values: tuple[float | None, ...]

    @property
    def name(self) -> str:
        """Its labels in one line."""
        told = " ".join(f"{key}={value}" for key, value in sorted(self.labels.items()))
        return clean(told, 200) or "all of it"

    @property
    def last(self) -> float | None:
        """The newest value."""
        return next((one for one in reversed(self.values) if one is not None), None)


class Answer(msgspec.Struct, frozen=True):
    """What a node answered to one question."""

    start: float
    """Of the first step, seconds since 1970."""
    step: float
    drawings: tuple[Drawing, ...] = ()
    error: str | None = None
    """Why there is nothing; the node's own words."""

    def index(self, moment: float) -> int:
        """The step nearest to a moment, seconds since 1970; one that is there."""
        count = len(self.drawings[0].values) if self.drawings else 1
        return min(count - 1, max(0, round((moment - self.start) / self.step)))

    def at(self, index: int) -> datetime:
        """When a step was."""
        return datetime.fromtimestamp(self.start + index * self.step, tz=UTC)


def step_of(range_s: int, cells: int) -> float:
    """The step at which a chart of so many cells shows the range, in seconds."""
    return max(STEP_MIN_S, math.ceil(range_s / max(1, cells)))


def read(
    matrix: Sequence[tuple[Mapping[str, str], Sequence[tuple[float, float]]]],
    *,
    start: float,
    step: float,
    steps: int,
) -> Answer:
    """Put a matrix on its steps; what falls between two belongs to the nearer."""
    drawings: list[Drawing] = []
    for labels, points in matrix:
        values: list[float | None] = [None] * steps
        for when, value in points:
            index = round((when - start) / step)
            if 0 <= index < steps and math.isfinite(value):
                values[index] = value
        drawings.append(Drawing(labels, tuple(values)))
    drawings.sort(key=lambda one: math.inf if one.last is None else -one.last)
    return Answer(start, step, tuple(drawings))


def together(answer: Answer, question: Question) -> tuple[float | None, ...]:
    """One value for each step, of all series."""
    found: list[float | None] = []
    for values in zip(*(one.values for one in answer.drawings), strict=True):
        there = [value for value in values if value is not None]
        if not there:
            found.append(None)
        else:
            found.append(sum(there) if question.total == "sum" else max(there))
    return tuple(found)


def told(value: float | None, unit: Unit) -> str:
    """A value with its unit."""
    if value is None:
        return "-"
    if unit == "seconds":
        return duration(value * 1000).strip()
    if unit == "percent":
        return percent(value).strip()
    if unit == "count":
        return f"{value:.6g}" if value < 1000 else count(value).strip()
    maker = {"per_second": per_second, "bytes": size, "bytes_per_second": rate}[unit]
    return maker(value).strip()
