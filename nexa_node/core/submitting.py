"""Submitting: the first record of a task, and what must be true of it."""

from datetime import datetime, timedelta

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import DEFAULT_NAMESPACE, Namespace, TaskId
from nexa_node.contract.tasks import NewTask, Task
from nexa_node.core.intake import DELAY_LIMIT, HOPS_LIMIT


def submit(
    new: NewTask,
    *,
    task_id: TaskId,
    submitter: str,
    now: datetime,
    namespace: Namespace | None = None,
    parent: Task | None = None,
) -> Task:
    """Make the first record of a task.

    Args:
        new: What was asked for, checked by `intake`.
        task_id: The one it says, or one that was drawn.
        submitter: An agent's id, or `token:<id>`.
        now: When.
        namespace: Overrides what it says.
        parent: The task that it names as its parent.

    Raises:
        Invalid: It begins too late, or was delegated too often.
    """
    task = Task(
        id=task_id,
        type=new.type,
        status="pending",
        priority=new.priority,
        submitted=now,
        submitter=submitter,
        namespace=namespace or new.namespace or DEFAULT_NAMESPACE,
        data=new.data,
        labels=new.labels,
        fairness_key=new.fairness_key,
        deadline=new.deadline,
        start_by=new.start_by,
        est_seconds=new.est_seconds,
        retry=new.retry,
        idempotency_key=new.idempotency_key,
        budget=new.budget,
        parent=new.parent,
        hops=_hops(new.hops, parent),
        not_before=_begins(new, now),
    )
    _check_beginning(task)
    return task


def _begins(new: NewTask, now: datetime) -> datetime | None:
    """When it may begin; None if at once."""
    begins = new.not_before
    if new.delay_ms is not None:
        begins = now + timedelta(milliseconds=new.delay_ms)
    return begins if begins is not None and begins > now else None


def _check_beginning(task: Task) -> None:
    if task.not_before is None:
        return
    if task.not_before - task.submitted > DELAY_LIMIT:
        raise Invalid(
            f"not_before: more than {DELAY_LIMIT.days} days away",
            details={"member": "not_before"},
        )
    for name, end in (("deadline", task.deadline), ("start_by", task.start_by)):
        if end is not None and task.not_before >= end:
            raise Invalid(
                f"not_before: {task.not_before.isoformat()} is not before the {name}, "
                f"{end.isoformat()}: it would never run",
                details={"member": "not_before"},
            )


def _hops(said: int, parent: Task | None) -> int:
    """How often it was delegated; at least once more than its parent."""
    hops = said if parent is None else max(said, parent.hops + 1)
    if hops > HOPS_LIMIT:
        raise Invalid(
            f"hops: {hops} delegations, and {HOPS_LIMIT} are allowed",
            remedy="look for tasks that beget each other in a circle",
            details={"member": "hops", "hops": hops, "limit": HOPS_LIMIT},
        )
    return hops
