"""A node, put together: settings and a locked folder in, services over a store out."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nexa_node.adapters.files.config_text import settings_told
from nexa_node.adapters.files.logs import RING
from nexa_node.adapters.files.startup_log import StartupLog
from nexa_node.adapters.host.probe import PsutilProbe
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract import places
from nexa_node.contract.checks import SelfTest
from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import NodeId
from nexa_node.services.access.audit import Audit
from nexa_node.services.access.login_audit import LoginAudit
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.access.view import View
from nexa_node.services.cluster.maintenance import Maintenance
from nexa_node.services.health.clockwatch import ClockWatch
from nexa_node.services.health.condition import Condition
from nexa_node.services.health.draining import Drain
from nexa_node.services.health.sampler import Sampler
from nexa_node.services.health.self_test import SelfTests
from nexa_node.services.health.supervisor import Supervisor
from nexa_node.services.journal.feed import Feed
from nexa_node.services.journal.journal import EventJournal
from nexa_node.services.journal.logbook import LogBook
from nexa_node.services.messages.shelves import Shelves
from nexa_node.services.metrics.readout import Readout
from nexa_node.services.node import Node
from nexa_node.services.parts import NodeCard
from nexa_node.services.planning.book import PlanBook
from nexa_node.services.shared.state import SharedState
from nexa_node.wiring.alerting import Alerting, Around
from nexa_node.wiring.auditing import Auditing
from nexa_node.wiring.checks import Asked, all_checks
from nexa_node.wiring.core import Core
from nexa_node.wiring.duties import Duties
from nexa_node.wiring.encryption import client_certificates, reloading
from nexa_node.wiring.fellowship import Fellowship
from nexa_node.wiring.first_token import FirstToken, new_token
from nexa_node.wiring.metering import Metering, of_alerting
from nexa_node.wiring.notifying import Notifications
from nexa_node.wiring.place import Place
from nexa_node.wiring.storing import opened

READ_S = 60.0
"""How long the store may take to tell all it has."""
_LOOK_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A node whose parts are joined; its loops run once the supervisor does."""

    api: Node
    condition: Condition
    drain: Drain
    supervisor: Supervisor
    selftests: SelfTests
    asked: Callable[[], Awaitable[Asked]]
    """How the node's own users reach it."""
    auditor: Audit
    """Where changes are written down."""
    logins: LoginAudit
    """Where it is written down who comes."""
    maintenance: Maintenance
    """Kept up over restarts."""
    ready: Callable[[], Awaitable[None]]
    """Waits until all that is in the store is read, and the first token opens the node."""


@asynccontextmanager
async def compose(place: Place) -> AsyncGenerator[Composition]:
    """Open the store and join all parts; on leaving, the store is closed.

    Raises:
        StoreFailed: The store can't be opened; says why and what mends it.
    """
    notes = _Notes(place.identity.name)
    async with opened(place, notes.store_changed) as store:
        fellowship = Fellowship(place, store)
        core = Core(place, store, fellowship)
        notes.tell(core.journal)
        for warning in store.warnings:
            notes.store_changed(f"while it was recovered, the store said: {warning}")
        yield _Front(place, store, core, fellowship).composition()


class _Notes:
    """What the store tells before there is a journal to tell it to."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._early: list[str] = []
        self._journal: EventJournal | None = None

    def store_changed(self, what: str) -> None:
        if self._journal is None:
            self._early.append(what)
            return
        subject = f"node/{self._node}"
        self._journal.record(
            "store.changed", subject=subject, message=what, severity="warning"
        )

    def tell(self, journal: EventJournal) -> None:
        self._journal = journal
        early, self._early = self._early, []
        for what in early:
            self.store_changed(what)


class _Front:
    """What operators need: figures, the feed, the self-test, the way out."""

    def __init__(
        self, place: Place, store: NatsStore, core: Core, fellowship: Fellowship
    ) -> None:
        settings = place.loaded.settings
        self._place, self._store, self._core = place, store, core
        self._fellowship = fellowship
        self._token = new_token()
        core.access.admit_own(self._token)
        self._first = FirstToken(place, store, core)
        self.supervisor = Supervisor(clock=core.clock, journal=core.journal)
        self.sampler = Sampler(
            probe=PsutilProbe(place.folder.path),
            clock=core.clock,
            policy=settings.sampling,
            counts=core.directory.counts,
            agents=core.sessions.connected,
            messages=lambda: core.post.messages.sent,
        )
        core.ledger.on_write(self.sampler.on_task_finished)
        self.clockwatch = ClockWatch(
            clock=core.clock, journal=core.journal, node=place.identity.name
        )
        log = StartupLog(
            Path(places.startup_log(place.state)), node=place.identity.name
        )
        checks = all_checks(
            place.loaded,
            state=place.state,
            ask=self._asked,
            trial=False,
            port=int(place.url.rpartition(":")[2]),
        )
        self.selftests = SelfTests(
            checks, clock=core.clock, sink=lambda run: self._tested(run, log)
        )
        self.condition = Condition(
            card=NodeCard(
                id=NodeId(place.identity.id),
                name=place.identity.name,
                cluster=settings.node.cluster,
                pid=os.getpid(),
                started=place.started,
            ),
            url=lambda: place.url,
            clock=core.clock,
            store_health=store.health,
            directory=core.directory,
            sampler=self.sampler,
            sessions=core.sessions,
            selftest=self.selftests,
            limits=settings.selftest,
            journal=core.journal,
            picture=fellowship.picture,
        )
        fellowship.condition = self.condition
        self.feed = Feed(
            snapshot=self.condition.snapshot,
            counts=core.directory.counts,
            view=lambda identity: View(identity, core.directory),
        )
        core.directory.subscribe(self.feed.tell)
        self.condition.on_change(self.feed.tell)
        core.access.on_ended(self.feed.end)
        core.access.on_retired(self.feed.retired)
        core.access.on_changed(self.feed.changed)
        self.drain = Drain(
            sessions=core.sessions,
            dispatch=core.dispatch,
            tasks=core.tasks,
            feed=self.feed,
            condition=self.condition,
            clock=core.clock,
            journal=core.journal,
            spawn=self.supervisor.spawn,
            others=fellowship.others,
            step_down=store.cluster.step_down,
        )
        self.notifications = Notifications(place, fellowship, store.deliveries)
        self.metering = Metering(place, store, fellowship, core, feed=self.feed)
        self.metering.also(self.notifications.families)
        self.auditing = Auditing(place, store, fellowship, core.clock)
        self.logbook = LogBook(
            RING,
            calls=store.calls,
            node=place.identity.name,
            living=fellowship.members.living,
            clock=core.clock,
        )
        self.logbook.serve()
        core.sessions.audit(self.auditing.logins)
        core.logins.audit = self.auditing.logins
        self.metering.also(self.auditing.families)
        self.alerting = Alerting(
            place,
            store,
            fellowship,
            core,
            Around(
                samples=self.metering.recorder,
                tell=self.feed.tell,
                notifications=self.notifications,
                supervisor=self.supervisor,
            ),
        )
        self.condition.alerts = self.alerting.board.alerts
        self.metering.prometheus.rules = self.alerting.told
        self.metering.also(
            of_alerting(self.alerting.engine.figures, self.alerting.board.alerts)
        )
        self.duties = Duties(
            place,
            store,
            fellowship,
            core,
            condition=self.condition,
            drain=self.drain,
            supervisor=self.supervisor,
        )
        self.duties.caretaker.add(*self.alerting.duties)

    def _tested(self, run: SelfTest, log: StartupLog) -> None:
        log.selftest(run)
        self.metering.selftests.ran(run)

    def composition(self) -> Composition:
        """Put the facade in front and the loops in order."""
        core = self._core
        permissions = Permissions(journal=core.journal, clock=core.clock)
        readout = Readout(
            condition=self.condition,
            directory=core.directory,
            sampler=self.sampler,
            store_health=self._store.health,
            access=core.access,
            permissions=permissions,
            journal=core.journal,
            selftest=self.selftests,
            supervisor=self.supervisor,
            canary=core.canary.figures,
            refused=core.sessions.crowd.refused,
            over_quota=core.quotas.rejections,
            paced=lambda: core.post.messages.pace.refused,
        )
        self.metering.include(readout.read)
        node = Node(
            condition=self.condition,
            settings=lambda: settings_told(self._place.loaded),
            figures=self.metering.families,
            prometheus_desk=self.metering.prometheus,
            permissions=permissions,
            access=core.access,
            role_book=core.role_book,
            quotas=core.quotas,
            directory=core.directory,
            records=self._store.tasks,
            sessions=core.sessions,
            desk=core.tasks,
            messages=core.post.messages,
            backlog=core.queues,
            dead_letters=core.dead_letters,
            topics=core.post.posts,
            objects=core.post.objects,
            checks=self.selftests,
            consoles=self.feed,
            way_out=self.drain,
            journal=core.journal,
            writable=self._fellowship.writable.check,
            plans=PlanBook(clock=core.clock),
            shared=SharedState(
                records=self._store.shared,
                conflicts=self._store.conflicts,
                clock=core.clock,
                journal=core.journal,
                node=self._place.identity.name,
            ),
            relay=self.duties.relay,
            changes=self.duties.changes,
            archive=self.duties.backups,
            notices=self.notifications.desk,
            alerting=self.alerting.desk,
            auditing=self.auditing.desk,
            logbook=self.logbook,
            shelves=Shelves(self._store.inboxes),
            logins=core.logins,
            client_certificates=client_certificates(self._place, core),
        )
        # Loops stop in the opposite order: what the others say last is still saved.
        self.supervisor.add("journal", core.journal.run, stop=core.save_events)
        self.supervisor.add(
            "recorder", self.metering.recorder.run, stop=self.metering.recorder.stop
        )
        for name, loop in (
            ("roles", core.role_book.watch),
            ("quotas", core.quotas.watch),
            ("spending", core.quotas.keep),
            ("tokens", core.access.watch),
            ("token-expiry", core.access.expire),
            ("tasks-watch", core.directory.watch_tasks),
            ("agents-watch", core.directory.watch_agents),
            ("events-watch", core.directory.watch_events),
            ("members", self._fellowship.members.run),
            ("controller", self._fellowship.controller.run),
            ("fences", core.fences.run),
            ("caretaker", self.duties.caretaker.run),
            ("isolation", self.duties.isolation.run),
            ("partitions", self.duties.partitions.run),
            ("joining", self.duties.admission.run),
            ("routes", self.duties.admission.keep_routes),
            ("certificate", self.duties.admission.renewal.run),
            ("backups", self.duties.backups.run),
            ("sampler", self.sampler.run),
            *self.notifications.loops,
            *self.metering.loops,
            *self.alerting.loops,
            *self.auditing.loops,
            ("clock", self.clockwatch.run),
            ("sessions", core.sessions.run),
            ("registry", core.registry.run),
            ("dispatch", core.dispatch.run),
            ("canary", core.canary.run),
            ("deadlines", core.tasks.run),
            ("messages", core.post.run),
            ("watches", core.watches.run),
            ("partial-results", core.partials.run),
        ):
            self.supervisor.add(name, loop)
        if self._place.port is not None:
            port = reloading(self._place.port, self._place, core)
            self.supervisor.add("port-certificate", port.run)
        return Composition(
            api=node,
            condition=self.condition,
            drain=self.drain,
            supervisor=self.supervisor,
            selftests=self.selftests,
            asked=self._asked,
            maintenance=self.duties.maintenance,
            auditor=self.auditing.writer,
            logins=self.auditing.logins,
            ready=self._ready,
        )

    async def _asked(self) -> Asked:
        return Asked(
            url=self._place.url,
            token=self._token,
            round_trip=self._store.round_trip,
            port=self._place.port,
        )

    async def _ready(self) -> None:
        """Wait until the store is read; then keep the first credential."""
        core = self._core
        try:
            async with asyncio.timeout(READ_S):
                await core.directory.caught_up()
                while not core.access.caught_up:
                    await core.clock.sleep(_LOOK_S)
        except TimeoutError:
            raise Unavailable(
                f"the store did not tell what it has within {READ_S:.0f} s",
                remedy="nexa logs; then nexa node start",
            ) from None
        await self._first.keep()
