"""Measurements between nodes: core NATS, nothing is stored.

    nx.tick.<node>    what a node measured at one moment

One subscription for each session, made before the session is used by anybody.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator

import msgspec
import structlog

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.session import Lost, Session
from nexa_node.contract.errors import Unavailable
from nexa_node.ports import Tick

PREFIX = "nx.tick"
WAITING = 1000
"""Ticks one listener may be behind; what comes then is dropped, and asked for again."""

_log = structlog.get_logger("nexa.store")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Tick)


class NatsTicks:
    """`ports.Ticks`."""

    def __init__(self, node: str) -> None:
        """Be the node of that name; nobody listens yet."""
        self._node = node
        self._connection: Connection | None = None
        self._listening: weakref.WeakSet[asyncio.Queue[Tick]] = weakref.WeakSet()
        self._unreadable: set[str] = set()

    def use(self, connection: Connection) -> None:
        """Send over `connection`."""
        self._connection = connection

    def attach(self, session: Session) -> None:
        """Listen on a new session."""
        session.listen(f"{PREFIX}.*", self._heard)

    async def send(self, tick: Tick) -> None:
        """Tell all others; what can't go out now is worth nothing later.

        Raises:
            Unavailable: There is no connection at this moment.
        """
        if self._connection is None:
            raise Unavailable("the store is not open")
        session = await self._connection.session(asyncio.get_running_loop().time())
        try:
            await session.publish(
                topology.subject(PREFIX, tick.node), _encoder.encode(tick)
            )
        except Lost as error:
            raise Unavailable(
                f"the store's connection broke: {self._connection.detail}"
            ) from error

    def arrivals(self) -> AsyncIterator[Tick]:
        """What others tell from now on."""
        queue: asyncio.Queue[Tick] = asyncio.Queue(WAITING)
        self._listening.add(queue)
        return self._drain(queue)

    async def _drain(self, queue: "asyncio.Queue[Tick]") -> AsyncIterator[Tick]:
        while True:
            yield await queue.get()

    def _heard(self, heard: Msg) -> None:
        if heard.subject == f"{PREFIX}.{self._node}":
            return
        try:
            tick = _decoder.decode(heard.data)
        except msgspec.DecodeError as error:
            self._not_read(heard.subject, str(error))
            return
        if heard.subject != f"{PREFIX}.{tick.node}":
            self._not_read(
                heard.subject, f"it is told in the name of {tick.node[:80]!r}"
            )
            return
        for queue in self._listening:
            if not queue.full():
                queue.put_nowait(tick)

    def _not_read(self, subject: str, cause: str) -> None:
        """Say it once for each node: ticks come every ten seconds."""
        if subject not in self._unreadable and len(self._unreadable) < WAITING:
            self._unreadable.add(subject)
            _log.error("a node's figures can't be read", subject=subject, cause=cause)
