"""Which rules are the cluster's and which each node's own, and how each is named."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from nexa_node.core.alerting.keeping import Origin
from nexa_node.core.alerting.life import ACK_TIMEOUT, REOPEN_ABOVE, REOPEN_BELOW
from nexa_node.core.alerting.rules import Group, Rule
from nexa_node.core.promql.durations import duration_s

LOCAL = "nexa_local"
"""The annotation of a rule that every node evaluates for itself, without the cluster."""
ACK_AFTER_S: Mapping[str, float] = {"critical": 900.0, "error": 1800.0}
"""By severity, where the annotation is missing; others are never escalated."""
ALERTS_MAX = 500
"""Alerts or series one rule may make, unless its group says so."""
_YES = frozenset(("true", "yes", "1", "on"))


@dataclass(frozen=True, slots=True)
class Part:
    """Rules of one group that one evaluator evaluates together."""

    group: Group
    local: bool
    keys: tuple[str, ...]
    """The name of each rule, as `AlertRecord.rule` has it."""

    @property
    def name(self) -> str:
        """Of this part, among all."""
        return f"{'local' if self.local else 'cluster'}:{self.group.file}:{self.group.name}"


def is_local(rule: Rule) -> bool:
    """Say whether every node evaluates a rule for itself."""
    return rule.annotations.get(LOCAL, "").lower() in _YES


def parts(groups: Iterable[Group]) -> tuple[Part, ...]:
    """Part groups into the cluster's rules and each node's own."""
    found: list[Part] = []
    for group in groups:
        bounded = replace(group, limit=group.limit or ALERTS_MAX)
        counted: Counter[str] = Counter()
        named = [(rule, _key(group, rule, counted)) for rule in group.rules]
        for local in (False, True):
            mine = [(rule, key) for rule, key in named if is_local(rule) is local]
            if mine:
                rules = tuple(rule for rule, _ in mine)
                keys = tuple(key for _, key in mine)
                found.append(Part(replace(bounded, rules=rules), local, keys))
    return tuple(found)


def origin_of(part: Part, place: int, *, severity: str, node: str) -> Origin:
    """Say where the alerts of a part's rule come from.

    Args:
        part: The rules.
        place: Of the rule among them.
        severity: Of the alert: by it one is escalated that says nothing of it.
        node: This node's name.
    """
    rule = part.group.rules[place]
    return Origin(
        rule=part.keys[place],
        expression=rule.text,
        group=part.group.name,
        node=node if part.local else "",
        ack_after_s=ack_after_s(rule, severity),
    )


def ack_after_s(rule: Rule, severity: str) -> float | None:
    """How long an alert may fire before it is escalated; None: for ever."""
    told = rule.annotations.get(ACK_TIMEOUT, "")
    if not told:
        return ACK_AFTER_S.get(severity)
    try:
        return duration_s(told) or None
    except ValueError:
        return None


def unreachable(groups: Iterable[Group]) -> list[str]:
    """Warnings of what loads well and still is no use."""
    found: list[str] = []
    for group in groups:
        for rule in group.rules:
            found += [
                f"{group.file}:{rule.line}: {rule.name}: {name} is no number:"
                f" {rule.annotations[name][:40]!r}"
                for name in (REOPEN_ABOVE, REOPEN_BELOW)
                if not _is_number(rule.annotations.get(name, "0"))
            ]
            told = rule.annotations.get(ACK_TIMEOUT, "off")
            if told not in ("off", "0") and ack_after_s(rule, "") is None:
                found.append(
                    f"{group.file}:{rule.line}: {rule.name}: {ACK_TIMEOUT} is no"
                    f" duration: {told[:40]!r}"
                )
    return found


def _is_number(text: str) -> bool:
    """Whether it is one, or will be once its template is filled in."""
    try:
        return "{{" in text or not math.isnan(float(text))
    except ValueError:
        return False


def _key(group: Group, rule: Rule, counted: "Counter[str]") -> str:
    counted[rule.name] += 1
    number = counted[rule.name]
    return f"{group.name}/{rule.name}" + (f"#{number}" if number > 1 else "")
