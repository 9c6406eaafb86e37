"""Partial results between nodes: core NATS, nothing is stored.

    nx.partial.<tag of the sender>.<namespace>.<task>

One subscription for each session, made before the session is used by anybody. What we
sent ourselves is known by its tag and not even decoded.
"""

import asyncio
import secrets
import weakref
from collections.abc import AsyncIterator

import msgspec
import structlog

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.session import Lost, Session
from nexa_node.contract.errors import Unavailable
from nexa_node.ports import PartialResult

WAITING = 10_000
"""What one listener may be behind; what comes then is dropped, as nobody listened."""

_log = structlog.get_logger("nexa.store")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(PartialResult)


class NatsPartials:
    """`ports.Partials`."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._connection: Connection | None = None
        self._tag = secrets.token_hex(8)
        self._listening: weakref.WeakSet[asyncio.Queue[PartialResult]] = (
            weakref.WeakSet()
        )

    def use(self, connection: Connection) -> None:
        """Send over `connection`."""
        self._connection = connection

    def attach(self, session: Session) -> None:
        """Listen on a new session."""
        session.listen(f"{topology.PARTIAL_PREFIX}.>", self._heard)

    async def send(self, told: PartialResult) -> None:
        """Tell all other nodes."""
        connection = self._connection
        if connection is None:
            raise Unavailable("the store is not open")
        subject = topology.subject(
            topology.PARTIAL_PREFIX, self._tag, told.task.namespace, told.task.id
        )
        payload, deadline = _encoder.encode(told), connection.deadline()
        while True:
            session = await connection.session(deadline)
            try:
                await session.publish(subject, payload)
            except Lost:
                await asyncio.sleep(0)
            else:
                return

    def arrivals(self) -> AsyncIterator[PartialResult]:
        """What other nodes tell from now on, each one's in order."""
        queue: asyncio.Queue[PartialResult] = asyncio.Queue(WAITING)
        self._listening.add(queue)
        return self._drain(queue)

    async def _drain(
        self, queue: "asyncio.Queue[PartialResult]"
    ) -> AsyncIterator[PartialResult]:
        while True:
            yield await queue.get()

    def _heard(self, heard: Msg) -> None:
        if heard.subject.startswith(f"{topology.PARTIAL_PREFIX}.{self._tag}."):
            return
        try:
            told = _decoder.decode(heard.data)
        except msgspec.DecodeError as error:
            _log.error("a partial result can't be read", cause=str(error))
            return
        for queue in self._listening:
            if queue.full():
                _log.warning("a partial result was dropped: its listener is too slow")
            else:
                queue.put_nowait(told)
