"""What tasks spend: added up, held against their budgets, counted once.

An agent tells what its attempt has used so far, as often as it likes; the newest word
counts, and it never shrinks. A record holds the sum of all attempts, and each attempt's
own, so nothing is lost when an attempt is, and nothing is counted twice.
"""

import msgspec

from nexa_node.contract.errors import BudgetExceeded
from nexa_node.contract.tasks import FINISHED, Attempt, Task, Usage

OVERSPENT = BudgetExceeded.reason
"""The outcome of an attempt that went over its task's budget."""


def together(before: Usage | None, more: Usage | None) -> Usage | None:
    """Add `more` to what was spent before. Of two models the newer one is named."""
    if before is None or more is None:
        return more or before
    return Usage(
        model=more.model or before.model,
        input_tokens=before.input_tokens + more.input_tokens,
        output_tokens=before.output_tokens + more.output_tokens,
        cost_usd=before.cost_usd + more.cost_usd,
    )


def noted(task: Task, usage: Usage | None) -> Task:
    """Note what the newest attempt has used so far."""
    if usage is None or not task.history:
        return task
    last = task.history[-1]
    known = last.usage or Usage()
    more = Usage(
        model=usage.model,
        input_tokens=max(0, usage.input_tokens - known.input_tokens),
        output_tokens=max(0, usage.output_tokens - known.output_tokens),
        cost_usd=max(0.0, usage.cost_usd - known.cost_usd),
    )
    last = msgspec.structs.replace(last, usage=together(last.usage, more))
    return msgspec.structs.replace(
        task,
        usage=together(task.usage, more),
        history=(*task.history[:-1], last),
    )


def overspent(task: Task) -> BudgetExceeded | None:
    """Say that a task used more than its budget, if it did."""
    if task.budget is None or task.usage is None:
        return None
    tokens, allowed = tokens_of(task.usage), task.budget.tokens
    if allowed is not None and tokens > allowed:
        return _exceeded(task, f"{tokens:,} tokens", f"{allowed:,}", "tokens")
    cost, most = task.usage.cost_usd, task.budget.cost_usd
    if most is not None and cost > most:
        return _exceeded(task, f"{cost:,.4f} USD", f"{most:,.4f}", "cost_usd")
    return None


def tokens_of(usage: Usage) -> int:
    """Count the tokens, those read and those written."""
    return usage.input_tokens + usage.output_tokens


def of_budget(task: Task) -> str:
    """Say how much of its budget a task has used; empty if it has none."""
    if task.budget is None:
        return ""
    used, parts = task.usage or Usage(), list[str]()
    if task.budget.tokens is not None:
        parts.append(f"{tokens_of(used):,} of {task.budget.tokens:,} tokens")
    if task.budget.cost_usd is not None:
        parts.append(f"{used.cost_usd:,.4f} of {task.budget.cost_usd:,.4f} USD")
    return f"; it has used {' and '.join(parts)}" if parts else ""


def was_overspent(task: Task) -> bool:
    """Whether a task ended for its budget."""
    ended = task.status in FINISHED and bool(task.history)
    return ended and task.history[-1].outcome == OVERSPENT


def ended_by(before: Task, after: Task) -> Attempt | None:
    """Name the attempt that was under way in `before`, and is over in `after`."""
    claimed = ("assigned", "running")
    if before.status not in claimed or not after.history:
        return None
    last = after.history[-1]
    same = last.claim_epoch == before.claim_epoch
    return last if same and after.status not in claimed else None


def _exceeded(task: Task, used: str, allowed: str, member: str) -> BudgetExceeded:
    return BudgetExceeded(
        f"task {task.id} used {used}, and its budget allows {allowed}",
        remedy=f"submit it anew with a higher budget.{member}",
        details={"member": f"budget.{member}"},
    )
