"""Reading a stream as it grows, across restarts of the server.

Messages are pulled, so a slow reader slows nobody and loses nothing. After each
reconnect a new consumer begins where the caller says: there are no gaps to repair.
(nats-py's ordered consumers notice a lost connection by missing heartbeats only.)
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import structlog

from nexa_node.adapters.nats import wire
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.session import (
    Inbox,
    Lost,
    NoResponders,
    Session,
    status,
)
from nexa_node.adapters.nats.wire import Entry

A = TypeVar("A", bound=wire.Answer)

BATCH = 256
BATCH_BYTES = 16 * 1024**2
PULL_S = 30
HEARTBEAT_S = 5
SILENCE_S = 3 * HEARTBEAT_S
FORGET_S = 300
"""A consumer nobody pulls from for so long is forgotten by the server."""
_PAUSE_S = 0.1

_ACK_WORDS = 9
_ENDS_A_PULL = frozenset(("404", "408"))
_HEARTBEAT = "100"
_TOO_MANY_BYTES = "409"

_log = structlog.get_logger("nexa.store")


@dataclass(frozen=True, slots=True)
class Began:
    """Reading begins, or begins anew after a reconnect."""

    stream: wire.StreamInfo


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """All that was stored when reading began has been told."""


Told = Began | Entry | CaughtUp
Begin = Callable[[wire.StreamInfo], wire.ConsumerConfig]
"""Choose where to read from, given what the stream looks like now. The name is set here."""


class _Stale(Exception):
    """The consumer is gone or has skipped something: begin anew."""


async def follow(
    connection: Connection, stream: str, begin: Begin
) -> AsyncIterator[Told]:
    """Read `stream` for ever, from where `begin` says after each (re)connect."""
    while True:
        session = await connection.session()
        reading = _read(session, stream, begin, connection.timeout_s)
        try:
            async with contextlib.aclosing(reading):
                async for told in reading:
                    yield told
        except (Lost, NoResponders, TimeoutError, ValueError, _Stale) as error:
            _log.debug("reading begins anew", stream=stream, cause=repr(error))
            await asyncio.sleep(_PAUSE_S)


async def _read(
    session: Session, stream: str, begin: Begin, timeout_s: float
) -> AsyncGenerator[Told]:
    async with asyncio.timeout(timeout_s):
        info = await _api(session, f"STREAM.INFO.{stream}", b"", wire.StreamInfo)
        consumer = await _consumer(session, stream, begin(info))
        inbox = await session.inbox()
    yield Began(info)
    try:
        pulling = _Pulling(session, stream, consumer, inbox)
        caught = False
        while True:
            async for entry, pending in pulling.once(wait=caught):
                yield entry
                if pending == 0 and not caught:
                    caught = True
                    yield CaughtUp()
            if pulling.empty and not caught:
                caught = True
                yield CaughtUp()
    finally:
        await _leave(session, stream, consumer, inbox)


class _Pulling:
    """One consumer's messages, a pull at a time."""

    def __init__(
        self, session: Session, stream: str, consumer: str, inbox: Inbox
    ) -> None:
        self.empty = False
        """Whether the newest pull ended because there was nothing more."""
        self._session = session
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = inbox
        self._pulls = 0
        self._position = 0

    async def once(self, *, wait: bool) -> AsyncIterator[tuple[Entry, int]]:
        """Pull one batch; with `wait` for up to `PULL_S`, else only what is there."""
        self._pulls += 1
        self.empty = False
        reply = f"{self._inbox.subject[:-1]}{self._pulls}"
        await self._session.publish(self._next, _pull(wait=wait), reply=reply)
        taken = 0
        while taken < BATCH:
            message = await self._message(reply)
            if message is None:
                return
            entry, position, pending = parse(message)
            if position != self._position + 1:
                raise _Stale(f"{self._next}: {position} after {self._position}")
            self._position = position
            taken += 1
            yield entry, pending

    async def _message(self, reply: str) -> Msg | None:
        """Wait for a message; None when the pull is over."""
        while True:
            message = self._inbox.get_now()
            if message is None:
                async with asyncio.timeout(SILENCE_S):
                    message = await self._inbox.get()
            code = status(message)
            if code is None:
                return message
            if code == _HEARTBEAT or message.subject != reply:
                continue
            self.empty = code in _ENDS_A_PULL
            if self.empty or _too_many_bytes(message, code):
                return None
            raise _Stale(f"{self._next}: status {code}")


def parse(message: Msg) -> tuple[Entry, int, int]:
    """Read a delivered message: itself, its place in the delivery, how many wait.

    Raises:
        ValueError: It is no message of JetStream.
    """
    # $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<delivery seq>.<time>.<pending>
    # with a domain and an account before the stream, from servers that have them.
    words = message.reply.split(".")
    if words[:2] != ["$JS", "ACK"] or len(words) < _ACK_WORDS:
        raise ValueError(f"{message.subject}: {message.reply[:80]!r} is no delivery")
    seq, position, pending = int(words[-4]), int(words[-3]), int(words[-1])
    if len(words) > _ACK_WORDS:
        seq, position, pending = int(words[7]), int(words[8]), int(words[10])
    entry = Entry(message.subject, seq, message.data, message.headers or {})
    return entry, position, pending


def _too_many_bytes(message: Msg, code: str) -> bool:
    said = (message.headers or {}).get("Description", "")
    return code == _TOO_MANY_BYTES and "MaxBytes" in said


def _pull(*, wait: bool) -> bytes:
    if not wait:
        asked = wire.Pull(batch=BATCH, max_bytes=BATCH_BYTES, no_wait=True)
    else:
        asked = wire.Pull(
            batch=BATCH,
            max_bytes=BATCH_BYTES,
            expires=PULL_S * wire.SECOND,
            idle_heartbeat=HEARTBEAT_S * wire.SECOND,
        )
    return msgspec.json.encode(asked)


async def _consumer(session: Session, stream: str, config: wire.ConsumerConfig) -> str:
    name = f"r_{secrets.token_hex(8)}"
    config = msgspec.structs.replace(
        config, name=name, inactive_threshold=FORGET_S * wire.SECOND, mem_storage=True
    )
    body = msgspec.json.encode(wire.NewConsumer(stream_name=stream, config=config))
    await _api(session, f"CONSUMER.CREATE.{stream}.{name}", body, wire.ConsumerInfo)
    return name


async def _leave(session: Session, stream: str, consumer: str, inbox: Inbox) -> None:
    await inbox.close()
    with contextlib.suppress(Lost):
        await session.publish(f"$JS.API.CONSUMER.DELETE.{stream}.{consumer}", b"")


async def _api(session: Session, subject: str, body: bytes, kind: type[A]) -> A:
    answer = await session.request(f"$JS.API.{subject}", body)
    told = msgspec.json.decode(answer.data, type=kind)
    if told.error is not None:
        raise _Stale(f"{subject}: {told.error.description}")
    return told
