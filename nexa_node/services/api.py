"""The driving side: what an HTTP or WebSocket adapter may ask of a node.

`adapters/asgi` knows this module and nothing else of the services. Every coroutine may
raise any `errors.NexaError`; nothing else escapes. Authorization is asked inside, for
every call, with the identity that is given.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from nexa_node.contract.access import (
    AccessDecision,
    Identity,
    NewRole,
    NewToken,
    Role,
    RotateToken,
    TokenCreated,
    TokenView,
)
from nexa_node.contract.agents import Agent
from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.cluster import ClusterChange, Growth, JoinToken
from nexa_node.contract.events import Event, FeedFrame
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.login import Challenge, LoginWays, NewChallenge, NewLogin
from nexa_node.contract.messages import NewMessage, ObjectRef, Posted, Sent
from nexa_node.contract.metrics import Target
from nexa_node.contract.nodes import Cluster, NodeStatus, Profile, Ready, Setting
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
    TaskStatus,
    TaskSummary,
)
from nexa_node.services.alert_api import AlertApi
from nexa_node.services.audit_api import AuditApi
from nexa_node.services.certificate_api import CertificateApi
from nexa_node.services.log_api import LogApi
from nexa_node.services.mail_api import MailApi
from nexa_node.services.namespace_api import NamespaceApi
from nexa_node.services.plan_api import PlanApi
from nexa_node.services.shared_api import SharedApi


@dataclass(frozen=True, slots=True)
class Output:
    """One frame for the agent: text for JSON, bytes for msgpack."""

    data: bytes
    text: bool


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is over: close it with this code and reason."""

    code: int
    reason: str


class AgentConnection(Protocol):
    """One agent's connection, from the node's side."""

    async def receive(self, data: bytes) -> None:
        """Take one frame. Never raises: what is wrong is answered, or closes."""
        ...

    async def next_output(self) -> Output | Close:
        """Wait for the next frame to send, in order; after a `Close` there is none."""
        ...

    async def lost(self) -> None:
        """The socket is gone, in order or not. Idempotent."""
        ...

    def watch_life(self, heard_at: Callable[[], float]) -> None:
        """Know whom to ask when the peer gave its last sign of life, monotonic."""
        ...


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list, newest first."""

    status: TaskStatus | None = None
    type: str | None = None
    agent: AgentId | None = None
    parent: TaskId | None = None
    namespace: Namespace | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class AgentFilter:
    """Which agents to list, by id."""

    capability: str | None = None
    state: str | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list, newest first."""

    kind: str | None = None
    """A prefix: `task.` finds all of them."""
    severity: str | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PostedFilter:
    """Which messages of which topics to read, oldest first."""

    topic: str
    """May have wildcards."""
    namespace: Namespace
    after: int = 0
    """Only what stands behind this position."""
    last: int | None = None
    """Only so many, the newest; nothing else is read."""
    limit: int = 100
    wait_s: float = 0.0
    """Wait so long for the first one."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which notifications to list, newest first."""

    receiver: str | None = None
    state: str | None = None
    local: bool = False
    """Only what this node told by itself; that needs no quorum."""
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PrometheusCall:
    """A call of Prometheus' HTTP API."""

    what: Literal[
        "query", "query_range", "series", "labels", "values", "metadata",
        "buildinfo", "rules", "alerts",
    ]  # fmt: skip
    form: Mapping[str, Sequence[str]]
    """The parameters of query and body together; unknown ones are ignored, as there."""
    label: str = ""
    """Of `values`: which label's."""


@dataclass(frozen=True, slots=True)
class PrometheusAnswer:
    """Its answer: JSON, and the HTTP status."""

    content: bytes
    status: int = 200


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Large data, as it is read back."""

    size: int
    chunks: AsyncIterator[bytes]


class NodeApi(
    AlertApi,
    SharedApi,
    AuditApi,
    CertificateApi,
    LogApi,
    MailApi,
    NamespaceApi,
    PlanApi,
    Protocol,
):
    """Everything a node answers."""

    async def authenticate(self, token: str | None, *, address: str) -> Identity:
        """Say who holds `token`.

        Raises:
            Unauthorized: No token, or one that is unknown, expired or revoked.
        """
        ...

    def login_ways(self) -> LoginWays:
        """How one can log in to this cluster, besides by a token."""
        ...

    def challenge(self, wanted: NewChallenge) -> Challenge:
        """Give a nonce to sign."""
        ...

    async def login(
        self, wanted: NewLogin, *, address: str
    ) -> tuple[Identity, TokenCreated]:
        """Let somebody in by a proof: who he is, and a short-lived token.

        Raises:
            Unauthorized: It proves nobody.
        """
        ...

    def ready(self) -> Ready:
        """Say whether the node can do its work, from what is known now."""
        ...

    def status(self, identity: Identity) -> NodeStatus:
        """This node."""
        ...

    def config(self, identity: Identity) -> tuple[Setting, ...]:
        """This node's settings, and where each comes from."""
        ...

    def cluster(self, identity: Identity) -> Cluster:
        """The cluster, this node included."""
        ...

    def agents(self, identity: Identity, query: AgentFilter) -> Page[Agent]:
        """List agents, connected or not."""
        ...

    def agent(self, identity: Identity, agent_id: AgentId) -> Agent:
        """One agent; NotFound if there is none."""
        ...

    async def disconnect(self, identity: Identity, agent_id: AgentId) -> None:
        """Close an agent's connection."""
        ...

    async def drain_agent(
        self, identity: Identity, agent_id: AgentId, *, on: bool
    ) -> Agent:
        """Have an agent get no new tasks, or get them again; as it is from then on."""
        ...

    async def submit(self, identity: Identity, task: NewTask) -> Submitted:
        """Take a task; answered when it is safe in the store."""
        ...

    def tasks(self, identity: Identity, query: TaskFilter) -> Page[TaskSummary]:
        """List tasks."""
        ...

    async def task(
        self, identity: Identity, task_id: TaskId, *, wait_s: float = 0.0
    ) -> Task:
        """One task, payloads included; with `wait_s`, wait so long for it to finish."""
        ...

    async def explain(self, identity: Identity, task_id: TaskId) -> Explanation:
        """Why the task is where it is."""
        ...

    async def cancel(self, identity: Identity, task_id: TaskId) -> Task:
        """Call a task off, pending or running."""
        ...

    def queues(self, identity: Identity) -> Page[Queue]:
        """List queues: what waits in each, and who is there for it."""
        ...

    async def redrive(
        self, identity: Identity, wanted: Redrive, *, dry_run: bool = False
    ) -> Redriven:
        """Bring dead letters back into their queues; or say which it would be."""
        ...

    async def purge(
        self, identity: Identity, wanted: Redrive, *, dry_run: bool = False
    ) -> Redriven:
        """Forget dead letters for good; or say which it would be."""
        ...

    async def send(self, identity: Identity, message: NewMessage) -> Sent:
        """Send a message."""
        ...

    async def posted(self, identity: Identity, query: PostedFilter) -> Page[Posted]:
        """Read the messages of topics."""
        ...

    async def put_object(
        self, identity: Identity, chunks: AsyncIterator[bytes]
    ) -> ObjectRef:
        """Keep data that is too large for a frame."""
        ...

    async def get_object(self, identity: Identity, sha256: str) -> StoredObject:
        """Read it back; NotFound if it is not there, or not any more."""
        ...

    def events(self, identity: Identity, query: EventFilter) -> Page[Event]:
        """List events."""
        ...

    def selftest(self, identity: Identity) -> SelfTest | None:
        """The latest run; None before the first."""
        ...

    def run_selftest(
        self, identity: Identity, *, only: str | None = None
    ) -> AsyncIterator[CheckResult]:
        """Run all checks, or one, now: results as they come, `running` ones included."""
        ...

    def metrics(self, identity: Identity) -> bytes:
        """Prometheus' text format."""
        ...

    async def prometheus(
        self, identity: Identity, call: PrometheusCall
    ) -> PrometheusAnswer:
        """Answer a call of Prometheus' HTTP API; errors are answers, too."""
        ...

    def targets(self, identity: Identity) -> tuple[Target, ...]:
        """Where a Prometheus finds all nodes' metrics."""
        ...

    async def create_token(self, identity: Identity, wanted: NewToken) -> TokenCreated:
        """Make a token."""
        ...

    def list_tokens(self, identity: Identity) -> Page[TokenView]:
        """List tokens, without their secrets."""
        ...

    async def rotate_token(
        self, identity: Identity, token_id: str, wanted: RotateToken
    ) -> TokenCreated:
        """Give a token a new secret; the one before works for a while yet."""
        ...

    def roles(self, identity: Identity) -> Page[Role]:
        """List roles: the built-in ones first."""
        ...

    async def create_role(self, identity: Identity, wanted: NewRole) -> Role:
        """Make or replace a role."""
        ...

    async def delete_role(self, identity: Identity, name: str) -> None:
        """Forget a role that no token has."""
        ...

    def explain_access(
        self, identity: Identity, who: str, action: str, resource: str
    ) -> AccessDecision:
        """Say whether a token's holder, or a role, may do something; by which rule."""
        ...

    async def revoke_token(self, identity: Identity, token_id: str) -> None:
        """End a token, and what is connected by it."""
        ...

    def feed(self, identity: Identity) -> AsyncIterator[FeedFrame]:
        """One `Snapshot`, then changes; ends when the caller falls too far behind."""
        ...

    async def drain(self, identity: Identity, node: str | None = None) -> None:
        """Stop gracefully: no new work, agents asked to move, then the process ends.

        Args:
            identity: Who asks.
            node: Which node, by name; this one by default.
        """
        ...

    async def profile(self, identity: Identity, node: str, *, cpu_s: float) -> Profile:
        """Look where a node spends its CPU time, for so many seconds."""
        ...

    async def maintain(self, identity: Identity, node: str, *, on: bool) -> None:
        """Have a node take nothing new, or take it again."""
        ...

    async def join_token(self, identity: Identity, *, expires_s: int) -> JoinToken:
        """Issue a token by which one node may join."""
        ...

    async def leave(self, identity: Identity, *, dry_run: bool) -> ClusterChange:
        """Have this node leave the cluster."""
        ...

    async def remove_node(
        self, identity: Identity, node: str, *, dry_run: bool
    ) -> ClusterChange:
        """Strike a dead node off."""
        ...

    async def rotate_keys(self, identity: Identity, *, dry_run: bool) -> ClusterChange:
        """Give all members new authorities and a new password for the routes."""
        ...

    async def set_replicas(
        self, identity: Identity, copies: int, *, dry_run: bool
    ) -> ClusterChange:
        """Keep so many copies of everything."""
        ...

    def growth(self, identity: Identity) -> Growth | None:
        """How far the newest change of the cluster's shape is."""
        ...

    async def backup(self, identity: Identity) -> AsyncIterator[bytes]:
        """All that the store has, as one archive."""
        ...

    def restore(
        self, identity: Identity, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[Growth]:
        """Fill an empty store from an archive."""
        ...

    async def notifications(
        self, identity: Identity, query: DeliveryFilter
    ) -> Page[Delivery]:
        """List notifications, as far as each has come."""
        ...

    async def test_receivers(self, identity: Identity, name: str) -> ReceiversTested:
        """Tell a receiver of an alert that is none; each there is, without a name."""
        ...

    def watchdog(self, identity: Identity, name: str) -> WatchdogSeen:
        """Somebody outside says that it is there; NotFound if nobody expects it."""
        ...

    def connect_agent(
        self, identity: Identity | None, *, text: bool, address: str
    ) -> AgentConnection:
        """Begin an agent's connection; without an identity, hello must bring a token."""
        ...


class Journal(Protocol):
    """Where services say what happened; stored and told to consoles in the background."""

    def record(
        self,
        kind: str,
        *,
        subject: str,
        message: str,
        severity: str = "info",
        data: dict[str, object] | None = None,
    ) -> None:
        """Note one event. Never blocks, never raises; over 10,000 unsaved, debug goes."""
        ...
