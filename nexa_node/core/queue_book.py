"""What waits in each queue, counted as it changes.

A queue is a capability in a namespace. Each change of a task costs a few searches in
sorted lists, and what is asked for is there already: 100,000 waiting tasks are counted
as fast as a hundred.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from nexa_node.contract.ids import Namespace, TaskId
from nexa_node.contract.tasks import PRIORITIES, Priority, TaskStatus, TaskSummary
from nexa_node.core.ordering import Key, Order

State = Literal["waiting", "delayed", "running", "dead"]

_STATES: dict[TaskStatus, State] = {
    "pending": "waiting",
    "assigned": "running",
    "running": "running",
    "dead_lettered": "dead",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Which queue."""

    namespace: Namespace
    capability: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is in one queue."""

    kind: Kind
    pending: int
    by_priority: dict[Priority, int]
    """Of the pending ones; every priority is there."""
    delayed: int
    """Of the pending ones: those whose time has not come."""
    running: int
    dead_lettered: int
    oldest: float | None
    """Since when the oldest pending one might have begun; seconds since 1970."""


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: Kind
    state: State
    priority: Priority
    since: float
    """From when on it may begin."""


@dataclass(slots=True)
class _Line:
    """One queue."""

    pending: Counter[Priority] = field(default_factory=Counter[Priority])
    waiting: Order = field(default_factory=Order)
    delayed: Order = field(default_factory=Order)
    running: int = 0
    dead: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.waiting or self.delayed or self.running or self.dead)


class QueueBook:
    """Every queue that has tasks which are not done with."""

    def __init__(self) -> None:
        """Begin empty."""
        self._entries: dict[TaskId, _Entry] = {}
        self._lines: dict[Kind, _Line] = {}

    def put(self, task: TaskSummary) -> None:
        """Take in the newest summary of a task."""
        new = _entry(task)
        old = self._entries.get(task.id)
        if old == new:
            return
        if old is not None:
            self.remove(task.id)
        if new is not None:
            self._entries[task.id] = new
            self._count(task.id, new, 1)

    def remove(self, task_id: TaskId) -> None:
        """Forget a task."""
        entry = self._entries.pop(task_id, None)
        if entry is not None:
            self._count(task_id, entry, -1)
            if self._lines[entry.kind].is_empty:
                del self._lines[entry.kind]

    def backlogs(self, now: datetime) -> list[Backlog]:
        """Tell what is in each queue now, by namespace and capability."""
        kinds = sorted(self._lines, key=lambda kind: (kind.namespace, kind.capability))
        return [self._backlog(kind, now.timestamp()) for kind in kinds]

    def _backlog(self, kind: Kind, now: float) -> Backlog:
        line = self._lines[kind]
        while (first := _first(line.delayed)) is not None and first[0] <= now:
            line.delayed.discard(first)
            line.waiting.add(first)
        oldest = _first(line.waiting)
        return Backlog(
            kind=kind,
            pending=len(line.waiting) + len(line.delayed),
            by_priority={each: line.pending[each] for each in PRIORITIES},
            delayed=len(line.delayed),
            running=line.running,
            dead_lettered=line.dead,
            oldest=None if oldest is None else oldest[0],
        )

    def _count(self, task_id: TaskId, entry: _Entry, by: int) -> None:
        line = self._lines.setdefault(entry.kind, _Line())
        if entry.state == "running":
            line.running += by
            return
        if entry.state == "dead":
            line.dead += by
            return
        line.pending[entry.priority] += by
        key: Key = (entry.since, task_id)
        if by < 0:
            line.waiting.discard(key)
            line.delayed.discard(key)
        elif entry.state == "delayed":
            line.delayed.add(key)
        else:
            line.waiting.add(key)


def _entry(task: TaskSummary) -> _Entry | None:
    state = _STATES.get(task.status)
    if state is None:
        return None
    since = task.submitted
    if state == "waiting" and task.not_before is not None and task.not_before > since:
        state, since = (
            "delayed",
            task.not_before,
        )  # until somebody looks, and it is time
    return _Entry(
        kind=Kind(task.namespace, task.type),
        state=state,
        priority=task.priority,
        since=since.timestamp(),
    )


def _first(order: Order) -> Key | None:
    return next(order.oldest_first(), None)
