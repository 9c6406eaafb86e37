"""What services need of the world, as Protocols that state guarantees.

An adapter satisfies a port, a fake in `tests/fakes.py` satisfies it too, and one
contract test per port runs over both. Every coroutine here may raise
`errors.Unavailable` when the store does not answer in time; nothing else escapes
that is not named.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import msgspec

from nexa_node.contract.access import RoleName
from nexa_node.contract.agents import Agent
from nexa_node.contract.events import Event
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.messages import Message
from nexa_node.contract.nodes import HostSample
from nexa_node.contract.tasks import Task

T = TypeVar("T")


class Clock(Protocol):
    """Time, of both kinds."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump: leases and time-outs are counted in these."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a fake returns when the test moves time on."""
        ...


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A record and the revision it was read at."""

    value: T
    revision: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A watched record is gone."""

    key: str


@dataclass(frozen=True, slots=True)
class Caught:
    """A watch has told everything that was there when it began."""


class Delivery(Protocol):
    """One task handed out by the queue. Nobody else has it until it is given back."""

    @property
    def task(self) -> Task:
        """The task as it was submitted; its record may have moved on."""
        ...

    async def ack(self) -> None:
        """Take it off the queue for good. Only after the record says it is finished."""
        ...

    async def give_back(self, *, delay_s: float = 0.0) -> None:
        """Put it back, to be handed out again after `delay_s`."""
        ...

    async def keep(self) -> None:
        """Say that it is still in hand. Needed every `TaskQueue.keep_every_s`."""
        ...


class TaskQueue(Protocol):
    """The durable work queue. At-least-once: what is not acked comes again."""

    keep_every_s: float
    """How often `Delivery.keep` must be called: a third of the redelivery time."""

    async def put(self, task: Task) -> bool:
        """Store `task` for delivery; True if its id was already put in the last 2 min."""
        ...

    async def take(
        self, namespace: Namespace, capability: str, *, limit: int, wait_s: float
    ) -> list[Delivery]:
        """Take up to `limit` tasks, the most urgent priority first, oldest first.

        Waits up to `wait_s` for the first one; an empty list when none came.
        """
        ...


class TaskRecords(Protocol):
    """The records of tasks. Contested: compare-and-set, and the loser is told."""

    async def get(self, task_id: TaskId) -> Versioned[Task] | None:
        """Read the newest committed record."""
        ...

    async def create(self, task: Task) -> int | None:
        """Store the first record; its revision, or None if there is one already."""
        ...

    async def update(self, task: Task, *, revision: int) -> int:
        """Store `task` if the record is still at `revision`; the new revision.

        Raises:
            Conflict: Somebody wrote first; read again.
        """
        ...

    async def delete(self, task_id: TaskId) -> None:
        """Forget a finished task."""
        ...

    def watch(self) -> AsyncIterator[Versioned[Task] | Removed | Caught]:
        """Every record, then `Caught`, then every change. Survives reconnects."""
        ...


class AgentRecords(Protocol):
    """The registry. One writer per record: the node that has the session.

    Keys are `<namespace>.<agent id>`.
    """

    async def put(self, agent: Agent) -> None:
        """Store the newest record of `agent`."""
        ...

    async def delete(self, namespace: Namespace, agent_id: AgentId) -> None:
        """Forget an agent."""
        ...

    def watch(self) -> AsyncIterator[Versioned[Agent] | Removed | Caught]:
        """Every record, then `Caught`, then every change. Survives reconnects."""
        ...


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What another node needs to let an agent resume."""

    session: str
    token_sha256: str
    node: str
    incarnation: str | None


class SessionRecords(Protocol):
    """Sessions by `<namespace>.<agent id>`, replicated so that any node can resume one."""

    async def get(
        self, namespace: Namespace, agent_id: AgentId
    ) -> Versioned[SessionRecord] | None:
        """Read the newest record."""
        ...

    async def put(
        self, namespace: Namespace, agent_id: AgentId, record: SessionRecord
    ) -> int:
        """Store it; the revision, which grows with every session of this agent."""
        ...


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """A durable message at its place in an inbox."""

    namespace: Namespace
    agent: AgentId
    seq: int
    message: Message


class Inboxes(Protocol):
    """Durable inboxes: one stream for all, `seq` is the position in it."""

    async def epoch(self) -> str:
        """Name this incarnation of the stream: changes when its data was lost."""
        ...

    async def append(
        self,
        namespace: Namespace,
        agent: AgentId,
        message: Message,
        *,
        ttl_s: int | None,
    ) -> tuple[int, bool]:
        """Store a message; its position, and whether its id was there already."""
        ...

    async def read(
        self, namespace: Namespace, agent: AgentId, *, after: int, limit: int
    ) -> list[InboxMessage]:
        """Read what is not acknowledged yet, past position `after`, oldest first."""
        ...

    async def ack(
        self,
        namespace: Namespace,
        agent: AgentId,
        *,
        seq: int | None = None,
        upto: int | None = None,
    ) -> None:
        """Drop one message, or all up to and with `upto`. Idempotent."""
        ...

    async def last_seq(self) -> int:
        """The position of the newest message of anybody; 0 when there was none."""
        ...

    def arrivals(self) -> AsyncIterator[InboxMessage]:
        """Every message stored from now on, for any agent.

        Survives reconnects, telling what came meanwhile.
        """
        ...


class Signals(Protocol):
    """Messages that are not stored: gone if nobody listens."""

    async def send(
        self, namespace: Namespace, agent: AgentId, message: Message
    ) -> None:
        """Pass a message to the node that has the agent, if any."""
        ...

    def arrivals(self) -> AsyncIterator[tuple[Namespace, AgentId, Message]]:
        """Messages for any agent, as they come."""
        ...


class EventLog(Protocol):
    """What happened. Append only, kept three days."""

    async def append(self, event: Event) -> None:
        """Store one event."""
        ...

    async def recent(self, *, limit: int) -> list[Event]:
        """The newest events, oldest first."""
        ...

    def arrivals(self) -> AsyncIterator[Event]:
        """Every event stored from now on, by any node."""
        ...


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is kept: its hash, never itself."""

    id: str
    sha256: str
    """Of the whole token text, hexadecimal."""
    role: RoleName
    name: str
    created: datetime
    expires: datetime | None


class TokenRecords(Protocol):
    """Tokens by id."""

    async def put(self, record: TokenRecord) -> None:
        """Store a token's record."""
        ...

    async def delete(self, token_id: str) -> bool:
        """Revoke; False if there was none."""
        ...

    def watch(self) -> AsyncIterator[Versioned[TokenRecord] | Removed | Caught]:
        """Every record, then `Caught`, then every change. Survives reconnects."""
        ...


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How the store is."""

    connected: bool
    detail: str
    """Why not, or which version on which port."""
    pid: int | None
    """Of the supervised server; None in attach mode."""
    restarts: int
    """How often it had to be started again."""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What a real write and read through the store took, in milliseconds."""

    publish_ms: float
    """Publish until acknowledged, fsync included."""
    read_ms: float
    cas_ms: float
    """A compare-and-set that won and one that had to lose."""


class Store(Protocol):
    """The engine underneath as a whole."""

    tasks: TaskRecords
    queue: TaskQueue
    agents: AgentRecords
    sessions: SessionRecords
    inboxes: Inboxes
    signals: Signals
    events: EventLog
    tokens: TokenRecords

    def health(self) -> StoreHealth:
        """Tell how it is, from memory."""
        ...

    async def round_trip(self) -> RoundTrip:
        """Publish, read back, delete; create, win and lose a compare-and-set.

        Raises:
            Unavailable: It does not answer, or answers wrongly; the message says where.
        """
        ...


class HostProbe(Protocol):
    """The machine's figures."""

    def sample(self) -> Mapping[str, float]:
        """Read them now.

        Keys are the host's own fields of `HostSample`: cpu, memory, memory_bytes, memory_total_bytes, disk, disk_free_bytes, load_1m,
        net_rx_bytes_s, net_tx_bytes_s, rss_bytes.
        """
        ...


SampleSink = Callable[[HostSample], Awaitable[None]]
