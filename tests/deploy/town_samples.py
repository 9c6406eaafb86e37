"""Made-up samples of everything a cluster of two nodes tells, by nexa's own catalogue."""

import itertools
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

from nexa_node.core.alerting.linting import catalogue
from nexa_node.core.promql.samples import Series
from tests.node.core.promql.prometheus import Samples, series
from tests.node.rules.test_builtin import ALERTS, GROUPS, RULES

SPAN_S, STEP_S = 2400, 30
NODES = ("alpha", "beta")
VALUES = {
    "le": ("0.1", "1", "+Inf"),
    "mode": ("idle", "user"),
    "kind": ("agent", "console"),
    "mountpoint": ("state",),
    "resource": ("cpu", "io"),
    "level": ("error", "info"),
    "limit": ("login", "rate"),
    "severity": ("critical", "none"),
    "version": ("1",),
}
"""What rules and panels ask for; other labels have two values of no meaning."""
STATES = {
    "nexa_agents": ("connected", "offline"),
    "nexa_alerts": ("firing", "pending"),
    "nexa_cluster_members": ("alive", "dead"),
}
REASONS = {"nexa_auth_failures_total": ("unknown", "expired")}
OUTCOMES = {"nexa_tasks_total": ("completed", "failed"), "nexa_canaries_total": ("lost",)}  # fmt: skip
SHARES = (0.31, 0.77, 1.0)
"""Of what is counted, up to each bound: no quantile asked for is on the edge of one."""
COUNTED = ("_total", "_bucket", "_count", "_sum")


@cache
def samples() -> Samples:
    """The same at each call: counters that grow and restart, gauges that wander."""
    rng = random.Random(20261123)
    return Samples((*_told(rng), *_recorded(rng), *_alerts()))


def _told(rng: random.Random) -> Iterator[Series]:
    known = catalogue((RULES.parent / "catalogue.txt").read_text())
    for name in sorted(known):
        for node in NODES:
            base = {"job": "nexa", "instance": node}
            yield from _children(rng, name, base, sorted(known[name]))


def _recorded(rng: random.Random) -> Iterator[Series]:
    """What rules record, with a label for each that they keep."""
    for group in GROUPS:
        for rule in group.rules:
            if not rule.alerts:
                own = [
                    label
                    for label in ("queue", "destination", "agent_type")
                    if label in rule.text
                ]
                nodes = NODES if "instance" in rule.text or not own else ("",)
                for node in nodes:
                    base = {"job": "nexa", **({"instance": node} if node else {})}
                    yield from _children(rng, rule.name, base, own)


def _alerts() -> Iterator[Series]:
    """Every alert fires, on a node and for whatever its labels may be."""
    beats = range(0, SPAN_S, STEP_S)
    for name, rule in ALERTS.items():
        labels = {
            "alertname": name, "alertstate": "firing", "job": "nexa",
            "severity": rule.labels["severity"], "instance": "alpha",
        }  # fmt: skip
        for label in ("queue", "destination", "agent_type", "device", "limit", "scope"):
            if f"{label}," in rule.text or f"{label})" in rule.text:
                labels[label] = _values(name, label)[0]
        yield series("ALERTS", labels, list(beats), [1.0] * len(beats))


def _children(
    rng: random.Random, name: str, base: dict[str, str], labels: list[str]
) -> Iterator[Series]:
    beats = list(range(0, SPAN_S, STEP_S))
    others = [label for label in labels if label != "le"]
    for chosen in itertools.product(*(_values(name, label) for label in others)):
        own = {**base, **dict(zip(others, chosen, strict=True))}
        figures = _figures(rng, name, beats)
        if "le" not in labels:
            yield series(name, own, beats, figures)
            continue
        for bound, share in zip(VALUES["le"], SHARES, strict=True):
            part = [share * each for each in figures]
            yield series(name, {**own, "le": bound}, beats, part)


def _values(name: str, label: str) -> tuple[str, ...]:
    for table, wanted in ((STATES, "state"), (REASONS, "reason"), (OUTCOMES, "outcome")):  # fmt: skip
        if label == wanted and name in table:
            return table[name]
    return VALUES.get(label, (f"{label}-1", f"{label}-2"))


def _figures(rng: random.Random, name: str, beats: list[int]) -> list[Any]:
    if not name.endswith(COUNTED):
        levels = [0.5, 1.0, 40.0, 20_000.0]
        level = rng.choice(levels if "limit" in name else [0.0, *levels])
        return [level * (1 + rng.random() / 4) if level > 1 else level for _ in beats]
    value, found = 0.0, list[float]()
    for _ in beats:
        value = 0.0 if rng.random() < 0.01 else value + rng.randrange(4)
        found.append(value)
    return found
