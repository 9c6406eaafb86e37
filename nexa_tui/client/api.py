"""Everything the console can ask of a node: the only door, and what comes through it.

`NodeClient` is implemented by `http.HttpNode` (a real node) and by `replay.Replay` (a
recording). The feed never raises: a connection that is lost or refused is news.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    AlertDetail,
    Handover,
    NewAck,
    NewNote,
    NewSilence,
    Rule,
    Silence,
    SilencePreview,
)
from nexa_node.contract.audit import AuditRecord
from nexa_node.contract.checks import CheckResult
from nexa_node.contract.cluster import ClusterChange, JoinToken
from nexa_node.contract.errors import NexaError
from nexa_node.contract.events import FeedFrame
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Explanation, NewTask, Submitted, Task
from nexa_tui.client.discovery import Target
from nexa_tui.client.prometheus import Row


class Connecting(msgspec.Struct, frozen=True):
    """The feed is being opened."""

    target: Target
    attempt: int
    """0 the first time, then how often it failed in a row."""


class Received(msgspec.Struct, frozen=True):
    """One frame came."""

    frame: FeedFrame
    at: float
    """When, on the clock that never jumps."""


class Lost(msgspec.Struct, frozen=True):
    """The feed is gone and will be opened again."""

    why: str
    """For a person; may hold the node's own words."""
    remedy: str | None
    retry_at: float
    """When, on the clock that never jumps."""
    attempt: int


class Refused(msgspec.Struct, frozen=True):
    """The node will not have us, and trying again would not change that."""

    error: NexaError


FeedNews = Connecting | Received | Lost | Refused


class NodeClient(Protocol):
    """One node, as the console sees it.

    Every coroutine ends within its time-out and raises `NexaError` and nothing else.
    """

    @property
    def target(self) -> Target:
        """The node that is meant."""
        ...

    def feed(self) -> AsyncIterator[FeedNews]:
        """Watch: reconnects by itself, ends only after `Refused`."""
        ...

    def selftest(self, *, only: str | None = None) -> AsyncIterator[CheckResult]:
        """Run all checks, or one: results as they come, `running` ones included."""
        ...

    async def task(self, task_id: TaskId) -> Task:
        """One task with its payloads and its history."""
        ...

    async def explain(self, task_id: TaskId) -> Explanation:
        """Why a task is where it is."""
        ...

    async def submit(self, task: NewTask) -> Submitted:
        """Submit a task; answered when it is safe in the store."""
        ...

    async def cancel(self, task_id: TaskId) -> Task:
        """Call a task off."""
        ...

    async def disconnect(self, agent_id: AgentId) -> None:
        """Close an agent's connection."""
        ...

    async def drain(self, node_id: str) -> None:
        """Let a node end gracefully."""
        ...

    async def maintain(self, node_id: str, *, on: bool) -> None:
        """Have a node take nothing new, or take it again."""
        ...

    async def remove(self, node_id: str, *, dry_run: bool) -> ClusterChange:
        """Strike a dead node off, or say what that would do."""
        ...

    async def join_token(self) -> JoinToken:
        """Issue a token by which one node may join."""
        ...

    async def alert(self, fingerprint: str) -> AlertDetail:
        """One alert with its evidence, its runbook and its history."""
        ...

    async def acknowledge(self, fingerprint: str, ack: NewAck) -> Alert:
        """Mind an alert."""
        ...

    async def unacknowledge(self, fingerprint: str) -> Alert:
        """Mind it no longer."""
        ...

    async def note(self, fingerprint: str, note: NewNote) -> Alert:
        """Write something down about an alert."""
        ...

    async def dismiss(self, fingerprint: str) -> Alert:
        """Take one that is over off the board."""
        ...

    async def preview(self, silence: NewSilence) -> SilencePreview:
        """Say what a silence would hide, and would have hidden."""
        ...

    async def silence(self, silence: NewSilence) -> Silence:
        """Have nobody told of some alerts for a while."""
        ...

    async def handover(self, since_s: int) -> Handover:
        """What one shift tells the next."""
        ...

    async def alert_history(self) -> Sequence[AlertChange]:
        """What became of alerts lately."""
        ...

    async def silences(self) -> Sequence[Silence]:
        """All silences, those that are over too."""
        ...

    async def expire(self, silence_id: str) -> None:
        """End a silence."""
        ...

    async def rules(self) -> Sequence[Rule]:
        """All rules in force."""
        ...

    async def audit(self) -> Sequence[AuditRecord]:
        """What was done lately."""
        ...

    async def query_range(
        self, expression: str, *, start: float, end: float, step: float
    ) -> Sequence[Row]:
        """Ask in PromQL what was the case, step by step; all in seconds since 1970."""
        ...

    async def close(self) -> None:
        """Let go of every connection. Idempotent."""
        ...
