"""Deadlines of tasks that wait: whose time is over is expired, whoever took it in."""

import heapq

from nexa_node.contract.errors import Conflict, NotFound, Unavailable
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import Task
from nexa_node.core import tasks
from nexa_node.ports import Clock
from nexa_node.services.ledger import Ledger


class Deadlines:
    """When each waiting task is over."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        """Know of none yet."""
        self._ledger = ledger
        self._clock = clock
        self._due: list[tuple[float, TaskId]] = []

    def remember(self, task: Task) -> None:
        """Remember when a task that waits is over. One that is claimed has its lease."""
        if task.status != "pending":
            return
        moments = (task.deadline, tasks.latest_start(task))
        due = min((each.timestamp() for each in moments if each), default=None)
        if due is not None:
            heapq.heappush(self._due, (due, task.id))

    async def end_overdue(self) -> None:
        """Expire those whose time is over; what the store refuses stays."""
        now = self._clock.now()
        while self._due and self._due[0][0] <= now.timestamp():
            due, task_id = heapq.heappop(self._due)
            try:
                await self._ledger.settle(task_id, self._expired)
            except NotFound:
                continue
            except (Conflict, Unavailable):
                heapq.heappush(self._due, (due, task_id))
                return

    def _expired(self, task: Task) -> tasks.Verdict:
        return tasks.expire(task, now=self._clock.now())
