"""What the console knows of a cluster, and how a frame of the feed changes it.

`apply` is pure: a state and frames in, a state out. Nothing is guessed: what a node said
stays as it said it, also when the feed is lost, and `age` says how long ago that was. Ages are taken on a clock that
never jumps; the node's own time goes on from its last frame, so that a wrong date on this
machine ages nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeVar

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.alerts import Alert
from nexa_node.contract.checks import SelfTest
from nexa_node.contract.errors import NexaError
from nexa_node.contract.events import (
    AgentChanged,
    AgentGone,
    AlertChanged,
    AlertGone,
    ClusterChanged,
    Event,
    FeedFrame,
    Happened,
    Sampled,
    SelfTested,
    Snapshot,
    TaskChanged,
    TaskGone,
)
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.nodes import Cluster, HostSample, NodeStatus, TaskCounts
from nexa_node.contract.tasks import FINISHED, TaskSummary

K = TypeVar("K")
V = TypeVar("V")

BEAT_S = 2.0
"""How often a node speaks, whatever happens."""
STALE_S = 3 * BEAT_S
HISTORY_MAX = 1800
"""Samples: an hour of beats."""
EVENTS_MAX = 1000
FINISHED_MAX = 5000
"""Finished tasks kept; the oldest leave first. Unfinished ones are all kept."""
_TRIM_SLACK = 500
_HELD = frozenset(("assigned", "running"))
_OPEN = frozenset(("idle", "active", "busy"))
"""States of an agent that follow from its slots; all others were set by somebody."""
_NO_COUNTS = TaskCounts()


class NoNode(msgspec.Struct, frozen=True):
    """There is no node to watch, and none was asked for yet."""


class Opening(msgspec.Struct, frozen=True):
    """The feed is being opened."""

    url: str
    attempt: int = 0


class Live(msgspec.Struct, frozen=True):
    """The feed is open."""


class Gone(msgspec.Struct, frozen=True):
    """The feed broke; it is opened again at `retry_at`, on the clock of ages."""

    why: str
    remedy: str | None
    retry_at: float
    since: float
    attempt: int = 1


class Denied(msgspec.Struct, frozen=True):
    """The node will not have us."""

    error: NexaError


Link = NoNode | Opening | Live | Gone | Denied


class ClusterState(msgspec.Struct, frozen=True):
    """All that is known. Replaced as a whole; the mappings are never changed."""

    link: Link = NoNode()
    received: float | None = None
    """When the last frame came; None before the first."""
    said: datetime | None = None
    """The node's own time in that frame."""
    node: NodeStatus | None = None
    cluster: Cluster | None = None
    agents: Mapping[AgentId, Agent] = msgspec.field(
        default_factory=lambda: MappingProxyType({})
    )
    tasks: Mapping[TaskId, TaskSummary] = msgspec.field(
        default_factory=lambda: MappingProxyType({})
    )
    """In the order they were first heard of: the newest last."""
    alerts: Mapping[str, Alert] = msgspec.field(
        default_factory=lambda: MappingProxyType({})
    )
    """By fingerprint."""
    counts: TaskCounts = _NO_COUNTS
    events: tuple[Event, ...] = ()
    """The newest last."""
    history: tuple[HostSample, ...] = ()
    """The newest last."""
    selftest: SelfTest | None = None
    version: int = 0
    """Grows with each batch of frames: two states of one version are the same."""

    @property
    def sample(self) -> HostSample | None:
        """The newest figures of the node's machine."""
        return self.history[-1] if self.history else None

    @property
    def empty(self) -> bool:
        """Whether nothing was ever heard."""
        return self.cluster is None

    def age(self, now: float) -> float | None:
        """Say how old the data is, in seconds; None before the first frame."""
        return None if self.received is None else max(0.0, now - self.received)

    def stale(self, now: float) -> bool:
        """Say whether the node missed three beats, or the feed is not open."""
        age = self.age(now)
        if age is None:
            return False
        return age > STALE_S or not isinstance(self.link, Live)

    def node_time(self, now: float) -> datetime | None:
        """Say what the node's clock shows, as far as that is known.

        It stands still once nothing is heard: what is not known to go on does not age.
        """
        if self.said is None or self.received is None:
            return None
        known = min(now, self.received + STALE_S)
        if isinstance(self.link, Gone):
            known = min(known, self.link.since)
        return self.said + timedelta(seconds=max(0.0, known - self.received))


def apply(state: ClusterState, frame: FeedFrame, *, at: float) -> ClusterState:
    """Take one frame in; see `apply_all`."""
    return apply_all(state, (frame,), at=at)


def apply_all(
    state: ClusterState, frames: Iterable[FeedFrame], *, at: float
) -> ClusterState:
    """Take frames in, in their order.

    Args:
        state: As it was.
        frames: In the order of their sequence; a burst costs one copy, not many.
        at: When the last of them came, on the clock of ages.
    """
    draft = _Draft(state)
    said = state.said
    for frame in frames:
        draft.take(frame)
        said = frame.time
    return draft.finish(said=said, at=at)


def relink(state: ClusterState, link: Link) -> ClusterState:
    """Take news of the connection in; what was heard stays.

    A feed that is opened again stays gone until it is open: no flicker between words.
    """
    before = state.link
    if isinstance(before, Gone):
        if isinstance(link, Opening):
            return state
        if isinstance(link, Gone):
            link = msgspec.structs.replace(link, since=before.since)
    return msgspec.structs.replace(state, link=link)


class _Draft:
    """A state under change; copies a mapping when it is first written to."""

    def __init__(self, state: ClusterState) -> None:
        self._base = state
        self._node = state.node
        self._cluster = state.cluster
        self._agents: dict[AgentId, Agent] | None = None
        self._tasks: dict[TaskId, TaskSummary] | None = None
        self._alerts: dict[str, Alert] | None = None
        self._counts = state.counts
        self._events: list[Event] | None = None
        self._history: list[HostSample] | None = None
        self._selftest = state.selftest

    def take(self, frame: FeedFrame) -> None:
        match frame:
            case Snapshot():
                self._begin(frame)
            case TaskChanged():
                self._moved(frame.task)
                self._open_tasks()[frame.task.id] = frame.task
                self._counts = frame.counts
            case AgentChanged():
                self._open_agents()[frame.agent.id] = frame.agent
            case AlertChanged():
                self._open_alerts()[frame.alert.fingerprint] = frame.alert
            case TaskGone() | AgentGone() | AlertGone():
                self._drop(frame)
            case ClusterChanged():
                self._cluster = frame.cluster
            case Sampled():
                self._open_history().append(frame.sample)
                self._counts = frame.counts
            case Happened():
                self._open_events().append(frame.event)
            case SelfTested():
                self._selftest = frame.selftest

    def _moved(self, task: TaskSummary) -> None:
        """Let the agents' slots follow a task: their own records come seconds later."""
        known = self._base.tasks if self._tasks is None else self._tasks
        before, after = _holder(known.get(task.id)), _holder(task)
        if before == after:
            return
        for holder, more in ((before, -1), (after, 1)):
            agents = self._base.agents if self._agents is None else self._agents
            agent = None if holder is None else agents.get(holder)
            if agent is not None:
                self._open_agents()[agent.id] = _loaded(agent, more)

    def _drop(self, frame: TaskGone | AgentGone | AlertGone) -> None:
        match frame:
            case TaskGone():
                self._open_tasks().pop(frame.id, None)
            case AgentGone():
                self._open_agents().pop(frame.id, None)
            case AlertGone():
                self._open_alerts().pop(frame.fingerprint, None)

    def finish(self, *, said: datetime | None, at: float) -> ClusterState:
        base = self._base
        return ClusterState(
            link=Live(),
            received=at,
            said=said,
            node=self._node,
            cluster=self._cluster,
            agents=_sealed(self._agents, base.agents),
            tasks=_sealed(_trimmed(self._tasks), base.tasks),
            alerts=_sealed(self._alerts, base.alerts),
            counts=self._counts,
            events=_tail(self._events, base.events, EVENTS_MAX),
            history=_tail(self._history, base.history, HISTORY_MAX),
            selftest=self._selftest,
            version=base.version + 1,
        )

    def _begin(self, snapshot: Snapshot) -> None:
        self._node = snapshot.node
        self._cluster = snapshot.cluster
        self._agents = {agent.id: agent for agent in snapshot.agents}
        self._tasks = {task.id: task for task in reversed(snapshot.tasks)}
        self._alerts = {alert.fingerprint: alert for alert in snapshot.alerts}
        self._counts = snapshot.counts
        self._events = list(snapshot.events)
        self._history = list(snapshot.history)
        self._selftest = snapshot.selftest

    def _open_agents(self) -> dict[AgentId, Agent]:
        if self._agents is None:
            self._agents = dict(self._base.agents)
        return self._agents

    def _open_tasks(self) -> dict[TaskId, TaskSummary]:
        if self._tasks is None:
            self._tasks = dict(self._base.tasks)
        return self._tasks

    def _open_alerts(self) -> dict[str, Alert]:
        if self._alerts is None:
            self._alerts = dict(self._base.alerts)
        return self._alerts

    def _open_events(self) -> list[Event]:
        if self._events is None:
            self._events = list(self._base.events)
        return self._events

    def _open_history(self) -> list[HostSample]:
        if self._history is None:
            self._history = list(self._base.history)
        return self._history


def _holder(task: TaskSummary | None) -> AgentId | None:
    """The agent that works on a task; None if it is worked on by none."""
    return task.agent if task is not None and task.status in _HELD else None


def _loaded(agent: Agent, more: int) -> Agent:
    """An agent with a task more or less, as its node will say it."""
    inflight = max(0, agent.inflight + more)
    state = agent.state
    if agent.state in _OPEN:
        full = inflight >= agent.slots
        state = "idle" if inflight == 0 else "busy" if full else "active"
    return msgspec.structs.replace(agent, inflight=inflight, state=state)


def _sealed(written: dict[K, V] | None, base: Mapping[K, V]) -> Mapping[K, V]:
    return base if written is None else MappingProxyType(written)


def _tail(written: list[V] | None, base: tuple[V, ...], most: int) -> tuple[V, ...]:
    return base if written is None else tuple(written[-most:])


def _trimmed(
    tasks: dict[TaskId, TaskSummary] | None,
) -> dict[TaskId, TaskSummary] | None:
    """Let the oldest finished tasks go, now and then: never one that still waits."""
    if tasks is None or len(tasks) <= FINISHED_MAX + _TRIM_SLACK:
        return tasks
    finished = [one.id for one in tasks.values() if one.status in FINISHED]
    for task_id in finished[: max(0, len(finished) - FINISHED_MAX)]:
        del tasks[task_id]
    return tasks
