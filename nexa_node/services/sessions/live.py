"""Agents that have a session with this node, as its services share them.

Changed only on the event loop, by the service that is named at each field.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.agents import Agent, AgentMetrics, AgentState
from nexa_node.contract.ids import AgentId, Namespace, SessionId
from nexa_node.core.strategies import CLOSED_STATES, Candidate, Seat
from nexa_node.services.sessions.connection import Connection

AgentKey = tuple[Namespace, AgentId]


@dataclass(slots=True, eq=False)
class LiveAgent:
    """One agent with a session here, connected or in its grace."""

    namespace: Namespace
    id: AgentId
    name: str
    version: str | None
    identity: Identity
    session: SessionId
    revision: int
    """Of the session's record: the newer session has the higher one."""
    seat: Seat
    """`inflight` is dispatch's; the rest the sessions'."""
    candidates: dict[str, Candidate]
    """By capability."""
    connection: Connection | None
    methods: frozenset[str]
    """What its role may call."""
    since: datetime
    last_seen: datetime
    incarnation: str | None = None
    load: float | None = None
    metrics: AgentMetrics | None = None
    completed: int = 0
    failed: int = 0
    read_upto: int = 0
    """How far its inbox was read when it connected."""

    @property
    def key(self) -> AgentKey:
        """What it is found by."""
        return self.namespace, self.id

    def tell(self, method: str, params: msgspec.Struct) -> bool:
        """Send a notification; False when it is not connected."""
        return self.connection is not None and self.connection.notify(method, params)


class Audience(Protocol):
    """Who is told what becomes of sessions. Called on the loop, must not raise."""

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """It is connected; `restarted` when its process knows of no earlier task."""
        ...

    def changed(self, agent: LiveAgent) -> None:
        """It reported something else of itself."""
        ...

    def away(self, agent: LiveAgent) -> None:
        """Its connection is lost; it may come back within the grace."""
        ...

    def left(self, agent: LiveAgent, *, in_order: bool) -> None:
        """It said bye, or its grace is over."""
        ...


@dataclass(slots=True)
class Presence:
    """What is written of an agent into the registry."""

    agent: LiveAgent
    gone: bool = field(default=False)

    def record(self, node: str) -> Agent:
        """Make the record."""
        live = self.agent
        return Agent(
            id=live.id,
            name=live.name,
            state="offline" if self.gone else state_of(live.seat),
            node=node,
            capabilities=tuple(each.capability for each in live.candidates.values()),
            slots=live.seat.slots,
            inflight=0 if self.gone else live.seat.inflight,
            connected=not self.gone,
            namespace=live.namespace,
            version=live.version,
            load=live.load,
            metrics=live.metrics,
            completed=live.completed,
            failed=live.failed,
            since=live.since,
            last_seen=live.last_seen,
            drained=live.seat.drained,
        )


def state_of(seat: Seat) -> AgentState:
    """Say what an agent does: as an operator or itself says, or as its slots say."""
    if seat.drained:
        return "draining"
    if seat.state is not None and seat.state in CLOSED_STATES:
        return seat.state
    if seat.inflight == 0:
        return "idle"
    return "active" if seat.inflight < seat.slots else "busy"
