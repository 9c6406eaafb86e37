"""What of the cluster a caller may see: asked for every item of a list and every frame.

A thing outside of what a caller may see does not exist for him: it is in no list, and
asking for it by name is answered as for one that was never there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.agents import Agent
from nexa_node.contract.events import (
    SNAPSHOT_EVENTS,
    SNAPSHOT_TASKS,
    AgentChanged,
    AgentGone,
    AlertChanged,
    AlertGone,
    Change,
    ClusterChanged,
    Event,
    Happened,
    Sampled,
    SelfTested,
    Snapshot,
    TaskChanged,
    TaskGone,
)
from nexa_node.contract.ids import TaskId
from nexa_node.contract.nodes import Cluster, HostSample, NodeStatus, TaskCounts
from nexa_node.contract.rest import PAGE_MAX, Page
from nexa_node.contract.tasks import Task, TaskSummary
from nexa_node.core.authorization import authorize
from nexa_node.core.cursors import page_size

T = TypeVar("T")


class Paged(Protocol):
    """A question for a page of a list: a dataclass, as all filters are."""

    @property
    def limit(self) -> int:
        """How many at most."""
        ...

    @property
    def cursor(self) -> str | None:
        """Where it begins."""
        ...


P = TypeVar("P", bound=Paged)


class Known(Protocol):
    """What there is, from memory."""

    def all_agents(self) -> tuple[Agent, ...]:
        """All agents of all namespaces."""
        ...

    def task(self, task_id: TaskId) -> Task | None:
        """One task, without its payloads."""
        ...

    def task_places(self) -> Iterator[tuple[str, str, str]]:
        """Namespace, type and status of every task."""
        ...

    def newest_tasks(
        self, limit: int, sees: Callable[[TaskSummary], bool]
    ) -> tuple[TaskSummary, ...]:
        """The newest tasks that somebody sees."""
        ...

    def newest_events(
        self, limit: int, sees: Callable[[Event], bool]
    ) -> tuple[Event, ...]:
        """The newest events that somebody sees."""
        ...


def sees_all(identity: Identity) -> bool:
    """Say whether nothing is hidden from a caller who may ask at all: most callers."""
    return identity.permissions is None and not identity.scope.namespaces


@dataclass(frozen=True, slots=True)
class View:
    """One caller's view of what a node knows."""

    identity: Identity
    known: Known

    @property
    def whole(self) -> bool:
        """Nothing is hidden."""
        return sees_all(self.identity)

    def may(self, action: str, namespace: str, name: str) -> bool:
        """Say whether he may do that to something of a namespace."""
        return authorize(self.identity, action, f"{namespace}.{name}").allowed

    def agent(self, agent: Agent) -> bool:
        """Whether he sees an agent."""
        return self.whole or self.may("agents:read", agent.namespace, agent.id)

    def task(self, task: Task | TaskSummary) -> bool:
        """Whether he sees a task."""
        return self.whole or self.may("tasks:read", task.namespace, task.type)

    def event(self, event: Event) -> bool:
        """Whether he sees an event. One of no known namespace is of the whole cluster."""
        if self.whole:
            return True
        if not authorize(self.identity, "events:read").allowed:
            return False
        namespace = self._namespace_of(event)
        if namespace is None:
            return authorize(self.identity, "events:read", ">").allowed and (
                not self.identity.scope.namespaces
            )
        return self.may("events:read", namespace, event.subject.partition("/")[0])

    def page(
        self, ask: Callable[[P], Page[T]], query: P, sees: Callable[[T], bool]
    ) -> Page[T]:
        """The page of what he sees, as if nothing else were there.

        It is as long, and ends as soon, as without what is hidden: not even that there
        is something behind it is told.
        """
        if self.whole:
            return ask(query)
        found: list[T] = []
        most = page_size(query.limit)
        cursor, end = query.cursor, None
        while True:
            page = ask(_asked(query, PAGE_MAX, cursor))
            for at, item in enumerate(page.items, start=1):
                if not sees(item):
                    continue
                if len(found) == most:
                    return Page(items=tuple(found), next_cursor=end)
                found.append(item)
                if len(found) == most:
                    end = ask(_asked(query, at, cursor)).next_cursor
            cursor = page.next_cursor
            if cursor is None:
                return Page(items=tuple(found), next_cursor=None)

    def counts(self) -> TaskCounts:
        """How many tasks he sees are in each state."""
        found: dict[str, int] = {}
        may: dict[tuple[str, str], bool] = {}
        for namespace, kind, status in self.known.task_places():
            key = namespace, kind
            if key not in may:
                may[key] = self.may("tasks:read", namespace, kind)
            if may[key]:
                found[status] = found.get(status, 0) + 1
        return msgspec.convert(found, TaskCounts)

    def status(self, status: NodeStatus) -> NodeStatus:
        """A node's status, without figures that others' work is told by."""
        if self.whole:
            return status
        agents = sum(self.agent(each) for each in self.known.all_agents())
        return msgspec.structs.replace(
            status, tasks=self.counts(), agents=agents, host=None
        )

    def cluster(self, cluster: Cluster) -> Cluster:
        """The cluster: its nodes and how they are, nothing of what they do for others."""
        if self.whole:
            return cluster
        nodes = tuple(
            msgspec.structs.replace(node, agents=0, host=None) for node in cluster.nodes
        )
        return msgspec.structs.replace(
            cluster, nodes=nodes, streams=(), routes=(), growth=None
        )

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        """The first frame of a feed."""
        if self.whole:
            return snapshot
        alerts = authorize(self.identity, "alerts:read").allowed
        tested = authorize(self.identity, "selftest:read").allowed
        return msgspec.structs.replace(
            snapshot,
            node=self.status(snapshot.node),
            cluster=self.cluster(snapshot.cluster),
            agents=tuple(each for each in snapshot.agents if self.agent(each)),
            tasks=self.known.newest_tasks(SNAPSHOT_TASKS, self.task),
            counts=self.counts(),
            events=self.known.newest_events(SNAPSHOT_EVENTS, self.event),
            history=(),
            selftest=snapshot.selftest if tested else None,
            alerts=snapshot.alerts if alerts else (),
        )

    def change(self, change: Change) -> Change | None:
        """A later frame; None if it is nothing to him."""
        if self.whole:
            return change
        match change:
            case Sampled(sample=sample):
                return msgspec.structs.replace(change, sample=_bare(sample))
            case ClusterChanged(cluster=cluster):
                return msgspec.structs.replace(change, cluster=self.cluster(cluster))
            case _:
                return change if self._is_told(change) else None

    def _is_told(self, change: Change) -> bool:
        match change:
            case AgentChanged(agent=agent):
                return self.agent(agent)
            case AgentGone(id=agent_id, namespace=namespace):
                return self.may("agents:read", namespace, agent_id)
            case TaskChanged(task=task):
                return self.task(task)
            case Happened(event=event):
                return self.event(event)
            case SelfTested():
                return authorize(self.identity, "selftest:read").allowed
            case AlertChanged() | AlertGone():
                return authorize(self.identity, "alerts:read").allowed
            case TaskGone():
                return True  # whose it was is known to nobody any more: see the feed
            case _:
                return False

    def _namespace_of(self, event: Event) -> str | None:
        """Whose an event is, as far as it tells or its subject is known."""
        told = event.data.get("namespace")
        if isinstance(told, str):
            return told
        kind, _, name = event.subject.partition("/")
        if kind == "task":
            task = self.known.task(TaskId(name))
            return None if task is None else task.namespace
        if kind == "queue":
            return name.partition(".")[0]
        return None


def _asked(query: P, limit: int, cursor: str | None) -> P:
    return replace(cast("Any", query), limit=limit, cursor=cursor)


def _bare(sample: HostSample) -> HostSample:
    """A sample of the machine, without what tells of anybody's work."""
    return msgspec.structs.replace(
        sample,
        agents=0,
        tasks_pending=0,
        tasks_running=0,
        tasks_completed_s=0.0,
        tasks_failed_s=0.0,
        messages_s=0.0,
        net_rx_bytes_s=0.0,
        net_tx_bytes_s=0.0,
        task_p50_ms=None,
        task_p99_ms=None,
    )
