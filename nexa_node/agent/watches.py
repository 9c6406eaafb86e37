"""Updates of tasks that are watched: from the link to whoever waits for them.

A watch lives as long as the connection; whoever watches is told when it is gone, and
watches again. Everything here runs on the author's loop.
"""

import asyncio
from collections import OrderedDict

from nexa_node.agent.upward import Connected, Disconnected
from nexa_node.contract.frames import TaskUpdate

EARLY_MAX = 1024
"""Watches whose updates came before somebody asked for them; the oldest are let go."""

Updates = asyncio.Queue[TaskUpdate | None]
"""None: the connection is gone, and the watch with it."""


class Watches:
    """Everything that is watched over this connection."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.connections = 0
        """How many have been lost: a watch of before is none any more."""
        self._open: dict[str, Updates] = {}
        self._early: OrderedDict[str, list[TaskUpdate]] = OrderedDict()

    def open(self, watch: str) -> Updates:
        """Wait for the updates of a watch; those that came already are the first."""
        updates = self._open.setdefault(watch, asyncio.Queue())
        for update in self._early.pop(watch, ()):
            updates.put_nowait(update)
        return updates

    def close(self, watch: str) -> None:
        """Wait for them no more."""
        self._open.pop(watch, None)
        self._early.pop(watch, None)

    def put(self, update: TaskUpdate) -> None:
        """Take an update in. It may come before the answer that names its watch."""
        updates = self._open.get(update.watch)
        if updates is not None:
            updates.put_nowait(update)
            return
        self._early.setdefault(update.watch, []).append(update)
        if len(self._early) > EARLY_MAX:
            self._early.popitem(last=False)

    def connection(self, change: Connected | Disconnected) -> None:
        """Tell everybody that their watches are gone."""
        if isinstance(change, Connected):
            return
        self.connections += 1
        self._early.clear()
        opened, self._open = self._open, {}
        for updates in opened.values():
            updates.put_nowait(None)
