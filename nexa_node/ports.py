"""What services need of the world, as Protocols that state guarantees.

An adapter satisfies a port, a fake in `tests/fakes.py` satisfies it too, and one
contract test per port runs over both. Every coroutine here may raise
`errors.Unavailable` when the store does not answer in time; nothing else escapes
that is not named.
"""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import msgspec

from nexa_node.contract.access import Role, RoleName, Scope
from nexa_node.contract.agents import Agent
from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    Evidence,
    EvidenceLine,
    Silence,
)
from nexa_node.contract.audit import (
    AuditEntry,
    AuditRecord,
    AuditVerdict,
    Checkpoint,
)
from nexa_node.contract.cluster import Beat, Growth, NodeEntry
from nexa_node.contract.events import Event
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.logs import LogLine
from nexa_node.contract.messages import Message
from nexa_node.contract.nodes import HostSample, Route, StreamPlace
from nexa_node.contract.notifications import Delivery as Notified
from nexa_node.contract.quotas import Quota
from nexa_node.contract.shared import ConflictRecord
from nexa_node.contract.tasks import Json, Task, TaskSummary
from nexa_node.core.alerting.notifying.notices import Notification
from nexa_node.core.alerting.notifying.tracks import Track
from nexa_node.core.budgets import Share
from nexa_node.core.shared import Record as SharedRecord

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

    def ack(self) -> None:
        """Take it off the queue for good, soon; nobody waits for it.

        Only after the record says it is finished. If it gets lost the task comes again.
        """
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
        """Store `task` for delivery; True if it was already put in the last 2 min.

        A redriven task is put anew (`core.redriving.message_id`).
        """
        ...

    async def take(
        self, namespace: Namespace, capability: str, *, limit: int, wait_s: float
    ) -> list[Delivery]:
        """Take up to `limit` tasks, the most urgent priority first.

        Within a priority the fairness keys take turns (`core.fairness`); within a key
        the oldest comes first. Waits up to `wait_s` for the first one; an empty list
        when none came.
        """
        ...

    def expect(self, task: Task) -> None:
        """Have `take` look where `task` waits, whichever node put it there.

        Needed for tasks with a fairness key, since keys are found by nothing else. The
        task need not be there yet, or any more.
        """
        ...

    async def forget(self, task: Task | TaskSummary) -> None:
        """Remove a finished task's message, if it is still there."""
        ...

    def rebuild(self, namespace: Namespace, capability: str, *, thorough: bool) -> None:
        """Have this node's `take` of a kind begin anew, since nothing comes any more.

        With `thorough`, what the server keeps for it is made anew, too; then what is in
        hand anywhere may be handed out once more.
        """
        ...


Known = Callable[[str, int], bool]
"""Says whether a record's revision, or a newer one, is known."""


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

    async def delete(self, task_id: TaskId, *, revision: int | None = None) -> None:
        """Forget a finished task; no error if there is none.

        Args:
            task_id: Which.
            revision: Only if the record is still at that one.

        Raises:
            Conflict: Somebody wrote first.
        """
        ...

    def watch(
        self, *, known: Known | None = None
    ) -> AsyncIterator[Versioned[Task] | Removed | Caught]:
        """Every record, then `Caught`, then every change. Survives reconnects.

        Args:
            known: Asked after `Caught` by key and revision; what it knows is not told.
        """
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


class StandingSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription that any node can take up with its session."""

    id: str
    topic: str
    after: int
    """The position from which on it wants messages; those up to it were not asked for."""
    settled: bool = True
    """False while older messages are replayed: then all after `after` come again when
    the session is resumed, since how far the replay came is known nowhere."""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What another node needs to let an agent resume."""

    session: str
    token_sha256: str
    """Empty once the session was ended in order: nothing can resume it."""
    node: str
    incarnation: str | None
    identity: str | None = None
    """Who opened it: the agent's id is theirs while it lives or can be resumed."""
    opened: datetime | None = None
    """When hello was said last."""
    epoch: str = ""
    """Of the positions below."""
    subscriptions: tuple[StandingSubscription, ...] = ()
    """In the order they were made."""
    again: dict[int, int] = {}
    """Messages that were put off: position → when they are due, in milliseconds since
    1970."""


class SessionRecords(Protocol):
    """Sessions by `<namespace>.<agent id>`, replicated so that any node can resume one."""

    async def get(
        self, namespace: Namespace, agent_id: AgentId
    ) -> Versioned[SessionRecord] | None:
        """Read the newest record."""
        ...

    async def put(
        self,
        namespace: Namespace,
        agent_id: AgentId,
        record: SessionRecord,
        *,
        revision: int | None = None,
    ) -> int:
        """Store it; the revision, which grows with every session of this agent.

        With `revision`, only if the newest record is still at that one.

        Raises:
            Conflict: Somebody wrote first; read again.
        """
        ...


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """A message for one agent, at its place in the inbox."""

    namespace: Namespace
    agent: AgentId
    seq: int
    """0 of a signal: it is not stored."""
    message: Message


@dataclass(frozen=True, slots=True)
class TopicMessage:
    """A message of a topic, at its place."""

    namespace: Namespace
    topic: str
    seq: int
    """0 of a signal: it is not stored."""
    message: Message


Arrived = InboxMessage | TopicMessage


class Inboxes(Protocol):
    """Durable inboxes and topics: one stream for all, `seq` is the position in it.

    So positions of both compare, and one follower hears of everything, in order.
    """

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
        """Store a message; its position, and whether its id was there already.

        Of one to a capability the id is looked for in all inboxes of the namespace: said
        again it is stored once, whoever was chosen. It is kept as long as inboxes are, or for `ttl_s` if that is less.
        """
        ...

    async def publish(
        self,
        namespace: Namespace,
        topic: str,
        message: Message,
        *,
        ttl_s: int | None,
    ) -> tuple[int, bool]:
        """Store a message of a topic, as `append` does.

        It is kept as long as topics of its namespace are, or for `ttl_s` if that is less.
        """
        ...

    async def read(
        self, namespace: Namespace, agent: AgentId, *, after: int, limit: int
    ) -> list[InboxMessage]:
        """Read what is not acknowledged yet, past position `after`, oldest first.

        Fewer than `limit` mean that there were no more when it was read.
        """
        ...

    async def read_topics(
        self, namespace: Namespace, pattern: str, *, after: int, limit: int
    ) -> list[TopicMessage]:
        """Read what topics that meet `pattern` keep, past `after`, oldest first.

        Fewer than `limit` mean that there were no more when it was read.
        """
        ...

    async def find(
        self, namespace: Namespace, agent: AgentId, seq: int
    ) -> InboxMessage | None:
        """Read one message, if it is at `seq` of this very inbox."""
        ...

    async def count(self, namespace: Namespace, agent: AgentId) -> int:
        """Count what an inbox holds."""
        ...

    async def counts(self, namespace: Namespace, *, topics: bool) -> dict[str, int]:
        """Count what each topic, or else each inbox, of a namespace keeps, by name."""
        ...

    async def ack(
        self,
        namespace: Namespace,
        agent: AgentId,
        *,
        seq: int | None = None,
        upto: int | None = None,
    ) -> None:
        """Drop one message, or all up to and with `upto`. Idempotent.

        Only the agent's own: other inboxes and topics are never changed.
        """
        ...

    async def last_seq(self) -> int:
        """The position of the newest message of anybody; 0 when there was none."""
        ...

    async def position(self, moment: datetime) -> int:
        """The position before the first message that was stored at `moment` or later.

        The newest position, if there is none so young.
        """
        ...

    def arrivals(self) -> AsyncIterator[Arrived]:
        """Every message stored from now on, for any agent or topic, in order.

        Survives reconnects, telling what came meanwhile.
        """
        ...


class PartialResult(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a result, on its way to who watches the task on other nodes."""

    node: str
    """Who tells it: it has told its own watchers."""
    task: Task
    """As it is, without its data, history and partial result."""
    partial: Json


class Partials(Protocol):
    """Partial results between nodes. Not stored: gone if nobody listens."""

    async def send(self, told: PartialResult) -> None:
        """Tell all other nodes."""
        ...

    def arrivals(self) -> AsyncIterator[PartialResult]:
        """What other nodes tell from now on, each one's in order; maybe our own, too."""
        ...


TakeAnswer = Callable[[Namespace, str, Message], bool]
"""Given an answer and the address it is for; whether anybody waited for it."""


class Signals(Protocol):
    """Messages that are not stored: gone if nobody listens."""

    async def send(
        self, namespace: Namespace, agent: AgentId, message: Message
    ) -> None:
        """Pass a message to the node that has the agent, if any."""
        ...

    async def publish(self, namespace: Namespace, topic: str, message: Message) -> None:
        """Pass a message of a topic to all nodes."""
        ...

    def arrivals(self) -> AsyncIterator[Arrived]:
        """Messages for any agent or topic, as they come; their `seq` is 0."""
        ...

    async def answer(
        self, tag: str, namespace: Namespace, address: str, message: Message
    ) -> bool:
        """Pass an answer to the node with `tag`; False if nobody waits for it there.

        Raises:
            Unavailable: It was not confirmed; it may have been taken all the same.
        """
        ...

    async def take_answers(self, tag: str, take: TakeAnswer) -> None:
        """Be the node with `tag`: give `take` every answer that comes from now on."""
        ...


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Large data that is whole."""

    sha256: str
    size: int


class Objects(Protocol):
    """Large data behind a claim check, by the hash of its content.

    What is not stored to its end is never seen by anybody.
    """

    async def put(
        self, chunks: AsyncIterator[bytes], *, limit: int, shelf: str = ""
    ) -> StoredObject:
        """Store what comes, in chunks of any size, until it ends.

        What is on a shelf, a namespace, is found there only.

        The same content is one object; it is kept anew for the whole time.

        Raises:
            PayloadTooLarge: More than `limit` bytes; nothing is kept.
        """
        ...

    async def get(
        self, sha256: str, *, shelf: str = ""
    ) -> tuple[int, AsyncIterator[bytes]] | None:
        """Find an object: its size and its pieces, in order; None if there is none.

        Raises:
            Unavailable: From the iterator: a piece is gone or damaged.
        """
        ...

    async def sweep(self) -> int:
        """Remove what was left half-written and what newer copies replaced; how many."""
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
    scope: Scope = Scope()
    last_used: datetime | None = None
    """To about ten minutes."""
    generation: int = 0
    """How often it got a new secret."""
    rotated: datetime | None = None
    """When it got this one."""
    former_sha256: str = ""
    """Of the secret before; good until `former_until`."""
    former_until: datetime | None = None
    public_key: str = ""
    """Ed25519, base64: its holder proves it by a signature, and `sha256` is empty."""
    of: str = ""
    """Short-lived: the id of the token whose holder logged in."""
    certificates: tuple[str, ...] = ()
    """SHA-256 of certificates, hexadecimal, the newest first: its holder proves it by
    showing one of them, and `sha256` is empty."""


class TokenRecords(Protocol):
    """Tokens by id."""

    async def put(self, record: TokenRecord) -> None:
        """Store a token's record."""
        ...

    async def replace(self, record: TokenRecord, *, revision: int) -> int:
        """Store it if the newest is still at that revision; the new one.

        Raises:
            Conflict: Somebody wrote first, or it was revoked.
        """
        ...

    async def delete(self, token_id: str) -> bool:
        """Revoke; False if there was none."""
        ...

    def watch(self) -> AsyncIterator[Versioned[TokenRecord] | Removed | Caught]:
        """Every record, then `Caught`, then every change. Survives reconnects."""
        ...


class RoleRecords(Protocol):
    """The cluster's own roles, by name."""

    async def put(self, role: Role) -> None:
        """Store a role, in place of the one of that name."""
        ...

    async def delete(self, name: str) -> bool:
        """Forget one; False if there was none."""
        ...

    def watch(self) -> AsyncIterator[Versioned[Role] | Removed | Caught]:
        """Every role, then `Caught`, then every change. Survives reconnects."""
        ...


class QuotaRecords(Protocol):
    """What namespaces may use, by name; and what each node counted of it."""

    async def put(self, quota: Quota) -> None:
        """Store a quota, in place of the one of that namespace."""
        ...

    async def delete(self, name: str) -> bool:
        """Forget one; False if there was none."""
        ...

    async def put_share(self, share: Share) -> None:
        """Store what a node counted, in place of what it stored of that namespace."""
        ...

    def watch(
        self,
    ) -> AsyncIterator[Versioned[Quota] | Versioned[Share] | Removed | Caught]:
        """All of both, then `Caught`, then every change. `Removed` is of quotas alone."""
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
    quorum: bool = True
    """Whether enough members are heard for anything to be stored. True when alone."""


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
    partials: Partials
    objects: Objects
    events: EventLog
    tokens: TokenRecords
    roles: RoleRecords
    quotas: QuotaRecords
    alerts: "AlertRecords"
    silences: "SilenceRecords"
    evidence: "EvidenceRecords"
    alert_log: "AlertLog"

    def health(self) -> StoreHealth:
        """Tell how it is, from memory."""
        ...

    async def round_trip(self) -> RoundTrip:
        """Publish, read back, delete; create, win and lose a compare-and-set.

        Raises:
            Unavailable: It does not answer, or answers wrongly; the message says where.
        """
        ...


# -- a cluster -----------------------------------------------------------------


class NodeEntries(Protocol):
    """The members on record, by name. Contested: compare-and-set."""

    async def get(self, name: str) -> Versioned[NodeEntry] | None:
        """Read one, committed."""
        ...

    async def put(self, entry: NodeEntry, *, revision: int | None = None) -> int:
        """Store it; with `revision` only if it is still at that one, 0: if there is none.

        Raises:
            Conflict: Somebody wrote first; read again.
        """
        ...

    async def delete(self, name: str) -> None:
        """Forget a member."""
        ...

    def watch(self) -> AsyncIterator[Versioned[NodeEntry] | Removed | Caught]:
        """Every entry, then `Caught`, then every change. Survives reconnects."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """A right that one holder has until its time is over."""

    name: str
    holder: str
    token: int
    """Grows with every new holder: the fence. Renewals of one tenure keep it."""
    revision: int


class LeaseTable(Protocol):
    """Leases by name. They end by themselves, counted by the store."""

    async def acquire(self, name: str, holder: str, *, ttl_s: int) -> Lease | None:
        """Take a lease that nobody has; None if somebody has it."""
        ...

    async def renew(self, lease: Lease, *, ttl_s: int) -> Lease:
        """Have it for `ttl_s` more from now.

        Raises:
            Conflict: It is over, or somebody else's: stop at once.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give it back; no error if it is over."""
        ...

    async def holder(self, name: str) -> Lease | None:
        """Who has it now."""
        ...


class Beats(Protocol):
    """Signs of life between nodes. Not stored."""

    async def send(self, beat: Beat) -> None:
        """Tell all others."""
        ...

    def arrivals(self) -> AsyncIterator[Beat]:
        """What others tell; maybe our own, too."""
        ...

    async def ping(self, node: str, *, timeout_s: float) -> float | None:
        """Ask a node to answer; the round trip in milliseconds, None without an answer."""
        ...


Handler = Callable[[bytes], Awaitable[bytes]]


class LogRing(Protocol):
    """The newest lines that this process logged, the oldest of them gone."""

    def newest(self) -> int:
        """The position of the newest line; 0 if there is none."""
        ...

    def since(self, after: int) -> Iterator[LogLine]:
        """The lines past a position, the oldest first."""
        ...

    def backwards(self) -> Iterator[LogLine]:
        """All lines, the newest first."""
        ...

    def on_line(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake`, from any thread, at each line; answers what ends that."""
        ...


class NodeCalls(Protocol):
    """Questions from one node to another, answered or not. Not stored."""

    async def ask(
        self, node: str, what: str, payload: bytes, *, timeout_s: float
    ) -> bytes:
        """Ask `node` for `what`; its answer.

        Raises:
            NexaError: The one its handler raised, made anew here.
            Unavailable: Nobody of that name answers.
        """
        ...

    def serve(self, node: str, what: str, handler: Handler) -> None:
        """Be `node`: answer `what` by `handler` from now on, whatever reconnects."""
        ...


class Tick(msgspec.Struct, frozen=True, array_like=True):
    """What one node measured at one moment, for all others; never stored.

    Series have numbers, told once: a node that was not there then asks for all of them.
    """

    node: str
    run: str
    """Numbers hold as long as this is the same."""
    at_ms: int
    first: int
    """The number of the first of `added`."""
    added: tuple[tuple[str, dict[str, str]], ...]
    """Series that are new: `counter` or `gauge`, and the labels."""
    values: bytes
    """A float64, little-endian, for every number; Prometheus' stale NaN: it ended."""
    sent: float = 0.0
    """When, by its clock; seconds since 1970."""


class Ticks(Protocol):
    """Measurements between nodes. Not stored."""

    async def send(self, tick: Tick) -> None:
        """Tell all others."""
        ...

    def arrivals(self) -> AsyncIterator[Tick]:
        """What others tell from now on; maybe our own, too."""
        ...


class HistoryFile(Protocol):
    """This node's own figures over time, between two runs. May block: use a thread."""

    def read(self) -> bytes | None:
        """What was written last; None if nothing was."""
        ...

    def write(self, content: bytes) -> None:
        """Replace it, whole or not at all."""
        ...

    def set_aside(self) -> str:
        """Put away what can't be read, for whoever wants to look; its path."""
        ...


@dataclass(frozen=True, slots=True)
class StorePeer:
    """A member of the store's meta group, as its Raft has it."""

    node: str
    current: bool
    offline: bool
    active_ms: float
    """When it was heard last."""


@dataclass(frozen=True, slots=True)
class StoreShape:
    """How the store lies in the cluster now."""

    clustered: bool
    leader: str | None
    """Of the meta group; without one no stream can be made or changed."""
    peers: tuple[StorePeer, ...]
    """All members, this node included."""
    streams: tuple[StreamPlace, ...]
    routes: tuple[Route, ...]
    replicas: int
    """Copies that are wanted of each stream."""
    have: int
    """Members of the meta group that are heard."""
    need: int
    """Members that must be."""
    attached: bool = False
    """It is a NATS of somebody else's: peers, routes and the leader are not known;
    `have` is 1 while it is connected."""


class StoreCluster(Protocol):
    """The store's own administration: Raft's, streams' and copies'."""

    def shape(self) -> StoreShape:
        """How it lies, from memory: looked at every second."""
        ...

    def set_replicas(self, copies: int) -> AsyncIterator[Growth]:
        """Keep so many copies of every stream; ends when all are current.

        Raises:
            Invalid: More copies than members.
        """
        ...

    async def remove_peer(self, node: str) -> None:
        """Strike a dead member off; its copies are made anew elsewhere.

        Raises:
            Conflict: It is alive, or without it there would be no quorum.
        """
        ...

    async def step_down(self) -> None:
        """Give every leadership of this node to others: a stop costs nobody 4 s then."""
        ...


# -- notifications ---------------------------------------------------------------


class Deliveries(Protocol):
    """What was told to whom: a contested record for each receiver and group, and a log.

    Both survive the node that wrote them. A record that nobody wrote for
    `core.alerting.notifying.tracks.FORGET_AFTER` may be gone.
    """

    async def tracks(self) -> list[Versioned[Track]]:
        """Every record there is, committed."""
        ...

    async def put(self, track: Track, *, revision: int) -> int:
        """Store it if it is still at `revision`, 0: if there is none; the new revision.

        Raises:
            Conflict: Another node wrote first; read again.
        """
        ...

    async def note(self, entry: Notified) -> None:
        """Append to the log."""
        ...

    async def recent(self, *, limit: int) -> list[Notified]:
        """The newest entries of the log, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """How one attempt to notify ended."""

    delivered: bool
    detail: str
    """What was answered, or why it failed. Holds no secret."""
    retry: bool = False
    """The same may arrive if it is tried again."""
    after_s: float | None = None
    """The receiver asked to be left alone for so long."""


class Sender(Protocol):
    """One receiver's way in."""

    async def send(self, notification: Notification) -> Sent:
        """Deliver it. Never raises but when cancelled; safe to be done twice."""
        ...


class Heart(Protocol):
    """Somebody outside who minds when we fall silent."""

    async def beat(self) -> Sent:
        """Tell that we are there."""
        ...


class AlertmanagerServer(Protocol):
    """All members of an Alertmanager's cluster, by API v2."""

    async def push(self, alerts: Sequence[Alert], *, ends: datetime) -> tuple[str, ...]:
        """Tell every member of alerts; those that fire count as over after `ends`.

        Returns:
            Why some members did not take them.

        Raises:
            Unavailable: Not one member took them.
        """
        ...

    async def silences(self) -> list[Silence]:
        """All silences that are in force or will be."""
        ...

    async def put_silence(self, silence: Silence) -> str:
        """Make a silence, or change the one with its id; the id it has then.

        One without an id is new.

        Raises:
            Invalid: It was refused; the message is Alertmanager's.
        """
        ...

    async def expire(self, silence_id: str) -> None:
        """End a silence; no error if it is over."""
        ...

    async def status(self) -> str:
        """Say which version answers, and how its cluster is."""
        ...


@dataclass(frozen=True, slots=True)
class ForeignAlert:
    """An alert that somebody else evaluated, while it is pending or fires."""

    fingerprint: str
    labels: Mapping[str, str]
    """`alertname` included."""
    annotations: Mapping[str, str]
    value: float
    firing: bool
    since: float
    """When it was seen first, seconds since 1970."""
    fired: float | None
    group: str
    """Of its rule."""


class ForeignRules(Protocol):
    """A Prometheus that evaluates rules."""

    async def alerts(self) -> list[ForeignAlert]:
        """The alerts that are on.

        Raises:
            Unavailable: It does not answer, or not what its API promises.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFigures:
    """The machine and this process, as its metrics tell them: base units, counted on."""

    cpu_s: Mapping[str, float]
    """Processor time of all cores since the machine began, by mode."""
    cores: int
    load1: float
    memory_total: int
    memory_available: int
    swap_used: int
    filesystems: Mapping[str, tuple[int, int]]
    """Size and what is free, bytes; by mount point."""
    disks: Mapping[str, tuple[int, int, float]]
    """Bytes read and written, and seconds busy; by device."""
    networks: Mapping[str, tuple[int, int, int, int]]
    """Bytes received and sent, packets dropped and damaged on the way in; by device."""
    pressure: Mapping[str, float]
    """Share of the last minute that something waited for it; where the system tells."""
    process: Mapping[str, float]
    """By the standard names: `process_open_fds` and so on."""


class HostMeasure(Protocol):
    """What the machine has counted."""

    def figures(self) -> HostFigures:
        """Read them now; a few milliseconds at most."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFigures:
    """What the store's server and the connection to it have counted."""

    storage_used: int = 0
    storage_limit: int = 0
    """Bytes; 0 if there is none."""
    slow_consumers: int = 0
    reconnects: int = 0


class SharedRecords(Protocol):
    """Users' shared state: buckets of values."""

    async def get(self, bucket: str, key: str = "") -> Versioned[SharedRecord] | None:
        """Read a value, committed; without a key the bucket itself."""
        ...

    async def put(
        self, bucket: str, key: str, record: SharedRecord, *, revision: int
    ) -> int | None:
        """Store if it is still at `revision`, 0: if there is none; None if it is not."""
        ...

    async def delete(self, bucket: str, key: str, *, revision: int) -> bool:
        """Remove if it is still at `revision`; False if it is not."""
        ...

    def all(
        self, bucket: str = ""
    ) -> AsyncIterator[tuple[str, Versioned[SharedRecord]]]:
        """Every value of a bucket with its key; without a name, every bucket."""
        ...


class ConflictLog(Protocol):
    """Conflicts that were settled. Kept for 30 days."""

    async def add(self, record: ConflictRecord) -> None:
        """Keep it; one of the same id is kept as it is."""
        ...

    async def get(self, conflict: str) -> ConflictRecord | None:
        """Read one."""
        ...

    async def all(self) -> list[ConflictRecord]:
        """Every one, the newest first."""
        ...


class HostProbe(Protocol):
    """The machine's figures."""

    def sample(self) -> Mapping[str, float]:
        """Read them now.

        Keys are the host's own fields of `HostSample`: cpu, memory, memory_bytes, memory_total_bytes, disk, disk_free_bytes, load_1m,
        net_rx_bytes_s, net_tx_bytes_s, rss_bytes.
        """
        ...


@dataclass(frozen=True, slots=True)
class CpuProfile:
    """Where CPU time went."""

    seconds: float
    """On the clock."""
    cpu_s: float
    """Of the whole process, in that time."""
    samples: int
    stacks: tuple[tuple[tuple[str, ...], int], ...]
    """Calls, the outermost first, and how often they were found; the most frequent first."""


class Profiler(Protocol):
    """Looks where this node spends its time."""

    async def cpu(self, seconds: float) -> CpuProfile:
        """Sample for so long, and go on working meanwhile.

        Raises:
            Conflict: Somebody else samples now.
            Unavailable: It can't be done here.
        """
        ...


# -- alerts --------------------------------------------------------------------


class AlertRecords(Protocol):
    """The board, by fingerprint. Contested: compare-and-set, and the loser is told."""

    async def get(self, fingerprint: str) -> Versioned[AlertRecord] | None:
        """Read the newest committed record."""
        ...

    async def create(self, record: AlertRecord) -> int | None:
        """Store the first record; its revision, or None if there is one already."""
        ...

    async def update(self, record: AlertRecord, *, revision: int) -> int:
        """Store it if the record is still at `revision`; the new revision.

        Raises:
            Conflict: Somebody wrote first; read again.
        """
        ...

    async def delete(self, fingerprint: str, *, revision: int) -> None:
        """Take it off the board if it is still at `revision`; no error if it is gone.

        Raises:
            Conflict: Somebody wrote first; read again.
        """
        ...

    def watch(self) -> AsyncIterator[Versioned[AlertRecord] | Removed | Caught]:
        """Every record, then `Caught`, then every change. Survives reconnects."""
        ...


class SilenceRecords(Protocol):
    """Silences, by id; those that are over too, until they are deleted."""

    async def put(self, silence: Silence) -> None:
        """Store it."""
        ...

    async def delete(self, silence_id: str) -> None:
        """Forget one; no error if there is none."""
        ...

    def watch(self) -> AsyncIterator[Versioned[Silence] | Removed | Caught]:
        """Every silence, then `Caught`, then every change. Survives reconnects."""
        ...


class EvidenceRecords(Protocol):
    """What was the case when an alert fired last, by fingerprint; kept a week."""

    async def get(self, fingerprint: str) -> Evidence | None:
        """Read it."""
        ...

    async def put(self, fingerprint: str, evidence: Evidence) -> None:
        """Keep it, in place of what was there."""
        ...


class AlertLog(Protocol):
    """What became of alerts. Append only, kept as long as `[retention]` says."""

    async def append(self, change: AlertChange) -> None:
        """Store one line; the same id twice is stored once."""
        ...

    async def read(
        self, *, fingerprint: str | None = None, before: int | None = None, limit: int
    ) -> list[tuple[int, AlertChange]]:
        """Lines and their positions, the newest first.

        Args:
            fingerprint: Of one alert only.
            before: Only what stands before this position.
            limit: So many at most; fewer mean that there are no more.
        """
        ...


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file of rules, as an operator wrote it."""

    name: str
    text: str
    error: str = ""
    """Why it could not be read; then there is no text."""


class RuleFiles(Protocol):
    """The operator's rule files. May block: called in a thread."""

    def stamp(self) -> object:
        """Something that is another once a file was added, removed or written."""
        ...

    def read(self) -> tuple[RuleFile, ...]:
        """All of them, by name."""
        ...


class Witness(Protocol):
    """What this process can say of a moment."""

    async def log(self, since: datetime, until: datetime) -> tuple[EvidenceLine, ...]:
        """Lines that this node logged then, the oldest first, at most 100."""
        ...

    async def profile(self) -> tuple[str, ...]:
        """The functions in which this process spends its time now, the first first.

        Looks for a second, at a cost of less than a hundredth of a processor.
        """
        ...


SampleSink = Callable[[HostSample], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AuditTail:
    """How far a chain of the audit is."""

    chain: str
    seq: int
    head: str
    """The hash of record `seq`."""


class AuditFiles(Protocol):
    """A node's own audit: lines that are only ever added to."""

    async def open(self, new_chain: str) -> AuditTail:
        """Go on where the last process stopped, or begin `new_chain`.

        Raises:
            Unavailable: What is there can't be used.
        """
        ...

    async def append(self, lines: Sequence[bytes], tail: AuditTail) -> None:
        """Add lines, synced, all or none; `tail` is where the chain is afterwards.

        Raises:
            Unavailable: Nothing was added.
        """
        ...

    async def newest(
        self,
        takes: Callable[[AuditEntry], bool],
        *,
        limit: int,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> list[AuditRecord]:
        """Read what `takes` accepts, the newest first, at most `limit`."""
        ...

    async def verify(self, points: Sequence[Checkpoint]) -> AuditVerdict:
        """Read the whole chain and compare it with checkpoints."""
        ...

    async def retire(self, *, older_than: float, more_than_bytes: int) -> int:
        """Remove the oldest segments; how many."""
        ...


class Checkpoints(Protocol):
    """Checkpoints of all nodes' audits, kept by the cluster."""

    async def put(self, point: Checkpoint) -> None:
        """Keep one; older ones of the chain stay.

        Raises:
            Unavailable: It is not kept.
        """
        ...

    async def all(self) -> list[Checkpoint]:
        """Every one there is."""
        ...

    def watch(self) -> AsyncIterator[Checkpoint]:
        """Every one there is, then each that comes, for ever. Survives reconnects."""
        ...


class WitnessFile(Protocol):
    """Copies of other nodes' checkpoints on this node's own disk: only added to."""

    async def keep(self, point: Checkpoint) -> None:
        """Add one.

        Raises:
            Unavailable: It can't be written.
        """
        ...

    async def all(self) -> list[Checkpoint]:
        """Every one there is, in the order they came."""
        ...
