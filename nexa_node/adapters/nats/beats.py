"""Signs of life between nodes: core NATS, nothing is stored.

    nx.beat.<node>    what a node tells of itself
    nx.ping.<node>    answered at once by the node, with nothing

One subscription for each kind and session, made before the session is used by anybody.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator

import msgspec
import structlog

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.contract.cluster import Beat
from nexa_node.contract.errors import Unavailable

BEAT_PREFIX, PING_PREFIX = "nx.beat", "nx.ping"
WAITING = 1000
"""Beats one listener may be behind; what comes then is dropped: a later one says more."""

_log = structlog.get_logger("nexa.store")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Beat)


class NatsBeats:
    """`ports.Beats`."""

    def __init__(self, node: str) -> None:
        """Be the node of that name; nobody listens yet."""
        self._node = node
        self._connection: Connection | None = None
        self._listening: weakref.WeakSet[asyncio.Queue[Beat]] = weakref.WeakSet()
        self._unreadable: set[str] = set()

    def use(self, connection: Connection) -> None:
        """Send over `connection`."""
        self._connection = connection

    def attach(self, session: Session) -> None:
        """Listen on a new session, and answer pings."""

        def pinged(heard: Msg) -> None:
            session.answer(heard, b"")

        session.listen(f"{BEAT_PREFIX}.*", self._heard)
        session.listen(topology.subject(PING_PREFIX, self._node), pinged)

    async def send(self, beat: Beat) -> None:
        """Tell all others; a beat that can't go out now is worth nothing later.

        Raises:
            Unavailable: There is no connection at this moment.
        """
        subject = topology.subject(BEAT_PREFIX, beat.node)
        connection, payload = self._open(), _encoder.encode(beat)
        session = await connection.session(asyncio.get_running_loop().time())
        try:
            await session.publish(subject, payload)
        except Lost as error:
            raise Unavailable(
                f"the store's connection broke: {connection.detail}"
            ) from (error)

    def arrivals(self) -> AsyncIterator[Beat]:
        """What others tell from now on; our own, too."""
        queue: asyncio.Queue[Beat] = asyncio.Queue(WAITING)
        self._listening.add(queue)
        return self._drain(queue)

    async def ping(self, node: str, *, timeout_s: float) -> float | None:
        """Ask a node to answer; the round trip in milliseconds, None without an answer."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        try:
            session = await self._open().session(until)
            began = loop.time()
            await session.request(topology.subject(PING_PREFIX, node), until=until)
        except (Unavailable, Lost, NoResponders, TimeoutError):
            return None
        return (loop.time() - began) * 1000

    def _open(self) -> Connection:
        if self._connection is None:
            raise Unavailable("the store is not open")
        return self._connection

    async def _drain(self, queue: "asyncio.Queue[Beat]") -> AsyncIterator[Beat]:
        while True:
            yield await queue.get()

    def _heard(self, heard: Msg) -> None:
        try:
            beat = _decoder.decode(heard.data)
        except msgspec.DecodeError as error:
            self._not_read(heard.subject, str(error))
            return
        if heard.subject != f"{BEAT_PREFIX}.{beat.node}":
            self._not_read(
                heard.subject, f"it is told in the name of {beat.node[:80]!r}"
            )
            return
        for queue in self._listening:
            if not queue.full():
                queue.put_nowait(beat)

    def _not_read(self, subject: str, cause: str) -> None:
        """Say it once for each node: beats come twice a second."""
        if subject not in self._unreadable and len(self._unreadable) < WAITING:
            self._unreadable.add(subject)
            _log.error("a node's beats can't be read", subject=subject, cause=cause)
