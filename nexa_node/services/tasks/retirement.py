"""Retirement: finished tasks that are too old or too many are forgotten.

A record outlives its message in the queue: a message without a record would be taken for
a submission that got no further, and done again. So the queue forgets a task first. And
a record is deleted only as it was decided upon: what was redriven meanwhile stays.
"""

import asyncio
from datetime import timedelta
from typing import Protocol

from nexa_node.contract.errors import Conflict, NexaError
from nexa_node.contract.tasks import Task
from nexa_node.core.policies import RetentionPolicy
from nexa_node.ports import Clock, TaskQueue, TaskRecords, Versioned

EVERY_S = 60.0
AT_ONCE = 64
"""Tasks forgotten in parallel, so that a busy day's leave within minutes."""


class Surplus(Protocol):
    """Tells what may go; `Directory.surplus`."""

    def __call__(self, *, finished_before: float, keep: int) -> list[Versioned[Task]]:
        """Finished tasks that retention lets go, oldest first."""
        ...


class Retirement:
    """Forgets finished tasks."""

    def __init__(
        self,
        *,
        surplus: Surplus,
        records: TaskRecords,
        queue: TaskQueue,
        clock: Clock,
        policy: RetentionPolicy,
    ) -> None:
        """Join what it needs."""
        self._surplus = surplus
        self._records = records
        self._queue = queue
        self._clock = clock
        self._policy = policy

    async def run(self) -> None:
        """Forget what is due, for ever. A service's loop."""
        while True:
            await self._clock.sleep(EVERY_S)
            await self.retire()

    async def retire(self) -> int:
        """Forget once; how many. What the store refuses stays for the next time."""
        kept_for = timedelta(hours=self._policy.tasks_hours)
        surplus = self._surplus(
            finished_before=(self._clock.now() - kept_for).timestamp(),
            keep=self._policy.tasks_max,
        )
        gone = 0
        for start in range(0, len(surplus), AT_ONCE):
            some = surplus[start : start + AT_ONCE]
            outcomes = await asyncio.gather(
                *(self.forget(each) for each in some), return_exceptions=True
            )
            for outcome in outcomes:
                if isinstance(outcome, BaseException) and not isinstance(
                    outcome, NexaError
                ):
                    raise outcome
            gone += sum(outcome is None for outcome in outcomes)
            if any(_refused(outcome) for outcome in outcomes):
                break
        return gone

    async def forget(self, seen: Versioned[Task]) -> None:
        """Forget one finished task as it was seen.

        Raises:
            Conflict: It is another by now.
            Unavailable: The store does not answer; the record may be there or not.
        """
        await self._queue.forget(seen.value)
        await self._records.delete(seen.value.id, revision=seen.revision)


def _refused(outcome: BaseException | None) -> bool:
    return outcome is not None and not isinstance(outcome, Conflict)
