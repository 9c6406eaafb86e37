"""The store as a whole: `ports.Store` over a supervised nats-server.

async with open_store(policy, folder, retention=..., on_change=...) as store:
    ...

Alone or a member of a cluster. A member's store is open also while too few others are
heard: then it says so (`health`), and connects by itself once they are.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.alerts import (
    NatsAlertLog,
    NatsAlerts,
    NatsEvidence,
    NatsSilences,
)
from nexa_node.adapters.nats.backups import NatsBackups, bounce
from nexa_node.adapters.nats.beats import NatsBeats
from nexa_node.adapters.nats.checkpoints import NatsCheckpoints
from nexa_node.adapters.nats.cluster_admin import NatsCluster
from nexa_node.adapters.nats.config import Member
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.deliveries import NatsDeliveries
from nexa_node.adapters.nats.events import NatsEvents
from nexa_node.adapters.nats.figures import NatsFigures
from nexa_node.adapters.nats.forming import Commit, Forming, tidy
from nexa_node.adapters.nats.inboxes import NatsInboxes
from nexa_node.adapters.nats.leases import NatsLeases
from nexa_node.adapters.nats.members import NatsNodeEntries
from nexa_node.adapters.nats.node_calls import NatsNodeCalls
from nexa_node.adapters.nats.objects import NatsObjects
from nexa_node.adapters.nats.partials import NatsPartials
from nexa_node.adapters.nats.probe import round_trip
from nexa_node.adapters.nats.queue import NatsQueue
from nexa_node.adapters.nats.records import (
    NatsAgents,
    NatsQuotas,
    NatsRoles,
    NatsSessions,
    NatsTasks,
    NatsTokens,
)
from nexa_node.adapters.nats.server import Server
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.adapters.nats.shared import NatsConflicts, NatsShared
from nexa_node.adapters.nats.signals import NatsSignals
from nexa_node.adapters.nats.streams import Topology
from nexa_node.adapters.nats.system import System
from nexa_node.adapters.nats.ticks import NatsTicks
from nexa_node.adapters.nats.topology import NotReady
from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, NexaError, Unavailable
from nexa_node.contract.ids import slugify
from nexa_node.core.policies import RetentionPolicy, StorePolicy
from nexa_node.ports import RoundTrip, StoreHealth

NOTE_S = 60.0
"""How often it is noted how far the streams have come."""
ELECTION_S = 10.0
"""A member's calls wait so long at least: a dead leader's successor needs 4 to 9 s."""
FIRST_S = 3.0
"""How long a member's start waits for the others before it goes on without them."""
SETTLE_S = 2.0
"""How long a stop waits for what is being given back."""
_CANCEL_AGAIN_S = 0.5

_log = structlog.get_logger("nexa.store")


class Background:
    """Small things to finish that nobody waits for, and loops that run until the end."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`; what it raises is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def settle(self, seconds: float) -> None:
        """Wait until all is done, at most for `seconds`; then cancel the rest.

        More than once, if need be: nats-py and `asyncio.wait_for` swallow a
        cancellation that comes at a bad moment.
        """
        if self._tasks and seconds > 0:
            await asyncio.wait(self._tasks, timeout=seconds)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_CANCEL_AGAIN_S)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("the store failed in the background", exc_info=task.exception())


@dataclasses.dataclass(frozen=True, slots=True)
class Among:
    """What nodes say to each other."""

    beats: NatsBeats
    calls: NatsNodeCalls
    ticks: NatsTicks
    figures: NatsFigures


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a store is made of."""

    server: Server
    connection: Connection
    signals: NatsSignals
    partials: NatsPartials
    streams: Topology
    small_things: Background
    system: System
    cluster: NatsCluster
    among: Among


class NatsStore:
    """`ports.Store`; made by `open_store`."""

    is_shared = False
    """Whether it is no node's own, so that each one that reaches it is a member."""

    def __init__(self, parts: Parts, retention: RetentionPolicy) -> None:
        """Put the parts together."""
        connection = parts.connection
        self.cluster = parts.cluster
        self.beats, self.calls = parts.among.beats, parts.among.calls
        self.ticks = parts.among.ticks
        self.checkpoints = NatsCheckpoints(connection)
        self.figures = parts.among.figures.figures
        self.nodes = NatsNodeEntries(connection)
        self.leases = NatsLeases(connection)
        self.tasks = NatsTasks(connection)
        self.queue = NatsQueue(connection, parts.small_things.spawn)
        self.agents = NatsAgents(connection)
        self.sessions = NatsSessions(connection)
        self.inboxes = NatsInboxes(connection, self._inbox_epoch, retention)
        self.signals = parts.signals
        self.partials = parts.partials
        self.objects = NatsObjects(connection, retention)
        self.events = NatsEvents(connection)
        self.tokens = NatsTokens(connection)
        self.roles = NatsRoles(connection)
        self.quotas = NatsQuotas(connection)
        self.shared = NatsShared(connection)
        self.conflicts = NatsConflicts(connection)
        self.alerts = NatsAlerts(connection)
        self.silences = NatsSilences(connection)
        self.evidence = NatsEvidence(connection)
        self.alert_log = NatsAlertLog(connection)
        self.deliveries = NatsDeliveries(connection)
        self._server = parts.server
        self._connection = connection
        self._streams = parts.streams

    def _inbox_epoch(self) -> str:
        return self._streams.epochs[topology.INBOX]

    @property
    def member(self) -> Member | None:
        """Its place among others now; None while it is alone."""
        return self._server.member

    def streams(self, policy: StorePolicy, folder: Path) -> NatsBackups:
        """What a backup takes, and a restore fills."""
        return NatsBackups(
            self._connection,
            policy,
            folder,
            bounce=lambda: bounce(self._server, self._connection),
            clustered=lambda: self._server.member is not None,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What nats-server said while it recovered the store at its newest start."""
        return tuple(self._server.warnings)

    def health(self) -> StoreHealth:
        """Tell how it is, from memory."""
        trouble, waits_for = self._server.trouble, self.cluster.waits_for
        detail = waits_for or self._connection.detail
        return StoreHealth(
            connected=self._connection.is_up and trouble is None and waits_for is None,
            detail=detail if trouble is None else trouble.message,
            pid=self._server.pid,
            restarts=self._server.restarts,
            quorum=waits_for is None,
        )

    def forming(self, member: Member, commit: Commit) -> AsyncIterator[Growth]:
        """Make this lone store the first member of a cluster; see `Forming.run`."""
        return Forming(self._server, self._connection, self._streams).run(
            member, commit
        )

    async def reroute(self, routes: tuple[str, ...], pins: tuple[str, ...]) -> None:
        """Know other members' routes and keys from now on, without a restart.

        Raises:
            Conflict: The store is alone.
        """
        member = self._server.member
        if member is None:
            raise Conflict("the store is no member of a cluster")
        await self._server.reroute(
            dataclasses.replace(member, routes=routes, pins=pins)
        )

    async def keep_settings(self) -> None:
        """Give the streams of a cluster the settings that this node would give them.

        Raises:
            Unavailable: The store does not answer, or has no leader; again is safe.
            StoreFailed: The server does not keep a setting it was given.
        """
        session = await self._connection.session(self._connection.deadline())
        try:
            await self._streams.adapt(session)
        except (Lost, NoResponders, NotReady, TimeoutError) as error:
            raise Unavailable(
                f"the streams' settings can't be looked at: {error!r}"
            ) from error

    async def use_password(self, password: str) -> None:
        """Have routes that are made from now on use another password.

        Raises:
            Conflict: The store is alone.
        """
        member = self._server.member
        if member is None:
            raise Conflict("the store is no member of a cluster")
        await self._server.reroute(dataclasses.replace(member, password=password))

    async def read_anew(self) -> None:
        """Have the server read its certificates anew; connections stay as they are."""
        await self._server.read_anew()

    async def round_trip(self) -> RoundTrip:
        """Publish, read back, delete; create, win and lose a compare-and-set."""
        return await round_trip(self._connection)


@contextlib.asynccontextmanager
async def open_store(
    policy: StorePolicy,
    folder: Path,
    *,
    retention: RetentionPolicy,
    on_change: Callable[[str], None],
    member: Member | None = None,
    node: str = "",
) -> AsyncGenerator[NatsStore]:
    """Start nats-server on `folder`, make or verify the streams, and connect.

    The caller holds the lock on `folder`. On leaving, the server is ended.

    Args:
        policy: `[store]`.
        folder: The node's own folder.
        retention: `[retention]`.
        on_change: Told in one sentence when the server ended, came back, ran out of disk.
        member: Its place among others, as `cluster.json` has it; None: it is alone.
        node: This node's name, by which others call it; empty takes the folder's.

    Raises:
        StoreFailed: It can't be opened; a subclass and the message say why.
        Unavailable: The server started and does not answer. Not of a member: that is
            open without the others, too.
    """
    parts = _assembled(
        policy, retention, Server(policy, folder, on_change, member), node
    )
    server, connection, small_things = (
        parts.server,
        parts.connection,
        parts.small_things,
    )
    loops = Background()
    try:
        await server.start()
        if member is None:
            # After a survivor of an attempt to form a cluster was ended.
            await asyncio.to_thread(tidy, folder, None)
        loops.spawn(server.run())
        if member is None:
            await connection.open()
        loops.spawn(connection.keep())
        loops.spawn(parts.cluster.run())
        loops.spawn(parts.among.figures.run())
        loops.spawn(_note(connection, parts.streams))
        if member is not None:
            await connection.wait_up(FIRST_S)
            small_things.spawn(_tidy(connection, server))
        yield NatsStore(parts, retention)
    finally:
        await small_things.settle(SETTLE_S if connection.is_up else 0)
        await loops.settle(0)
        await note_once(connection, parts.streams)
        await connection.close()
        await parts.system.close()
        await server.stop()


def _assembled(
    policy: StorePolicy, retention: RetentionPolicy, server: Server, node: str
) -> Parts:
    """Make all parts, and have them know each other; nothing runs yet."""
    member, folder = server.member, server.layout.folder
    plan = topology.plan(retention, 1 if member is None else member.replicas)
    streams = Topology(server.layout.store, plan, member)
    signals, partials = NatsSignals(), NatsPartials()
    small_things = Background()
    node = node or slugify(folder.name, default="nexa")
    system = System(server)
    among = Among(
        NatsBeats(node),
        NatsNodeCalls(small_things.spawn),
        NatsTicks(node),
        NatsFigures(system, lambda: node),
    )

    async def prepare(session: Session) -> None:
        await streams.ensure(session)
        await signals.attach(session)
        for hears in (
            partials,
            among.beats,
            among.calls,
            among.ticks,
            among.figures,
        ):
            hears.attach(session)

    timeout_s = policy.request_timeout_ms / 1000
    connection = Connection(
        server,
        prepare,
        timeout_s=lambda: (
            timeout_s if server.member is None else max(timeout_s, ELECTION_S)
        ),
        direct=lambda: server.member is None,
    )
    for speaks in (signals, partials, among.beats, among.calls, among.ticks):
        speaks.use(connection)
    return Parts(
        server=server,
        connection=connection,
        signals=signals,
        partials=partials,
        streams=streams,
        small_things=small_things,
        system=system,
        cluster=NatsCluster(lambda: server.member, connection, system),
        among=among,
    )


async def _tidy(connection: Connection, server: Server) -> None:
    """Remove a lone store's folder once the cluster that it became was seen."""
    await connection.session()
    await asyncio.to_thread(tidy, server.layout.folder, server.member)


async def _note(connection: Connection, streams: Topology) -> None:
    while True:
        await asyncio.sleep(NOTE_S)
        await note_once(connection, streams)


async def note_once(connection: Connection, streams: Topology) -> None:
    """Note how far the streams have come, if that can be seen now."""
    if not connection.is_up:
        return
    try:
        async with asyncio.timeout(connection.timeout_s):
            await streams.note(await connection.session(connection.deadline()))
    except (NexaError, Lost, NoResponders, NotReady, TimeoutError) as error:
        _log.debug("positions were not noted", cause=repr(error))
