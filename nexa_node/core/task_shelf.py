"""What a node knows of tasks, arranged to be listed.

A pure projection of records: each change costs a few searches in sorted lists, each
page walks the smallest index that covers its filter. Nothing is sorted per call, so
100,000 tasks list as fast as a hundred.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.nodes import TaskCounts
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import FINISHED, TaskStatus, TaskSummary
from nexa_node.core.cursors import decode_cursor, encode_cursor, page_size
from nexa_node.core.ordering import Key, Order

IndexName = tuple[str, str]
"""A member of a summary, and its value."""

_OPEN: tuple[TaskStatus, ...] = ("running", "assigned", "pending")
"""States of unfinished tasks, in the order a screen would miss them."""

_NOTHING = Order()


class TaskShelf:
    """Summaries of tasks, newest first."""

    def __init__(self) -> None:
        """Begin empty."""
        self._tasks: dict[TaskId, TaskSummary] = {}
        self._all = Order()
        self._finished = Order()
        self._indexes: dict[IndexName, Order] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._tasks)

    def __contains__(self, task_id: object) -> bool:
        """Whether a task is there."""
        return task_id in self._tasks

    def __iter__(self) -> Iterator[TaskId]:
        """The ids of all, in no order."""
        return iter(self._tasks)

    def put(self, task: TaskSummary) -> None:
        """Store the newest summary of a task; what stays as it was is not moved."""
        old = self._tasks.get(task.id)
        if old is not None and _key(old) != _key(task):
            self.remove(task.id)
            old = None
        self._tasks[task.id] = task
        if old is None:
            self._all.add(_key(task))
        self._move(old, task)

    def remove(self, task_id: TaskId) -> bool:
        """Forget a task; False if it was not there."""
        task = self._tasks.pop(task_id, None)
        if task is None:
            return False
        self._all.discard(_key(task))
        self._move(task, None)
        return True

    def _move(self, old: TaskSummary | None, new: TaskSummary | None) -> None:
        """Take a task from the indexes it leaves to those it joins."""
        before = set(_indexes(old)) if old else set[IndexName]()
        after = set(_indexes(new)) if new else set[IndexName]()
        if old:
            for name in before - after:
                index = self._indexes[name]
                index.discard(_key(old))
                if not index:
                    del self._indexes[name]
        if new:
            for name in after - before:
                self._indexes.setdefault(name, Order()).add(_key(new))
        left, joined = _finished_key(old), _finished_key(new)
        if left != joined:
            if left:
                self._finished.discard(left)
            if joined:
                self._finished.add(joined)

    def get(self, task_id: TaskId) -> TaskSummary | None:
        """One task."""
        return self._tasks.get(task_id)

    def counts(self) -> TaskCounts:
        """How many are in each state."""
        return TaskCounts(
            **{
                status: len(self._index("status", status))
                for status in TaskCounts.__struct_fields__
            }
        )

    def page(
        self,
        *,
        status: TaskStatus | None = None,
        type: str | None = None,  # noqa: A002  # the word of the contract
        agent: AgentId | None = None,
        parent: TaskId | None = None,
        namespace: Namespace | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page[TaskSummary]:
        """List tasks that match all that is given, newest first.

        Raises:
            Invalid: The cursor is none of ours.
        """
        asked = {
            "status": status,
            "type": type,
            "agent": agent,
            "parent": parent,
            "namespace": namespace,
        }
        wanted = {(kind, value) for kind, value in asked.items() if value is not None}
        indexes = [self._index(*name) for name in wanted]
        smallest = min(indexes, key=len, default=self._all)
        keys = smallest.newest_first(before=decode_cursor(cursor))
        matching = (task for task in self._at(keys) if wanted <= set(_indexes(task)))
        size = page_size(limit)
        found = tuple(islice(matching, size + 1))
        if len(found) <= size:
            return Page(items=found)
        return Page(
            items=found[:size], next_cursor=encode_cursor(_key(found[size - 1]))
        )

    def ids(
        self,
        *,
        status: TaskStatus,
        type: str | None = None,  # noqa: A002  # the word of the contract
        namespace: Namespace | None = None,
    ) -> list[TaskId]:
        """All of a state that match what else is given, newest first."""
        found = self._at(self._index("status", status).newest_first())
        return [
            task.id
            for task in found
            if type in (None, task.type) and namespace in (None, task.namespace)
        ]

    def newest(
        self, limit: int, sees: Callable[[TaskSummary], bool] | None = None
    ) -> tuple[TaskSummary, ...]:
        """Unfinished tasks and the newest finished ones, newest first, up to `limit`.

        Where there is not room for all, running ones stay and finished ones go. With
        `sees`, only those for which it says yes, as if there were no others.
        """
        found: list[TaskSummary] = []
        for status in _OPEN:
            keys = self._index("status", status).newest_first()
            found += islice(filter(sees, self._at(keys)), limit - len(found))
        finished = filter(sees, self._at(self._finished.newest_first()))
        found += islice(finished, limit - len(found))
        return tuple(sorted(found, key=_key, reverse=True))

    def surplus(self, *, finished_before: float, keep: int) -> list[TaskId]:
        """Finished tasks that retention lets go, oldest first.

        Args:
            finished_before: Seconds since 1970; what finished earlier goes.
            keep: Of the others, no more than so many, the newest.
        """
        over = len(self._finished) - keep
        surplus: list[TaskId] = []
        for at, (finished, task_id) in enumerate(self._finished.oldest_first()):
            if at >= over and finished >= finished_before:
                break
            surplus.append(TaskId(task_id))
        return surplus

    def _index(self, kind: str, value: str) -> Order:
        return self._indexes.get((kind, value), _NOTHING)

    def _at(self, keys: Iterator[Key]) -> Iterator[TaskSummary]:
        return (self._tasks[TaskId(task_id)] for _, task_id in keys)


def _key(task: TaskSummary) -> Key:
    return task.submitted.timestamp(), task.id


def _finished_key(task: TaskSummary | None) -> Key | None:
    if task is None or task.status not in FINISHED:
        return None
    return (task.finished or task.submitted).timestamp(), task.id


def _indexes(task: TaskSummary) -> tuple[IndexName, ...]:
    names = (
        ("status", task.status),
        ("type", task.type),
        ("namespace", task.namespace),
    )
    if task.agent:
        names = (*names, ("agent", task.agent))
    return (*names, ("parent", task.parent)) if task.parent else names
