"""What services need to see of the cluster: the directory, as its readers know it.

`services/directory/directory.py` satisfies it from the watches of the store. Everything here is
answered from memory, may be a moment old, and never raises.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from nexa_node.contract.agents import Agent
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Task, TaskSummary
from nexa_node.services.api import AgentFilter, TaskFilter

TaskSeen = Callable[[Task], None]
"""Told every record of a task: first those that are there, then each change."""


class Sight(Protocol):
    """Agents and tasks of the whole cluster."""

    async def caught_up(self) -> None:
        """Wait until all that was in the store at the start is seen."""
        ...

    def agent(self, namespace: Namespace, agent_id: AgentId) -> Agent | None:
        """One agent, connected or not."""
        ...

    def every_agent(self, namespace: Namespace) -> Iterable[Agent]:
        """All agents of a namespace, connected or not."""
        ...

    def all_agents(self) -> Iterable[Agent]:
        """All agents of all namespaces, connected or not."""
        ...

    def agents(
        self, query: AgentFilter, *, namespace: Namespace | None = None
    ) -> Page[Agent]:
        """List agents."""
        ...

    def task(self, task_id: TaskId) -> Task | None:
        """One task, without its payloads."""
        ...

    def claims_of(self, namespace: Namespace, agent_id: AgentId) -> Iterable[Task]:
        """All tasks that an agent has, whichever node gave them to it."""
        ...

    def unfinished(self) -> Iterable[Task]:
        """All tasks that are pending, assigned or running, without their payloads."""
        ...

    def tasks(
        self, query: TaskFilter, *, namespace: Namespace | None = None
    ) -> Page[TaskSummary]:
        """List tasks, newest first."""
        ...

    def on_task(self, seen: TaskSeen) -> None:
        """Have `seen` called for every change of a task's record from now on."""
        ...
