"""What loads well and still can't work: selectors that match nothing there is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from nexa_node.core.alerting.evaluation import ALERTS, ALERTS_FOR_STATE
from nexa_node.core.alerting.rules import Group, Rule
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.parsing import conditions, selectors
from nexa_node.core.promql.samples import Matcher

TARGET = frozenset(("job", "instance"))
"""Labels that every series gets where it is read."""
Catalogue = Mapping[str, frozenset[str]]
"""The names of series, and their labels."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A selector that matches nothing."""

    file: str
    line: int
    rule: str
    message: str


def catalogue(text: str) -> Catalogue:
    """Read a catalogue: lines of a name and its labels, `#` for remarks."""
    found: dict[str, frozenset[str]] = {}
    for line in text.splitlines():
        name, _, labels = line.partition(" ")
        if name and name != "#":
            found[name] = frozenset(labels.split(",")) - {""}
    return found


def lint(groups: Sequence[Group], known: Catalogue) -> tuple[Doubt, ...]:
    """Find selectors that match neither a series there is nor one that rules record.

    Args:
        groups: The rules.
        known: The series there are.
    """
    rules = [(group, rule) for group in groups for rule in group.rules]
    recorded = {rule.name for _, rule in rules if not rule.alerts}
    alerts = {rule.name for _, rule in rules if rule.alerts}
    return tuple(
        Doubt(group.file, rule.line, rule.name, said)
        for group, rule in rules
        for said in _doubts(rule, known, recorded, alerts)
    )


def _doubts(
    rule: Rule, known: Catalogue, recorded: set[str], alerts: set[str]
) -> Iterator[str]:
    for selector in selectors(rule.expression):
        wanted = conditions(selector)
        name = _equal(wanted, NAME)
        if not name or name in recorded:
            continue
        if name in (ALERTS, ALERTS_FOR_STATE):
            alert = _equal(wanted, "alertname")
            if alert and alert not in alerts:
                yield f"no alert is called {alert}{_like(alert, alerts)}"
        elif name not in known:
            like = _like(name, [*known, *recorded])
            yield f"{name} matches nothing in the catalogue{like}"
        else:
            yield from _labels(name, wanted, known[name])


def _labels(
    name: str, wanted: Sequence[Matcher], labels: frozenset[str]
) -> Iterator[str]:
    for one in wanted:
        known = one.label == NAME or one.label in labels | TARGET
        if not known and not one.matches(""):
            yield f"{name} has no label {one.label}{_like(one.label, [*labels, *TARGET])}"


def _equal(wanted: Sequence[Matcher], label: str) -> str:
    return next((w.value for w in wanted if w.label == label and w.kind == "="), "")


def _like(word: str, words: "Sequence[str] | set[str]") -> str:
    found = get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""
