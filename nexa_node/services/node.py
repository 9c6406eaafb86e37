"""One node, as an edge may ask it: `api.NodeApi` over the services.

Nothing is decided here but the order of things: may the caller, and whom to ask. Every
call is authorized here, whoever made it.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from nexa_node.contract.access import Identity, NewToken, TokenCreated, TokenView
from nexa_node.contract.agents import Agent
from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.cluster import ClusterChange, Growth, JoinToken
from nexa_node.contract.errors import Draining, NotFound, Unavailable
from nexa_node.contract.events import Event, FeedFrame
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.messages import NewMessage, ObjectRef, Posted, Sent
from nexa_node.contract.nodes import Cluster, NodeStatus, Ready
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    FINISHED,
    Explanation,
    NewTask,
    Queue,
    Redrive,
    Redriven,
    Submitted,
    Task,
    TaskSummary,
)
from nexa_node.core.exposition import render
from nexa_node.ports import TaskRecords
from nexa_node.services.access.access import Access
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.api import (
    AgentConnection,
    AgentFilter,
    EventFilter,
    Journal,
    PostedFilter,
    StoredObject,
    TaskFilter,
)
from nexa_node.services.directory.directory import Directory
from nexa_node.services.health.condition import Condition
from nexa_node.services.health.draining import Drain
from nexa_node.services.journal.feed import Feed
from nexa_node.services.metrics.readings import Readings, families
from nexa_node.services.parts import (
    BackupDesk,
    ClusterDesk,
    DeadLetterDesk,
    MessageDesk,
    ObjectDesk,
    QueueDesk,
    RelayDesk,
    SelfTestDesk,
    SessionDesk,
    TaskDesk,
    TopicDesk,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """`api.NodeApi`. Its fields are the services it joins."""

    condition: Condition
    """How this node is, and who."""
    readings: Callable[[], Readings]
    """The figures of a scrape."""
    permissions: Permissions
    access: Access
    directory: Directory
    """What there is, from memory."""
    records: TaskRecords
    """Whole tasks, payloads included."""
    sessions: SessionDesk
    desk: TaskDesk
    """Takes tasks in, and calls them off."""
    messages: MessageDesk
    backlog: QueueDesk
    dead_letters: DeadLetterDesk
    topics: TopicDesk
    objects: ObjectDesk
    checks: SelfTestDesk
    consoles: Feed
    way_out: Drain
    journal: Journal
    """Told what operators do."""
    changes: ClusterDesk
    """Changes what the cluster is made of."""
    archive: BackupDesk
    relay: RelayDesk
    """Asks other nodes for what only they know or may do."""
    writable: Callable[[], None]
    """Raises `Unavailable` while nothing can be stored."""

    # Who, and how it is

    async def authenticate(self, token: str | None, *, address: str) -> Identity:
        """Say who holds `token`; see `Access.authenticate`."""
        return self.access.authenticate(token, address=address)

    def ready(self) -> Ready:
        """Say whether the node can do its work, from what is known now."""
        return self.condition.assess().ready

    def status(self, identity: Identity) -> NodeStatus:
        """This node."""
        self.permissions.allow(identity, "status")
        return self.condition.status(identity)

    def cluster(self, identity: Identity) -> Cluster:
        """The cluster, this node included."""
        self.permissions.allow(identity, "cluster")
        return self.condition.cluster()

    def metrics(self, identity: Identity) -> bytes:
        """Prometheus' text format."""
        self.permissions.allow(identity, "metrics")
        return render(families(self.readings()))

    def selftest(self, identity: Identity) -> SelfTest | None:
        """The latest run; None before the first."""
        self.permissions.allow(identity, "selftest")
        return self.checks.latest()

    def run_selftest(
        self, identity: Identity, *, only: str | None = None
    ) -> AsyncIterator[CheckResult]:
        """Run all checks, or one, now; consoles are told the outcome."""
        self.permissions.allow(identity, "run_selftest")
        return self._run_selftest(only)

    async def _run_selftest(self, only: str | None) -> AsyncIterator[CheckResult]:
        async for result in self.checks.run(only):
            yield result
        self.condition.look()

    # Agents

    def agents(self, identity: Identity, query: AgentFilter) -> Page[Agent]:
        """List agents, connected or not."""
        self.permissions.allow(identity, "agents")
        return self.directory.agents(query)

    def agent(self, identity: Identity, agent_id: AgentId) -> Agent:
        """One agent; NotFound if there is none."""
        self.permissions.allow(identity, "agent")
        return self.directory.find_agent(agent_id)

    async def disconnect(self, identity: Identity, agent_id: AgentId) -> None:
        """Close an agent's connection; NotFound if it is not connected here."""
        self.permissions.allow(identity, "disconnect")
        agent = self.directory.find_agent(agent_id)
        await self.relay.disconnect(agent)
        self.journal.record(
            "agent.disconnected",
            subject=f"agent/{agent.id}",
            message=f"{identity.id} closed the connection of {agent.id}",
            severity="warning",
            data={"by": identity.id},
        )

    def connect_agent(
        self, identity: Identity | None, *, text: bool, address: str
    ) -> AgentConnection:
        """Begin an agent's connection; without an identity, hello must bring a token."""
        if identity is not None:
            self.permissions.allow(identity, "connect_agent")
        self._check_open()
        return self.sessions.connect(identity, text=text, address=address)

    # Tasks and messages

    async def submit(self, identity: Identity, task: NewTask) -> Submitted:
        """Take a task; answered when it is safe in the store."""
        self.permissions.allow(identity, "submit")
        self._check_taking()
        return await self.desk.submit(identity.id, task)

    def tasks(self, identity: Identity, query: TaskFilter) -> Page[TaskSummary]:
        """List tasks, newest first."""
        self.permissions.allow(identity, "tasks")
        return self.directory.tasks(query)

    async def task(
        self, identity: Identity, task_id: TaskId, *, wait_s: float = 0.0
    ) -> Task:
        """One task, payloads included; with `wait_s`, wait so long for it to finish."""
        self.permissions.allow(identity, "task")
        task = await self._read(task_id)
        if wait_s <= 0 or task.status in FINISHED:
            return task
        await self.directory.finished(task_id, wait_s=wait_s)
        return await self._read(task_id)

    async def explain(self, identity: Identity, task_id: TaskId) -> Explanation:
        """Why the task is where it is."""
        self.permissions.allow(identity, "explain")
        task = self.directory.task(task_id)
        if task is None:
            raise _no_task(task_id)
        return await self.relay.explain(task)

    async def cancel(self, identity: Identity, task_id: TaskId) -> Task:
        """Call a task off, pending or running."""
        self.permissions.allow(identity, "cancel")
        self.writable()
        return await self.desk.cancel(task_id, by=identity.id)

    def queues(self, identity: Identity) -> Page[Queue]:
        """List queues: what waits in each, and who is there for it."""
        self.permissions.allow(identity, "queues")
        return Page(items=self.backlog.queues())

    async def redrive(
        self, identity: Identity, wanted: Redrive, *, dry_run: bool = False
    ) -> Redriven:
        """Bring dead letters back into their queues; or say which it would be."""
        self.permissions.allow(identity, "redrive")
        self._check_taking()
        return await self.dead_letters.redrive(wanted, by=identity.id, dry_run=dry_run)

    async def purge(
        self, identity: Identity, wanted: Redrive, *, dry_run: bool = False
    ) -> Redriven:
        """Forget dead letters for good; or say which it would be."""
        self.permissions.allow(identity, "purge")
        self.writable()
        return await self.dead_letters.purge(wanted, by=identity.id, dry_run=dry_run)

    async def send(self, identity: Identity, message: NewMessage) -> Sent:
        """Send a message."""
        self.permissions.allow(identity, "send")
        self._check_taking()
        return await self.messages.send(identity.id, message)

    async def posted(self, identity: Identity, query: PostedFilter) -> Page[Posted]:
        """Read the messages of topics."""
        self.permissions.allow(identity, "posted")
        return await self.topics.read(query)

    async def put_object(
        self, identity: Identity, chunks: AsyncIterator[bytes]
    ) -> ObjectRef:
        """Keep data that is too large for a frame."""
        self.permissions.allow(identity, "put_object")
        self._check_taking()
        return await self.objects.put(chunks)

    async def get_object(self, identity: Identity, sha256: str) -> StoredObject:
        """Read it back; NotFound if it is not there, or not any more."""
        self.permissions.allow(identity, "get_object")
        size, chunks = await self.objects.get(sha256)
        return StoredObject(size, chunks)

    # What happened, and what changes

    def events(self, identity: Identity, query: EventFilter) -> Page[Event]:
        """List events, newest first."""
        self.permissions.allow(identity, "events")
        return self.directory.events(query)

    def feed(self, identity: Identity) -> AsyncIterator[FeedFrame]:
        """One `Snapshot`, then changes; ends when the caller falls too far behind."""
        self.permissions.allow(identity, "feed")
        self._check_open()
        if not self.directory.is_caught_up:
            raise Unavailable(
                "the node is still reading what is in the store", retry_after_ms=500
            )
        return self.consoles.stream(identity)

    # Access, and the end

    async def create_token(self, identity: Identity, wanted: NewToken) -> TokenCreated:
        """Make a token."""
        self.permissions.allow(identity, "create_token")
        self.writable()
        return await self.access.create(wanted, by=identity)

    def list_tokens(self, identity: Identity) -> Page[TokenView]:
        """List tokens, without their secrets."""
        self.permissions.allow(identity, "list_tokens")
        return Page(items=self.access.views())

    async def revoke_token(self, identity: Identity, token_id: str) -> None:
        """End a token, and what is connected by it."""
        self.permissions.allow(identity, "revoke_token")
        self.writable()
        await self.access.revoke(token_id, by=identity)

    async def drain(self, identity: Identity, node: str | None = None) -> None:
        """Begin to stop gracefully; answered at once, before the process ends."""
        self.permissions.allow(identity, "drain")
        if node in (None, self.condition.card.name):
            self.way_out.begin(f"drained by {identity.id}")
        else:
            await self.changes.drain(node, by=identity.id)

    # The cluster

    async def maintain(self, identity: Identity, node: str, *, on: bool) -> None:
        """Have a node take nothing new, or take it again."""
        self.permissions.allow(identity, "maintain")
        await self.changes.maintain(node, on=on, by=identity.id)

    async def join_token(self, identity: Identity, *, expires_s: int) -> JoinToken:
        """Issue a token by which one node may join."""
        self.permissions.allow(identity, "join_token")
        self._check_open()
        return await self.changes.join_token(expires_s=expires_s, by=identity)

    async def leave(self, identity: Identity, *, dry_run: bool) -> ClusterChange:
        """Have this node leave the cluster."""
        self.permissions.allow(identity, "leave")
        return await self.changes.leave(by=identity.id, dry_run=dry_run)

    async def remove_node(
        self, identity: Identity, node: str, *, dry_run: bool
    ) -> ClusterChange:
        """Strike a dead node off."""
        self.permissions.allow(identity, "remove_node")
        return await self.changes.remove(node, by=identity.id, dry_run=dry_run)

    async def set_replicas(
        self, identity: Identity, copies: int, *, dry_run: bool
    ) -> ClusterChange:
        """Keep so many copies of everything."""
        self.permissions.allow(identity, "set_replicas")
        return await self.changes.set_replicas(copies, by=identity.id, dry_run=dry_run)

    def growth(self, identity: Identity) -> Growth | None:
        """How far the newest change of the cluster's shape is."""
        self.permissions.allow(identity, "growth")
        return self.changes.growth()

    async def backup(self, identity: Identity) -> AsyncIterator[bytes]:
        """All that the store has, as one archive."""
        self.permissions.allow(identity, "backup")
        return await self.archive.backup(by=identity.id)

    def restore(
        self, identity: Identity, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[Growth]:
        """Fill an empty store from an archive."""
        self.permissions.allow(identity, "restore")
        self._check_open()
        return self.archive.restore(chunks, by=identity.id)

    # Helpers

    def _check_taking(self) -> None:
        self._check_open()
        self.writable()

    def _check_open(self) -> None:
        if self.way_out.begun:
            raise Draining(
                "the node is draining and takes nothing new",
                remedy="use another node of the cluster, or nexa node start",
            )

    async def _read(self, task_id: TaskId) -> Task:
        found = await self.records.get(task_id)
        if found is None:
            raise _no_task(task_id)
        return found.value


def _no_task(task_id: TaskId) -> NotFound:
    return NotFound(f"no task {task_id!r}", remedy="nexa task list")
