"""Deadlines of tasks that wait: whose time is over is expired, whoever took it in.

One node does it for all; the others know the same moments, and let go of each when they
see that it was done, so that whoever takes over finds what is left.
"""

import heapq
from collections.abc import Callable

from nexa_node.contract.errors import Conflict, NotFound, Unavailable
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import Task
from nexa_node.core import tasks
from nexa_node.ports import Clock
from nexa_node.services.directory.sight import Sight
from nexa_node.services.tasks.ledger import Ledger


class Deadlines:
    """When each waiting task is over."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        sight: Sight,
        clock: Clock,
        is_ours: Callable[[], bool],
    ) -> None:
        """Know of none yet.

        Args:
            ledger: The records.
            sight: Tells which tasks wait no more.
            clock: Deadlines are by its wall clock.
            is_ours: Whether it is this node that ends them, asked each time.
        """
        self._ledger = ledger
        self._sight = sight
        self._clock = clock
        self._is_ours = is_ours
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
        """Expire those whose time is over, if it is ours; what is refused stays."""
        now = self._clock.now()
        while self._due and self._due[0][0] <= now.timestamp():
            if not self._waits(self._due[0][1]):
                heapq.heappop(self._due)
                continue
            if not self._is_ours():
                return
            due, task_id = heapq.heappop(self._due)
            try:
                await self._ledger.settle(task_id, self._expired)
            except NotFound:
                continue
            except (Conflict, Unavailable):
                heapq.heappush(self._due, (due, task_id))
                return

    def _waits(self, task_id: TaskId) -> bool:
        """Whether a task is pending still; of one that is not seen the record is asked."""
        task = self._sight.task(task_id)
        return self._is_ours() if task is None else task.status == "pending"

    def _expired(self, task: Task) -> tasks.Verdict:
        return tasks.expire(task, now=self._clock.now())
