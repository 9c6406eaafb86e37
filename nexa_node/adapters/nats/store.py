"""The store as a whole: `ports.Store` over a supervised nats-server.

async with open_store(policy, folder, retention=..., on_change=...) as store:
    ...
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.events import NatsEvents
from nexa_node.adapters.nats.inboxes import NatsInboxes
from nexa_node.adapters.nats.objects import NatsObjects
from nexa_node.adapters.nats.partials import NatsPartials
from nexa_node.adapters.nats.probe import round_trip
from nexa_node.adapters.nats.queue import NatsQueue
from nexa_node.adapters.nats.records import (
    NatsAgents,
    NatsSessions,
    NatsTasks,
    NatsTokens,
)
from nexa_node.adapters.nats.server import Server
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.adapters.nats.signals import NatsSignals
from nexa_node.adapters.nats.topology import Topology
from nexa_node.contract.errors import NexaError
from nexa_node.core.policies import RetentionPolicy, StorePolicy
from nexa_node.ports import RoundTrip, StoreHealth

NOTE_S = 60.0
"""How often it is noted how far the streams have come."""
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


class NatsStore:
    """`ports.Store`; made by `open_store`."""

    def __init__(
        self,
        server: Server,
        connection: Connection,
        signals: NatsSignals,
        partials: NatsPartials,
        streams: Topology,
        small_things: Background,
        retention: RetentionPolicy,
    ) -> None:
        """Put the parts together."""
        self.tasks = NatsTasks(connection)
        self.queue = NatsQueue(connection, small_things.spawn)
        self.agents = NatsAgents(connection)
        self.sessions = NatsSessions(connection)
        self.inboxes = NatsInboxes(connection, self._inbox_epoch, retention)
        self.signals = signals
        self.partials = partials
        self.objects = NatsObjects(connection, retention)
        self.events = NatsEvents(connection)
        self.tokens = NatsTokens(connection)
        self._server = server
        self._connection = connection
        self._streams = streams

    def _inbox_epoch(self) -> str:
        return self._streams.epochs[topology.INBOX]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What nats-server said while it recovered the store at its newest start."""
        return tuple(self._server.warnings)

    def health(self) -> StoreHealth:
        """Tell how it is, from memory."""
        trouble = self._server.trouble
        return StoreHealth(
            connected=self._connection.is_up and trouble is None,
            detail=self._connection.detail if trouble is None else trouble.message,
            pid=self._server.pid,
            restarts=self._server.restarts,
        )

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
) -> AsyncGenerator[NatsStore]:
    """Start nats-server on `folder`, make or verify the streams, and connect.

    The caller holds the lock on `folder`. On leaving, the server is ended.

    Args:
        policy: `[store]`.
        folder: The node's own folder.
        retention: `[retention]`.
        on_change: Told in one sentence when the server ended, came back, ran out of disk.

    Raises:
        StoreFailed: It can't be opened; a subclass and the message say why.
        Unavailable: The server started and does not answer.
    """
    server = Server(policy, folder, on_change)
    plan = topology.plan(retention)
    streams = Topology(server.layout.store, plan)
    signals, partials = NatsSignals(), NatsPartials()

    async def prepare(session: Session) -> None:
        await streams.ensure(session)
        await signals.attach(session)
        partials.attach(session)

    timeout_s = policy.request_timeout_ms / 1000
    is_alone = all(stream.num_replicas == 1 for stream in plan)
    connection = Connection(server, prepare, timeout_s=timeout_s, direct=is_alone)
    signals.use(connection)
    partials.use(connection)
    loops, small_things = Background(), Background()
    try:
        await server.start()
        loops.spawn(server.run())
        await connection.open()
        loops.spawn(connection.keep())
        loops.spawn(_note(connection, streams))
        yield NatsStore(
            server, connection, signals, partials, streams, small_things, retention
        )
    finally:
        await small_things.settle(SETTLE_S if connection.is_up else 0)
        await loops.settle(0)
        await _note_once(connection, streams)
        await connection.close()
        await server.stop()


async def _note(connection: Connection, streams: Topology) -> None:
    while True:
        await asyncio.sleep(NOTE_S)
        await _note_once(connection, streams)


async def _note_once(connection: Connection, streams: Topology) -> None:
    if not connection.is_up:
        return
    try:
        async with asyncio.timeout(connection.timeout_s):
            await streams.note(await connection.session(connection.deadline()))
    except (NexaError, Lost, NoResponders, TimeoutError) as error:
        _log.debug("positions were not noted", cause=repr(error))
