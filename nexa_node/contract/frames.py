"""The agent protocol's frames: JSON-RPC 2.0, and the parameters of every method.

`Envelope` is decoded first, with the body left raw; the method then says which
parameters Struct the body is. Unknown members are ignored everywhere.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from nexa_node.contract.agents import Agent, AgentMetrics, AgentState, Capability
from nexa_node.contract.errors import ErrorObject
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.login import Challenge, KeyProof, NewChallenge
from nexa_node.contract.messages import Address, NewMessage, Sent
from nexa_node.contract.tasks import (
    Json,
    NewTask,
    Priority,
    Submitted,
    Task,
    TaskStatus,
    TaskSummary,
    Usage,
)

FRAME_LIMIT = 1024 * 1024 - 8192
"""Bytes: NATS' largest message less room for headers."""
DATA_LIMIT = 256 * 1024
"""Bytes of one message's or task's data."""
PRE_AUTH_LIMIT = 4096
BATCH_LIMIT = 128
HELLO_TIMEOUT_S = 5.0

RequestId = int | str


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Any JSON-RPC frame: request, notification or response."""

    jsonrpc: str = msgspec.field(default="2.0")
    id: RequestId | msgspec.UnsetType | None = msgspec.UNSET
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: ErrorObject | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A call that wants an answer, as it is sent."""

    id: RequestId
    method: str
    params: Any
    jsonrpc: Literal["2.0"] = "2.0"


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A call that wants none, as it is sent."""

    method: str
    params: Any
    jsonrpc: Literal["2.0"] = "2.0"


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, as it is sent."""

    id: RequestId
    result: Any
    jsonrpc: Literal["2.0"] = "2.0"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal, as it is sent. `id` is null when the request's could not be read."""

    id: RequestId | None
    error: ErrorObject
    jsonrpc: Literal["2.0"] = "2.0"


Outgoing = Request | Notification | Success | Failure


class Params(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the parameters and results of all methods share: absent means default."""


class AgentInfo(Params, frozen=True, kw_only=True):
    """Who says hello."""

    id: AgentId
    name: str | None = None
    version: str | None = None
    incarnation: str | int | None = None
    """Differs with each start of the agent's process; fences it from its zombie."""


class Auth(Params, frozen=True, kw_only=True):
    """Who says hello, for clients that can set no header, or have a key: one of them."""

    token: str | None = None
    key: KeyProof | None = None
    """Instead of a token: a signature over what `session.challenge` gave."""


class Resume(Params, frozen=True, kw_only=True):
    """Which session to take up again, and how far its inbox was read."""

    session: str
    """The welcome's."""
    token: str
    """The welcome's `resume_token`."""
    epoch: str
    """The welcome's."""
    last_seq: int = 0
    """The highest `seq` it has dealt with."""


class Hello(Params, frozen=True, kw_only=True):
    """`session.hello`, the first request."""

    protocol: str
    """`1.0`."""
    agent: AgentInfo
    namespace: Namespace | None = None
    """Agents of different ones don't see each other; `default` if absent."""
    capabilities: tuple[Capability, ...] = ()
    """What kinds of task it takes."""
    slots: int = 1
    """How many tasks at once."""
    features: tuple[str, ...] = ()
    """What else it understands."""
    auth: Auth | None = None
    """For clients that can set no header."""
    resume: Resume | None = None


class Gap(
    msgspec.Struct, frozen=True, kw_only=True, rename={"first": "from", "last": "to"}
):
    """Messages that are gone: told, never hidden."""

    first: int
    last: int
    reason: str


class NodeRef(msgspec.Struct, frozen=True, kw_only=True):
    """The node that answers."""

    id: str
    name: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the node accepts: bytes a frame, requests in flight, frames queued to send."""

    frame: int
    inflight: int
    outbound: int


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to hello."""

    protocol: str
    session: str
    """Names this session."""
    resume_token: str
    """A secret: with it the session is taken up on any node."""
    epoch: str
    """Of the store: another one means that its data was lost."""
    resumed: bool
    """Whether the session asked for was taken up."""
    next_seq: int
    """Deliveries begin no earlier."""
    node: NodeRef
    cluster: tuple[str, ...]
    """Where else to connect."""
    heartbeat_ms: int
    """How often the node pings."""
    lease_ms: int
    """How long a claim lasts without progress."""
    limits: Limits
    server_time: datetime
    features: tuple[str, ...] = ()
    """What this node understands."""
    gap: Gap | None = None
    """Deliveries that are lost, if any."""


class Refresh(Params, frozen=True, kw_only=True):
    """`session.refresh`: a newer token before the old one expires."""

    token: str


class GoAway(Params, frozen=True, kw_only=True):
    """`session.go_away`, node → agent: please move."""

    reason: str
    reconnect_after_ms: int = 0
    cluster: tuple[str, ...] = ()
    """Where to connect, as in the welcome, and newer; empty: as the welcome said."""


class Report(Params, frozen=True, kw_only=True):
    """`agent.report`: telemetry, apart from liveness."""

    state: AgentState | None = None
    """`draining`, `maintenance` and `error` keep new tasks away."""
    load: float | None = None
    """0 to 1."""
    slots: int | None = None
    """From now on."""
    metrics: AgentMetrics | None = None
    """Of its own process."""
    usage: Usage | None = None
    """Since the last report, tasks apart."""


class Find(Params, frozen=True, kw_only=True):
    """`agents.find`."""

    capability: str | None = None
    labels: dict[str, str] = {}
    """All of these, on one capability."""
    state: AgentState | None = None
    limit: int = 100
    """At most 1,000."""
    cursor: str | None = None


class Found(Params, frozen=True, kw_only=True):
    """The answer to `agents.find`."""

    agents: tuple[Agent, ...]
    cursor: str | None = None


class Deliver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`message.deliver`, node → agent, a notification; acknowledged by `inbox.ack`."""

    seq: int
    """Its position; 0 of one that is not stored and needs no ack."""
    id: str
    sender: str = msgspec.field(name="from")
    """Set by the node."""
    to: Address
    type: str
    data: Json
    time: datetime
    attempts: int
    """How often it was delivered, this time included."""
    subject: str | None = None
    """The topic, of a message that was sent to one."""
    reply_to: str | None = None
    priority: Priority | None = None
    subscription: str | None = None
    """Of a topic's message: by which subscription it comes. It needs no ack."""


class RequestMessage(NewMessage, frozen=True, kw_only=True):
    """`message.request`: a message that wants an answer; the result is its `data`."""

    timeout_ms: int = 30_000
    """After that: `deadline_exceeded`."""


class Subscribe(Params, frozen=True, kw_only=True):
    """`topic.subscribe`: `*` stands for one token, `>` for the rest."""

    topic: str
    start: Literal["new", "all"] | dict[str, Any] = msgspec.field(
        default="new", name="from"
    )
    """`new`, `all`, `{"seq": n}` or `{"time": "…"}`."""


class Unsubscribe(Params, frozen=True, kw_only=True):
    """`topic.unsubscribe`: by the topic as it was subscribed, or by its id."""

    topic: str | None = None
    subscription: str | None = None


class Subscribed(Params, frozen=True, kw_only=True):
    """The answer to both."""

    subscription: str


class Nack(Params, frozen=True, kw_only=True):
    """`inbox.nack`: not now; deliver it again, after a delay."""

    seq: int
    delay_ms: int = 0
    """Not before so long."""


class Term(Params, frozen=True, kw_only=True):
    """`inbox.term`: never deliver it again, for this reason."""

    seq: int
    reason: str = ""


class Ack(Params, frozen=True, kw_only=True):
    """`inbox.ack`: one message, or all up to one."""

    seq: int | None = None
    """This one."""
    upto: int | None = None
    """This one and all before it."""


class Credit(Params, frozen=True, kw_only=True):
    """`flow.credit`: the node may send that many more."""

    scope: Literal["inbox", "tasks"]
    n: int


class TaskRef(Params, frozen=True, kw_only=True):
    """`task.get`, `task.cancel`."""

    id: TaskId


class TaskQuery(Params, frozen=True, kw_only=True):
    """`task.list`."""

    status: TaskStatus | None = None
    type: str | None = None
    parent: TaskId | None = None
    limit: int = 100
    cursor: str | None = None


class TaskList(Params, frozen=True, kw_only=True):
    """The answer to `task.list`."""

    tasks: tuple[TaskSummary, ...]
    cursor: str | None = None


class Assign(msgspec.Struct, frozen=True, kw_only=True):
    """`task.assign`, node → agent, a request; answered by `Accepted` or `rejected`."""

    task: Task
    claim_epoch: int
    """The fencing token; every write about the task carries it."""
    lease_ms: int
    """How long the claim lasts without progress."""
    attempt: int
    """1 for the first."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The agent took the task."""

    accepted: bool = True


class Progress(Params, frozen=True, kw_only=True):
    """`task.progress`: renews the lease."""

    id: TaskId
    claim_epoch: int
    pct: float | None = None
    """0 to 100."""
    note: str | None = None
    """For people."""
    partial: Json = None
    """A part of the result, told to whoever watches, and kept until the next one."""
    usage: Usage | None = None
    """What the attempt has spent so far."""


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `task.progress`."""

    lease_until: datetime


class Complete(Params, frozen=True, kw_only=True):
    """`task.complete`."""

    id: TaskId
    claim_epoch: int
    result: Json = None
    usage: Usage | None = None
    """What the attempt spent."""


class Fail(Params, frozen=True, kw_only=True):
    """`task.fail`."""

    id: TaskId
    claim_epoch: int
    error: Json = None
    """Anything; kept in the history."""
    retryable: bool = True
    """False ends the task as `failed`."""
    usage: Usage | None = None
    """What the attempt spent."""


class Release(Params, frozen=True, kw_only=True):
    """`task.release`: back to the queue, no attempt counted."""

    id: TaskId
    claim_epoch: int


class CancelledNotice(Params, frozen=True, kw_only=True):
    """`task.cancelled`, node → agent: stop working on it."""

    id: TaskId
    claim_epoch: int


class Watch(Params, frozen=True, kw_only=True):
    """`task.watch`: one task, or all that match all that is given."""

    id: TaskId | None = None
    type: str | None = None
    parent: TaskId | None = None
    status: TaskStatus | None = None


class Watching(Params, frozen=True, kw_only=True):
    """The answer: the watch's id, and of one task how it is now."""

    watch: str
    task: Task | None = None
    """Without its `data`."""


class Unwatch(Params, frozen=True, kw_only=True):
    """`task.unwatch`. The watch of one task ends by itself when the task is finished."""

    watch: str


class TaskUpdate(Params, frozen=True, kw_only=True):
    """`task.update`, node → agent: a watched task changed, or told a partial result."""

    watch: str
    task: Task
    """Without its `data`: the watcher may fetch that with `task.get`."""
    partial: Json = None


class Empty(Params, frozen=True, kw_only=True):
    """A method without parameters, or an answer without content."""


METHODS: dict[str, tuple[type[msgspec.Struct], Any]] = {
    "session.challenge": (NewChallenge, Challenge),
    "session.hello": (Hello, Welcome),
    "session.refresh": (Refresh, Empty),
    "session.bye": (Empty, Empty),
    "agent.report": (Report, Empty),
    "agents.find": (Find, Found),
    "message.send": (NewMessage, Sent),
    "message.request": (RequestMessage, Json),
    "topic.subscribe": (Subscribe, Subscribed),
    "topic.unsubscribe": (Unsubscribe, Subscribed),
    "inbox.ack": (Ack, Empty),
    "inbox.nack": (Nack, Empty),
    "inbox.term": (Term, Empty),
    "flow.credit": (Credit, Empty),
    "task.submit": (NewTask, Submitted),
    "task.get": (TaskRef, Task),
    "task.list": (TaskQuery, TaskList),
    "task.cancel": (TaskRef, Empty),
    "task.watch": (Watch, Watching),
    "task.unwatch": (Unwatch, Empty),
    "task.progress": (Progress, Leased),
    "task.complete": (Complete, Empty),
    "task.fail": (Fail, Empty),
    "task.release": (Release, Empty),
}
"""Agent → node: the parameters and the result of each method."""

NODE_METHODS: dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct] | None]] = {
    "task.assign": (Assign, Accepted),
    "task.cancelled": (CancelledNotice, None),
    "task.update": (TaskUpdate, None),
    "message.deliver": (Deliver, None),
    "session.go_away": (GoAway, None),
}
"""Node → agent: the parameters and, of a request, the result."""
