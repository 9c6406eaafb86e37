"""One node, as an edge may ask it: `api.NodeApi` over the services.

Nothing is decided here but the order of things: may the caller, and whom to ask. Every
call is authorized here, whoever made it.
"""

from collections.abc import AsyncIterator, Callable

from nexa_node.contract.access import Identity, NewToken, TokenCreated, TokenView
from nexa_node.contract.agents import Agent
from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.errors import Draining, NotFound, Unavailable
from nexa_node.contract.events import Event, FeedFrame
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.messages import NewMessage, Sent
from nexa_node.contract.nodes import Cluster, NodeStatus, Ready
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    FINISHED,
    Explanation,
    NewTask,
    Submitted,
    Task,
    TaskSummary,
)
from nexa_node.core.explaining import explain
from nexa_node.core.exposition import render
from nexa_node.ports import TaskRecords
from nexa_node.services.access import Access
from nexa_node.services.api import (
    AgentConnection,
    AgentFilter,
    EventFilter,
    Journal,
    TaskFilter,
)
from nexa_node.services.condition import Condition
from nexa_node.services.directory import Directory
from nexa_node.services.draining import Drain
from nexa_node.services.feed import Feed
from nexa_node.services.parts import (
    MessageDesk,
    SelfTestDesk,
    SessionDesk,
    TaskDesk,
)
from nexa_node.services.permissions import Permissions
from nexa_node.services.readings import Readings, families


class Node:
    """`api.NodeApi`."""

    def __init__(
        self,
        *,
        condition: Condition,
        readings: Callable[[], Readings],
        permissions: Permissions,
        access: Access,
        directory: Directory,
        records: TaskRecords,
        sessions: SessionDesk,
        tasks: TaskDesk,
        messages: MessageDesk,
        selftest: SelfTestDesk,
        feed: Feed,
        drain: Drain,
        journal: Journal,
    ) -> None:
        """Join the services.

        Args:
            condition: How this node is, and who.
            readings: The figures of a scrape.
            permissions: Who may do what.
            access: Who holds which token.
            directory: What there is.
            records: Whole tasks, payloads included.
            sessions: Agents' connections.
            tasks: Taking tasks in.
            messages: Passing messages on.
            selftest: The self-test.
            feed: The consoles that watch.
            drain: Ending in order.
            journal: Told what operators do.
        """
        self._condition = condition
        self._readings = readings
        self._permissions = permissions
        self._access = access
        self._directory = directory
        self._records = records
        self._sessions = sessions
        self._tasks = tasks
        self._messages = messages
        self._selftest = selftest
        self._feed = feed
        self._drain = drain
        self._journal = journal

    # Who, and how it is

    async def authenticate(self, token: str | None, *, address: str) -> Identity:
        """Say who holds `token`; see `Access.authenticate`."""
        return self._access.authenticate(token, address=address)

    def ready(self) -> Ready:
        """Say whether the node can do its work, from what is known now."""
        return self._condition.assess().ready

    def status(self, identity: Identity) -> NodeStatus:
        """This node."""
        self._permissions.allow(identity, "status")
        return self._condition.status(identity)

    def cluster(self, identity: Identity) -> Cluster:
        """The cluster, this node included."""
        self._permissions.allow(identity, "cluster")
        return self._condition.cluster()

    def metrics(self, identity: Identity) -> bytes:
        """Prometheus' text format."""
        self._permissions.allow(identity, "metrics")
        return render(families(self._readings()))

    def selftest(self, identity: Identity) -> SelfTest | None:
        """The latest run; None before the first."""
        self._permissions.allow(identity, "selftest")
        return self._selftest.latest()

    def run_selftest(
        self, identity: Identity, *, only: str | None = None
    ) -> AsyncIterator[CheckResult]:
        """Run all checks, or one, now; consoles are told the outcome."""
        self._permissions.allow(identity, "run_selftest")
        return self._run_selftest(only)

    async def _run_selftest(self, only: str | None) -> AsyncIterator[CheckResult]:
        async for result in self._selftest.run(only):
            yield result
        self._condition.look()

    # Agents

    def agents(self, identity: Identity, query: AgentFilter) -> Page[Agent]:
        """List agents, connected or not."""
        self._permissions.allow(identity, "agents")
        return self._directory.agents(query)

    def agent(self, identity: Identity, agent_id: AgentId) -> Agent:
        """One agent; NotFound if there is none."""
        self._permissions.allow(identity, "agent")
        return self._directory.find_agent(agent_id)

    async def disconnect(self, identity: Identity, agent_id: AgentId) -> None:
        """Close an agent's connection; NotFound if it is not connected here."""
        self._permissions.allow(identity, "disconnect")
        agent = self._directory.find_agent(agent_id)
        self._sessions.disconnect(agent.namespace, agent.id)
        self._journal.record(
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
            self._permissions.allow(identity, "connect_agent")
        self._check_open()
        return self._sessions.connect(identity, text=text, address=address)

    # Tasks and messages

    async def submit(self, identity: Identity, task: NewTask) -> Submitted:
        """Take a task; answered when it is safe in the store."""
        self._permissions.allow(identity, "submit")
        self._check_open()
        return await self._tasks.submit(identity.id, task)

    def tasks(self, identity: Identity, query: TaskFilter) -> Page[TaskSummary]:
        """List tasks, newest first."""
        self._permissions.allow(identity, "tasks")
        return self._directory.tasks(query)

    async def task(
        self, identity: Identity, task_id: TaskId, *, wait_s: float = 0.0
    ) -> Task:
        """One task, payloads included; with `wait_s`, wait so long for it to finish."""
        self._permissions.allow(identity, "task")
        task = await self._read(task_id)
        if wait_s <= 0 or task.status in FINISHED:
            return task
        await self._directory.finished(task_id, wait_s=wait_s)
        return await self._read(task_id)

    def explain(self, identity: Identity, task_id: TaskId) -> Explanation:
        """Why the task is where it is."""
        self._permissions.allow(identity, "explain")
        task = self._directory.task(task_id)
        if task is None:
            raise _no_task(task_id)
        return explain(task, self._directory.every_agent(task.namespace))

    async def cancel(self, identity: Identity, task_id: TaskId) -> Task:
        """Call a task off, pending or running."""
        self._permissions.allow(identity, "cancel")
        return await self._tasks.cancel(task_id, by=identity.id)

    async def send(self, identity: Identity, message: NewMessage) -> Sent:
        """Send a message."""
        self._permissions.allow(identity, "send")
        self._check_open()
        return await self._messages.send(identity.id, message)

    # What happened, and what changes

    def events(self, identity: Identity, query: EventFilter) -> Page[Event]:
        """List events, newest first."""
        self._permissions.allow(identity, "events")
        return self._directory.events(query)

    def feed(self, identity: Identity) -> AsyncIterator[FeedFrame]:
        """One `Snapshot`, then changes; ends when the caller falls too far behind."""
        self._permissions.allow(identity, "feed")
        self._check_open()
        if not self._directory.is_caught_up:
            raise Unavailable(
                "the node is still reading what is in the store", retry_after_ms=500
            )
        return self._feed.stream(identity)

    # Access, and the end

    async def create_token(self, identity: Identity, wanted: NewToken) -> TokenCreated:
        """Make a token."""
        self._permissions.allow(identity, "create_token")
        return await self._access.create(wanted, by=identity)

    def list_tokens(self, identity: Identity) -> Page[TokenView]:
        """List tokens, without their secrets."""
        self._permissions.allow(identity, "list_tokens")
        return Page(items=self._access.views())

    async def revoke_token(self, identity: Identity, token_id: str) -> None:
        """End a token, and what is connected by it."""
        self._permissions.allow(identity, "revoke_token")
        await self._access.revoke(token_id, by=identity)

    async def drain(self, identity: Identity) -> None:
        """Begin to stop gracefully; answered at once, before the process ends."""
        self._permissions.allow(identity, "drain")
        self._drain.begin(f"drained by {identity.id}")

    # Helpers

    def _check_open(self) -> None:
        if self._drain.begun:
            raise Draining(
                "the node is draining and takes nothing new",
                remedy="use another node of the cluster, or nexa node start",
            )

    async def _read(self, task_id: TaskId) -> Task:
        found = await self._records.get(task_id)
        if found is None:
            raise _no_task(task_id)
        return found.value


def _no_task(task_id: TaskId) -> NotFound:
    return NotFound(f"no task {task_id!r}", remedy="nexa task list")
