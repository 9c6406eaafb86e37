"""Repairs: tasks whose record may be without a message in the queue.

Record and queue are two writes. Whatever stops between them, a task that is pending gets
its message in the end: from here while the node runs, and found again by its start. A
message too many does no harm: its record says what to do with it.
"""

from datetime import datetime, timedelta

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import Task
from nexa_node.core.redriving import queued_anew_at
from nexa_node.ports import TaskQueue
from nexa_node.services.directory.sight import Sight
from nexa_node.services.tasks.ledger import Ledger

WINDOW = timedelta(seconds=60)
"""What was cut off by a crash is younger than the newest by less than this."""


class Repairs:
    """What has to be put into the queue again."""

    def __init__(self, *, queue: TaskQueue, ledger: Ledger, sight: Sight) -> None:
        """Nothing has."""
        self._queue = queue
        self._ledger = ledger
        self._sight = sight
        self._unput: set[TaskId] = set()

    def later(self, task_id: TaskId) -> None:
        """Put a task again soon, if its record is there and pending."""
        self._unput.add(task_id)

    async def put(self, task: Task) -> None:
        """Put a pending task now, or soon if the store does not answer."""
        self.later(task.id)  # also if the caller does not wait for it
        try:
            await self._queue.put(task)
        except Unavailable:
            return
        self._unput.discard(task.id)

    def find_cut_off(self) -> None:
        """Find what may never have reached the queue when a node stopped.

        A submission or a redrive that nobody has had since, at the end of the line.
        """
        waiting: dict[TaskId, datetime] = {}
        for task in self._sight.unfinished():
            queued = queued_anew_at(task)
            if queued is not None:
                waiting[task.id] = queued
        newest = max(waiting.values(), default=None)
        for task_id, queued in waiting.items():
            if newest is not None and queued > newest - WINDOW:
                self._unput.add(task_id)

    async def put_again(self) -> None:
        """Put them; what the store does not take stays for the next time."""
        for task_id in list(self._unput):
            try:
                seen = await self._ledger.get(task_id)
                if seen is not None and seen.value.status == "pending":
                    await self._queue.put(seen.value)
            except Unavailable:
                return
            self._unput.discard(task_id)
