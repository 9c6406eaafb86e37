"""Tasks: what is asked for, who does it, and what came of it."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId, Namespace, TaskId
from nexa_node.contract.plans import Plan

Json = Any
"""Anything JSON can hold. Foreign: shown only through `untrusted()`."""

Priority = Literal["low", "normal", "high", "critical"]
PRIORITIES: tuple[Priority, ...] = ("critical", "high", "normal", "low")
"""Most urgent first."""

TaskStatus = Literal[
    "pending", "assigned", "running", "completed", "failed", "cancelled", "expired",
    "dead_lettered",
]  # fmt: skip
FINISHED: frozenset[TaskStatus] = frozenset(
    ("completed", "failed", "cancelled", "expired", "dead_lettered")
)
"""States a task does not leave by itself (an operator may redrive a dead letter)."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and how fast, a task is tried again."""

    max_attempts: int = 3
    """The first one included; after them the task is dead-lettered."""
    backoff_ms: int = 1000
    """Before the second attempt; doubles with each one."""
    max_backoff_ms: int = 10_000
    """The longest wait. Each wait is cut by a chance of up to half."""


class Budget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task may spend."""

    tokens: int | None = None
    cost_usd: float | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task spent."""

    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0


class NewTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a submitter says: the parameters of `task.submit`, the body of POST /v1/tasks."""

    type: str
    """The capability that is asked for."""
    data: Json = None
    """What the agent gets; at most 256 KiB, or an `ObjectRef`."""
    id: TaskId | None = None
    """A slug. The same one again is the same task: stored once."""
    priority: Priority = "normal"
    """`critical` before `high` before `normal` before `low`, in each queue."""
    namespace: Namespace | None = None
    """An agent's own, whatever is said."""
    labels: dict[str, str] = {}
    """Only agents whose capability has all of these get it."""
    fairness_key: str | None = None
    """Inside a priority the keys take turns: a long backlog of one does not hold up
    another."""
    deadline: datetime | None = None
    """Not finished by then, it is `expired`; no lease lasts longer."""
    start_by: datetime | None = None
    """Not begun by then, it is `expired`."""
    est_seconds: float | None = None
    """How long it may take; told to the agent, used by no rule."""
    retry: RetryPolicy = RetryPolicy()
    idempotency_key: str | None = None
    """Instead of an id: the same key is the same task."""
    budget: Budget | None = None
    """What it may spend, all attempts together; told to the agent. More ends it."""
    parent: TaskId | None = None
    """The task in whose course it was submitted."""
    hops: int = 0
    """How often it was delegated; at least one more than its parent's."""
    not_before: datetime | None = None
    """A delayed task: nobody gets it earlier."""
    delay_ms: int | None = None
    """The same, counted from the submission; not both."""
    watch: bool = False
    """Of an agent: have `task.update` tell what becomes of it, without `task.watch`;
    the watch's id is the task's."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try at a task, and how it ended."""

    attempt: int
    claim_epoch: int
    agent: AgentId
    """Who had it; of a redrive, who asked for it."""
    node: str
    started: datetime
    ended: datetime | None = None
    outcome: str | None = None
    """How it ended: completed, failed, lease_expired, agent_lost, node_lost, released, rejected,
    cancelled, redriven, budget_exceeded."""
    error: Json = None
    usage: Usage | None = None
    """What it has spent, as its agent said last."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one task: everything the cluster knows of it."""

    id: TaskId
    type: str
    status: TaskStatus
    priority: Priority
    submitted: datetime
    submitter: str
    """An agent's id, or `token:<id>`; set by the node, never by the sender."""
    namespace: Namespace = DEFAULT_NAMESPACE
    data: Json = None
    attempts: int = 0
    """Those that count: neither released nor rejected ones."""
    claim_epoch: int = 0
    """Grows with each assignment; a write that carries an older one changes nothing."""
    agent: AgentId | None = None
    node: str | None = None
    """The node that holds the claim."""
    result: Json = None
    """As the agent gave it, once completed."""
    error: Json = None
    """Of the last attempt that failed."""
    usage: Usage | None = None
    """What it spent, all attempts together."""
    pct: float | None = None
    """0 to 100, as the agent reports it."""
    note: str | None = None
    partial: Json = None
    """The newest partial result of the attempt that runs."""
    started: datetime | None = None
    finished: datetime | None = None
    labels: dict[str, str] = {}
    fairness_key: str | None = None
    deadline: datetime | None = None
    start_by: datetime | None = None
    est_seconds: float | None = None
    retry: RetryPolicy = RetryPolicy()
    idempotency_key: str | None = None
    budget: Budget | None = None
    """What `usage` may come to; over it the task is `failed`, with the reason
    `budget_exceeded`."""
    parent: TaskId | None = None
    hops: int = 0
    not_before: datetime | None = None
    """Nobody gets it earlier: a delayed task, or one that waits for its next attempt."""
    redriven: int = 0
    """How often an operator brought it back from the dead letters."""
    history: tuple[Attempt, ...] = ()
    """The newest attempts, oldest first."""


class TaskSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A task without its payloads: what lists and the console's feed carry."""

    id: TaskId
    type: str
    status: TaskStatus
    priority: Priority
    namespace: Namespace
    submitted: datetime
    attempts: int
    agent: AgentId | None = None
    pct: float | None = None
    note: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    parent: TaskId | None = None
    not_before: datetime | None = None
    summary: str | None = None
    """The first characters of the error, or else of the result."""


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a submission, given when the task is safe in the store."""

    id: TaskId
    status: TaskStatus
    duplicate: bool


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """One agent that was looked at for a task."""

    agent: AgentId
    eligible: bool
    reason: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task is where it is."""

    id: TaskId
    status: TaskStatus
    verdict: str
    considered: tuple[Considered, ...]


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks of one capability in one namespace, and who is there for them."""

    name: str
    """The capability."""
    namespace: Namespace
    pending: int
    by_priority: dict[Priority, int]
    """Of the pending ones."""
    delayed: int
    """Of the pending ones: those whose time has not come."""
    running: int
    """Assigned ones included."""
    dead_lettered: int
    oldest_wait_s: float | None
    """How long the oldest pending task has waited since it might have begun."""
    agents: int
    """Connected ones with the capability."""
    slots: int
    free_slots: int
    strategy: str


class Redrive(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which dead letters to bring back, or to purge: all that match all that is given."""

    ids: tuple[TaskId, ...] = ()
    """None of them: every one that the rest matches."""
    type: str | None = None
    namespace: Namespace | None = None
    all: bool = False
    """Needed when nothing else is given."""


class Redriven(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it."""

    done: tuple[TaskId, ...]
    failed: dict[TaskId, str]
    """Why not, by id."""
    plan: Plan | None = None
    """Of a dry run: by its id just this is done."""


def summarize(task: Task) -> TaskSummary:
    """Leave the payloads out of `task`."""
    told = task.error if task.error is not None else task.result
    return TaskSummary(
        id=task.id,
        type=task.type,
        status=task.status,
        priority=task.priority,
        namespace=task.namespace,
        submitted=task.submitted,
        attempts=task.attempts,
        agent=task.agent,
        pct=task.pct,
        note=task.note,
        started=task.started,
        finished=task.finished,
        parent=task.parent,
        not_before=task.not_before,
        summary=None if told is None else _first_characters(told),
    )


def _first_characters(value: Json, limit: int = 120) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
