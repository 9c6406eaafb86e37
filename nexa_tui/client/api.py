"""Everything the console can ask of a node: the only door, and what comes through it.

`NodeClient` is implemented by `http.HttpNode` (a real node) and by `replay.Replay` (a
recording). The feed never raises: a connection that is lost or refused is news.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec

from nexa_node.contract.access import (
    NamespaceView,
    NewToken,
    Role,
    TokenCreated,
    TokenView,
)
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
from nexa_node.contract.audit import AuditRecord, AuditVerdict
from nexa_node.contract.checks import CheckResult
from nexa_node.contract.cluster import ClusterChange, JoinToken
from nexa_node.contract.errors import NexaError
from nexa_node.contract.events import FeedFrame
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.logs import LogLine
from nexa_node.contract.messages import NewMessage, Posted, Sent, Shelf
from nexa_node.contract.nodes import Cluster, NodeStatus
from nexa_node.contract.plans import Plan
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    Explanation,
    NewTask,
    Redrive,
    Redriven,
    Submitted,
    Task,
    TaskSummary,
)
from nexa_tui.client.discovery import Target
from nexa_tui.client.prometheus import Row


class Glance(msgspec.Struct, frozen=True):
    """What one look at a cluster tells."""

    status: NodeStatus
    cluster: Cluster
    alerts: tuple[Alert, ...]


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


Deed = Literal["drain", "disconnect", "revoke_token"]
"""What can be planned beside what answers its own dry run."""


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

    async def plan(self, deed: Deed, key: str) -> Plan:
        """What a dangerous deed would do now; its id is given to the deed itself."""
        ...

    async def disconnect(self, agent_id: AgentId, *, plan: str | None = None) -> None:
        """Close an agent's connection; with a plan, only if all is as it was then."""
        ...

    async def drain_agent(self, agent_id: AgentId, *, on: bool) -> None:
        """Have an agent get no new tasks, or get them again."""
        ...

    async def drain(self, node_id: str, *, plan: str | None = None) -> None:
        """Let a node end gracefully; with a plan, only if all is as it was then."""
        ...

    async def maintain(self, node_id: str, *, on: bool) -> None:
        """Have a node take nothing new, or take it again."""
        ...

    async def remove(
        self, node_id: str, *, dry_run: bool, plan: str | None = None
    ) -> ClusterChange:
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

    async def verify_audit(self) -> AuditVerdict:
        """Read and compare every node's audit; that may take a while."""
        ...

    async def tokens(self) -> Sequence[TokenView]:
        """All tokens, without their secrets."""
        ...

    async def roles(self) -> Sequence[Role]:
        """All roles."""
        ...

    async def namespaces(self) -> Sequence[NamespaceView]:
        """What each namespace may use, and what is left of it."""
        ...

    async def create_token(self, wanted: NewToken) -> TokenCreated:
        """Make a token: its secret is told this once."""
        ...

    async def rotate_token(self, token_id: str, *, overlap_s: int) -> TokenCreated:
        """Give a token a new secret: it is told this once."""
        ...

    async def revoke_token(self, token_id: str, *, plan: str | None = None) -> None:
        """End a token; with a plan, only if all is as it was then."""
        ...

    async def logs(
        self, *, after: str | None, before: int | None = None, wait_s: float = 0.0
    ) -> Page[LogLine]:
        """What nodes logged since a cursor; or the newest, before a position.

        The oldest first; `next_cursor` is where to go on.
        """
        ...

    async def posted(
        self,
        topic: str,
        *,
        namespace: str,
        after: int = 0,
        last: int | None = None,
        wait_s: float = 0.0,
    ) -> Page[Posted]:
        """Messages of topics, the oldest first; `next_cursor` is where to go on."""
        ...

    async def topics(self, namespace: str) -> Sequence[Shelf]:
        """Topics that keep something, the fullest first."""
        ...

    async def inboxes(self, namespace: str) -> Sequence[Shelf]:
        """Inboxes in which something waits, the fullest first."""
        ...

    async def peek(self, namespace: str, agent: str) -> Page[Posted]:
        """What waits in an inbox; nothing is delivered or dropped by looking."""
        ...

    async def send(self, message: NewMessage) -> Sent:
        """Send a message; a durable one is in the store when this is answered."""
        ...

    async def dead_letters(self) -> Sequence[TaskSummary]:
        """Tasks that used up their attempts, the newest first."""
        ...

    async def redrive(self, wanted: Redrive) -> Redriven:
        """Bring dead letters back into their queues."""
        ...

    async def purge(self, wanted: Redrive) -> Redriven:
        """Forget dead letters for good."""
        ...

    async def query_range(
        self, expression: str, *, start: float, end: float, step: float
    ) -> Sequence[Row]:
        """Ask in PromQL what was the case, step by step; all in seconds since 1970."""
        ...

    async def glance(self) -> Glance:
        """How its cluster is, at one look: for a list of clusters."""
        ...

    async def close(self) -> None:
        """Let go of every connection. Idempotent."""
        ...
