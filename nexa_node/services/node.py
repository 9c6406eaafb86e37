"""One node, as an edge may ask it: `api.NodeApi` over the services.

Nothing is decided here but the order of things: may the caller, and whom to ask. Every
call is authorized here, whoever made it.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

import msgspec

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
from nexa_node.contract.errors import NotFound, Unavailable
from nexa_node.contract.events import Event, FeedFrame
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId, Namespace, TaskId
from nexa_node.contract.messages import NewMessage, ObjectRef, Posted, Sent
from nexa_node.contract.metrics import Target
from nexa_node.contract.nodes import Cluster, NodeStatus, Ready, Setting
from nexa_node.contract.notifications import (
    Delivery,
    ReceiversTested,
    WatchdogSeen,
)
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
from nexa_node.core.authorization import authorize
from nexa_node.core.exposition import Family, render
from nexa_node.core.redriving import IDS_MAX, check_redrive
from nexa_node.ports import TaskRecords
from nexa_node.services.access.access import Access
from nexa_node.services.access.audit_calls import AuditCalls
from nexa_node.services.access.certificate_calls import CertificateCalls
from nexa_node.services.access.login_calls import LoginCalls
from nexa_node.services.access.roles import RoleBook
from nexa_node.services.access.traffic import check_send
from nexa_node.services.access.view import View
from nexa_node.services.alerting.node_calls import AlertCalls
from nexa_node.services.api import (
    AgentConnection,
    AgentFilter,
    DeliveryFilter,
    EventFilter,
    Journal,
    PostedFilter,
    PrometheusAnswer,
    PrometheusCall,
    StoredObject,
    TaskFilter,
)
from nexa_node.services.cluster.node_calls import ClusterCalls, draining
from nexa_node.services.directory.directory import Directory
from nexa_node.services.journal.feed import Feed
from nexa_node.services.journal.log_calls import LogCalls
from nexa_node.services.messages.mail_calls import MailCalls
from nexa_node.services.metrics.targets import targets_of
from nexa_node.services.namespace_calls import NamespaceCalls
from nexa_node.services.parts import (
    DeadLetterDesk,
    MessageDesk,
    NotificationsDesk,
    ObjectDesk,
    PrometheusDesk,
    QueueDesk,
    SelfTestDesk,
    SessionDesk,
    TaskDesk,
    TopicDesk,
)
from nexa_node.services.planning.plan_calls import PlanCalls
from nexa_node.services.shared.node_calls import SharedCalls


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node(
    ClusterCalls,
    AlertCalls,
    SharedCalls,
    AuditCalls,
    CertificateCalls,
    LoginCalls,
    LogCalls,
    MailCalls,
    NamespaceCalls,
    PlanCalls,
):
    """`api.NodeApi`. Its fields are the services it joins."""

    settings: Callable[[], tuple[Setting, ...]]
    """What is in force here."""
    figures: Callable[[], Iterable[Family]]
    """What a scrape tells."""
    prometheus_desk: PrometheusDesk
    """Queries over what all nodes measured."""
    access: Access
    role_book: RoleBook
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
    journal: Journal
    """Told what operators do."""
    notices: NotificationsDesk
    """Who was told of alerts."""

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
        return self._view(identity).status(self.condition.status(identity))

    def config(self, identity: Identity) -> tuple[Setting, ...]:
        """This node's settings, and where each comes from."""
        self.permissions.allow(identity, "config")
        return self.settings()

    def cluster(self, identity: Identity) -> Cluster:
        """The cluster, this node included."""
        self.permissions.allow(identity, "cluster")
        return self._view(identity).cluster(self.condition.cluster())

    def metrics(self, identity: Identity) -> bytes:
        """Prometheus' text format."""
        self.permissions.allow(identity, "metrics")
        return render(self.figures())

    async def prometheus(
        self, identity: Identity, call: PrometheusCall
    ) -> PrometheusAnswer:
        """Answer a call of Prometheus' HTTP API; errors are answers, too."""
        self.permissions.allow(identity, "prometheus")
        return await self.prometheus_desk.ask(call)

    def targets(self, identity: Identity) -> tuple[Target, ...]:
        """Where a Prometheus finds all nodes' metrics."""
        self.permissions.allow(identity, "targets")
        return targets_of(self.condition.cluster())

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
        view = self._view(identity)
        return view.page(self.directory.agents, query, view.agent)

    def agent(self, identity: Identity, agent_id: AgentId) -> Agent:
        """One agent; NotFound if there is none."""
        self.permissions.allow(identity, "agent")
        return self._agent(identity, agent_id)

    async def disconnect(self, identity: Identity, agent_id: AgentId) -> None:
        """Close an agent's connection; NotFound if it is not connected here."""
        self.permissions.allow(identity, "disconnect")
        agent = self._agent(identity, agent_id)
        self.permissions.allow(identity, "disconnect", f"{agent.namespace}.{agent.id}")
        await self.relay.disconnect(agent)
        self.journal.record(
            "agent.disconnected",
            subject=f"agent/{agent.id}",
            message=f"{identity.id} closed the connection of {agent.id}",
            severity="warning",
            data={"by": identity.id, "namespace": agent.namespace},
        )

    async def drain_agent(
        self, identity: Identity, agent_id: AgentId, *, on: bool
    ) -> Agent:
        """Have an agent get no new tasks, or get them again; NotFound if it is away."""
        self.permissions.allow(identity, "drain_agent")
        agent = self._agent(identity, agent_id)
        self.permissions.allow(identity, "drain_agent", f"{agent.namespace}.{agent.id}")
        await self.relay.drain_agent(agent, on=on)
        self.journal.record(
            "agent.drained" if on else "agent.undrained",
            subject=f"agent/{agent.id}",
            message=f"{identity.id} has {agent.id} get "
            + ("no new tasks" if on else "tasks again"),
            data={"by": identity.id, "namespace": agent.namespace},
        )
        if not on:
            state = "idle" if agent.inflight == 0 else "active"
            return msgspec.structs.replace(agent, drained=False, state=state)
        return msgspec.structs.replace(agent, drained=True, state="draining")

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
        where = task.namespace or home_of(identity)
        self.permissions.allow(identity, "submit", f"{where}.{task.type}")
        self._check_taking()
        if where != (task.namespace or DEFAULT_NAMESPACE):
            task = msgspec.structs.replace(task, namespace=where)
        return await self.desk.submit(identity.id, task)

    def tasks(self, identity: Identity, query: TaskFilter) -> Page[TaskSummary]:
        """List tasks, newest first."""
        self.permissions.allow(identity, "tasks")
        view = self._view(identity)
        return view.page(self.directory.tasks, query, view.task)

    async def task(
        self, identity: Identity, task_id: TaskId, *, wait_s: float = 0.0
    ) -> Task:
        """One task, payloads included; with `wait_s`, wait so long for it to finish."""
        self.permissions.allow(identity, "task")
        task = await self._read(task_id)
        if not self._view(identity).task(task):
            raise _no_task(task_id)
        if wait_s <= 0 or task.status in FINISHED:
            return task
        await self.directory.finished(task_id, wait_s=wait_s)
        return await self._read(task_id)

    async def explain(self, identity: Identity, task_id: TaskId) -> Explanation:
        """Why the task is where it is."""
        self.permissions.allow(identity, "explain")
        task = self.directory.task(task_id)
        if task is None or not self._view(identity).task(task):
            raise _no_task(task_id)
        return await self.relay.explain(task)

    async def cancel(self, identity: Identity, task_id: TaskId) -> Task:
        """Call a task off, pending or running."""
        self.permissions.allow(identity, "cancel")
        self.writable()
        view = self._view(identity)
        if not view.whole:
            task = await self._read(task_id)
            if not view.task(task):
                raise _no_task(task_id)
            self.permissions.allow(identity, "cancel", f"{task.namespace}.{task.type}")
        return await self.desk.cancel(task_id, by=identity.id)

    def queues(self, identity: Identity) -> Page[Queue]:
        """List queues: what waits in each, and who is there for it."""
        self.permissions.allow(identity, "queues")
        view = self._view(identity)
        return Page(
            items=tuple(
                queue
                for queue in self.backlog.queues()
                if view.whole or view.may("queues", queue.namespace, queue.name)
            )
        )

    async def redrive(
        self, identity: Identity, wanted: Redrive, *, dry_run: bool = False
    ) -> Redriven:
        """Bring dead letters back into their queues; or say which it would be."""
        self.permissions.allow(identity, "redrive")
        self._check_taking()
        if not self._view(identity).whole:
            wanted = self._narrowed(identity, "redrive", wanted)
            if not wanted.ids:
                return Redriven(done=(), failed={})
        return await self.dead_letters.redrive(wanted, by=identity.id, dry_run=dry_run)

    async def purge(
        self, identity: Identity, wanted: Redrive, *, dry_run: bool = False
    ) -> Redriven:
        """Forget dead letters for good; or say which it would be."""
        self.permissions.allow(identity, "purge")
        self.writable()
        if not self._view(identity).whole:
            wanted = self._narrowed(identity, "purge", wanted)
            if not wanted.ids:
                return Redriven(done=(), failed={})
        return await self.dead_letters.purge(wanted, by=identity.id, dry_run=dry_run)

    async def send(self, identity: Identity, message: NewMessage) -> Sent:
        """Send a message."""
        self.permissions.allow(identity, "send")
        home = home_of(identity)
        check_send(identity, home, message.to)
        self._check_taking()
        return await self.messages.send(identity.id, message, namespace=home)

    async def posted(self, identity: Identity, query: PostedFilter) -> Page[Posted]:
        """Read the messages of topics."""
        self.permissions.allow(identity, "posted")
        topic = f"{query.namespace}.topic.{query.topic}"
        self.permissions.allow(identity, "posted", topic)
        return await self.topics.read(query)

    async def put_object(
        self, identity: Identity, chunks: AsyncIterator[bytes]
    ) -> ObjectRef:
        """Keep data that is too large for a frame."""
        self.permissions.allow(identity, "put_object")
        self._check_taking()
        within = identity.scope.namespaces
        return await self.objects.put(chunks, shelf=within[0] if within else "")

    async def get_object(self, identity: Identity, sha256: str) -> StoredObject:
        """Read it back; NotFound if it is not there, or not any more."""
        self.permissions.allow(identity, "get_object")
        shelves = identity.scope.namespaces or ("", *self._namespaces())
        size, chunks = await self.objects.get(sha256, shelves=shelves)
        return StoredObject(size, chunks)

    # What happened, and what changes

    def events(self, identity: Identity, query: EventFilter) -> Page[Event]:
        """List events, newest first."""
        self.permissions.allow(identity, "events")
        view = self._view(identity)
        return view.page(self.directory.events, query, view.event)

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

    async def rotate_token(
        self, identity: Identity, token_id: str, wanted: RotateToken
    ) -> TokenCreated:
        """Give a token a new secret."""
        self.permissions.allow(identity, "rotate_token")
        self.writable()
        return await self.access.rotate(
            token_id, overlap_s=wanted.overlap_s, by=identity
        )

    async def revoke_token(self, identity: Identity, token_id: str) -> None:
        """End a token, and what is connected by it."""
        self.permissions.allow(identity, "revoke_token")
        self.writable()
        await self.access.revoke(token_id, by=identity)

    def roles(self, identity: Identity) -> Page[Role]:
        """List roles: the built-in ones first."""
        self.permissions.allow(identity, "roles")
        return Page(items=self.role_book.all())

    async def create_role(self, identity: Identity, wanted: NewRole) -> Role:
        """Make or replace a role."""
        self.permissions.allow(identity, "create_role")
        self.writable()
        return await self.role_book.put(wanted, by=identity)

    async def delete_role(self, identity: Identity, name: str) -> None:
        """Forget a role that no token has."""
        self.permissions.allow(identity, "delete_role")
        self.writable()
        held = self.access.holders(name)
        await self.role_book.delete(name, by=identity, held=held)

    def explain_access(
        self, identity: Identity, who: str, action: str, resource: str
    ) -> AccessDecision:
        """Say whether somebody may do something, and by which rule."""
        self.permissions.allow(identity, "explain_access")
        somebody = self.access.somebody(who)
        if somebody is None:
            somebody = self._agents_identity(who)
        if somebody is None:
            role = self.role_book.find(who)
            somebody = Identity(
                id=f"role:{role.name}",
                role=role.name,
                name=role.name,
                permissions=self.role_book.permissions(role.name),
            )
        found = authorize(somebody, action, resource)
        return AccessDecision(
            who=somebody.id,
            action=action,
            resource=resource,
            allowed=found.allowed,
            rule=found.rule,
        )

    def _agents_identity(self, who: str) -> Identity | None:
        """Who an agent is that is connected to this node; None if none is called so."""
        namespace, dot, name = who.rpartition(".")
        place = Namespace(namespace) if dot else DEFAULT_NAMESPACE
        return self.sessions.identity_of(place, AgentId(name))

    # Notifications

    async def notifications(
        self, identity: Identity, query: DeliveryFilter
    ) -> Page[Delivery]:
        """List notifications, as far as each has come."""
        self.permissions.allow(identity, "notifications")
        return await self.notices.deliveries(query)

    async def test_receivers(self, identity: Identity, name: str) -> ReceiversTested:
        """Tell a receiver of an alert that is none; each there is, without a name."""
        self.permissions.allow(identity, "test_receivers")
        return await self.notices.test(name)

    def watchdog(self, identity: Identity, name: str) -> WatchdogSeen:
        """Somebody outside says that it is there; NotFound if nobody expects it."""
        self.permissions.allow(identity, "watchdog")
        return self.notices.watchdog(name)

    # Helpers

    def _namespaces(self) -> list[str]:
        return sorted({agent.namespace for agent in self.directory.all_agents()})

    def _view(self, identity: Identity) -> View:
        return View(identity, self.directory)

    def _agent(self, identity: Identity, agent_id: AgentId) -> Agent:
        """The agent of that id that the caller sees, of the default namespace first."""
        view = self._view(identity)
        if view.whole:
            return self.directory.find_agent(agent_id)
        for agent in self.directory.all_agents():
            if agent.id == agent_id and view.agent(agent):
                return agent
        raise NotFound(f"no agent {agent_id!r}", remedy="nexa agents list")

    def _narrowed(self, identity: Identity, action: str, wanted: Redrive) -> Redrive:
        """Those of the dead letters that are meant with which the caller may do that."""
        check_redrive(wanted)
        view = self._view(identity)
        ids = wanted.ids or self.directory.dead_letters(
            type=wanted.type, namespace=wanted.namespace
        )
        found: list[TaskId] = []
        for task_id in ids:
            task = self.directory.task(task_id)
            if task is None or not view.task(task):
                if wanted.ids:
                    raise _no_task(task_id)
            elif view.may(action, task.namespace, task.type):
                found.append(task_id)
        return Redrive(
            ids=tuple(found[:IDS_MAX]), type=wanted.type, namespace=wanted.namespace
        )

    def _check_taking(self) -> None:
        if self.way_out.refuses:
            raise draining()
        self.writable()

    async def _read(self, task_id: TaskId) -> Task:
        found = await self.records.get(task_id)
        if found is None:
            raise _no_task(task_id)
        return found.value


def home_of(identity: Identity) -> Namespace:
    """Where a caller is who names no namespace: the first one of its token."""
    within = identity.scope.namespaces
    return Namespace(within[0]) if within else DEFAULT_NAMESPACE


def _no_task(task_id: TaskId) -> NotFound:
    return NotFound(f"no task {task_id!r}", remedy="nexa task list")
