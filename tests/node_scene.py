"""A whole node over a store in memory, with stand-ins for what agents are behind."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nexa_node.adapters.files.log_ring import LogRing
from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.adapters.tls.signer import ClientSigner
from nexa_node.contract.access import Identity
from nexa_node.contract.agents import Agent
from nexa_node.contract.audit import AuditVerdict
from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.cluster import ClusterChange, Growth, JoinToken
from nexa_node.contract.errors import NotFound
from nexa_node.contract.messages import ObjectRef, Sent
from nexa_node.contract.nodes import Cluster, Profile, Quorum, Setting
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Explanation, Redriven, Submitted, Task
from nexa_node.core.explaining import explain
from nexa_node.core.health import assess_cluster
from nexa_node.core.policies import RetentionPolicy, SamplePolicy, SelfTestPolicy
from nexa_node.services.access.access import Access
from nexa_node.services.access.client_certificates import ClientCertificates
from nexa_node.services.access.logins import Logins
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.access.roles import RoleBook
from nexa_node.services.access.view import View
from nexa_node.services.alerting.desk import NotificationDesk
from nexa_node.services.alerting.watchdogs import Watchdogs
from nexa_node.services.api import PrometheusAnswer, PrometheusCall
from nexa_node.services.audit_api import AuditFilter
from nexa_node.services.directory.directory import Directory
from nexa_node.services.health.condition import Condition
from nexa_node.services.health.draining import Drain
from nexa_node.services.health.sampler import Sampler
from nexa_node.services.health.supervisor import Supervisor
from nexa_node.services.journal.feed import Feed
from nexa_node.services.journal.journal import EventJournal
from nexa_node.services.journal.logbook import LogBook
from nexa_node.services.messages.shelves import Shelves
from nexa_node.services.metrics.readings import families
from nexa_node.services.metrics.readout import Readout
from nexa_node.services.node import Node
from nexa_node.services.parts import NodeCard
from nexa_node.services.planning.book import PlanBook
from nexa_node.services.quotas import Quotas
from nexa_node.services.shared.state import SharedState
from nexa_node.services.tasks.canary import CanaryFigures
from nexa_node.services.tasks.retirement import Retirement
from tests import builders
from tests.alert_rig import AlertNode, AlertTown
from tests.alerting import MemoryDeliveries, around
from tests.audit_rig import MemoryCalls
from tests.fakes import CountingEntropy, FakeProbe, MemoryStore, settle
from tests.shared_fakes import MemoryConflicts, MemoryShared


class AskedPrometheus:
    """Prometheus' API: keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[PrometheusCall] = []

    async def ask(self, call: PrometheusCall) -> PrometheusAnswer:
        self.asked.append(call)
        return PrometheusAnswer(b"{}")


class Audit:
    """An audit in which nothing was written down."""

    async def page(self, query: AuditFilter) -> Page[Any]:
        del query
        return Page(items=())

    async def verify(self) -> AuditVerdict:
        return AuditVerdict(status="ok", records=0)


class ClusterDesk:
    """Changes of the cluster and its backups: keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def join_token(self, *, expires_s: int, by: Identity) -> JoinToken:
        self.asked.append(("join_token", expires_s, by.id))
        return JoinToken(token="nxj1.a.b.c", expires=builders.NOW)

    async def leave(self, *, by: str, dry_run: bool) -> ClusterChange:
        self.asked.append(("leave", by, dry_run))
        return ClusterChange(done=not dry_run, what="left")

    async def remove(self, name: str, *, by: str, dry_run: bool) -> ClusterChange:
        self.asked.append(("remove", name, by, dry_run))
        return ClusterChange(done=not dry_run, what="removed")

    async def rotate(self, *, by: str, dry_run: bool) -> ClusterChange:
        self.asked.append(("rotate", by, dry_run))
        return ClusterChange(done=not dry_run, what="rotated")

    async def set_replicas(
        self, copies: int, *, by: str, dry_run: bool
    ) -> ClusterChange:
        self.asked.append(("set_replicas", copies, by, dry_run))
        return ClusterChange(done=not dry_run, what="copies")

    def growth(self) -> Growth | None:
        return None

    async def drain(self, name: str, *, by: str) -> None:
        self.asked.append(("drain", name, by))

    async def maintain(self, name: str, *, on: bool, by: str) -> None:
        self.asked.append(("maintain", name, on, by))

    async def target(self) -> dict[str, int]:
        self.asked.append(("target",))
        return {"tasks": 0, "messages": 0}

    async def backup(self, *, by: str) -> AsyncIterator[bytes]:
        self.asked.append(("backup", by))
        return builders.nothing()

    async def restore(
        self, chunks: AsyncIterator[bytes], *, by: str
    ) -> AsyncIterator[Growth]:
        self.asked.append(("restore", by))
        yield Growth(action="restore", phase="done")


class Relay:
    """There is no other node to ask."""

    def __init__(self, desk: "Desk", directory: Directory) -> None:
        self._desk = desk
        self._directory = directory

    async def disconnect(self, agent: Agent) -> None:
        self._desk.disconnect(agent.namespace, agent.id)

    async def drain_agent(self, agent: Agent, *, on: bool) -> None:
        self._desk.asked.append(("drain_agent", agent.namespace, agent.id, on))

    async def profile(self, name: str, *, cpu_s: float) -> Profile:
        return Profile(node=name, seconds=cpu_s, cpu_s=0.0, samples=0, stacks=())

    async def explain(self, task: Task) -> Explanation:
        return explain(task, self._directory.every_agent(task.namespace))


class Desk:
    """Sessions, dispatch, tasks and messages: keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.here = {"wc-1"}
        self.held = 0
        self.sent = 0

    def identity_of(self, namespace: str, agent_id: str) -> Identity | None:
        here = namespace == "default" and agent_id in self.here
        return builders.identity("agent") if here else None

    def connect(self, identity: Any, *, text: bool, address: str) -> str:
        self.asked.append(("connect", identity and identity.id, text, address))
        return "connection"

    def connected(self) -> int:
        return len(self.here)

    def disconnect(self, namespace: str, agent_id: str) -> None:
        if agent_id not in self.here:
            raise NotFound(f"agent {agent_id} is not connected")
        self.asked.append(("disconnect", namespace, agent_id))

    def revoked(self, identity_id: str, why: str) -> None:
        self.asked.append(("revoked", identity_id, why))

    def go_away(self, reason: str) -> None:
        self.asked.append(("go_away", reason))

    def close_all(self, reason: str) -> None:
        self.asked.append(("close_all", reason))

    def stop_taking(self) -> None:
        self.asked.append(("stop_taking",))

    def in_hand(self) -> int:
        return self.held

    async def submit(self, submitter: str, new: Any, *, namespace: Any = None) -> Any:
        self.asked.append(("submit", submitter, new.type, namespace))
        return Submitted(id=builders.TASK_ID, status="pending", duplicate=False)

    async def cancel(self, task_id: str, *, by: str, namespace: Any = None) -> Any:
        self.asked.append(("cancel", task_id, by))
        return builders.task(task_id, status="cancelled")

    async def send(self, sender: str, message: Any, *, namespace: Any = None) -> Sent:
        self.sent += 1
        self.asked.append(("send", sender, message.type))
        return Sent(id="m-1")

    def queues(self) -> tuple[Any, ...]:
        return ()

    async def redrive(self, wanted: Any, *, by: str, dry_run: bool = False) -> Redriven:
        self.asked.append(("redrive", wanted, by, dry_run))
        return Redriven(done=(), failed={})

    async def purge(self, wanted: Any, *, by: str, dry_run: bool = False) -> Redriven:
        self.asked.append(("purge", wanted, by, dry_run))
        return Redriven(done=(), failed={})

    async def read(self, query: Any) -> Page[Any]:
        self.asked.append(("read", query))
        return Page(items=())

    async def put(self, chunks: Any, *, shelf: str = "") -> ObjectRef:
        sizes = [len(chunk) async for chunk in chunks]
        self.asked.append(("put", sum(sizes)))
        return ObjectRef(ref="nexa:object/0", size=sum(sizes), sha256="0")

    async def get(self, sha256: str, *, shelves: Any = ()) -> tuple[int, Any]:
        self.asked.append(("get", sha256))
        return 0, builders.nothing()

    def did(self) -> list[str]:
        return [asked[0] for asked in self.asked]


class Checks:
    """The self-test that finds what the test says."""

    def __init__(self, *checks: CheckResult) -> None:
        self.checks = checks
        self.result: SelfTest | None = None
        self.required: tuple[str, ...] = ()

    def latest(self) -> SelfTest | None:
        return self.result

    def required_failures(self) -> tuple[str, ...]:
        return self.required

    async def run(self, only: str | None) -> AsyncIterator[CheckResult]:
        for check in self.checks:
            if only in (None, check.id):
                yield check
        self.result = builders.selftest(*self.checks)


class Scene:
    """The services, put together as the wiring does."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.clock = self.store.clock
        self.rng = random.Random(1)
        entropy = CountingEntropy()
        self.desk = Desk()
        self.checks = Checks(builders.check("node.store"), builders.check("node.rest"))
        self.journal = EventJournal(
            events=self.store.events, clock=self.clock, node="alpha", entropy=entropy
        )
        self.supervisor = Supervisor(clock=self.clock, journal=self.journal)
        self.role_book = RoleBook(roles=self.store.roles, journal=self.journal)
        self.quotas = Quotas(
            records=self.store.quotas,
            clock=self.clock,
            journal=self.journal,
            node="alpha",
        )
        self.access = Access(
            tokens=self.store.tokens,
            clock=self.clock,
            journal=self.journal,
            entropy=entropy,
            rights=self.role_book.permissions,
        )
        self.directory = Directory(
            tasks=self.store.tasks,
            agents=self.store.agents,
            events=self.store.events,
            clock=self.clock,
        )
        self.retirement = Retirement(
            surplus=self.directory.surplus,
            records=self.store.tasks,
            queue=self.store.queue,
            clock=self.clock,
            policy=RetentionPolicy(),
        )
        self.sampler = Sampler(
            probe=FakeProbe(),
            clock=self.clock,
            policy=SamplePolicy(),
            counts=self.directory.counts,
            agents=self.desk.connected,
            messages=lambda: self.desk.sent,
        )
        self.condition = Condition(
            card=NodeCard(
                id=builders.NODE_ID,
                name="alpha",
                cluster="nexa",
                pid=4242,
                started=self.clock.now(),
            ),
            url=lambda: "http://127.0.0.1:6392",
            clock=self.clock,
            store_health=self.store.health,
            directory=self.directory,
            sampler=self.sampler,
            sessions=self.desk,
            selftest=self.checks,
            limits=SelfTestPolicy(),
            journal=self.journal,
            picture=self.picture,
        )
        self.feed = Feed(
            snapshot=self.condition.snapshot,
            counts=self.directory.counts,
            view=lambda identity: View(identity, self.directory),
        )
        self.role_book.on_changed(self.access.role_changed)
        self.access.on_retired(self.feed.retired)
        self.access.on_changed(self.feed.changed)
        self.directory.subscribe(self.feed.tell)
        self.condition.on_change(self.feed.tell)
        self.access.on_ended(self.desk.revoked)
        self.access.on_ended(self.feed.end)
        self.permissions = Permissions(journal=self.journal, clock=self.clock)
        self.drain = Drain(
            sessions=self.desk,
            dispatch=self.desk,
            tasks=self.desk,
            feed=self.feed,
            condition=self.condition,
            clock=self.clock,
            journal=self.journal,
            spawn=self.supervisor.spawn,
        )
        self.readout = Readout(
            condition=self.condition,
            directory=self.directory,
            sampler=self.sampler,
            store_health=self.store.health,
            access=self.access,
            permissions=self.permissions,
            journal=self.journal,
            selftest=self.checks,
            supervisor=self.supervisor,
            canary=CanaryFigures(passed=3, lost=1, latest_s=0.02),
            refused={"waiting": 2},
            over_quota=self.quotas.rejections,
        )
        self.cluster_desk = ClusterDesk()
        self.notices = NotificationDesk(
            {},
            MemoryDeliveries(),
            MemoryDeliveries(),
            around(self.clock),
            watchdogs=Watchdogs(("uptime",), self.clock),
        )
        self.prometheus = AskedPrometheus()
        self.alerting = AlertNode(AlertTown(store=self.store), "alpha")
        self.relay = Relay(self.desk, self.directory)
        self.logins = Logins(
            self.access,
            clock=self.clock,
            entropy=CountingEntropy(),
            node="id-alpha",
            cluster=lambda: "nexa",
        )
        self.node = Node(
            logins=self.logins,
            condition=self.condition,
            settings=lambda: (Setting(key="node.port", value=0, origin="default"),),
            figures=lambda: families(self.readout.read()),
            prometheus_desk=self.prometheus,
            permissions=self.permissions,
            access=self.access,
            role_book=self.role_book,
            quotas=self.quotas,
            directory=self.directory,
            records=self.store.tasks,
            sessions=self.desk,
            desk=self.desk,
            messages=self.desk,
            backlog=self.desk,
            dead_letters=self.desk,
            topics=self.desk,
            objects=self.desk,
            checks=self.checks,
            consoles=self.feed,
            way_out=self.drain,
            journal=self.journal,
            relay=self.relay,
            writable=lambda: None,
            plans=PlanBook(clock=self.clock),
            changes=self.cluster_desk,
            archive=self.cluster_desk,
            notices=self.notices,
            shared=SharedState(
                records=MemoryShared(),
                conflicts=MemoryConflicts(),
                clock=self.clock,
                journal=self.journal,
                node="alpha",
            ),
            alerting=self.alerting.desk,
            auditing=Audit(),
            client_certificates=ClientCertificates(
                self.access,
                ClientSigner(
                    TlsFolder(Path("/nowhere")),
                    clients=None,
                    nodes_are_ours=False,
                    now=self.clock.now,
                ),
                clock=self.clock,
            ),
            shelves=Shelves(self.store.inboxes),
            logbook=LogBook(
                LogRing(),
                calls=MemoryCalls(),
                node="alpha",
                living=tuple,
                clock=self.clock,
            ),
        )
        for name, loop in self.loops():
            self.supervisor.add(name, loop)

    def picture(self) -> Cluster:
        found = self.condition.assess()
        node = builders.node(
            state=self.condition.state, health=found.health, reasons=found.reasons
        )
        quorum = Quorum(have=1, need=1)
        verdict = assess_cluster((node,), quorum)
        return Cluster(
            name="nexa",
            verdict=verdict.health,
            reasons=verdict.reasons,
            controller="alpha",
            quorum=quorum,
            nodes=(node,),
        )

    def loops(self) -> list[tuple[str, Any]]:
        return [
            ("journal", self.journal.run),
            ("roles", self.role_book.watch),
            ("quotas", self.quotas.watch),
            ("tokens", self.access.watch),
            ("token-expiry", self.access.expire),
            ("tasks-watch", self.directory.watch_tasks),
            ("agents-watch", self.directory.watch_agents),
            ("events-watch", self.directory.watch_events),
            ("retention", self.retirement.run),
            ("sampler", self.sampler.run),
        ]

    def kinds(self) -> list[str]:
        """What the store's event log was told."""
        return [event.kind for event in self.store.events.stored]


@asynccontextmanager
async def running(store: MemoryStore | None = None) -> AsyncIterator[Scene]:
    """A node that is up."""
    scene = Scene(store)
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.supervisor.run())
        await settle()
        scene.condition.enter("running")
        await settle()
        try:
            yield scene
        finally:
            scene.supervisor.stop()


async def take(stream: AsyncIterator[Any], kind: type) -> Any:
    """The next frame of that kind."""
    async for frame in stream:
        if isinstance(frame, kind):
            return frame
    raise AssertionError(f"no {kind.__name__} came")
