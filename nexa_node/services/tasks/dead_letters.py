"""Dead letters: brought back into their queues, or forgotten, one or many.

A redrive is two writes, as a submission is, in this order: the record, by compare-and-set,
then the queue's message, under a name of its own. What stops in between is put right by
`services/tasks/repairs.py`. A purge first has the queue forget the task, and deletes the record
only as it was seen: of a redrive and a purge at the same moment one is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from nexa_node.contract.errors import NexaError, NotFound, Unavailable
from nexa_node.contract.ids import Namespace, TaskId
from nexa_node.contract.tasks import Redrive, Redriven, Task
from nexa_node.core import redriving, tasks
from nexa_node.core.tasks import Denied, Moved
from nexa_node.ports import Clock, Versioned
from nexa_node.services.api import Journal
from nexa_node.services.directory.directory import Directory
from nexa_node.services.tasks.ledger import Ledger
from nexa_node.services.tasks.repairs import Repairs

AT_ONCE = 64
"""Tasks in parallel; when the store is silent, no more are tried."""
NAMED_MAX = 100
"""Ids in an event."""

Do = Callable[[TaskId], Awaitable[None]]
Check = Callable[[Task], NexaError | None]


class DeadLetters:
    """What operators may do with tasks that used up their attempts."""

    def __init__(
        self,
        *,
        directory: Directory,
        ledger: Ledger,
        repairs: Repairs,
        forget: Callable[[Versioned[Task]], Awaitable[None]],
        clock: Clock,
        journal: Journal,
        node: str,
    ) -> None:
        """Join what it needs.

        Args:
            directory: Which there are.
            ledger: Their records.
            repairs: Puts them into the queue, now or soon.
            forget: Forgets a finished task as it was seen: queue, then record.
            clock: When.
            journal: Told of each call that did something.
            node: This node's name, for the history.
        """
        self._directory = directory
        self._ledger = ledger
        self._repairs = repairs
        self._forget = forget
        self._clock = clock
        self._journal = journal
        self._node = node

    async def redrive(
        self,
        wanted: Redrive,
        *,
        by: str,
        namespace: Namespace | None = None,
        dry_run: bool = False,
    ) -> Redriven:
        """Bring dead letters back: pending, with all their attempts before them.

        Args:
            wanted: Which.
            by: Who asks: it is kept in the history.
            namespace: Only of this one, whatever `wanted` says.
            dry_run: Say what would come of it, from memory, and do nothing.

        Returns:
            What was done, and why not, by id. Of one whose id is in `done` the record is
            stored; it is in the queue, or will be soon.

        Raises:
            Invalid: It does not say which.
        """
        asked = _narrowed(wanted, namespace)
        check = partial(self._refused_redrive, asked)
        told = await self._each(
            asked, partial(self._redrive, asked, by), check, dry_run=dry_run
        )
        self._note("task.redriven", f"redriven by {by}", told, by, dry_run=dry_run)
        return told

    async def purge(
        self,
        wanted: Redrive,
        *,
        by: str,
        namespace: Namespace | None = None,
        dry_run: bool = False,
    ) -> Redriven:
        """Forget dead letters for good; arguments and answer are as of `redrive`."""
        asked = _narrowed(wanted, namespace)
        check = partial(_refused_purge, asked)
        told = await self._each(
            asked, partial(self._purge, asked), check, dry_run=dry_run
        )
        self._note("task.purged", f"purged by {by}", told, by, dry_run=dry_run)
        return told

    # -- one of them -----------------------------------------------------------

    async def _redrive(self, wanted: Redrive, by: str, task_id: TaskId) -> None:
        def decide(task: Task) -> tasks.Verdict:
            other = _mismatch(wanted, task)
            if other is not None:
                return Denied(other)
            return redriving.redrive(
                task, by=by, node=self._node, now=self._clock.now()
            )

        try:
            verdict = await self._ledger.settle(task_id, decide)
        except (Unavailable, asyncio.CancelledError):
            self._repairs.later(task_id)  # it may be stored all the same
            raise
        if isinstance(verdict, Denied):
            raise verdict.error
        await self._repairs.put(verdict.task)

    async def _purge(self, wanted: Redrive, task_id: TaskId) -> None:
        seen = await self._ledger.need(task_id)
        refused = _refused_purge(wanted, seen.value)
        if refused is not None:
            raise refused
        await self._forget(seen)

    def _refused_redrive(self, wanted: Redrive, task: Task) -> NexaError | None:
        verdict = redriving.redrive(task, by="", node=self._node, now=self._clock.now())
        refused = None if isinstance(verdict, Moved) else verdict.error
        return _mismatch(wanted, task) or refused

    # -- all of them -----------------------------------------------------------

    async def _each(
        self, wanted: Redrive, do: Do, check: Check, *, dry_run: bool
    ) -> Redriven:
        redriving.check_redrive(wanted)
        ids = list(dict.fromkeys(wanted.ids)) or self._directory.dead_letters(
            type=wanted.type, namespace=wanted.namespace
        )
        if dry_run:
            return self._checked(ids, check)
        done: list[TaskId] = []
        failed: dict[TaskId, str] = {}
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            errors = await asyncio.gather(*(_attempt(do, each) for each in some))
            for task_id, error in zip(some, errors, strict=True):
                if error is None:
                    done.append(task_id)
                else:
                    failed[task_id] = error.message
            if any(isinstance(error, Unavailable) for error in errors):
                left = ids[start + AT_ONCE :]
                failed |= dict.fromkeys(left, "not tried: the store does not answer")
                break
        return Redriven(done=tuple(done), failed=failed)

    def _checked(self, ids: list[TaskId], check: Check) -> Redriven:
        done: list[TaskId] = []
        failed: dict[TaskId, str] = {}
        for task_id in ids:
            task = self._directory.task(task_id)
            error = _unknown(task_id) if task is None else check(task)
            if error is None:
                done.append(task_id)
            else:
                failed[task_id] = error.message
        return Redriven(done=tuple(done), failed=failed)

    def _note(
        self, kind: str, what: str, told: Redriven, by: str, *, dry_run: bool
    ) -> None:
        if dry_run or not told.done:
            return
        number = len(told.done)
        noun = "dead letter" if number == 1 else "dead letters"
        self._journal.record(
            kind,
            subject=f"task/{told.done[0]}" if number == 1 else "tasks",
            message=f"{number:,} {noun} {what}",
            severity="warning" if kind == "task.purged" else "info",
            data={
                "by": by,
                "number": number,
                "failed": len(told.failed),
                "ids": list(told.done[:NAMED_MAX]),
            },
        )


async def _attempt(do: Do, task_id: TaskId) -> NexaError | None:
    try:
        await do(task_id)
    except NexaError as error:
        return error
    return None


def _narrowed(wanted: Redrive, namespace: Namespace | None) -> Redrive:
    """Keep to a namespace; asking for another one matches nothing."""
    if namespace is None:
        return wanted
    redriving.check_redrive(wanted)
    if wanted.namespace not in (None, namespace):
        raise NotFound(f"no namespace {wanted.namespace!r} for you")
    return Redrive(
        ids=wanted.ids, type=wanted.type, namespace=namespace, all=wanted.all
    )


def _mismatch(wanted: Redrive, task: Task) -> NexaError | None:
    if wanted.namespace not in (None, task.namespace):
        return _unknown(task.id)
    if wanted.type not in (None, task.type):
        return NotFound(f"task {task.id} is of the type {task.type}, not {wanted.type}")
    return None


def _refused_purge(wanted: Redrive, task: Task) -> NexaError | None:
    refused = None
    if task.status != "dead_lettered":
        refused = redriving.not_dead(task)
    return _mismatch(wanted, task) or refused


def _unknown(task_id: TaskId) -> NotFound:
    return NotFound(f"no task {task_id}", remedy="nexa dead-letters list")
