"""Rules that fail are alerts themselves: made here, since no rule could say so."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nexa_node.core.alerting.keeping import Origin
from nexa_node.core.alerting.life import Active, advance

if TYPE_CHECKING:
    from nexa_node.core.alerting.rules import Rule

ALERT = "NexaRuleFailing"
RULE = f"nexa/{ALERT}"
"""As `AlertRecord.rule` has it."""
KEEP_S = 60.0


def faults(
    failed: Iterable[tuple[str, str]],
    refused: Iterable[tuple[str, str]],
    active: Mapping[str, Active],
    *,
    node: str,
    now: float,
) -> tuple[dict[str, Active], tuple[Active, ...]]:
    """Take in which rules failed and which files were refused.

    Args:
        failed: Rules by name, and why.
        refused: Files, and why.
        active: What this gave before.
        node: This node's name.
        now: Seconds since 1970.

    Returns:
        What is on now, and what is over since.
    """
    results = [({"rule": rule}, 1.0) for rule, _ in failed]
    results += [({"file": file}, 1.0) for file, _ in refused]
    on, changes = advance(_rule(node), results, active, now=now)
    over = tuple(
        change.alert for change in changes if change.alert.condition == "resolved"
    )
    return on, over


def with_reasons(
    on: Mapping[str, Active],
    failed: Iterable[tuple[str, str]],
    refused: Iterable[tuple[str, str]],
) -> dict[str, Active]:
    """Say in each alert why; a reason is no label, so it may change."""
    from dataclasses import replace

    why = {("rule", name): text for name, text in failed}
    why |= {("file", name): text for name, text in refused}

    def told(active: Active) -> Active:
        for label in ("rule", "file"):
            text = why.get((label, active.labels.get(label, "")))
            if text is not None:
                texts = {**active.annotations, "description": text[:1000]}
                return replace(active, annotations=texts)
        return active

    return {key: told(active) for key, active in on.items()}


def origin(node: str) -> Origin:
    """Where these alerts come from."""
    return Origin(rule=RULE, expression="", group="nexa", node=node, ack_after_s=900.0)


def _rule(node: str) -> "Rule":
    from nexa_node.core.alerting.rules import Rule

    return Rule(
        name=ALERT,
        alerts=True,
        text="",
        expression=None,
        keep_firing_s=KEEP_S,
        labels={"severity": "critical", "instance": node},
        annotations={
            "summary": "{{ $labels.rule }}{{ $labels.file }} can't be evaluated",
            "runbook_url": "nexa://runbook/NexaRuleEvaluationFailing",
        },
    )
