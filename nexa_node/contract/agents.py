"""Agents: programs that connect, say what they can do, and are given tasks."""

from datetime import datetime
from typing import Literal

import msgspec

from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId, Namespace

AgentState = Literal[
    "idle", "active", "busy", "draining", "maintenance", "error", "offline"
]
"""`offline` is the node's word for an agent that is not connected; the others are
reported by the agent, or follow from its tasks: none, some, all slots taken."""


class Capability(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of task an agent can do."""

    name: str
    """The type of the tasks it takes."""
    version: str | None = None
    labels: dict[str, str] = {}
    """What tasks may ask for."""
    weight: float = 1.0
    """Its share of the work among agents with the same capability."""


class AgentMetrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent says of its own process."""

    cpu: float | None = None
    """A fraction of one core, 0 and up."""
    memory: float | None = None
    """A fraction of the machine's memory, 0 to 1."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """One agent, as the cluster knows it."""

    id: AgentId
    name: str
    state: AgentState
    node: str
    """The name of the node it is, or was last, connected to."""
    capabilities: tuple[Capability, ...]
    slots: int
    """How many tasks it takes at once."""
    inflight: int
    """How many it has now."""
    connected: bool
    namespace: Namespace = DEFAULT_NAMESPACE
    version: str | None = None
    load: float | None = None
    """As the agent reports it, 0 to 1."""
    metrics: AgentMetrics | None = None
    completed: int = 0
    """Tasks completed since this node started."""
    failed: int = 0
    since: datetime | None = None
    """When `connected` last changed."""
    last_seen: datetime | None = None
    drained: bool = False
    """By an operator, until he resumes it or its process starts anew."""
