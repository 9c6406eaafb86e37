"""What there is and what happened, in memory: a projection of the store's watches.

Lists, counts and the console's feed are answered from here without a round trip, as old
as the last change the store told. Payloads stay in the store: a task here has neither
data nor result, so 100,000 of them fit.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.errors import NotFound
from nexa_node.contract.events import (
    AgentChanged,
    AgentGone,
    Change,
    Event,
    Happened,
    TaskChanged,
    TaskGone,
)
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.nodes import TaskCounts
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import FINISHED, Task, TaskSummary, summarize
from nexa_node.core.claim_book import ClaimBook
from nexa_node.core.queue_book import Backlog, QueueBook
from nexa_node.core.redriving import queued_anew_at
from nexa_node.core.shelves import AgentShelf, EventShelf
from nexa_node.core.task_shelf import TaskShelf
from nexa_node.ports import (
    AgentRecords,
    Caught,
    Clock,
    EventLog,
    Removed,
    TaskRecords,
    Versioned,
)
from nexa_node.services.api import AgentFilter, EventFilter, TaskFilter
from nexa_node.services.directory.sight import TaskSeen
from nexa_node.services.directory.waiting import Waiting, fairly

EVENTS_KEPT = 10_000
"""Events in memory; older ones are in the store alone."""
CATCH_UP_S = 2.0
"""Within so long after the store is back, its watches have told what they missed."""

Listener = Callable[[Change], None]
"""Told each change, `seq` 0. Must not block and must not raise."""


class Directory:
    """Agents, tasks and events of the whole cluster. Satisfies `sight.Sight`."""

    def __init__(
        self,
        *,
        tasks: TaskRecords,
        agents: AgentRecords,
        events: EventLog,
        clock: Clock,
        in_touch: Callable[[], bool] = lambda: True,
    ) -> None:
        """Know nothing yet; the `watch_…` loops fill it.

        Args:
            tasks: Records to follow.
            agents: The registry.
            events: What happens.
            clock: Stamps changes.
            in_touch: Whether the store is connected and has a quorum, from memory.
        """
        self._in_touch = in_touch
        self._lost_at: float | None = None
        self._task_records = tasks
        self._agent_records = agents
        self._event_log = events
        self._clock = clock
        self._tasks = TaskShelf()
        self._queues = QueueBook()
        self._claims = ClaimBook()
        self._records: dict[TaskId, Versioned[Task]] = {}
        self._agents = AgentShelf()
        self._events = EventShelf(EVENTS_KEPT)
        self._counts = TaskCounts()
        self._listeners: list[Listener] = []
        self._task_seen: list[TaskSeen] = []
        self._waiting = Waiting(clock)
        self._tasks_caught = asyncio.Event()
        self._agents_caught = asyncio.Event()

    # What it knows

    @property
    def is_caught_up(self) -> bool:
        """Whether all that was in the store at the start is seen."""
        return self._tasks_caught.is_set() and self._agents_caught.is_set()

    @property
    def is_stale(self) -> bool:
        """Whether what is told may be old: the store is, or was just now, out of reach."""
        now = self._clock.monotonic()
        if not self._in_touch():
            self._lost_at = now
        elif self._lost_at is not None and now - self._lost_at >= CATCH_UP_S:
            self._lost_at = None
        return self._lost_at is not None

    async def caught_up(self) -> None:
        """Wait until all that was in the store at the start is seen."""
        await self._tasks_caught.wait()
        await self._agents_caught.wait()

    def counts(self) -> TaskCounts:
        """How many tasks are in each state."""
        return self._counts

    def agent(self, namespace: Namespace, agent_id: AgentId) -> Agent | None:
        """One agent, connected or not."""
        return self._agents.get(namespace, agent_id)

    def find_agent(self, agent_id: AgentId) -> Agent:
        """The agent of that id, of the default namespace first.

        Raises:
            NotFound: There is none.
        """
        found = self._agents.find(agent_id)
        if found is None:
            raise NotFound(f"no agent {agent_id!r}", remedy="nexa agents list")
        return found

    def every_agent(self, namespace: Namespace) -> tuple[Agent, ...]:
        """All agents of a namespace, connected or not, by id."""
        return self._agents.of(namespace)

    def all_agents(self) -> tuple[Agent, ...]:
        """All agents of all namespaces, connected or not, by namespace and id."""
        return tuple(self._agents)

    def agents(
        self, query: AgentFilter, *, namespace: Namespace | None = None
    ) -> Page[Agent]:
        """List agents, by namespace and id.

        Raises:
            Invalid: The cursor is none of ours.
        """
        return self._agents.page(
            capability=query.capability,
            state=query.state,
            namespace=namespace,
            limit=query.limit,
            cursor=query.cursor,
        )

    def task(self, task_id: TaskId) -> Task | None:
        """One task, without its data, results, error and history."""
        known = self._records.get(task_id)
        return None if known is None else known.value

    def claims_of(self, namespace: Namespace, agent_id: AgentId) -> list[Task]:
        """All tasks that an agent has, whichever node gave them to it."""
        return [
            self._records[each].value for each in self._claims.of(namespace, agent_id)
        ]

    def claims_at(self, node: str) -> list[Task]:
        """All tasks that agents of a node have, as their records say."""
        return [self._records[task_id].value for task_id in self._claims.at(node)]

    def claiming_nodes(self) -> tuple[str, ...]:
        """Every node whose agents have tasks, as their records say."""
        return self._claims.nodes()

    def unfinished(self) -> Iterable[Task]:
        """All tasks that are pending, assigned or running, without payloads."""
        return [
            known.value
            for known in self._records.values()
            if known.value.status not in FINISHED
        ]

    def tasks(
        self, query: TaskFilter, *, namespace: Namespace | None = None
    ) -> Page[TaskSummary]:
        """List tasks, newest first.

        Raises:
            Invalid: The cursor is none of ours.
        """
        return self._tasks.page(
            status=query.status,
            type=query.type,
            agent=query.agent,
            parent=query.parent,
            namespace=namespace or query.namespace,
            limit=query.limit,
            cursor=query.cursor,
        )

    def backlogs(self) -> list[Backlog]:
        """What is in each queue now, by namespace and capability."""
        return self._queues.backlogs(self._clock.now())

    def dead_letters(
        self,
        *,
        type: str | None = None,  # noqa: A002  # the word of the contract
        namespace: Namespace | None = None,
    ) -> list[TaskId]:
        """All dead letters that match all that is given, newest first."""
        return self._tasks.ids(status="dead_lettered", type=type, namespace=namespace)

    def surplus(self, *, finished_before: float, keep: int) -> list[Versioned[Task]]:
        """Finished tasks that retention lets go, oldest first, without payloads.

        Args:
            finished_before: Seconds since 1970; what finished earlier goes.
            keep: Of the others, no more than so many, the newest.
        """
        if not self._tasks_caught.is_set():
            return []
        surplus = self._tasks.surplus(finished_before=finished_before, keep=keep)
        return [self._records[task_id] for task_id in surplus]

    def task_places(self) -> Iterator[tuple[str, str, str]]:
        """Namespace, type and status of every task."""
        for known in self._records.values():
            task = known.value
            yield task.namespace, task.type, task.status

    def newest_tasks(
        self, limit: int, sees: Callable[[TaskSummary], bool] | None = None
    ) -> tuple[TaskSummary, ...]:
        """Unfinished tasks and the newest finished ones, newest first; those he sees."""
        return self._tasks.newest(limit, sees)

    def events(self, query: EventFilter) -> Page[Event]:
        """List events, newest first.

        Raises:
            Invalid: The cursor is none of ours.
        """
        return self._events.page(
            kind=query.kind,
            severity=query.severity,
            limit=query.limit,
            cursor=query.cursor,
        )

    def newest_events(
        self, limit: int, sees: Callable[[Event], bool] | None = None
    ) -> tuple[Event, ...]:
        """The newest events, newest last; those he sees."""
        return self._events.newest(limit, sees)

    # Being told

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called for each change from now on."""
        self._listeners.append(listener)

    def on_task(self, seen: TaskSeen) -> None:
        """Have `seen` called with each whole record of a task from now on."""
        self._task_seen.append(seen)

    def observe(self, stored: Versioned[Task]) -> None:
        """Know what this node stored before the watch tells it.

        Fit for `Ledger.on_stored`: who submits a task finds it, and the watch need not
        even read what comes round to it again.
        """
        self._see_task(stored)

    def note(self, task: Task) -> None:
        """Know how far a task of this node is, which is not stored yet.

        Fit for `Ledger.on_write`. What is stored comes by `observe`; of an older claim,
        or a finished task, nothing is taken in.
        """
        known = self._records.get(task.id)
        if known is None or known.value.claim_epoch != task.claim_epoch:
            return
        if known.value.status not in FINISHED and task.status not in FINISHED:
            self._put(task, known.revision)

    def _knows(self, key: str, revision: int) -> bool:
        """Whether the watch would tell nothing new."""
        known = self._records.get(TaskId(key))
        return known is not None and known.revision >= revision

    async def finished(self, task_id: TaskId, *, wait_s: float) -> bool:
        """Wait up to `wait_s` for a task to finish; say whether it has."""
        known = self._tasks.get(task_id)
        is_finished = known is not None and known.status in FINISHED
        return is_finished or await self._waiting.wait(task_id, wait_s)

    def observe_agent(self, agent: Agent) -> None:
        """Take in what this node knows of an agent before the store has told it.

        So whoever has just said hello is found, and no longer who said bye.
        """
        self._see_agent(agent)

    # The loops

    async def watch_tasks(self) -> None:
        """Follow the records of tasks, for ever. A service's loop."""
        unseen = set(self._tasks)
        async for told in fairly(self._task_records.watch(known=self._knows)):
            if isinstance(told, Caught):
                for gone in unseen:
                    self._drop_task(gone)
                unseen = set[TaskId]()
                self._tasks_caught.set()
            elif isinstance(told, Removed):
                self._drop_task(TaskId(told.key))
            else:
                unseen.discard(told.value.id)
                self._see_task(told)

    async def watch_agents(self) -> None:
        """Follow the registry, for ever. A service's loop."""
        unseen = set(self._agents.keys())
        async for told in fairly(self._agent_records.watch()):
            if isinstance(told, Caught):
                for gone in unseen:
                    self._drop_agent(gone)
                unseen = set[str]()
                self._agents_caught.set()
            elif isinstance(told, Removed):
                self._drop_agent(told.key)
            else:
                unseen.discard(f"{told.value.namespace}.{told.value.id}")
                self._see_agent(told.value)

    async def watch_events(self) -> None:
        """Follow what happens, for ever. A service's loop."""
        arrivals = self._event_log.arrivals()
        for event in await self._event_log.recent(limit=EVENTS_KEPT):
            self._see_event(event)
        async for event in fairly(arrivals):
            self._see_event(event)

    # Each change

    def _see_task(self, told: Versioned[Task]) -> None:
        task = told.value
        known = self._records.get(task.id)
        if known is not None and known.revision >= told.revision:
            return
        self._put(task, told.revision)
        for seen in self._task_seen:
            seen(task)
        if task.status in FINISHED:
            self._waiting.wake(task.id)

    def _put(self, task: Task, revision: int) -> None:
        """Have a task on the shelf as it is now, and tell of it."""
        self._records[task.id] = Versioned(_light(task), revision)
        summary = summarize(task)
        self._tasks.put(summary)
        self._queues.put(summary)
        self._claims.put(task)
        self._counts = self._tasks.counts()
        now = self._clock.now()
        self._tell(TaskChanged(seq=0, time=now, task=summary, counts=self._counts))

    def _drop_task(self, task_id: TaskId) -> None:
        self._records.pop(task_id, None)
        self._queues.remove(task_id)
        self._claims.remove(task_id)
        if self._tasks.remove(task_id):
            self._counts = self._tasks.counts()
            self._tell(TaskGone(seq=0, time=self._clock.now(), id=task_id))

    def _see_agent(self, agent: Agent) -> None:
        self._agents.put(agent)
        self._tell(AgentChanged(seq=0, time=self._clock.now(), agent=agent))

    def _drop_agent(self, key: str) -> None:
        agent = self._agents.remove(key)
        if agent is not None:
            gone = AgentGone(
                seq=0,
                time=self._clock.now(),
                id=agent.id,
                namespace=agent.namespace,
            )
            self._tell(gone)

    def _see_event(self, event: Event) -> None:
        if self._events.put(event):
            self._tell(Happened(seq=0, time=self._clock.now(), event=event))

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def _light(task: Task) -> Task:
    """Leave the payloads out; of the history stays whether it was redriven just now."""
    redriven = task.claim_epoch > 0 and queued_anew_at(task) is not None
    return msgspec.structs.replace(
        task,
        data=None,
        result=None,
        error=None,
        partial=None,
        history=task.history[-1:] if redriven else (),
    )
