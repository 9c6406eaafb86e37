"""The one door to the records of tasks: every write of this node passes here.

A write is a compare-and-set; who listens is told at once, long before the watch of the
store comes round, and the journal notes what did not go as it should. (What did is in the
record: an event for each assignment and success would be two more writes per task.)

What this node made a moment ago need not be read: until something else is written here,
the record of a new task is the task as it was submitted, at the revision it was made
with. If that is wrong, since another node wrote, the next compare-and-set says so.
"""

import asyncio
from collections.abc import Callable

from nexa_node.contract.errors import Conflict, NotFound
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import FINISHED, Task, Usage
from nexa_node.core.tasks import Denied, Kept, Moved, Verdict
from nexa_node.core.usage import ended_by
from nexa_node.ports import TaskRecords, Versioned
from nexa_node.services.api import Journal
from nexa_node.services.directory.sight import TaskSeen

TRIES = 8
"""Compare-and-sets lost in a row before the caller is told of the conflict."""
NEW_MAX = 50_000
"""New tasks whose revision is remembered; for older ones the record is read."""

Spending = Callable[[Task, AgentId, Usage], None]
"""Told what an attempt used, once its end is stored: once for each."""
Decide = Callable[[Task], Verdict]
"""A pure decision over a record, as `core.tasks` makes them."""

_SEVERITY = {
    "cancelled": "info",
    "failed": "warning",
    "expired": "warning",
    "dead_lettered": "warning",
}


class Ledger:
    """Records of tasks, and who is told of this node's writes."""

    def __init__(self, records: TaskRecords, journal: Journal) -> None:
        """Tell nobody yet."""
        self._records = records
        self._journal = journal
        self._listeners: list[TaskSeen] = []
        self._spent: list[Spending] = []
        self._stored: list[Callable[[Versioned[Task]], None]] = []
        self._new: dict[TaskId, int] = {}
        self._creating: dict[TaskId, list[asyncio.Future[None]]] = {}

    def on_write(self, listener: TaskSeen) -> None:
        """Have `listener` told of every record this node writes, and of `note`."""
        self._listeners.append(listener)

    def on_spent(self, listener: Spending) -> None:
        """Have `listener` told of what attempts used, as this node writes their ends."""
        self._spent.append(listener)

    def note(self, task: Task) -> None:
        """Tell of progress that is not stored yet."""
        for listener in self._listeners:
            listener(task)

    def new(self, task: Task) -> Versioned[Task] | None:
        """The record of `task`, as it was submitted, if nothing was written since.

        As far as this node knows; another one may have written.
        """
        revision = self._new.get(task.id)
        return None if revision is None else Versioned(task, revision)

    async def made(self, task_id: TaskId) -> None:
        """Wait while this node is making the first record of a task."""
        waiting = self._creating.get(task_id)
        if waiting is not None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting.append(future)
            await future

    def on_stored(self, listener: Callable[[Versioned[Task]], None]) -> None:
        """Have `listener` told of the same, with the revision it was stored at."""
        self._stored.append(listener)

    async def get(self, task_id: TaskId) -> Versioned[Task] | None:
        """Read the newest record."""
        return await self._records.get(task_id)

    async def need(self, task_id: TaskId) -> Versioned[Task]:
        """Read the newest record.

        Raises:
            NotFound: There is none.
        """
        seen = await self._records.get(task_id)
        if seen is None:
            raise NotFound(f"no task {task_id}", remedy="nexa task list")
        return seen

    async def create(self, task: Task) -> int | None:
        """Store a first record; its revision, or None if there is one already."""
        mine = self._creating.setdefault(task.id, [])
        try:
            revision = await self._records.create(task)
            if revision is not None:
                self._remember(task.id, revision)
        finally:
            self._creating.pop(task.id, None)
            for future in mine:
                if not future.done():
                    future.set_result(None)
        if revision is not None:
            self._tell(task, revision)
        return revision

    async def write(self, moved: Moved, before: Versioned[Task]) -> int:
        """Store the record that follows `before`; its revision.

        Raises:
            Conflict: Somebody wrote first.
        """
        self._new.pop(moved.task.id, None)
        revision = await self._records.update(moved.task, revision=before.revision)
        attempt = ended_by(before.value, moved.task)
        if attempt is not None and attempt.usage is not None:
            for spent in self._spent:
                spent(moved.task, attempt.agent, attempt.usage)
        self._note(moved)
        self._tell(moved.task, revision)
        return revision

    async def save(self, task: Task, *, revision: int) -> int:
        """Store how far a task is: as `write`, but nothing to note.

        Raises:
            Conflict: Somebody wrote first.
        """
        revision = await self._records.update(task, revision=revision)
        self._tell(task, revision)
        return revision

    async def settle(self, task_id: TaskId, decide: Decide) -> Moved | Kept | Denied:
        """Decide on the newest record and store it; again if somebody wrote first.

        Raises:
            NotFound: There is no such task.
            Conflict: Somebody wrote first, `TRIES` times.
        """
        for _ in range(TRIES):
            seen = await self.need(task_id)
            verdict = decide(seen.value)
            if not isinstance(verdict, Moved):
                return verdict
            try:
                await self.write(verdict, seen)
            except Conflict:
                continue
            return verdict
        raise Conflict(f"task {task_id} changes too fast: try again")

    def note_fault(self, where: str, error: Exception) -> None:
        """Note a fault of ours that ended the work on one task."""
        self._journal.record(
            "node.fault",
            subject=f"service/{where}",
            message=f"{where} failed: {type(error).__name__}: {error}",
            severity="critical",
        )

    def _remember(self, task_id: TaskId, revision: int) -> None:
        self._new[task_id] = revision
        if len(self._new) > NEW_MAX:
            del self._new[next(iter(self._new))]

    def _tell(self, task: Task, revision: int) -> None:
        for listener in self._listeners:
            listener(task)
        stored = Versioned(task, revision)
        for listener in self._stored:
            listener(stored)

    def _note(self, moved: Moved) -> None:
        task = moved.task
        severity = _SEVERITY.get(task.status)
        kind = f"task.{task.status}"
        if task.status == "pending":
            kind, severity = "task.returned", "info"
        if severity is None:
            return
        self._journal.record(
            kind,
            subject=f"task/{task.id}",
            message=f"{task.type}: {moved.reason}",
            severity=severity,
            data={"attempts": task.attempts, "finished": task.status in FINISHED},
        )
