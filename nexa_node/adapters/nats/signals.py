"""Messages that are not stored: core NATS.

    nx.fast.<namespace>.<agent>           for one agent, wherever it is
    nx.fast-topic.<namespace>.<topic>     for whoever subscribed
    nx.reply.<node tag>.<namespace>.<address>   an answer, confirmed by the node

One subscription for each kind and session, made before the session is used by anybody,
so what is sent after `arrivals` was called is heard.
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
from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.messages import Message
from nexa_node.ports import Arrived, InboxMessage, TakeAnswer, TopicMessage

WAITING = 10_000
"""Signals one listener may be behind; what comes then is dropped, as nobody listened."""

_TAKEN, _NOT_TAKEN = b"+", b"-"

_log = structlog.get_logger("nexa.store")
_decoder = msgspec.json.Decoder(Message)


class NatsSignals:
    """`ports.Signals`."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._connection: Connection | None = None
        self._listening: weakref.WeakSet[asyncio.Queue[Arrived]] = weakref.WeakSet()
        self._takers: dict[str, TakeAnswer] = {}
        self._asked: weakref.WeakKeyDictionary[Session, set[str]] = (
            weakref.WeakKeyDictionary()
        )

    def use(self, connection: Connection) -> None:
        """Send over `connection`."""
        self._connection = connection

    async def attach(self, session: Session) -> None:
        """Listen on a new session."""
        for prefix in (topology.FAST_PREFIX, topology.FAST_TOPIC_PREFIX):
            session.listen(f"{prefix}.>", self._heard)
        for tag in self._takers:
            await self._listen_for_answers(session, tag)

    async def send(
        self, namespace: Namespace, agent: AgentId, message: Message
    ) -> None:
        """Pass a message to the node that has the agent, if any."""
        await self._publish(
            topology.subject(topology.FAST_PREFIX, namespace, agent), message
        )

    async def publish(self, namespace: Namespace, topic: str, message: Message) -> None:
        """Pass a message of a topic to all nodes."""
        prefix = topology.FAST_TOPIC_PREFIX
        await self._publish(topology.topic_subject(prefix, namespace, topic), message)

    def arrivals(self) -> AsyncIterator[Arrived]:
        """Messages for any agent or topic, as they come."""
        queue: asyncio.Queue[Arrived] = asyncio.Queue(WAITING)
        self._listening.add(queue)
        return self._drain(queue)

    async def answer(
        self, tag: str, namespace: Namespace, address: str, message: Message
    ) -> bool:
        """Pass an answer to the node with `tag`; False if nobody waits for it there.

        Raises:
            Unavailable: It was not confirmed; it may have been taken all the same.
        """
        subject = topology.subject(topology.REPLY_PREFIX, tag, namespace, address)
        connection = self._open()
        deadline = connection.deadline()
        session = await connection.session(deadline)
        try:
            async with asyncio.timeout_at(deadline):
                told = await session.request(subject, msgspec.json.encode(message))
        except NoResponders:
            return False
        except (Lost, TimeoutError) as error:
            raise Unavailable(
                f"the answer to {address} was not confirmed ({connection.detail})"
            ) from error
        return told.data == _TAKEN

    async def take_answers(self, tag: str, take: TakeAnswer) -> None:
        """Be the node with `tag`: give `take` every answer that comes from now on."""
        self._takers[tag] = take
        connection = self._open()
        while True:
            session = await connection.session(connection.deadline())
            try:
                await self._listen_for_answers(session, tag)
                await session.barrier()
            except Lost:
                await asyncio.sleep(0)
            else:
                return

    async def _listen_for_answers(self, session: Session, tag: str) -> None:
        """Listen on this session, once."""
        asked = self._asked.setdefault(session, set())
        if tag in asked:
            return
        asked.add(tag)

        def taken(heard: Msg) -> None:
            self._answered(session, heard)

        subject = topology.subject(topology.REPLY_PREFIX, tag)
        session.listen(f"{subject}.>", taken)

    def _answered(self, session: Session, heard: Msg) -> None:
        tag, namespace, address = heard.subject.rsplit(".", 3)[1:]
        take = self._takers.get(tag)
        try:
            message = _decoder.decode(heard.data)
        except msgspec.DecodeError as error:
            _log.error("an answer can't be read", cause=str(error))
            return
        was_taken = take is not None and take(Namespace(namespace), address, message)
        session.answer(heard, _TAKEN if was_taken else _NOT_TAKEN)

    def _open(self) -> Connection:
        if self._connection is None:
            raise Unavailable("the store is not open")
        return self._connection

    async def _publish(self, subject: str, message: Message) -> None:
        connection = self._open()
        deadline = connection.deadline()
        while True:
            session = await connection.session(deadline)
            try:
                await session.publish(subject, msgspec.json.encode(message))
            except Lost:
                await asyncio.sleep(0)
            else:
                return

    async def _drain(self, queue: "asyncio.Queue[Arrived]") -> AsyncIterator[Arrived]:
        while True:
            yield await queue.get()

    def _heard(self, heard: Msg) -> None:
        try:
            message = _decoder.decode(heard.data)
        except msgspec.DecodeError as error:
            _log.error("a signal can't be read", cause=str(error))
            return
        _, kind, namespace, rest = heard.subject.split(".", 3)
        arrived: Arrived = (
            InboxMessage(Namespace(namespace), AgentId(rest), 0, message)
            if f"nx.{kind}" == topology.FAST_PREFIX
            else TopicMessage(Namespace(namespace), rest, 0, message)
        )
        for queue in self._listening:
            if queue.full():
                _log.warning("a signal was dropped: its listener is too slow")
            else:
                queue.put_nowait(arrived)
