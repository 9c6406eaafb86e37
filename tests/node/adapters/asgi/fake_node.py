"""A `NodeApi` in memory, and a port over it on real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import msgspec

from nexa_node.adapters.asgi import (
    alert_examples,
    audit_examples,
    client_certificates,
    examples,
    login_examples,
    logs,
    role_examples,
    shelves,
)
from nexa_node.adapters.asgi.app import build_app
from nexa_node.adapters.asgi.limits import TlsDoor
from nexa_node.adapters.asgi.plan_example import PLAN
from nexa_node.adapters.asgi.server import bind, serve, url_of
from nexa_node.adapters.tls.port import PortTls
from nexa_node.contract.access import (
    AccessDecision,
    CertificateIssued,
    Identity,
    NamespaceView,
    NewCertificate,
    NewRole,
    NewToken,
    RenewCertificate,
    Role,
    RotateToken,
    TokenCreated,
    TokenView,
)
from nexa_node.contract.agents import Agent
from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    AlertDetail,
    Handover,
    NewAck,
    NewNote,
    NewSilence,
    Rule,
    RulesLoaded,
    Silence,
    SilencePreview,
)
from nexa_node.contract.audit import AuditRecord, AuditVerdict
from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.cluster import ClusterChange, Growth, JoinToken
from nexa_node.contract.errors import Forbidden, NexaError, NotFound, Unauthorized
from nexa_node.contract.events import Event, FeedFrame, Sampled, Snapshot
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.login import Challenge, LoginWays, NewChallenge, NewLogin
from nexa_node.contract.logs import LogLine
from nexa_node.contract.messages import NewMessage, ObjectRef, Posted, Sent, Shelf
from nexa_node.contract.metrics import Target
from nexa_node.contract.nodes import Cluster, NodeStatus, Profile, Ready, Setting
from nexa_node.contract.notifications import (
    Delivery,
    ReceiversTested,
    WatchdogSeen,
)
from nexa_node.contract.plans import Plan
from nexa_node.contract.quotas import Quota
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    Explanation,
    NewTask,
    Queue,
    Redrive,
    Redriven,
    Submitted,
    Task,
    TaskSummary,
)
from nexa_node.core.policies import HttpPolicy, SessionPolicy
from nexa_node.services.access.login_audit import LoginAudit
from nexa_node.services.alert_api import AlertFilter, ChangeFilter
from nexa_node.services.api import (
    AgentFilter,
    Close,
    DeliveryFilter,
    EventFilter,
    Output,
    PostedFilter,
    PrometheusAnswer,
    PrometheusCall,
    StoredObject,
    TaskFilter,
)
from nexa_node.services.audit_api import AuditFilter, Auditor
from nexa_node.services.log_api import LogFilter
from tests import builders
from tests.fakes import FakeClock
from tests.node.adapters.asgi.fake_shared import FakeShared

ADMIN = "nxo_admin_secret"
VIEWER = "nxo_viewer_secret"


@dataclass
class FakeConnection:
    """Answers every frame with itself; `say` puts in what else should be sent."""

    text: bool
    identity: Identity | None
    address: str
    received: list[bytes] = field(default_factory=list)
    is_lost: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None
    outbox: asyncio.Queue[Output | Close] = field(default_factory=asyncio.Queue)

    async def receive(self, data: bytes) -> None:
        if self.hold is not None:
            await self.hold.wait()
        self.received.append(data)
        self.say(data)

    def say(self, data: bytes) -> None:
        self.outbox.put_nowait(Output(data, text=self.text))

    def watch_life(self, heard_at: Callable[[], float]) -> None:
        assert heard_at() > 0

    async def next_output(self) -> Output | Close:
        return await self.outbox.get()

    async def lost(self) -> None:
        self.is_lost.set()


@dataclass
class FakeNode(FakeShared):
    """Answers with examples; remembers what it was asked."""

    readiness: Ready = field(default_factory=lambda: Ready(status="ready"))
    refusal: NexaError | None = None
    """Raised by every call that takes an identity."""
    fault: Exception | None = None
    latest: SelfTest | None = None
    nodes: tuple[Any, ...] = (examples.NODE,)
    token_views: tuple[TokenView, ...] = examples.TOKENS.items
    certified: set[str] = field(default_factory=set)
    """SHA-256 of certificates that are known."""
    checks: tuple[CheckResult, ...] = ()
    go_on: asyncio.Event | None = None
    """Awaited before the second check result, and by calls that wait."""
    frames: asyncio.Queue[FeedFrame | NexaError | None] = field(
        default_factory=asyncio.Queue
    )
    asked: list[tuple[str, Any]] = field(default_factory=list)
    connections: asyncio.Queue[FakeConnection] = field(default_factory=asyncio.Queue)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """An iterator we gave was closed."""

    def _ask(self, name: str, what: Any = None) -> None:
        self.asked.append((name, what))
        if self.fault is not None:
            raise self.fault
        if self.refusal is not None:
            raise self.refusal

    async def authenticate(self, token: str | None, *, address: str) -> Identity:
        roles = {ADMIN: "admin", VIEWER: "viewer"}
        if token not in roles:
            raise Unauthorized("no valid token", remedy="nexa login")
        role: Any = roles[token]
        return Identity(id=f"token:{role}", role=role, name=role)

    async def authenticate_certificate(self, sha256: str, *, address: str) -> Identity:
        if sha256 not in self.certified:
            raise Unauthorized("the certificate is not known here", remedy="nexa cert")
        return Identity(id="token:certified", role="agent", name="certified")

    async def issue_certificate(
        self, identity: Identity, wanted: NewCertificate
    ) -> CertificateIssued:
        self._ask("issue_certificate", wanted)
        return client_certificates.ISSUED

    async def renew_certificate(
        self, identity: Identity, token_id: str, wanted: RenewCertificate
    ) -> CertificateIssued:
        self._ask("renew_certificate", (token_id, wanted))
        return client_certificates.ISSUED

    def certificates(self, identity: Identity) -> Page[TokenView]:
        self._ask("certificates")
        return client_certificates.LISTED

    def login_ways(self) -> LoginWays:
        return login_examples.WAYS

    def challenge(self, wanted: NewChallenge) -> Challenge:
        self.asked.append(("challenge", wanted))
        return login_examples.CHALLENGE

    async def login(
        self, wanted: NewLogin, *, address: str
    ) -> tuple[Identity, TokenCreated]:
        self._ask("login", (wanted, address))
        who = Identity(id="token:ada", role="operator", name="ada")
        return who, login_examples.LOGGED_IN

    def ready(self) -> Ready:
        return self.readiness

    def status(self, identity: Identity) -> NodeStatus:
        self._ask("status")
        return msgspec.structs.replace(examples.STATUS, whoami=identity.id)

    def cluster(self, identity: Identity) -> Cluster:
        self._ask("cluster")
        return msgspec.structs.replace(examples.CLUSTER, nodes=self.nodes)

    def agents(self, identity: Identity, query: AgentFilter) -> Page[Agent]:
        self._ask("agents", query)
        return examples.AGENTS

    def agent(self, identity: Identity, agent_id: AgentId) -> Agent:
        self._ask("agent", agent_id)
        if agent_id != examples.AGENT.id:
            raise NotFound(f"no agent {agent_id}", remedy="nexa agents list")
        return examples.AGENT

    async def profile(self, identity: Identity, node: str, *, cpu_s: float) -> Profile:
        self._ask("profile", (node, cpu_s))
        return examples.PROFILE

    def config(self, identity: Identity) -> tuple[Setting, ...]:
        self._ask("config")
        return examples.CONFIG.items

    async def disconnect(self, identity: Identity, agent_id: AgentId) -> None:
        self._ask("disconnect", agent_id)

    async def drain_agent(
        self, identity: Identity, agent_id: AgentId, *, on: bool
    ) -> Agent:
        self._ask("drain_agent", (agent_id, on))
        return examples.AGENT

    async def submit(self, identity: Identity, task: NewTask) -> Submitted:
        self._ask("submit", task)
        return examples.SUBMITTED

    def tasks(self, identity: Identity, query: TaskFilter) -> Page[TaskSummary]:
        self._ask("tasks", query)
        return examples.TASKS

    async def task(
        self, identity: Identity, task_id: TaskId, *, wait_s: float = 0.0
    ) -> Task:
        self._ask("task", (task_id, wait_s))
        if wait_s and self.go_on is not None:
            await self.go_on.wait()
        return examples.TASK

    async def explain(self, identity: Identity, task_id: TaskId) -> Explanation:
        self._ask("explain", task_id)
        return examples.EXPLANATION

    async def cancel(self, identity: Identity, task_id: TaskId) -> Task:
        self._ask("cancel", task_id)
        return examples.TASK

    async def send(self, identity: Identity, message: NewMessage) -> Sent:
        self._ask("send", message)
        return examples.SENT

    def queues(self, identity: Identity) -> Page[Queue]:
        self._ask("queues")
        return examples.QUEUES

    async def redrive(
        self, identity: Identity, wanted: Redrive, *, dry_run: bool = False
    ) -> Redriven:
        self._ask("redrive", (wanted, dry_run))
        return examples.REDRIVEN

    async def purge(
        self, identity: Identity, wanted: Redrive, *, dry_run: bool = False
    ) -> Redriven:
        self._ask("purge", (wanted, dry_run))
        return examples.REDRIVEN

    async def posted(self, identity: Identity, query: PostedFilter) -> Page[Posted]:
        self._ask("posted", query)
        return examples.POSTED

    async def put_object(
        self, identity: Identity, chunks: AsyncIterator[bytes]
    ) -> ObjectRef:
        content = b"".join([chunk async for chunk in chunks])
        self._ask("put_object", content)
        return examples.OBJECT

    async def get_object(self, identity: Identity, sha256: str) -> StoredObject:
        self._ask("get_object", sha256)

        async def chunks() -> AsyncIterator[bytes]:
            try:
                yield b"large "
                yield b"data"
            finally:
                self.left.set()

        return StoredObject(10, chunks())

    def events(self, identity: Identity, query: EventFilter) -> Page[Event]:
        self._ask("events", query)
        return examples.EVENTS

    def selftest(self, identity: Identity) -> SelfTest | None:
        self._ask("selftest")
        return self.latest

    async def run_selftest(
        self, identity: Identity, *, only: str | None = None
    ) -> AsyncIterator[CheckResult]:
        self._ask("run_selftest", only)
        try:
            for number, check in enumerate(self.checks):
                if number and self.go_on is not None:
                    await self.go_on.wait()
                yield check
        finally:
            self.left.set()

    def metrics(self, identity: Identity) -> bytes:
        self._ask("metrics")
        return examples.METRICS

    async def prometheus(
        self, identity: Identity, call: PrometheusCall
    ) -> PrometheusAnswer:
        self._ask("prometheus", call)
        if call.what == "query" and not call.form.get("query"):
            return PrometheusAnswer(b'{"status":"error"}', 400)
        return PrometheusAnswer(msgspec.json.encode(examples.PROMETHEUS))

    def targets(self, identity: Identity) -> tuple[Target, ...]:
        self._ask("targets")
        return (examples.TARGET,)

    async def create_token(self, identity: Identity, wanted: NewToken) -> TokenCreated:
        self._ask("create_token", wanted)
        return examples.TOKEN_CREATED

    def list_tokens(self, identity: Identity) -> Page[TokenView]:
        self._ask("list_tokens")
        return Page(items=self.token_views)

    async def rotate_token(
        self, identity: Identity, token_id: str, wanted: RotateToken
    ) -> TokenCreated:
        self._ask("rotate_token", (token_id, wanted))
        return examples.TOKEN_CREATED

    def roles(self, identity: Identity) -> Page[Role]:
        self._ask("roles")
        return role_examples.ROLES

    async def create_role(self, identity: Identity, wanted: NewRole) -> Role:
        self._ask("create_role", wanted)
        return role_examples.ROLE

    async def delete_role(self, identity: Identity, name: str) -> None:
        self._ask("delete_role", name)

    def explain_access(
        self, identity: Identity, who: str, action: str, resource: str
    ) -> AccessDecision:
        self._ask("explain_access", (who, action, resource))
        return role_examples.DECISION

    def namespaces(self, identity: Identity) -> Page[NamespaceView]:
        self._ask("namespaces")
        return role_examples.NAMESPACES

    async def set_namespace(self, identity: Identity, wanted: Quota) -> Quota:
        self._ask("set_namespace", wanted)
        return role_examples.QUOTA

    async def delete_namespace(self, identity: Identity, name: str) -> None:
        self._ask("delete_namespace", name)

    async def revoke_token(self, identity: Identity, token_id: str) -> None:
        self._ask("revoke_token", token_id)

    async def feed(self, identity: Identity) -> AsyncIterator[FeedFrame]:
        self._ask("feed")
        try:
            while (frame := await self.frames.get()) is not None:
                if isinstance(frame, NexaError):
                    raise frame
                yield frame
        finally:
            self.left.set()

    async def drain(self, identity: Identity, node: str | None = None) -> None:
        self._ask("drain", node)

    async def maintain(self, identity: Identity, node: str, *, on: bool) -> None:
        self._ask("maintain", (node, on))

    async def join_token(self, identity: Identity, *, expires_s: int) -> JoinToken:
        self._ask("join_token", expires_s)
        return examples.JOIN_TOKEN

    async def plan(
        self, identity: Identity, deed: Any, *, agreed: str | None = None
    ) -> Plan:
        self._ask("plan", (deed, agreed))
        return PLAN

    async def leave(self, identity: Identity, *, dry_run: bool) -> ClusterChange:
        self._ask("leave", dry_run)
        return examples.CHANGE

    async def remove_node(
        self, identity: Identity, node: str, *, dry_run: bool
    ) -> ClusterChange:
        self._ask("remove_node", (node, dry_run))
        return examples.CHANGE

    async def rotate_keys(self, identity: Identity, *, dry_run: bool) -> ClusterChange:
        self._ask("rotate_keys", dry_run)
        return examples.CHANGE

    async def set_replicas(
        self, identity: Identity, copies: int, *, dry_run: bool
    ) -> ClusterChange:
        self._ask("set_replicas", (copies, dry_run))
        return examples.CHANGE

    def growth(self, identity: Identity) -> Growth | None:
        self._ask("growth")
        return examples.GROWTH

    async def notifications(
        self, identity: Identity, query: DeliveryFilter
    ) -> Page[Delivery]:
        self._ask("notifications", query)
        return examples.DELIVERIES

    async def test_receivers(self, identity: Identity, name: str) -> ReceiversTested:
        self._ask("test_receivers", name)
        return examples.RECEIVERS_TESTED

    def alerts(self, identity: Identity, query: AlertFilter) -> Page[Alert]:
        self._ask("alerts", query)
        return alert_examples.ALERTS

    async def alert(self, identity: Identity, fingerprint: str) -> AlertDetail:
        self._ask("alert", fingerprint)
        return alert_examples.DETAIL

    async def ack_alert(
        self, identity: Identity, fingerprint: str, wanted: NewAck
    ) -> Alert:
        self._ask("ack_alert", (fingerprint, wanted))
        return alert_examples.ALERT

    async def unack_alert(self, identity: Identity, fingerprint: str) -> Alert:
        self._ask("unack_alert", fingerprint)
        return alert_examples.ALERT

    async def note_alert(
        self, identity: Identity, fingerprint: str, wanted: NewNote
    ) -> Alert:
        self._ask("note_alert", (fingerprint, wanted))
        return alert_examples.ALERT

    async def dismiss_alert(self, identity: Identity, fingerprint: str) -> Alert:
        self._ask("dismiss_alert", fingerprint)
        return alert_examples.ALERT

    async def alert_history(
        self, identity: Identity, query: ChangeFilter
    ) -> Page[AlertChange]:
        self._ask("alert_history", query)
        return alert_examples.CHANGES

    async def handover(self, identity: Identity, *, since_s: int) -> Handover:
        self._ask("handover", since_s)
        return alert_examples.HANDOVER

    def silences(self, identity: Identity) -> Page[Silence]:
        self._ask("silences")
        return alert_examples.SILENCES

    async def create_silence(self, identity: Identity, wanted: NewSilence) -> Silence:
        self._ask("create_silence", wanted)
        return alert_examples.SILENCE

    async def expire_silence(self, identity: Identity, silence_id: str) -> None:
        self._ask("expire_silence", silence_id)

    async def preview_silence(
        self, identity: Identity, wanted: NewSilence
    ) -> SilencePreview:
        self._ask("preview_silence", wanted)
        return alert_examples.PREVIEW

    async def rules(self, identity: Identity) -> Page[Rule]:
        self._ask("rules")
        return alert_examples.RULES

    async def reload_rules(self, identity: Identity) -> RulesLoaded:
        self._ask("reload_rules")
        return alert_examples.RULES_LOADED

    def watchdog(self, identity: Identity, name: str) -> WatchdogSeen:
        self._ask("watchdog", name)
        return examples.WATCHDOG_SEEN

    async def audit(self, identity: Identity, query: AuditFilter) -> Page[AuditRecord]:
        self._ask("audit", query)
        return audit_examples.RECORDS

    async def list_topics(
        self, identity: Identity, namespace: Namespace
    ) -> Page[Shelf]:
        self._ask("list_topics", namespace)
        return shelves.TOPICS

    async def list_inboxes(
        self, identity: Identity, namespace: Namespace
    ) -> Page[Shelf]:
        self._ask("list_inboxes", namespace)
        return shelves.INBOXES

    async def peek(
        self,
        identity: Identity,
        namespace: Namespace,
        agent: AgentId,
        *,
        after: int,
        limit: int,
    ) -> Page[Posted]:
        self._ask("peek", (namespace, agent, after, limit))
        return shelves.WAITING

    async def logs(self, identity: Identity, query: LogFilter) -> Page[LogLine]:
        self._ask("logs", query)
        return logs.LINES

    async def verify_audit(self, identity: Identity) -> AuditVerdict:
        self._ask("verify_audit")
        return audit_examples.VERDICT

    async def backup(self, identity: Identity) -> AsyncIterator[bytes]:
        self._ask("backup")
        return _pieces(b"an archive")

    async def restore(
        self, identity: Identity, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[Growth]:
        self._ask("restore", b"".join([chunk async for chunk in chunks]))
        yield examples.GROWTH

    def connect_agent(
        self, identity: Identity | None, *, text: bool, address: str
    ) -> FakeConnection:
        if identity is not None and identity.role == "viewer":
            raise Forbidden("a viewer is no agent")
        if self.fault is not None:
            raise self.fault
        connection = FakeConnection(text, identity, address)
        self.connections.put_nowait(connection)
        return connection


@dataclass
class Port:
    """A port in use by a test."""

    node: FakeNode
    url: str
    stop: asyncio.Event
    http: httpx.AsyncClient
    """Carries the administrator's token."""
    number: int
    app: Any

    def socket_url(self, path: str) -> str:
        return "ws" + self.url.removeprefix("http") + path


def headers(token: str | None = ADMIN) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def opened(
    node: FakeNode | None = None,
    policy: HttpPolicy | None = None,
    sessions: SessionPolicy | None = None,
    host: str = "127.0.0.1",
    auditor: Auditor | None = None,
    tls: PortTls | None = None,
) -> AsyncIterator[Port]:
    """A port on a free number; everything it holds is gone at the end."""
    served = node or FakeNode()
    http = policy or HttpPolicy(shutdown_timeout_ms=300)
    sock = bind(host, 0)
    url = url_of(sock, secure=tls is not None)
    number = sock.getsockname()[1]
    stop, started = asyncio.Event(), asyncio.Event()
    logins = None if auditor is None else LoginAudit(auditor, FakeClock())
    app = build_app(served, http, host=host, auditor=auditor, logins=logins)
    serving = serve(
        app,
        sock,
        stop=stop,
        policy=http,
        sessions=sessions,
        started=started,
        tls=None if tls is None else TlsDoor(tls.context),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(serving)
        await started.wait()
        async with httpx.AsyncClient(
            base_url=url,
            headers=headers(),
            trust_env=False,
            verify=True if tls is None else tls.check_context(),
        ) as client:
            try:
                yield Port(served, url, stop, client, number, app)
            finally:
                stop.set()


@asynccontextmanager
async def dialled(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection to a port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def raw(port: int, request: bytes) -> bytes:
    """Send bytes to a port, and read until it closes."""
    async with dialled(port) as (reader, writer):
        writer.write(request)
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition; the test's own time-out ends a wait in vain."""
    while not holds():
        await asyncio.sleep(0.005)


def snapshot(seq: int = 1) -> Snapshot:
    return Snapshot(
        seq=seq,
        time=builders.NOW,
        node=examples.STATUS,
        cluster=examples.CLUSTER,
        agents=(examples.AGENT,),
        tasks=(),
        counts=builders.TaskCounts(),
        events=(),
        history=(),
        selftest=None,
    )


def sampled(seq: int, time: datetime = builders.NOW) -> Sampled:
    return Sampled(
        seq=seq, time=time, sample=builders.sample(), counts=builders.TaskCounts()
    )


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 4):
        yield content[start : start + 4]
