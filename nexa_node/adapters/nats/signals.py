"""Messages that are not stored: core NATS, `nx.fast.<namespace>.<agent>`.

One subscription for each session, made before the session is used by anybody, so what
is sent after `arrivals` was called is heard.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator

import msgspec
import structlog
from nats.aio.msg import Msg

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.session import Lost, Session
from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.messages import Message

WAITING = 10_000
"""Signals one listener may be behind; what comes then is dropped, as nobody listened."""

Signal = tuple[Namespace, AgentId, Message]

_log = structlog.get_logger("nexa.store")
_decoder = msgspec.json.Decoder(Message)


class NatsSignals:
    """`ports.Signals`."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._connection: Connection | None = None
        self._listening: weakref.WeakSet[asyncio.Queue[Signal]] = weakref.WeakSet()

    def use(self, connection: Connection) -> None:
        """Send over `connection`."""
        self._connection = connection

    async def attach(self, session: Session) -> None:
        """Listen on a new session."""
        await session.client.subscribe(f"{topology.FAST_PREFIX}.>", cb=self._heard)

    async def send(
        self, namespace: Namespace, agent: AgentId, message: Message
    ) -> None:
        """Pass a message to the node that has the agent, if any."""
        subject = topology.subject(topology.FAST_PREFIX, namespace, agent)
        connection = self._connection
        if connection is None:
            raise Unavailable("the store is not open")
        deadline = connection.deadline()
        while True:
            session = await connection.session(deadline)
            try:
                await session.publish(subject, msgspec.json.encode(message))
            except Lost:
                await asyncio.sleep(0)
            else:
                return

    def arrivals(self) -> AsyncIterator[Signal]:
        """Messages for any agent, as they come."""
        queue: asyncio.Queue[Signal] = asyncio.Queue(WAITING)
        self._listening.add(queue)
        return self._drain(queue)

    async def _drain(self, queue: "asyncio.Queue[Signal]") -> AsyncIterator[Signal]:
        while True:
            yield await queue.get()

    async def _heard(self, heard: Msg) -> None:
        namespace, agent = heard.subject.rsplit(".", 2)[1:]
        try:
            message = _decoder.decode(heard.data)
        except msgspec.DecodeError as error:
            _log.error("a signal can't be read", cause=str(error))
            return
        for queue in self._listening:
            if queue.full():
                _log.warning("a signal was dropped: its listener is too slow")
            else:
                queue.put_nowait((Namespace(namespace), AgentId(agent), message))
