"""The life of a task: which record may follow which, and why.

Pure: a record and a fact in, a verdict out. `Moved` holds the record to write, by
compare-and-set against the one that was given; `Kept` says that the call was made
before and nothing is to be written; `Denied` holds the error to answer. Whatever else
happens, these stay true: a finished record does not change, a claim epoch never
shrinks, and only the agent of the newest claim moves a claimed task.

    pending → assigned → running → completed | failed | dead_lettered
       ↑__________|__________|       (released, rejected, failed, lease over: once more)
    any unfinished → cancelled | expired
    dead_lettered → pending          (an operator redrives it: `core/redriving.py`)
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from nexa_node.contract.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    LeaseLost,
    NexaError,
)
from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import (
    FINISHED,
    Attempt,
    Json,
    Task,
    TaskStatus,
    Usage,
)
from nexa_node.core.past import HISTORY_LIMIT, began, closed, last_of
from nexa_node.core.retries import backoff_s, has_another
from nexa_node.core.usage import OVERSPENT, noted, overspent, was_overspent

Loss = Literal["lease_expired", "agent_lost", "node_lost"]
"""Why a claim ended without its agent's word: nobody renewed it, the agent did not come
back, or its node died and it came back on no other one."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Write this record; the caller is answered when it is stored."""

    task: Task
    reason: str
    delay_s: float = 0.0
    """Of a task that is pending again: how long before it is handed out."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The same was asked before, and is so: answer yes, write nothing."""

    task: Task
    reason: str


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing changes; answer this."""

    error: NexaError

    @property
    def reason(self) -> str:
        """What the error says."""
        return self.error.message


Verdict = Moved | Kept | Denied


@dataclass(frozen=True, slots=True)
class Claim:
    """Who says so: the agent that calls, and the fencing token it was given."""

    agent: AgentId
    epoch: int


def is_claimed(task: Task) -> bool:
    """Say whether somebody has the task now."""
    return task.status in ("assigned", "running")


def overdue(task: Task, now: datetime) -> str | None:
    """Say which time allowed to an unfinished task is over, if one is."""
    if task.deadline is not None and now >= task.deadline:
        return "deadline"
    start_by = latest_start(task)
    if start_by is not None and not is_claimed(task) and now >= start_by:
        return "start_by"
    return None


def latest_start(task: Task) -> datetime | None:
    """Say until when a task must have begun; None once it has, if only in vain."""
    return task.start_by if task.attempts == 0 and task.redriven == 0 else None


def assign(task: Task, *, agent: AgentId, node: str, now: datetime) -> Moved | Denied:
    """Give a pending task to an agent, under a new claim."""
    if task.status != "pending":
        return Denied(Conflict(f"task {task.id} is {task.status}, not pending"))
    epoch, attempt = task.claim_epoch + 1, task.attempts + 1
    begun = Attempt(
        attempt=attempt, claim_epoch=epoch, agent=agent, node=node, started=now
    )
    moved = msgspec.structs.replace(
        task,
        status="assigned",
        agent=agent,
        node=node,
        attempts=attempt,
        claim_epoch=epoch,
        pct=None,
        note=None,
        partial=None,
        error=None,
        started=None,
        not_before=None,
        history=(*task.history, begun)[-HISTORY_LIMIT:],
    )
    return Moved(moved, f"assigned to {agent}, attempt {attempt}")


def start(
    task: Task, claim: Claim, *, now: datetime, node: str | None = None
) -> Verdict:
    """Note that the agent accepted; with `node`, that it has its session there."""
    denied = _fence(task, claim)
    if denied is not None:
        return denied
    node = node or task.node
    if task.status == "running" and task.node == node:
        return Kept(task, "it runs already")
    begun = task.started if task.status == "running" else now
    moved = msgspec.structs.replace(task, status="running", started=begun, node=node)
    return Moved(moved, f"{claim.agent} accepted")


def progress(  # noqa: PLR0913  # each is a word of the report
    task: Task,
    claim: Claim,
    *,
    pct: float | None,
    note: str | None,
    now: datetime,
    partial: Json = None,
    node: str | None = None,
    usage: Usage | None = None,
) -> Verdict:
    """Note how far it is. The agent works, so it has accepted, too.

    With `node`, note that it has its session there, whoever gave it the task. What it
    used may be more than the task's budget: then the task ends.
    """
    denied = _fence(task, claim)
    if denied is not None:
        return denied
    spent = noted(task, usage)
    if overspent(spent) is not None:
        return _stopped(spent, now)
    moved = msgspec.structs.replace(
        spent,
        status="running",
        started=task.started or now,
        node=node or task.node,
        pct=task.pct if pct is None else pct,
        note=task.note if note is None else note,
        partial=task.partial if partial is None else partial,
    )
    if moved == task:
        return Kept(task, "nothing new")
    return Moved(moved, f"{claim.agent} reported progress")


def complete(
    task: Task, claim: Claim, *, result: Json, usage: Usage | None, now: datetime
) -> Verdict:
    """Finish with success: once. The same call again changes nothing and is no error.

    The result of one that went over its budget is kept, but it is no success.
    """
    settled = task.status == "completed" or was_overspent(task)
    if settled and _has(task, claim) and task.result == result:
        return Kept(task, "it was completed by this claim")
    denied = _fence(task, claim)
    if denied is not None:
        return denied
    task = noted(task, usage)
    if overspent(task) is not None:
        return _stopped(msgspec.structs.replace(task, result=result), now)
    moved = closed(task, "completed", now)
    moved = msgspec.structs.replace(
        moved,
        status="completed",
        result=result,
        pct=None,
        partial=None,
        started=began(task, now),
        finished=now,
    )
    return Moved(moved, f"completed by {claim.agent}")


def fail(
    task: Task,
    claim: Claim,
    *,
    error: Json,
    retryable: bool,
    now: datetime,
    rng: random.Random,
    usage: Usage | None = None,
) -> Verdict:
    """End an attempt without success: once more, or for good."""
    if _failed_by(task, claim):
        return Kept(task, "this claim was reported as failed")
    denied = _fence(task, claim)
    if denied is not None:
        return denied
    task = noted(task, usage)
    if overspent(task) is not None:
        return _stopped(task, now, error=error)
    ended = closed(task, "failed", now, error=error)
    if not retryable:
        return _finish(ended, "failed", f"{claim.agent}: not retryable", now, error)
    return _again(ended, f"failed at {claim.agent}", now, rng, error)


def release(task: Task, claim: Claim, *, now: datetime) -> Verdict:
    """Give the task back unharmed: the attempt does not count."""
    if (
        task.status == "pending"
        and last_of(task, claim.agent, claim.epoch) == "released"
    ):
        return Kept(task, "this claim was released")
    denied = _fence(task, claim)
    return denied or _uncounted(task, "released", claim.agent, now)


def reject(
    task: Task, claim: Claim, *, now: datetime, error: Json = None
) -> Moved | Denied:
    """Take back an assignment that the agent would not take: it does not count."""
    denied = _fence(task, claim)
    return denied or _uncounted(task, "rejected", claim.agent, now, error)


def lose(
    task: Task, epoch: int, loss: Loss, *, now: datetime, rng: random.Random
) -> Moved | Denied:
    """End a claim whose lease is over or whose agent is gone: the attempt counts."""
    if not is_claimed(task) or task.claim_epoch != epoch:
        return Denied(LeaseLost(f"task {task.id}: claim {epoch} is over already"))
    late = overdue(task, now)
    ended = closed(task, loss, now)
    why = _why_lost(task, loss)
    if late is not None:
        return _finish(ended, "expired", f"its {late} is over", now, None)
    told = {"reason": loss, "message": why}
    return _again(ended, why, now, rng, told)


def _why_lost(task: Task, loss: Loss) -> str:
    agent = task.agent or "its agent"
    match loss:
        case "agent_lost":
            return f"{agent} was lost"
        case "node_lost":
            return f"the node {task.node} died, and {agent} did not come back"
        case "lease_expired":
            return f"the lease of {agent} ended"


def cancel(task: Task, *, by: str, now: datetime) -> Verdict:
    """Call it off, wherever it is."""
    if task.status == "cancelled":
        return Kept(task, "it was cancelled")
    if task.status in FINISHED:
        return Denied(
            Conflict(
                f"task {task.id} is {task.status}; only an unfinished one is cancelled",
                details={"status": task.status},
            )
        )
    ended = closed(task, "cancelled", now) if is_claimed(task) else task
    return _finish(ended, "cancelled", f"cancelled by {by}", now, None)


def expire(task: Task, *, now: datetime) -> Verdict:
    """End a task whose time is over."""
    if task.status in FINISHED:
        return Kept(task, f"it is {task.status}")
    late = overdue(task, now)
    if late is None:
        return Kept(task, "it is in time")
    ended = closed(task, "lease_expired", now) if is_claimed(task) else task
    return _finish(ended, "expired", f"its {late} is over", now, None)


def _fence(task: Task, claim: Claim) -> Denied | None:
    """Refuse whoever does not hold the newest claim."""
    if is_claimed(task) and _has(task, claim):
        return None
    if _has(task, claim) and task.status == "cancelled":
        return Denied(Cancelled(f"task {task.id} was cancelled: stop working on it"))
    over = overspent(task) if was_overspent(task) else None
    if over is not None and _has(task, claim):
        return Denied(over)
    if _has(task, claim) and task.status == "expired":
        return Denied(DeadlineExceeded(f"task {task.id}: its time is over"))
    return Denied(
        LeaseLost(
            f"task {task.id}: claim {claim.epoch} of {claim.agent} is over, the task is "
            f"{task.status} at claim {task.claim_epoch}: drop what you have of it",
            details={"status": task.status, "claim_epoch": task.claim_epoch},
        )
    )


def _has(task: Task, claim: Claim) -> bool:
    """Whether the newest attempt is the claim's; a finished record keeps its agent."""
    return task.claim_epoch == claim.epoch and task.agent == claim.agent


def _stopped(task: Task, now: datetime, *, error: Json = None) -> Moved:
    """End a task that went over its budget; the attempt keeps the agent's own error."""
    over = overspent(task)
    assert over is not None
    ended = closed(task, OVERSPENT, now, error=error)
    ended = msgspec.structs.replace(ended, started=began(task, now))
    told = {"reason": OVERSPENT, "message": over.message, "details": over.details}
    return _finish(ended, "failed", over.message, now, told)


def _uncounted(
    task: Task, outcome: str, agent: AgentId, now: datetime, error: Json = None
) -> Moved:
    ended = closed(task, outcome, now, error=error)
    moved = _unclaimed(ended, attempts=task.attempts - 1)
    return Moved(moved, f"{outcome} by {agent}")


def _again(
    ended: Task, why: str, now: datetime, rng: random.Random, error: Json
) -> Moved:
    if not has_another(ended.retry, ended.attempts):
        gone = f"{why}; that was attempt {ended.attempts} of {ended.retry.max_attempts}"
        return _finish(ended, "dead_lettered", gone, now, error)
    delay_s = backoff_s(ended.retry, ended.attempts, rng)
    again_at = now + timedelta(seconds=delay_s) if delay_s > 0 else None
    moved = _unclaimed(ended, attempts=ended.attempts, not_before=again_at)
    return Moved(moved, f"{why}; tried again in {delay_s:.1f} s", delay_s)


def _unclaimed(
    task: Task, *, attempts: int, not_before: datetime | None = None
) -> Task:
    return msgspec.structs.replace(
        task,
        status="pending",
        attempts=attempts,
        agent=None,
        node=None,
        pct=None,
        note=None,
        partial=None,
        started=None,
        not_before=not_before,
    )


def _finish(
    task: Task, status: TaskStatus, why: str, now: datetime, error: Json
) -> Moved:
    moved = msgspec.structs.replace(
        task,
        status=status,
        finished=now,
        error=error,
        pct=None,
        partial=None,
        not_before=None,
    )
    return Moved(moved, why)


def _failed_by(task: Task, claim: Claim) -> bool:
    settled = task.status in ("pending", "failed", "dead_lettered")
    return settled and last_of(task, claim.agent, claim.epoch) in ("failed", OVERSPENT)
