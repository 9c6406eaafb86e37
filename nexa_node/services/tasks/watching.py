"""What one session watches, and what it has not been told yet. Bookkeeping only."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from nexa_node.contract import errors
from nexa_node.contract.frames import TaskUpdate
from nexa_node.contract.ids import Namespace, TaskId
from nexa_node.contract.tasks import Json, Task, TaskStatus
from nexa_node.core.progression import Mark
from nexa_node.services.sessions.live import LiveAgent

BEHIND_MAX = 10_000
"""Tasks a slow session may have missed; one that misses more is closed with 4408."""

Key = tuple[str, TaskId]
"""A watch and a task."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to tell of a task."""

    task: Task
    """Without its data."""
    mark: Mark
    echo: bool = False
    """By the store's watch, of a claim of this node."""
    partial: Json = None


@dataclass(slots=True, eq=False)
class One:
    """The watch of one task."""

    id: str
    follower: "Follower"
    task: TaskId
    known: Mark | None = None
    """Of what was told last; None if anything is news."""
    held: list[Told] | None = None
    """What came before the answer that names the watch; told right after it."""


@dataclass(slots=True, eq=False)
class Many:
    """The watch of all tasks that match."""

    id: str
    follower: "Follower"
    namespace: Namespace
    type: str | None
    parent: TaskId | None
    status: TaskStatus | None
    ahead: dict[TaskId, Mark] = field(default_factory=dict[TaskId, Mark])
    """Tasks whose partial results were told before the store told of them."""

    def wants(self, task: Task) -> bool:
        """Say whether it is about `task`."""
        return (
            task.namespace == self.namespace
            and self.type in (None, task.type)
            and self.parent in (None, task.parent)
            and self.status in (None, task.status)
        )


@dataclass(slots=True, eq=False)
class Follower:
    """One session that watches."""

    agent: LiveAgent
    open: dict[str, One | Many] = field(default_factory=dict[str, One | Many])
    behind: dict[Key, None] = field(default_factory=dict[Key, None])
    """What it missed, the oldest first; to be read when there is room."""
    ones: int = 0
    """How many of the open ones are of one task."""
    reading: Key | None = None
    """Of those: what is being read, unless it was told meanwhile."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def is_roomy(self) -> bool:
        """Whether what can wait may be told now."""
        connection = self.agent.connection
        return connection is not None and connection.is_roomy

    def number(self) -> str:
        """Draw a watch's id. It is no slug, so it is no task's."""
        return f"w.{next(self._numbers)}"

    def tell(self, watch: One | Many, task: Task, partial: Json = None) -> None:
        """Tell it now; what it missed of the task before is told by that."""
        self._settled((watch.id, task.id))
        update = TaskUpdate(watch=watch.id, task=task, partial=partial)
        self.agent.tell("task.update", update)

    def miss(self, watch: One | Many, task_id: TaskId) -> None:
        """Remember what it could not be told; too much of it ends the connection."""
        key = (watch.id, task_id)
        self._settled(key)
        self.behind[key] = None
        if len(self.behind) > BEHIND_MAX and self.agent.connection is not None:
            why = f"more than {BEHIND_MAX:,} watched tasks changed meanwhile"
            self.agent.connection.close(errors.CLOSE_SLOW, why)

    def next_missed(self) -> Key | None:
        """Take the oldest of what it missed, to be read now."""
        key = next(iter(self.behind), None)
        if key is not None:
            del self.behind[key]
        self.reading = key
        return key

    def _settled(self, key: Key) -> None:
        self.behind.pop(key, None)
        if self.reading == key:
            self.reading = None
