"""Events: what happened, in words; and the console's feed: what changed, in records.

The feed (`WS /v1/console`) is one `Snapshot`, then changes. Each frame carries `seq`,
which grows by one; a console that sees a hole asks for a new snapshot by reconnecting.
"""

from datetime import datetime
from typing import Literal

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.alerts import Alert
from nexa_node.contract.checks import SelfTest
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId, Namespace, TaskId
from nexa_node.contract.nodes import Cluster, HostSample, NodeStatus, TaskCounts
from nexa_node.contract.tasks import Json, TaskSummary

Severity = Literal["debug", "info", "warning", "critical"]

SNAPSHOT_TASKS = 500
"""The most tasks of a `Snapshot`."""
SNAPSHOT_EVENTS = 200
"""The most events of a `Snapshot`."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. Kept three days in the store."""

    id: str
    time: datetime
    kind: str
    """A dotted past-tense fact: `agent.joined`, `task.completed`, `node.started`."""
    severity: Severity
    subject: str
    """What it happened to: `agent/wc-1`, `task/01j…`, `node/alpha`."""
    message: str
    node: str
    data: dict[str, Json] = {}


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot"):
    """All a console needs to draw its first complete frame."""

    seq: int
    time: datetime
    node: NodeStatus
    cluster: Cluster
    agents: tuple[Agent, ...]
    tasks: tuple[TaskSummary, ...]
    """Every unfinished task and the newest finished ones, newest first, at most 500."""
    counts: TaskCounts
    events: tuple[Event, ...]
    """The newest, newest last, at most 200."""
    history: tuple[HostSample, ...]
    """Of this node, oldest first."""
    selftest: SelfTest | None
    alerts: tuple[Alert, ...] = ()
    """All on the board, in the order of triage."""


class AgentChanged(msgspec.Struct, frozen=True, kw_only=True, tag="agent"):
    """An agent is new, or its record changed."""

    seq: int
    time: datetime
    agent: Agent


class AgentGone(msgspec.Struct, frozen=True, kw_only=True, tag="agent_gone"):
    """An agent was forgotten: not merely disconnected, removed from the registry."""

    seq: int
    time: datetime
    id: AgentId
    namespace: Namespace = DEFAULT_NAMESPACE


class TaskChanged(msgspec.Struct, frozen=True, kw_only=True, tag="task"):
    """A task is new, or its record changed."""

    seq: int
    time: datetime
    task: TaskSummary
    counts: TaskCounts


class TaskGone(msgspec.Struct, frozen=True, kw_only=True, tag="task_gone"):
    """A finished task has left the store."""

    seq: int
    time: datetime
    id: TaskId


class ClusterChanged(msgspec.Struct, frozen=True, kw_only=True, tag="cluster"):
    """A node came, went or changed its state, or the verdict did."""

    seq: int
    time: datetime
    cluster: Cluster


class Sampled(msgspec.Struct, frozen=True, kw_only=True, tag="sample"):
    """The beat: sent every two seconds, so silence means the node is gone."""

    seq: int
    time: datetime
    sample: HostSample
    counts: TaskCounts


class Happened(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    """An event was recorded."""

    seq: int
    time: datetime
    event: Event


class SelfTested(msgspec.Struct, frozen=True, kw_only=True, tag="selftest"):
    """The node ran its self-test."""

    seq: int
    time: datetime
    selftest: SelfTest


class AlertChanged(msgspec.Struct, frozen=True, kw_only=True, tag="alert"):
    """An alert is new on the board, or changed: its condition, or who minds it."""

    seq: int
    time: datetime
    alert: Alert


class AlertGone(msgspec.Struct, frozen=True, kw_only=True, tag="alert_gone"):
    """An alert has left the board: it is over, and somebody has seen that it was."""

    seq: int
    time: datetime
    fingerprint: str


Change = (
    AgentChanged
    | AgentGone
    | TaskChanged
    | TaskGone
    | ClusterChanged
    | Sampled
    | Happened
    | SelfTested
    | AlertChanged
    | AlertGone
)
FeedFrame = Snapshot | Change
