"""Waiting: for tasks to finish, and for one's turn while a flood comes in."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from nexa_node.contract.ids import TaskId
from nexa_node.ports import Clock

TURN_EVERY = 64
"""Changes taken from a watch before others get a turn of the loop."""

T = TypeVar("T")


class Waiting:
    """Callers that wait for tasks to finish."""

    def __init__(self, clock: Clock) -> None:
        """Nobody waits."""
        self._clock = clock
        self._futures: dict[TaskId, set[asyncio.Future[bool]]] = {}

    async def wait(self, task_id: TaskId, wait_s: float) -> bool:
        """Wait until `wake` is called for a task; False after `wait_s` seconds."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = self._futures.setdefault(task_id, set())
        waiting.add(future)
        try:
            async with asyncio.TaskGroup() as group:
                timer = group.create_task(self._give_up(future, wait_s))
                try:
                    return await future
                finally:
                    timer.cancel()
        finally:
            waiting.discard(future)
            if not waiting:
                self._futures.pop(task_id, None)

    def wake(self, task_id: TaskId) -> None:
        """Let all go on that wait for a task."""
        for future in self._futures.get(task_id, ()):
            if not future.done():
                future.set_result(True)

    async def _give_up(self, future: "asyncio.Future[bool]", wait_s: float) -> None:
        await self._clock.sleep(wait_s)
        if not future.done():
            future.set_result(False)


async def fairly(watch: AsyncIterator[T]) -> AsyncIterator[T]:
    """Pass `watch` on, letting others run during a flood.

    A watch whose next item is there already never suspends its reader.
    """
    taken = 0
    async for item in watch:
        yield item
        taken += 1
        if taken % TURN_EVERY == 0:
            await asyncio.sleep(0)
