"""Who has which task, and where: every claim there is, found by its agent or its node.

A pure projection of records. What is not claimed costs one look-up, and nothing is kept
of it.
"""

from collections.abc import Iterable

from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.tasks import Task
from nexa_node.core.tasks import is_claimed

Holder = tuple[Namespace, AgentId]
_Place = tuple[Holder, str]


class ClaimBook:
    """The claims of all nodes."""

    def __init__(self) -> None:
        """Begin empty."""
        self._places: dict[TaskId, _Place] = {}
        self._by_agent: dict[Holder, dict[TaskId, None]] = {}
        self._by_node: dict[str, dict[TaskId, None]] = {}

    def put(self, task: Task) -> None:
        """Take in the newest record of a task."""
        place = _place(task)
        if self._places.get(task.id) == place:
            return
        self.remove(task.id)
        if place is not None:
            self._places[task.id] = place
            holder, node = place
            self._by_agent.setdefault(holder, {})[task.id] = None
            self._by_node.setdefault(node, {})[task.id] = None

    def remove(self, task_id: TaskId) -> None:
        """Forget a task."""
        place = self._places.pop(task_id, None)
        if place is None:
            return
        holder, node = place
        del self._by_agent[holder][task_id]
        if not self._by_agent[holder]:
            del self._by_agent[holder]
        del self._by_node[node][task_id]
        if not self._by_node[node]:
            del self._by_node[node]

    def of(self, namespace: Namespace, agent: AgentId) -> Iterable[TaskId]:
        """The tasks an agent has, whichever node gave them to it."""
        return tuple(self._by_agent.get((namespace, agent), ()))

    def nodes(self) -> tuple[str, ...]:
        """The nodes whose agents have any."""
        return tuple(self._by_node)

    def at(self, node: str) -> Iterable[TaskId]:
        """The tasks that agents of a node have."""
        return tuple(self._by_node.get(node, ()))


def _place(task: Task) -> _Place | None:
    if not is_claimed(task) or task.agent is None or task.node is None:
        return None
    return (task.namespace, task.agent), task.node
