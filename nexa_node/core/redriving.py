"""Dead letters: which are meant, and what a second life begins with.

A redriven task is pending again with all its attempts before it; its claim epoch goes on
growing, so that nobody of its first life can touch it, and its history stays.
"""

from datetime import datetime

import msgspec

from nexa_node.contract.errors import Conflict, DeadlineExceeded, Invalid
from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import Attempt, Redrive, Task
from nexa_node.core.past import HISTORY_LIMIT
from nexa_node.core.tasks import Denied, Moved

REDRIVEN = "redriven"
"""The outcome of the entry in the history; its `agent` is whoever asked for it."""
IDS_MAX = 10_000
"""Of one call."""


def redrive(task: Task, *, by: str, node: str, now: datetime) -> Moved | Denied:
    """Bring a dead letter back into its queue."""
    if task.status != "dead_lettered":
        return Denied(not_dead(task))
    if task.deadline is not None and now >= task.deadline:
        over = f"task {task.id}: its deadline {task.deadline.isoformat()} is over"
        return Denied(DeadlineExceeded(over, remedy="submit it anew, or purge it"))
    entry = Attempt(
        attempt=0,
        claim_epoch=task.claim_epoch,
        agent=AgentId(by),
        node=node,
        started=now,
        ended=now,
        outcome=REDRIVEN,
    )
    moved = msgspec.structs.replace(
        task,
        status="pending",
        attempts=0,
        agent=None,
        node=None,
        error=None,
        started=None,
        finished=None,
        note=None,
        not_before=None,
        redriven=task.redriven + 1,
        history=(*task.history, entry)[-HISTORY_LIMIT:],
    )
    return Moved(moved, f"redriven by {by}")


def not_dead(task: Task) -> Conflict:
    """Say that a task is no dead letter."""
    return Conflict(
        f"task {task.id} is {task.status}; only dead_lettered ones are redriven or purged",
        details={"status": task.status},
    )


def queued_anew_at(task: Task) -> datetime | None:
    """Say when a pending task was last put into its queue, if nobody had it since."""
    if task.status != "pending":
        return None
    if task.claim_epoch == 0:
        return task.submitted
    last = task.history[-1] if task.history else None
    return last.started if last and last.outcome == REDRIVEN else None


def message_id(task: Task) -> str:
    """Name a task's message in the queue; a redriven one's is another.

    So is that of one whose node died: the first message is still in the dead node's hands.
    """
    name = f"{task.id}.{task.redriven}" if task.redriven else task.id
    last = task.history[-1] if task.history else None
    if task.status == "pending" and last is not None and last.outcome == "node_lost":
        return f"{name}.lost.{task.claim_epoch}"
    return name


def check_redrive(wanted: Redrive) -> None:
    """Refuse to touch every dead letter there is only because nothing was said.

    Raises:
        Invalid: It does not say which, or names too many.
    """
    if not (wanted.ids or wanted.type or wanted.namespace or wanted.all):
        raise Invalid(
            "it does not say which dead letters",
            remedy="give ids, a type or a namespace; or all: true",
            details={"member": "ids"},
        )
    if len(wanted.ids) > IDS_MAX:
        raise Invalid(
            f"{len(wanted.ids):,} ids, and {IDS_MAX:,} are allowed at once",
            remedy="give a type or a namespace, or all: true",
            details={"member": "ids"},
        )
