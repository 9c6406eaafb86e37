"""Durable inboxes: the stream NX_INBOX, one subject for each agent.

A message's position is its sequence in the stream. There is no consumer per agent:
reading is a direct get, acknowledging removes the message.
"""

import hashlib
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, Refused
from nexa_node.adapters.nats.growing import Position, get_batch, stream_state
from nexa_node.adapters.nats.reader import Entry
from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.messages import Message
from nexa_node.ports import InboxMessage

READ_LIMIT = 256
"""Messages of one direct get."""
READ_BYTES = 8 * 1024**2

_log = structlog.get_logger("nexa.store")
_decoder = msgspec.json.Decoder(Message)


class NatsInboxes:
    """`ports.Inboxes`."""

    def __init__(self, connection: Connection, epoch: Callable[[], str]) -> None:
        """Use `connection`; `epoch` names this incarnation of the stream."""
        self._connection = connection
        self._epoch = epoch

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
        headers = None if ttl_s is None else {wire.TTL: str(max(1, ttl_s))}
        ack = await self._connection.store(
            _subject(namespace, agent),
            msgspec.json.encode(message),
            message_id=_message_id(namespace, agent, message.id),
            headers=headers,
        )
        return ack.seq, ack.duplicate

    async def read(
        self, namespace: Namespace, agent: AgentId, *, after: int, limit: int
    ) -> list[InboxMessage]:
        """Read what is not acknowledged yet, past position `after`, oldest first."""
        subject = _subject(namespace, agent)
        found: list[InboxMessage] = []
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
            found += [told for entry in entries if (told := _told(entry)) is not None]
            after = entries[-1].seq
        return found

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
        subject = _subject(namespace, agent)
        if seq is not None and seq > 0:
            await self._drop(subject, seq)
        if upto is not None and upto > 0:
            body = wire.Purge(filter=subject, seq=upto + 1)
            await self._change(f"STREAM.PURGE.{topology.INBOX}", body)

    async def last_seq(self) -> int:
        """The position of the newest message of anybody; 0 when there was none."""
        return (await stream_state(self._connection, topology.INBOX)).last_seq

    def arrivals(self) -> AsyncIterator[InboxMessage]:
        """Every message stored from now on, for any agent."""
        return self._arrivals(Position(topology.INBOX))

    async def _arrivals(self, position: Position) -> AsyncIterator[InboxMessage]:
        async for entry in position.entries(self._connection):
            told = _told(entry)
            if told is not None:
                yield told

    async def _drop(self, subject: str, seq: int) -> None:
        try:
            got = await self._connection.call(
                f"STREAM.MSG.GET.{topology.INBOX}", wire.GetMessage(seq=seq), wire.Got
            )
        except Refused as refused:
            if refused.error.err_code in wire.NO_MESSAGE:
                return
            raise Unavailable(f"position {seq} can't be read: {refused}") from refused
        if got.message is not None and got.message.subject == subject:
            body = wire.DeleteMessage(seq=seq)
            await self._change(f"STREAM.MSG.DELETE.{topology.INBOX}", body)

    async def _change(self, subject: str, body: msgspec.Struct) -> None:
        try:
            await self._connection.call(subject, body, wire.Answer)
        except Refused as refused:
            if refused.error.err_code not in wire.NO_MESSAGE:
                raise Unavailable(f"acknowledging failed: {refused}") from refused


def _subject(namespace: Namespace, agent: AgentId) -> str:
    return topology.subject(topology.INBOX_PREFIX, namespace, agent)


def _message_id(namespace: str, agent: str, message_id: str) -> str:
    """Make an id that is one header line whatever the sender chose."""
    text = f"{namespace}.{agent}.{message_id}".encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _told(entry: Entry) -> InboxMessage | None:
    namespace, agent = entry.subject.rsplit(".", 2)[1:]
    try:
        message = _decoder.decode(entry.data)
    except msgspec.DecodeError as error:
        _log.error("a message can't be read", seq=entry.seq, cause=str(error))
        return None
    return InboxMessage(Namespace(namespace), AgentId(agent), entry.seq, message)
