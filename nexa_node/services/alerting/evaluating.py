"""Evaluating rules: in a thread, with an end to what one may cost, and what came of it.

What the rules gave before is kept by the rule's name, so that a file that is read anew,
or a node that takes over, goes on where the last evaluation stopped.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.core.alerting.keeping import gone_on
from nexa_node.core.alerting.life import Active
from nexa_node.ports import Clock

if TYPE_CHECKING:  # loaded by the thread that evaluates, once there is a rule
    from nexa_node.core.alerting.evaluation import Evaluated
    from nexa_node.core.alerting.ruling import Part
    from nexa_node.core.history import Sample
    from nexa_node.core.promql.samples import Source

TIME_S = 5.0
"""For one rule; one that takes longer has failed."""
SAMPLES = 20_000_000
"""Samples one rule may look at."""
BOUNDS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Of the histogram of how long a group takes, seconds."""

Actives = dict[str, Mapping[str, Active]]
"""By the rule's name: its alerts by fingerprint."""
Resume = Callable[[AlertRecord, Active], Active | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the last evaluation of one rule said."""

    evaluated: datetime
    duration_ms: float
    error: str = ""
    alerts: int = 0
    empty: bool = False
    """Its selectors matched nothing."""


@dataclass(slots=True)
class Figures:
    """How evaluating goes, since the start; by group."""

    evaluations: dict[str, int] = field(default_factory=dict[str, int])
    failures: dict[str, int] = field(default_factory=dict[str, int])
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total_s: float = 0.0
    """Spent on evaluating."""
    faults: int = 0
    """Looks that ended by a fault of ours."""

    def add(self, group: str, rules: int, failed: int, seconds: float) -> None:
        """Count one evaluation of a group."""
        self.evaluations[group] = self.evaluations.get(group, 0) + rules
        self.failures[group] = self.failures.get(group, 0) + failed
        place = sum(seconds > bound for bound in BOUNDS)
        self.buckets[place] += 1
        self.total_s += seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one evaluation of a part."""

    part: "Part"
    before: Mapping[str, Mapping[str, Active]]
    """By the rule's name."""
    active: Mapping[str, Mapping[str, Active]]
    over: Mapping[str, tuple[Active, ...]]
    """Those just resolved, by the rule's name."""
    samples: "tuple[Sample, ...]"
    """To be recorded."""
    faults: Mapping[str, str]
    """Rules that failed, and why."""


class Evaluator:
    """Evaluates the parts of one scope: the cluster's rules, or this node's own."""

    def __init__(self, *, clock: Clock, node: str, figures: Figures) -> None:
        """Know of no alert yet."""
        self._clock = clock
        self._node = node
        self._figures = figures
        self._active: Actives = {}
        self._last: dict[str, int] = {}
        self.statuses: dict[str, Status] = {}
        """By the rule's name."""

    def restore(
        self, records: Iterable[AlertRecord], resume: Resume
    ) -> tuple[AlertRecord, ...]:
        """Go on from what is on the board, and from nothing else.

        Args:
            records: This evaluator's.
            resume: Says what the time did to it in which nobody evaluated.

        Returns:
            Those that are too old to be gone on with.
        """
        found: dict[str, dict[str, Active]] = {}
        forgotten: list[AlertRecord] = []
        for record in records:
            before = gone_on(record)
            active = None if before is None else resume(record, before)
            if active is not None:
                found.setdefault(record.rule, {})[active.fingerprint] = active
            elif before is not None:
                forgotten.append(record)
        self._active = {**found}
        return tuple(forgotten)

    def clear(self) -> None:
        """Forget everything: another node goes on."""
        self._active, self._last, self.statuses = {}, {}, {}

    def keep(self, rules: Iterable[str]) -> None:
        """Forget rules that are no more."""
        known = set(rules)
        self._active = {key: on for key, on in self._active.items() if key in known}
        self.statuses = {key: one for key, one in self.statuses.items() if key in known}

    def is_due(self, part: "Part", at_ms: int, tick_ms: int) -> bool:
        """Say whether a part's time has come, to the nearest tick."""
        last = self._last.get(part.name)
        if last is None or at_ms < last:
            return True
        return at_ms - last >= part.group.interval_s * 1000 - tick_ms / 2

    async def evaluate(self, part: "Part", source: "Source", at_ms: int) -> Outcome:
        """Evaluate a part at a moment; what it gave is kept once `take` is called."""
        before = {key: self._active.get(key, {}) for key in part.keys}
        began = self._clock.monotonic()
        try:
            told, samples = await asyncio.to_thread(
                self._compute, part, source, before, at_ms
            )
        except Exception as error:  # noqa: BLE001 - a fault of ours; others go on
            told, samples = _failed(part, before, error), ()
        took_s = max(0.0, self._clock.monotonic() - began)
        self._last[part.name] = at_ms
        outcome = _outcome(part, before, told, samples)
        self._note(outcome, told, took_s)
        return outcome

    def all(self) -> Mapping[str, Mapping[str, Active]]:
        """What every rule gave last."""
        return dict(self._active)

    def active(self, rule: str) -> Mapping[str, Active]:
        """What a rule gave last."""
        return self._active.get(rule, {})

    def take(self, active: Mapping[str, Mapping[str, Active]]) -> None:
        """Go on from what these rules gave."""
        self._active |= active

    def _note(self, outcome: Outcome, told: "Evaluated", took_s: float) -> None:
        part, now = outcome.part, self._clock.now()
        each_ms = took_s * 1000 / max(1, len(part.keys))
        blind = {id(rule) for rule in told.empty}
        for key, rule in zip(part.keys, part.group.rules, strict=True):
            self.statuses[key] = Status(
                evaluated=now,
                duration_ms=round(each_ms, 3),
                error=outcome.faults.get(key, ""),
                alerts=len(outcome.active.get(key, {})),
                empty=id(rule) in blind,
            )
        self._figures.add(part.group.name, len(part.keys), len(outcome.faults), took_s)

    # -- in a thread -----------------------------------------------------------

    def _compute(
        self,
        part: "Part",
        source: "Source",
        before: Mapping[str, Mapping[str, Active]],
        at_ms: int,
    ) -> "tuple[Evaluated, tuple[Sample, ...]]":
        from nexa_node.core.alerting.evaluation import evaluate_group
        from nexa_node.core.history import Sample
        from nexa_node.core.promql.samples import Budget

        def budget() -> Budget:
            until = self._clock.monotonic() + TIME_S
            return Budget(SAMPLES, lambda: self._clock.monotonic() > until)

        group = part.group
        if part.local:
            rules = tuple(
                replace(rule, labels={**rule.labels, "instance": self._node})
                for rule in group.rules
            )
            group = replace(group, rules=rules)
        told = evaluate_group(
            group,
            source,
            {str(place): before[key] for place, key in enumerate(part.keys)},
            now=at_ms / 1000,
            budget=budget,
        )
        points = tuple(
            Sample(labels, value, "gauge") for labels, value in told.recorded
        )
        return told, points


def _failed(
    part: "Part", before: Mapping[str, Mapping[str, Active]], error: Exception
) -> "Evaluated":
    """Nothing is known but that it failed: what was on stays on."""
    from nexa_node.core.alerting.evaluation import Evaluated, RuleFault

    why = f"{type(error).__name__}: {error}"
    return Evaluated(
        active={str(place): before[key] for place, key in enumerate(part.keys)},
        changes=(),
        recorded=(),
        faults=tuple(RuleFault(rule, why) for rule in part.group.rules),
        empty=(),
    )


def _outcome(
    part: "Part",
    before: Mapping[str, Mapping[str, Active]],
    told: "Evaluated",
    samples: "tuple[Sample, ...]",
) -> Outcome:
    # Rules are known by their place: those of a local part are copies of the book's.
    names = {
        (rule.name, rule.line): key
        for rule, key in zip(part.group.rules, part.keys, strict=True)
    }
    over: dict[str, tuple[Active, ...]] = {}
    for rule, change in told.changes:
        if change.alert.condition == "resolved":
            key = names[rule.name, rule.line]
            over[key] = (*over.get(key, ()), change.alert)
    active = {
        key: told.active.get(str(place), {}) for place, key in enumerate(part.keys)
    }
    return Outcome(
        part=part,
        before=before,
        active=active,
        over=over,
        samples=samples,
        faults={
            names[fault.rule.name, fault.rule.line]: fault.message
            for fault in told.faults
        },
    )
