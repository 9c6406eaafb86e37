"""One evaluation of a group of rules: samples in; series, alerts and faults out.

Rules of a group are evaluated one after another and see what those before them recorded.
`ALERTS` and `ALERTS_FOR_STATE` are published back, so that an expression can depend on
whether its own alert fires already.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nexa_node.core.alerting.life import (
    Active,
    Change,
    SameLabels,
    TooManyAlerts,
    advance,
)
from nexa_node.core.alerting.rules import Group, Rule
from nexa_node.core.promql.evaluate import evaluate
from nexa_node.core.promql.memory import Memory
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.samples import (
    Budget,
    Labels,
    Matcher,
    QueryError,
    Series,
    Source,
    Table,
    meets,
    table_of,
)
from nexa_node.core.promql.vectors import Scalar, Value, Vector

ALERTS, ALERTS_FOR_STATE = "ALERTS", "ALERTS_FOR_STATE"
Point = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class RuleFault:
    """A rule that could not be evaluated; itself worth an alert."""

    rule: Rule
    message: str


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of a group."""

    active: Mapping[str, Mapping[str, Active]]
    """By the rule's place in the group as `0`, `1` …: its alerts by fingerprint."""
    changes: tuple[tuple[Rule, Change], ...]
    recorded: tuple[Point, ...]
    """Series to keep, recorded ones and `ALERTS`; their names included."""
    faults: tuple[RuleFault, ...]
    empty: tuple[Rule, ...]
    """Rules whose selectors matched no series at all."""


@dataclass(slots=True)
class _Fresh:
    """A source with what this evaluation recorded before, at its moment."""

    source: Source
    at_ms: int
    points: list[Point] = field(default_factory=list[Point])
    by_name: dict[str, list[Point]] = field(default_factory=dict[str, list[Point]])
    asked: bool = False
    """Whether anything was selected since it was looked at last."""
    seen: int = 0
    """Series that were selected since it was looked at last."""
    known: dict[str, tuple[Value, int]] = field(
        default_factory=dict[str, tuple[Value, int]]
    )
    """By its text: what an expression gave, and how many series were selected for it."""
    readers: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """By the name of a series: what is known that depends on it."""

    def select(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
    ) -> Iterable[Series]:
        self.asked = True
        found = list(self.source.select(matchers, start_ms, end_ms))
        if self.points and start_ms <= self.at_ms <= end_ms:
            mine = self._meeting(matchers)
            found = _joined(found, mine, self.at_ms) if mine else found
        self.seen += len(found)
        return found

    def table(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
    ) -> Table | None:
        """As `samples.Tabled`; what was recorded just now is in no table."""
        fresh = self.points and start_ms <= self.at_ms <= end_ms
        if fresh and self._meeting(matchers):
            return None
        found = table_of(self.source, matchers, start_ms, end_ms)
        if found is not None:
            self.asked = True
            self.seen += len(found.labels)
        return found

    def recall(self, text: str) -> Value | None:
        """As `promql.memory.Memory`."""
        found = self.known.get(text)
        if found is None:
            return None
        self.asked = True
        self.seen += found[1]
        return found[0]

    def begin(self) -> int:
        """As `promql.memory.Memory`."""
        return self.seen

    def remember(self, text: str, names: frozenset[str], found: Value, at: int) -> None:
        """As `promql.memory.Memory`."""
        if names:  # what reads nothing costs nothing, and asks for no series
            self.known[text] = found, self.seen - at
            for name in names:
                self.readers.setdefault(name, set()).add(text)

    def add(self, points: Iterable[Point]) -> None:
        """Know of points that were recorded at this moment."""
        for point in points:
            name = point[0].get(NAME, "")
            self.points.append(point)
            self.by_name.setdefault(name, []).append(point)
            for text in self.readers.pop(name, ()):
                self.known.pop(text, None)

    def _meeting(self, matchers: tuple[Matcher, ...]) -> list[Point]:
        named = [one.value for one in matchers if one.label == NAME and one.kind == "="]
        points = self.by_name.get(named[0], []) if named else self.points
        return [point for point in points if meets(point[0], matchers)]


def evaluate_group(
    group: Group,
    source: Source,
    active: Mapping[str, Mapping[str, Active]],
    *,
    now: float,
    budget: Callable[[], Budget] = Budget,
) -> Evaluated:
    """Evaluate every rule of a group once.

    A rule that fails keeps the alerts it had: a fault of ours resolves nothing.

    Args:
        group: Its rules.
        source: Samples.
        active: What `Evaluated.active` said last.
        now: The moment, seconds since 1970.
        budget: Makes what one rule may cost.
    """
    fresh = _Fresh(source, round(now * 1000))
    kept: dict[str, Mapping[str, Active]] = {}
    changes: list[tuple[Rule, Change]] = []
    faults: list[RuleFault] = []
    empty: list[Rule] = []
    for place, rule in enumerate(group.rules):
        key, before = str(place), active.get(str(place), {})
        fresh.asked, fresh.seen = False, 0
        try:
            points = results(rule, fresh, fresh.at_ms, budget(), memory=fresh)
            if rule.alerts:
                on, changed = advance(rule, points, before, now=now, limit=group.limit)
                changes += [(rule, each) for each in changed]
                kept[key] = on
                fresh.add(_published(on))
            else:
                fresh.add(_recorded(rule, points, group.limit))
        except (QueryError, TooManyAlerts, SameLabels) as error:
            faults.append(RuleFault(rule, str(error)))
            kept[key] = before
            fresh.add(_published(before))
        else:
            if fresh.asked and not fresh.seen:
                empty.append(rule)
    return Evaluated(
        active=kept,
        changes=tuple(changes),
        recorded=tuple(fresh.points),
        faults=tuple(faults),
        empty=tuple(empty),
    )


def results(
    rule: Rule,
    source: Source,
    at_ms: int,
    budget: Budget,
    *,
    memory: Memory | None = None,
) -> list[Point]:
    """What a rule's expression gives at a moment; `memory` is of this moment.

    Raises:
        QueryError: It can't be computed.
    """
    steps = np.array([at_ms], np.int64)
    found = evaluate(rule.expression, source, steps, budget, memory=memory)
    return points_of(found)


def points_of(value: Value) -> list[Point]:
    """The samples of a value at its last step."""
    match value:
        case Scalar():
            return [({}, float(value.values[-1]))]
        case Vector():
            return [
                (labels, float(numbers[-1]))
                for labels, numbers, there in zip(
                    value.labels, value.values, value.present, strict=True
                )
                if there[-1]
            ]
        case _:
            raise QueryError("a rule can't give a string")


def _published(active: Mapping[str, Active]) -> list[Point]:
    points: list[Point] = []
    for alert in active.values():
        state = "pending" if alert.condition == "pending" else "firing"
        points += [
            ({**alert.labels, NAME: ALERTS, "alertstate": state}, 1.0),
            ({**alert.labels, NAME: ALERTS_FOR_STATE}, float(int(alert.since))),
        ]
    return points


def _recorded(rule: Rule, points: Sequence[Point], limit: int) -> list[Point]:
    if limit and len(points) > limit:
        raise TooManyAlerts(f"exceeded limit of {limit} with {len(points)} series")
    made: list[Point] = []
    seen: set[tuple[tuple[str, str], ...]] = set()
    for labels, value in points:
        named = {**labels, **rule.labels, NAME: rule.name}
        named = {name: text for name, text in named.items() if text}
        key = tuple(sorted(named.items()))
        if key in seen:
            raise SameLabels(
                "vector contains metrics with the same labelset after applying rule"
                " labels"
            )
        seen.add(key)
        made.append((named, value))
    return made


def _joined(
    found: list[Series],
    points: Sequence[Point],
    at_ms: int,
) -> list[Series]:
    """Put what was recorded just now behind the samples there are."""
    by_labels: dict[tuple[tuple[str, str], ...], Series] = {
        tuple(sorted(one.labels.items())): one for one in found
    }
    for labels, value in points:
        key = tuple(sorted(labels.items()))
        old = by_labels.get(key)
        at, number = np.array([at_ms], np.int64), np.array([value])
        if old is not None and len(old.times) and old.times[-1] < at_ms:
            at = np.concatenate((old.times, at))
            number = np.concatenate((old.values, number))
        by_labels[key] = Series(_own(labels), at, number)
    return list(by_labels.values())


def _own(labels: Labels) -> Labels:
    return dict(labels)
