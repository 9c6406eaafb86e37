"""Partial results: to who watches here at once, and on to the other nodes.

Not stored on the way: the task's record keeps the newest one.
"""

import asyncio
from collections import deque

import msgspec

from nexa_node.contract.errors import NexaError
from nexa_node.contract.tasks import Json, Task
from nexa_node.core.progression import stage
from nexa_node.ports import PartialResult, Partials
from nexa_node.services.directory.sight import Sight
from nexa_node.services.tasks.watches import Watches

WAITING_MAX = 1000
"""On their way to other nodes; of more than that the oldest are lost."""


class PartialResults:
    """Passes partial results on."""

    def __init__(
        self, partials: Partials, *, watches: Watches, sight: Sight, node: str
    ) -> None:
        """Nothing is passed on before `run`."""
        self._partials = partials
        self._watches = watches
        self._sight = sight
        self._node = node
        self._waiting: deque[PartialResult] = deque(maxlen=WAITING_MAX)
        self._wake = asyncio.Event()

    def tell(self, task: Task, partial: Json) -> None:
        """Tell a partial result: `task` is as it is with it."""
        self._watches.partial(task, partial)
        light = msgspec.structs.replace(task, data=None, partial=None, history=())
        told = PartialResult(node=self._node, task=light, partial=partial)
        self._waiting.append(told)
        self._wake.set()

    async def run(self) -> None:
        """Pass on and listen, for ever. A service's loop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._send(self._waiting.popleft())

    async def _send(self, told: PartialResult) -> None:
        try:
            await self._partials.send(told)
        except NexaError:
            return  # as if nobody had listened

    async def _listen(self) -> None:
        async for told in self._partials.arrivals():
            if told.node == self._node:
                continue
            known = self._sight.task(told.task.id)
            if known is not None and stage(known) > stage(told.task):
                continue  # it was overtaken by what came of the task
            task = msgspec.structs.replace(told.task, partial=told.partial)
            self._watches.partial(task, told.partial)
