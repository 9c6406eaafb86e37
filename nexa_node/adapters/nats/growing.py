"""Streams that only grow: where a reader is in one, and several messages at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import RETRY_S, Connection, Refused
from nexa_node.adapters.nats.reader import Entry, follow
from nexa_node.adapters.nats.session import (
    NO_RESPONDERS,
    Lost,
    NoResponders,
    Session,
    status,
)
from nexa_node.contract.errors import Unavailable


class Position:
    """Where a reader of arrivals is in a stream: from the moment it was made, onwards."""

    def __init__(self, stream: str) -> None:
        """Begin now."""
        self._stream = stream
        self._since = rfc3339(time.time_ns())
        self._epoch: str | None = None
        self._next = 0

    async def entries(self, connection: Connection) -> AsyncIterator[Entry]:
        """Every message from then on, once, across reconnects."""
        async for told in follow(connection, self._stream, self._begin):
            if isinstance(told, Entry):
                self._next = told.seq + 1
                yield told

    def _begin(self, stream: wire.StreamInfo) -> wire.ConsumerConfig:
        metadata = {} if stream.config is None else stream.config.metadata
        epoch = metadata.get(topology.EPOCH, "")
        if self._epoch not in (None, epoch):
            self._next = 1
        self._epoch = epoch
        if self._next == 0:
            return wire.ConsumerConfig(
                name="",
                ack_policy="none",
                deliver_policy="by_start_time",
                opt_start_time=self._since,
            )
        return wire.ConsumerConfig(
            name="",
            ack_policy="none",
            deliver_policy="by_start_sequence",
            opt_start_seq=self._next,
        )


async def get_batch(
    connection: Connection, stream: str, asked: wire.GetMessage
) -> list[Entry]:
    """Read several messages at once by direct get; none only if the leader has none.

    Any replica answers, from what it has, also one that was stopped or cut off. What it
    tells is right and without holes, but may end too early: that there is nothing more
    is believed of the stream's leader only.

    Raises:
        Unavailable: No complete answer in time.
    """
    found = await _of_any(connection, stream, asked)
    if found or connection.is_alone:
        return found
    return await _of_leader(connection, stream, asked)


async def _of_any(
    connection: Connection, stream: str, asked: wire.GetMessage
) -> list[Entry]:
    deadline = connection.deadline()
    body = msgspec.json.encode(asked)
    while True:
        session = await connection.session(deadline)
        try:
            async with asyncio.timeout_at(deadline):
                return await _direct(session, f"$JS.API.DIRECT.GET.{stream}", body)
        except TimeoutError as error:
            raise Unavailable(f"reading {stream} was not answered in time") from error
        except (Lost, NoResponders):
            await asyncio.sleep(RETRY_S)


async def _of_leader(
    connection: Connection, stream: str, asked: wire.GetMessage
) -> list[Entry]:
    """The first message that was asked for, if there is one."""
    one = msgspec.structs.replace(asked, batch=0, max_bytes=0)
    try:
        got = await connection.call(f"STREAM.MSG.GET.{stream}", one, wire.Got)
    except Refused as refused:
        if refused.error.err_code in wire.NO_MESSAGE:
            return []
        raise Unavailable(f"{stream} can't be read: {refused}") from refused
    told = got.message
    if told is None:
        return []
    return [Entry(told.subject, told.seq, told.payload(), told.headers())]


async def _direct(session: Session, subject: str, body: bytes) -> list[Entry]:
    inbox = await session.inbox()
    found: list[Entry] = []
    try:
        await session.publish(subject, body, reply=f"{inbox.subject[:-1]}0")
        while True:
            message = await inbox.get()
            code = status(message)
            if code == NO_RESPONDERS:
                raise NoResponders(subject)
            if code is not None:
                return found
            headers = message.headers or {}
            found.append(
                Entry(
                    headers.get("Nats-Subject", ""),
                    int(headers.get("Nats-Sequence", "0")),
                    message.data,
                    headers,
                )
            )
    finally:
        await inbox.close()


async def stream_state(connection: Connection, stream: str) -> wire.StreamState:
    """Ask how far a stream has come."""
    try:
        info = await connection.call(f"STREAM.INFO.{stream}", None, wire.StreamInfo)
    except Refused as refused:
        raise Unavailable(f"{stream} can't be read: {refused}") from refused
    return info.state


def rfc3339(time_ns: int) -> str:
    """Write a moment, in nanoseconds since 1970, as JetStream reads it."""
    seconds, rest = divmod(time_ns, wire.SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
