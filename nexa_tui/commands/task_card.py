"""One task for a person: what it is, what came of it, and each attempt."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from nexa_node.contract.tasks import FINISHED, Attempt, Budget, Task
from nexa_tui.commands.output import Call, age, clean, state_style

_SHOWN = 400
"""Characters of a payload; `--json` has all."""


def tell(task: Task, call: Call, now: datetime | None = None) -> None:
    """Print it."""
    now = now or datetime.now(UTC)
    state = call.paint(task.status, state_style(task.status))
    call.line(f"{clean(task.id)}  {clean(task.type)}  {state}")
    for name, text in _facts(task, now):
        call.line(f"  {call.paint(f'{name:<10}', 'dim')} {text}")
    if task.history:
        call.line()
        call.table(
            ("TRY", "AGENT", "NODE", "STARTED", "TOOK", "OUTCOME", "WHY"),
            [_attempt(each, now) for each in task.history],
            empty="",
        )


def _facts(task: Task, now: datetime) -> list[tuple[str, str]]:
    submitted = f"{_moment(task.submitted)}, {age(task.submitted, now)} ago"
    facts = [
        ("submitted", f"{submitted}, by {clean(task.submitter)}"),
        ("priority", f"{task.priority}, namespace {clean(task.namespace)}"),
        ("attempts", f"{task.attempts} of {task.retry.max_attempts}"),
    ]
    if task.agent is not None:
        where = f" on {clean(task.node)}" if task.node else ""
        facts.append(("agent", clean(task.agent) + where))
    if task.pct is not None or task.note:
        pct = "" if task.pct is None else f"{task.pct:.0f} %  "
        facts.append(("progress", pct + clean(task.note or "")))
    for name, moment in (
        ("not before", task.not_before),
        ("start by", task.start_by),
        ("deadline", task.deadline),
    ):
        if moment is not None and task.status not in FINISHED:
            facts.append((name, _moment(moment)))
    for name, value in (
        ("parent", task.parent),
        ("data", task.data),
        ("partial", task.partial if task.status not in FINISHED else None),
        ("error", task.error),
        ("result", task.result),
    ):
        if value is not None:
            facts.append((name, _payload(value)))
    if task.usage is not None:
        spent = task.usage
        tokens = f"{spent.input_tokens} tokens in, {spent.output_tokens} out"
        model = clean(spent.model or "a model")
        facts.append(("usage", f"{model}: {tokens}, {spent.cost_usd:.4f} USD"))
    if task.budget is not None:
        facts.append(("budget", _budget(task.budget)))
    return facts


def _budget(budget: Budget) -> str:
    tokens = None if budget.tokens is None else f"{budget.tokens:,} tokens"
    cost = None if budget.cost_usd is None else f"{budget.cost_usd:.4f} USD"
    return ", ".join(each for each in (tokens, cost) if each) or "none"


def _attempt(attempt: Attempt, now: datetime) -> tuple[str, ...]:
    took = ((attempt.ended or now) - attempt.started).total_seconds()
    return (
        str(attempt.attempt),
        attempt.agent,
        attempt.node,
        _moment(attempt.started),
        f"{took:.2f}s",
        attempt.outcome or "at it",
        "" if attempt.error is None else _payload(attempt.error, 60),
    )


def _payload(value: Any, limit: int = _SHOWN) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    shown = clean(text, limit)
    if len(text) <= limit:
        return shown
    return f"{shown} ({len(text):,} characters; --json has all)"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
