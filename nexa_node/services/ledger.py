"""The one door to the records of tasks: every write of this node passes here.

A write is a compare-and-set; who listens is told at once, long before the watch of the
store comes round, and the journal notes what a person may ask about later.
"""

from collections.abc import Callable

from nexa_node.contract.errors import Conflict, NotFound
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import FINISHED, Task
from nexa_node.core.tasks import Denied, Kept, Moved, Verdict
from nexa_node.ports import TaskRecords, Versioned
from nexa_node.services.api import Journal
from nexa_node.services.sight import TaskSeen

TRIES = 8
"""Compare-and-sets lost in a row before the caller is told of the conflict."""

Decide = Callable[[Task], Verdict]
"""A pure decision over a record, as `core.tasks` makes them."""

_SEVERITY = {
    "assigned": "debug",
    "completed": "debug",
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

    def on_write(self, listener: TaskSeen) -> None:
        """Have `listener` told of every record this node writes."""
        self._listeners.append(listener)

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
        revision = await self._records.create(task)
        if revision is not None:
            self._tell(task)
        return revision

    async def write(self, moved: Moved, *, revision: int) -> int:
        """Store the next record; its revision.

        Raises:
            Conflict: Somebody wrote first.
        """
        revision = await self._records.update(moved.task, revision=revision)
        self._note(moved)
        self._tell(moved.task)
        return revision

    async def save(self, task: Task, *, revision: int) -> int:
        """Store how far a task is: as `write`, but nothing to note.

        Raises:
            Conflict: Somebody wrote first.
        """
        revision = await self._records.update(task, revision=revision)
        self._tell(task)
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
                await self.write(verdict, revision=seen.revision)
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

    def _tell(self, task: Task) -> None:
        for listener in self._listeners:
            listener(task)

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
