"""Durable inboxes and topics: the stream NX_INBOX, one subject for each of them.

A message's position is its sequence in the stream. There is no consumer per agent or
subscription: reading is a direct get, acknowledging removes the message.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TypeVar

import msgspec
import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, Refused
from nexa_node.adapters.nats.growing import Position, get_batch, rfc3339, stream_state
from nexa_node.adapters.nats.reader import Entry
from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.messages import Message
from nexa_node.core.lifetimes import inbox_ttl_s, topic_ttl_s
from nexa_node.core.policies import RetentionPolicy
from nexa_node.ports import Arrived, InboxMessage, TopicMessage

T = TypeVar("T", InboxMessage, TopicMessage)

READ_LIMIT = 256
"""Messages of one direct get."""
READ_BYTES = 8 * 1024**2
KEEP = RetentionPolicy()

_log = structlog.get_logger("nexa.store")
_decoder = msgspec.json.Decoder(Message)


class NatsInboxes:
    """`ports.Inboxes`."""

    def __init__(
        self,
        connection: Connection,
        epoch: Callable[[], str],
        retention: RetentionPolicy = KEEP,
    ) -> None:
        """Use `connection`; `epoch` names this incarnation of the stream."""
        self._connection = connection
        self._epoch = epoch
        self._retention = retention

    async def epoch(self) -> str:
        """Name this incarnation of the stream: changes when its data was lost."""
        await self._connection.session(self._connection.deadline())
        return self._epoch()

    async def append(
        self,
        namespace: Namespace,
        agent: AgentId,
        message: Message,
        *,
        ttl_s: int | None,
    ) -> tuple[int, bool]:
        """Store a message; its position, and whether its id was there already."""
        where = _inbox(namespace, agent)
        lives_s = inbox_ttl_s(self._retention, ttl_s)
        known_as = f"{namespace}.{agent}.{message.id}"
        if message.to.capability is not None:
            # Said again it may be somebody else's turn: it is stored once all the same.
            known_as = f"*{namespace}.{message.to.capability}:{message.id}"
        return await self._store(where, message, known_as, lives_s)

    async def publish(
        self,
        namespace: Namespace,
        topic: str,
        message: Message,
        *,
        ttl_s: int | None,
    ) -> tuple[int, bool]:
        """Store a message of a topic, as `append` does."""
        where = topology.topic_subject(topology.TOPIC_PREFIX, namespace, topic)
        lives_s = topic_ttl_s(self._retention, namespace, ttl_s)
        return await self._store(
            where, message, f">{namespace}.{topic}:{message.id}", lives_s
        )

    async def read(
        self, namespace: Namespace, agent: AgentId, *, after: int, limit: int
    ) -> list[InboxMessage]:
        """Read what is not acknowledged yet, past position `after`, oldest first."""
        subject = _inbox(namespace, agent)
        return await self._read(subject, InboxMessage, after, limit)

    async def read_topics(
        self, namespace: Namespace, pattern: str, *, after: int, limit: int
    ) -> list[TopicMessage]:
        """Read what topics that meet `pattern` keep, past `after`, oldest first."""
        subject = topology.topic_subject(topology.TOPIC_PREFIX, namespace, pattern)
        return await self._read(subject, TopicMessage, after, limit)

    async def find(
        self, namespace: Namespace, agent: AgentId, seq: int
    ) -> InboxMessage | None:
        """Read one message, if it is at `seq` of this very inbox."""
        stored = await self._at(seq) if seq > 0 else None
        if stored is None or stored.subject != _inbox(namespace, agent):
            return None
        told = _told(Entry(stored.subject, seq, stored.payload(), {}))
        return told if isinstance(told, InboxMessage) else None

    async def count(self, namespace: Namespace, agent: AgentId) -> int:
        """Count what an inbox holds."""
        subject = _inbox(namespace, agent)
        asked = wire.AskInfo(subjects_filter=subject)
        where = f"STREAM.INFO.{topology.INBOX}"
        try:
            info = await self._connection.call(where, asked, wire.StreamInfo)
        except Refused as refused:
            raise Unavailable(f"{subject} can't be counted: {refused}") from refused
        return (info.state.subjects or {}).get(subject, 0)

    async def counts(self, namespace: Namespace, *, topics: bool) -> dict[str, int]:
        """Count what each topic, or else each inbox, of a namespace keeps, by name."""
        kind = topology.TOPIC_PREFIX if topics else topology.INBOX_PREFIX
        before = f"{topology.topic_subject(kind, namespace, '>')[:-1]}"
        asked = wire.AskInfo(subjects_filter=f"{before}>")
        where = f"STREAM.INFO.{topology.INBOX}"
        try:
            info = await self._connection.call(where, asked, wire.StreamInfo)
        except Refused as refused:
            raise Unavailable(f"{before}> can't be counted: {refused}") from refused
        subjects = info.state.subjects or {}
        return {name.removeprefix(before): number for name, number in subjects.items()}

    async def ack(
        self,
        namespace: Namespace,
        agent: AgentId,
        *,
        seq: int | None = None,
        upto: int | None = None,
    ) -> None:
        """Drop one message, or all up to and with `upto`. Idempotent.

        Only the agent's own: a position in another inbox changes nothing.
        """
        subject = _inbox(namespace, agent)
        if seq is not None and seq > 0:
            await self._drop(subject, seq)
        if upto is not None and upto > 0:
            body = wire.Purge(filter=subject, seq=upto + 1)
            await self._change(f"STREAM.PURGE.{topology.INBOX}", body)

    async def last_seq(self) -> int:
        """The position of the newest message of anybody; 0 when there was none."""
        return (await stream_state(self._connection, topology.INBOX)).last_seq

    async def position(self, moment: datetime) -> int:
        """The position before the first message stored at `moment` or later."""
        since = rfc3339(max(0, int(moment.timestamp() * 1e6)) * 1000)
        asked = wire.GetMessage(start_time=since, batch=1, next_by_subj=">")
        last = await self.last_seq()
        found = await get_batch(self._connection, topology.INBOX, asked)
        return found[0].seq - 1 if found else last

    def arrivals(self) -> AsyncIterator[Arrived]:
        """Every message stored from now on, for any agent or topic."""
        return self._arrivals(Position(topology.INBOX))

    async def _arrivals(self, position: Position) -> AsyncIterator[Arrived]:
        async for entry in position.entries(self._connection):
            told = _told(entry)
            if told is not None:
                yield told

    async def _store(
        self, subject: str, message: Message, known_as: str, lives_s: int | None
    ) -> tuple[int, bool]:
        ack = await self._connection.store(
            subject,
            msgspec.json.encode(message),
            message_id=_message_id(known_as),
            headers=None if lives_s is None else {wire.TTL: str(lives_s)},
        )
        return ack.seq, ack.duplicate

    async def _read(
        self, subject: str, kind: type[T], after: int, limit: int
    ) -> list[T]:
        found: list[T] = []
        while len(found) < limit:
            batch = min(READ_LIMIT, limit - len(found))
            entries = await get_batch(
                self._connection,
                topology.INBOX,
                wire.GetMessage(
                    seq=max(after, 0) + 1,
                    batch=batch,
                    next_by_subj=subject,
                    max_bytes=READ_BYTES,
                ),
            )
            if not entries:
                break
            told = (_told(entry) for entry in entries)
            found += [each for each in told if isinstance(each, kind)]
            after = entries[-1].seq
        return found

    async def _at(self, seq: int) -> wire.Stored | None:
        where = f"STREAM.MSG.GET.{topology.INBOX}"
        try:
            got = await self._connection.call(where, wire.GetMessage(seq=seq), wire.Got)
        except Refused as refused:
            if refused.error.err_code in wire.NO_MESSAGE:
                return None
            raise Unavailable(f"position {seq} can't be read: {refused}") from refused
        return got.message

    async def _drop(self, subject: str, seq: int) -> None:
        stored = await self._at(seq)
        if stored is not None and stored.subject == subject:
            body = wire.DeleteMessage(seq=seq)
            await self._change(f"STREAM.MSG.DELETE.{topology.INBOX}", body)

    async def _change(self, subject: str, body: msgspec.Struct) -> None:
        try:
            await self._connection.call(subject, body, wire.Answer)
        except Refused as refused:
            if refused.error.err_code not in wire.NO_MESSAGE:
                raise Unavailable(f"acknowledging failed: {refused}") from refused


def _inbox(namespace: Namespace, agent: AgentId) -> str:
    return topology.subject(topology.INBOX_PREFIX, namespace, agent)


def _message_id(known_as: str) -> str:
    """Make an id that is one header line whatever the sender chose."""
    text = known_as.encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _told(entry: Entry) -> Arrived | None:
    try:
        message = _decoder.decode(entry.data)
    except msgspec.DecodeError as error:
        _log.error("a message can't be read", seq=entry.seq, cause=str(error))
        return None
    _, kind, namespace, rest = entry.subject.split(".", 3)
    if kind == "topic":
        return TopicMessage(Namespace(namespace), rest, entry.seq, message)
    return InboxMessage(Namespace(namespace), AgentId(rest), entry.seq, message)
