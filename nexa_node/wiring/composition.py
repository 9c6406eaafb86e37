"""A node, put together: settings and a locked folder in, services over a store out."""

import asyncio
import os
import random
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nexa_node.adapters.files.config import Loaded
from nexa_node.adapters.files.node_folder import Identity, NodeFolder
from nexa_node.adapters.files.startup_log import StartupLog
from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.host.probe import PsutilProbe
from nexa_node.adapters.nats.store import NatsStore, open_store
from nexa_node.contract import places
from nexa_node.contract.errors import Unauthorized, Unavailable
from nexa_node.contract.frames import NodeRef
from nexa_node.contract.ids import NodeId
from nexa_node.core.access import TOKEN_ENTROPY, make_token
from nexa_node.core.strategies import of_queues
from nexa_node.services.access import Access
from nexa_node.services.calls import AgentCalls
from nexa_node.services.canary import Canary
from nexa_node.services.clockwatch import ClockWatch
from nexa_node.services.condition import Condition
from nexa_node.services.custody import Custody
from nexa_node.services.dead_letters import DeadLetters
from nexa_node.services.directory import Directory
from nexa_node.services.dispatch import Dispatch
from nexa_node.services.door import Door
from nexa_node.services.draining import Drain
from nexa_node.services.feed import Feed
from nexa_node.services.journal import EventJournal
from nexa_node.services.ledger import Ledger
from nexa_node.services.means import Means
from nexa_node.services.node import Node
from nexa_node.services.partials import PartialResults
from nexa_node.services.parts import NodeCard
from nexa_node.services.permissions import Permissions
from nexa_node.services.postoffice import PostOffice
from nexa_node.services.presence import Registry
from nexa_node.services.queues import Queues
from nexa_node.services.readout import Readout
from nexa_node.services.retirement import Retirement
from nexa_node.services.sampler import Sampler
from nexa_node.services.self_test import SelfTests
from nexa_node.services.sessions import Sessions
from nexa_node.services.supervisor import Supervisor
from nexa_node.services.tasks import Tasks
from nexa_node.services.watches import Watches
from nexa_node.services.work import Work
from nexa_node.wiring.checks import Asked, all_checks

READ_S = 60.0
"""How long the store may take to tell all it has."""
_LOOK_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node lives, and as whom."""

    folder: NodeFolder
    identity: Identity
    url: str
    state: Path
    """The folder of all nodes' state."""
    loaded: Loaded
    started: datetime


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
    ready: Callable[[], Awaitable[None]]
    """Waits until all that is in the store is read, and the first token opens the node."""


@asynccontextmanager
async def compose(place: Place) -> AsyncGenerator[Composition]:
    """Open the store and join all parts; on leaving, the store is closed.

    Raises:
        StoreFailed: The store can't be opened; says why and what mends it.
    """
    notes = _Notes(place.identity.name)
    async with open_store(
        place.loaded.settings.store,
        place.folder.path,
        retention=place.loaded.settings.retention,
        on_change=notes.store_changed,
    ) as store:
        core = _Core(place, store)
        notes.tell(core.journal)
        for warning in store.warnings:
            notes.store_changed(f"while it was recovered, the store said: {warning}")
        yield _Front(place, store, core).composition()


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


class _Core:
    """What agents and tasks need: sessions, custody, dispatch, messages."""

    def __init__(self, place: Place, store: NatsStore) -> None:
        settings, name = place.loaded.settings, place.identity.name
        clock, rng, entropy = SystemClock(), random.SystemRandom(), secrets.token_bytes
        self.clock = clock
        self.journal = EventJournal(
            events=store.events, clock=clock, node=name, entropy=entropy
        )
        self.access = Access(
            tokens=store.tokens, clock=clock, journal=self.journal, entropy=entropy
        )
        self.directory = Directory(
            tasks=store.tasks,
            agents=store.agents,
            events=store.events,
            clock=clock,
        )
        self.retirement = Retirement(
            surplus=self.directory.surplus,
            records=store.tasks,
            queue=store.queue,
            clock=clock,
            policy=settings.retention,
        )
        self.ledger = Ledger(store.tasks, self.journal)
        self.watches = Watches(
            ledger=self.ledger, sight=self.directory, clock=clock, node=name
        )
        self.partials = PartialResults(
            store.partials, watches=self.watches, sight=self.directory, node=name
        )
        self.custody = Custody(
            ledger=self.ledger,
            sight=self.directory,
            clock=clock,
            node=name,
            policy=settings.leases,
            rng=rng,
        )
        self.dispatch = Dispatch(
            queue=store.queue,
            custody=self.custody,
            policy=settings.leases,
            rng=rng,
            strategy_of=of_queues(settings.queues),
        )
        self.tasks = Tasks(
            queue=store.queue,
            ledger=self.ledger,
            sight=self.directory,
            clock=clock,
            entropy=entropy,
            policy=settings.sessions,
        )
        means = Means(
            sight=self.directory,
            clock=clock,
            journal=self.journal,
            entropy=entropy,
            rng=rng,
            node=place.identity.id,
        )
        self.canary = Canary(
            queue=store.queue,
            dispatch=self.dispatch,
            signals=store.signals,
            means=means,
            policy=settings.canary,
        )
        self.dead_letters = DeadLetters(
            directory=self.directory,
            ledger=self.ledger,
            repairs=self.tasks.repairs,
            forget=self.retirement.forget,
            clock=clock,
            journal=self.journal,
            node=name,
        )
        self.queues = Queues(
            backlogs=self.directory.backlogs,
            sight=self.directory,
            clock=clock,
            policies=settings.queues,
        )
        self.post = PostOffice(
            store,
            means,
            sessions=settings.sessions,
            retention=settings.retention,
        )
        self.registry = Registry(
            store.agents,
            sight=self.directory,
            clock=clock,
            node=name,
            policy=settings.leases,
            tell=self.directory.observe_agent,
        )
        self.sessions = Sessions(
            Door(
                records=store.sessions,
                inboxes=store.inboxes,
                authenticate=self.access.identify,
                entropy=entropy,
                node=place.identity.id,
                sight=self.directory,
            ),
            clock=clock,
            journal=self.journal,
            node=NodeRef(id=place.identity.id, name=name),
            urls=lambda: (f"{place.url.replace('http', 'ws', 1)}/v1/agent",),
            policy=settings.sessions,
            leases=settings.leases,
        )
        self._join(rng)

    def _join(self, rng: random.Random) -> None:
        """Let those hear of each other who must."""
        work = Work(
            self.custody, partials=self.partials.tell, clock=self.clock, rng=rng
        )
        self.sessions.serve(
            AgentCalls(
                tasks=self.tasks,
                work=work,
                dispatch=self.dispatch,
                post=self.post,
                sight=self.directory,
                watches=self.watches,
            )
        )
        for audience in (self.registry, self.dispatch, self.watches, self.post):
            self.sessions.listen(audience)
        self.custody.on_count(self.registry.changed)
        self.ledger.on_stored(self.directory.observe)
        self.ledger.on_write(self.directory.note)
        self.access.on_ended(self.sessions.revoked)

    async def save_events(self) -> None:
        """Store what was noted last."""
        await self.journal.save()


class _Front:
    """What operators need: figures, the feed, the self-test, the way out."""

    def __init__(self, place: Place, store: NatsStore, core: _Core) -> None:
        settings = place.loaded.settings
        self._place, self._store, self._core = place, store, core
        self._token = place.folder.admin_token() or _new_token()
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
        self.selftests = SelfTests(checks, clock=core.clock, sink=log.selftest)
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
        )
        self.feed = Feed(snapshot=self.condition.snapshot, counts=core.directory.counts)
        core.directory.subscribe(self.feed.tell)
        self.condition.on_change(self.feed.tell)
        core.access.on_ended(self.feed.end)
        self.drain = Drain(
            sessions=core.sessions,
            dispatch=core.dispatch,
            tasks=core.tasks,
            feed=self.feed,
            condition=self.condition,
            clock=core.clock,
            journal=core.journal,
            spawn=self.supervisor.spawn,
        )

    def composition(self) -> Composition:
        """Put the facade in front and the loops in order."""
        core = self._core
        permissions = Permissions(journal=core.journal, clock=core.clock)
        readout = Readout(
            condition=self.condition,
            directory=core.directory,
            sampler=self.sampler,
            store_health=self._store.health,
            sessions=core.sessions,
            dispatch=core.dispatch,
            feed=self.feed,
            access=core.access,
            permissions=permissions,
            journal=core.journal,
            selftest=self.selftests,
            supervisor=self.supervisor,
            canary=core.canary.figures,
            refused=core.sessions.crowd.refused,
        )
        node = Node(
            condition=self.condition,
            readings=readout.read,
            permissions=permissions,
            access=core.access,
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
            changes=_unwired(),
            archive=_unwired(),
            facts=core.dispatch.facts,
        )
        # Loops stop in the opposite order: what the others say last is still saved.
        self.supervisor.add("journal", core.journal.run, stop=core.save_events)
        for name, loop in (
            ("tokens", core.access.watch),
            ("token-expiry", core.access.expire),
            ("tasks-watch", core.directory.watch_tasks),
            ("agents-watch", core.directory.watch_agents),
            ("events-watch", core.directory.watch_events),
            ("retention", core.retirement.run),
            ("sampler", self.sampler.run),
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
        return Composition(
            api=node,
            condition=self.condition,
            drain=self.drain,
            supervisor=self.supervisor,
            selftests=self.selftests,
            asked=self._asked,
            ready=self._ready,
        )

    async def _asked(self) -> Asked:
        return Asked(
            url=self._place.url,
            token=self._token,
            round_trip=self._store.round_trip,
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
        if not await core.access.ensure("admin", name="first", token=self._token):
            raise Unauthorized(
                f"the first token in {self._place.folder.path} was revoked",
                remedy="use another admin token, and remove the file admin.token there",
            )
        self._place.folder.keep_admin_token(self._token)


def _new_token() -> str:
    return make_token(secrets.token_bytes(TOKEN_ENTROPY)).text


def _unwired() -> Any:
    """Until the cluster is wired."""
    return None
