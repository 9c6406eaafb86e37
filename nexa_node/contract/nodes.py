"""Nodes and the cluster they form."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from nexa_node.contract.ids import NodeId

NodeState = Literal[
    "stopped", "starting", "running", "stopping", "maintenance", "error"
]
Health = Literal["healthy", "degraded", "unhealthy", "unknown"]
Role = Literal["single", "leader", "follower", "attached"]
"""As the meta group of the store has it; `single` where there is nobody to elect,
`attached` where the store is a NATS of somebody else's and no node has a part in it."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a node, as it is in force. Secrets are files: their paths stand here."""

    key: str
    """`section.name`."""
    value: Any
    origin: str
    """The file and line, the variable or the flag it came from; or `default`."""


class NewProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How a node is to be profiled."""

    cpu_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 5.0
    """Seconds."""


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that were found at work."""

    frames: tuple[str, ...]
    """`module:function`, the outermost first."""
    samples: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node spent its CPU time."""

    node: str
    seconds: float
    """On the clock."""
    cpu_s: float
    """Of the node's process in that time, its nats-server apart."""
    samples: int
    """Each stands for an equal share of `cpu_s`."""
    stacks: tuple[Stack, ...]
    """The most frequent first, at most 1,000."""


class HostSample(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the node's own figures at one instant."""

    time: datetime
    cpu: float
    """Of the whole machine, 0 to 1."""
    memory: float
    """Used, of the whole machine, 0 to 1."""
    memory_bytes: int
    memory_total_bytes: int
    disk: float
    """Used, of the file system that holds the state folder, 0 to 1."""
    disk_free_bytes: int
    load_1m: float
    net_rx_bytes_s: float
    net_tx_bytes_s: float
    rss_bytes: int
    """Resident memory of the node and its nats-server together."""
    loop_lag_ms: float
    """How late the node's event loop woke up."""
    agents: int
    tasks_pending: int
    tasks_running: int
    tasks_completed_s: float
    """Completed per second since the last sample."""
    tasks_failed_s: float
    messages_s: float
    task_p50_ms: float | None = None
    """Submit to result, over the last minute; None without a completed task."""
    task_p99_ms: float | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node, as its cluster sees it."""

    id: NodeId
    name: str
    url: str
    state: NodeState
    health: Health
    role: Role
    agents: int
    version: str
    reasons: tuple[str, ...] = ()
    """Why its health is not `healthy`."""
    rtt_ms: float | None = None
    started: datetime | None = None
    host: HostSample | None = None


class Quorum(msgspec.Struct, frozen=True, kw_only=True):
    """How many members can vote, and how many must; 0 and 0: that is not known."""

    have: int
    need: int


Suspicion = Literal["alive", "suspect", "dead", "left"]


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What one node thinks of another."""

    by: str
    """A node's name."""
    of: str
    """A node's name."""
    suspicion: Suspicion
    reason: str = ""
    heard_ms: float | None = None
    """How long ago it was heard last; None if never."""
    rtt_ms: float | None = None


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of a stream."""

    node: str
    current: bool
    """It has everything the leader has committed."""
    offline: bool = False
    lag: int = 0
    """Operations it is behind."""


class StreamPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream is kept, and who leads it."""

    name: str
    leader: str | None
    """None while it has none: nothing can be written to it."""
    replicas: tuple[Replica, ...]
    messages: int = 0
    bytes: int = 0


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A connection between two nodes' stores."""

    node: str
    peer: str
    rtt_ms: float | None = None
    pending_bytes: int = 0


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """How far a change of the cluster's shape is."""

    action: Literal["form", "join", "replicas", "remove", "backup", "restore"]
    phase: str
    """A word: snapshot, start, restore, verify, done, rolled_back, failed."""
    done: int = 0
    total: int = 0
    """Of messages; 0 while it is not known."""
    detail: str = ""
    error: str | None = None
    remedy: str | None = None
    time: datetime | None = None
    """When this was so; None of a node that does not say."""
    node: str = ""
    """Who makes the change."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster and one verdict on it."""

    name: str
    verdict: Health
    reasons: tuple[str, ...]
    controller: str | None
    quorum: Quorum
    nodes: tuple[Node, ...]
    opinions: tuple[Opinion, ...] = ()
    """What each node thinks of each other one: where they disagree, somebody is cut off."""
    streams: tuple[StreamPlace, ...] = ()
    routes: tuple[Route, ...] = ()
    stale: bool = False
    """Without a quorum what is told here may be old, and nothing can be changed."""
    replicas: int = 1
    """Copies of each stream, as wanted."""
    tolerates: int = 0
    """Nodes that may die at once without a loss or a standstill."""
    growth: Growth | None = None
    """The change of its shape that is under way, or was done or failed a moment ago."""
    store: Literal["supervised", "attached"] = "supervised"
    """attached: a NATS of somebody else's, whose members and routes are not known."""


class TaskCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks are in each state; finished ones as far as the store keeps them."""

    pending: int = 0
    assigned: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    dead_lettered: int = 0


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """`nexa node status --json` and GET /v1/node."""

    id: NodeId | None
    name: str
    state: NodeState
    url: str | None
    pid: int | None
    version: str
    started: datetime | None
    cluster: str | None
    health: Health = "unknown"
    reasons: tuple[str, ...] = ()
    console_protocol: int = 0
    """The feed this node speaks; see `version.CONSOLE_PROTOCOL`."""
    whoami: str | None = None
    """Who the token says we are: `token:<id>`."""
    who: str | None = None
    """The token's name, as the audit writes it."""
    role: str | None = None
    """The token's role."""
    tasks: TaskCounts | None = None
    agents: int | None = None
    host: HostSample | None = None
    error: str | None = None
    """Of `state = "error"`: what it died of."""
    remedy: str | None = None
    store: str | None = None
    """What it keeps its data in, in words: which nats-server, where, attached or not."""


class NodeFile(msgspec.Struct, frozen=True, kw_only=True):
    """`state/node/<name>/node.json`: how a program on this machine finds the node."""

    id: NodeId
    name: str
    cluster: str
    state: NodeState
    url: str
    pid: int
    pid_started: float
    """When the process started, seconds since 1970: a pid alone is used again."""
    version: str
    started: datetime
    console_protocol: int
    trust: str = ""
    """Of a node that speaks TLS: the file of certificates it is known by, PEM."""
    trust_by_name: bool = True
    """They are authorities, so what it shows must be for the address that is called;
    False: the file is the very certificate."""
    doing: str = ""
    """What takes its time while it starts, in words."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """GET /readyz. Without a token only `status` is told."""

    status: Literal["ready", "degraded", "not_ready"]
    reasons: tuple[str, ...] = ()
