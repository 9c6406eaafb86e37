"""What the facade needs of the services beside it, as narrow as it needs it."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from nexa_node.contract.access import Identity
from nexa_node.contract.agents import Agent
from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.cluster import ClusterChange, Growth, JoinToken
from nexa_node.contract.ids import AgentId, Namespace, NodeId, TaskId
from nexa_node.contract.messages import NewMessage, ObjectRef, Posted, Sent
from nexa_node.contract.nodes import Profile
from nexa_node.contract.notifications import (
    Delivery,
    ReceiversTested,
    WatchdogSeen,
)
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    Explanation,
    NewTask,
    Queue,
    Redrive,
    Redriven,
    Submitted,
    Task,
)
from nexa_node.services.api import (
    AgentConnection,
    DeliveryFilter,
    PostedFilter,
    PrometheusAnswer,
    PrometheusCall,
)

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
"""`Supervisor.spawn`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCard:
    """Who this node is."""

    id: NodeId
    name: str
    cluster: str
    pid: int
    started: datetime


class SessionDesk(Protocol):
    """Agents' connections."""

    def connect(
        self, identity: Identity | None, *, text: bool, address: str
    ) -> AgentConnection:
        """Begin one."""
        ...

    def connected(self) -> int:
        """How many agents are connected."""
        ...

    def identity_of(self, namespace: Namespace, agent_id: AgentId) -> Identity | None:
        """Whose an agent is that has a session here."""
        ...

    def disconnect(self, namespace: Namespace, agent_id: AgentId) -> None:
        """Close an agent's; NotFound if it is not connected here."""
        ...

    def revoked(self, identity_id: str, why: str) -> None:
        """End all of an identity that is no more."""
        ...

    def go_away(self, reason: str) -> None:
        """Ask all agents to move, and take no new ones."""
        ...

    def close_all(self, reason: str) -> None:
        """End all."""
        ...


class DispatchDesk(Protocol):
    """Handing out tasks."""

    def stop_taking(self) -> None:
        """Take nothing more from the queue."""
        ...

    def in_hand(self) -> int:
        """How many tasks this node's agents have."""
        ...


class TaskDesk(Protocol):
    """Taking tasks in, and calling them off."""

    async def submit(
        self, submitter: str, new: NewTask, *, namespace: Namespace | None = None
    ) -> Submitted:
        """Store a task for dispatch."""
        ...

    async def cancel(
        self, task_id: TaskId, *, by: str, namespace: Namespace | None = None
    ) -> Task:
        """Call a task off."""
        ...

    def stop_taking(self) -> None:
        """Refuse new tasks."""
        ...


class MessageDesk(Protocol):
    """Passing messages on."""

    async def send(
        self, sender: str, message: NewMessage, *, namespace: Namespace = ...
    ) -> Sent:
        """Store or pass on a message."""
        ...


class DeadLetterDesk(Protocol):
    """Tasks that used up their attempts."""

    async def redrive(
        self, wanted: Redrive, *, by: str, dry_run: bool = False
    ) -> Redriven:
        """Bring them back into their queues."""
        ...

    async def purge(
        self, wanted: Redrive, *, by: str, dry_run: bool = False
    ) -> Redriven:
        """Forget them for good."""
        ...


class QueueDesk(Protocol):
    """What waits."""

    def queues(self) -> tuple[Queue, ...]:
        """Every queue there is, by namespace and name."""
        ...


class TopicDesk(Protocol):
    """What topics keep."""

    async def read(self, query: PostedFilter) -> Page[Posted]:
        """Read a page, or wait for the next message."""
        ...


class ObjectDesk(Protocol):
    """Large data."""

    async def put(self, chunks: AsyncIterator[bytes], *, shelf: str = "") -> ObjectRef:
        """Keep it; on a shelf, a namespace, it is found there only."""
        ...

    async def get(
        self, sha256: str, *, shelves: Iterable[str] = ("",)
    ) -> tuple[int, AsyncIterator[bytes]]:
        """Its size, and its pieces, if it is on one of the shelves."""
        ...


class SelfTestDesk(Protocol):
    """The self-test."""

    def latest(self) -> SelfTest | None:
        """The latest whole run."""
        ...

    def run(self, only: str | None) -> AsyncIterator[CheckResult]:
        """Run all checks, or one."""
        ...

    def required_failures(self) -> tuple[str, ...]:
        """Ids of failed checks without which the node cannot work."""
        ...


class ClusterDesk(Protocol):
    """Changing what the cluster is made of; nodes are named by their names."""

    async def join_token(self, *, expires_s: int, by: Identity) -> JoinToken:
        """Issue a token by which one node may join."""
        ...

    async def leave(self, *, by: str, dry_run: bool) -> ClusterChange:
        """Have this node leave in order."""
        ...

    async def remove(self, name: str, *, by: str, dry_run: bool) -> ClusterChange:
        """Strike a dead node off."""
        ...

    async def rotate(self, *, by: str, dry_run: bool) -> ClusterChange:
        """Give all members new authorities and a new password for the routes."""
        ...

    async def set_replicas(
        self, copies: int, *, by: str, dry_run: bool
    ) -> ClusterChange:
        """Keep so many copies of everything; begun when answered, see `growth`."""
        ...

    def growth(self) -> Growth | None:
        """How far the newest change of the cluster's shape is."""
        ...

    async def drain(self, name: str, *, by: str) -> None:
        """Ask a node to stop gracefully, this one or another."""
        ...

    async def maintain(self, name: str, *, on: bool, by: str) -> None:
        """Have a node take nothing new, or take it again."""
        ...


class BackupDesk(Protocol):
    """All that the store has, as one archive."""

    async def target(self) -> Mapping[str, int]:
        """What is in the store that a restore replaces; Conflict if it can't be."""
        ...

    async def backup(self, *, by: str) -> AsyncIterator[bytes]:
        """Write an archive; what it raises before its first bytes is an answer."""
        ...

    def restore(
        self, chunks: AsyncIterator[bytes], *, by: str
    ) -> AsyncIterator[Growth]:
        """Fill an empty store from an archive, verified whole before."""
        ...


class PrometheusDesk(Protocol):
    """Prometheus' HTTP API."""

    async def ask(self, call: PrometheusCall) -> PrometheusAnswer:
        """Answer one call. Errors are answers, too."""
        ...


class RelayDesk(Protocol):
    """What another node has to be asked for."""

    async def explain(self, task: Task) -> Explanation:
        """Say why a task is where it is, with what all nodes know of their agents."""
        ...

    async def disconnect(self, agent: Agent) -> None:
        """Close an agent's connection, wherever it is."""
        ...

    async def drain_agent(self, agent: Agent, *, on: bool) -> None:
        """Have an agent get nothing new, or get tasks again, wherever it is."""
        ...

    async def profile(self, name: str, *, cpu_s: float) -> Profile:
        """Look where a node spends its CPU time."""
        ...


class NotificationsDesk(Protocol):
    """Notifications, as operators ask of them."""

    async def deliveries(self, query: DeliveryFilter) -> Page[Delivery]:
        """Each notification as far as it has come."""
        ...

    async def test(self, name: str) -> ReceiversTested:
        """Tell a receiver of an alert that is none."""
        ...

    def watchdog(self, name: str) -> WatchdogSeen:
        """Somebody outside calls."""
        ...
