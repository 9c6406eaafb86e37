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
LAG_S = 1
"""For a copy that lags: then its leader is asked again what it lacks."""
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
) -> AsyncGenerator[Told]:
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
        config = begin(info)
        consumer = await _consumer(session, stream, config)
        inbox = await session.inbox()
    yield Began(info)
    try:
        pulling = _Pulling(session, stream, consumer, inbox)
        end = _End(session, stream, config, upto=info.state.last_seq)
        while True:
            async for entry, pending in pulling.once(wait=end.wait_s):
                end.seen = entry.seq
                yield entry
                if pending == 0 and await end.came():
                    yield CaughtUp()
            if pulling.empty and await end.came():
                yield CaughtUp()
    finally:
        await _leave(session, stream, consumer, inbox)


class _End:
    """Finds that all was told that was there when reading began.

    A consumer says that nothing is left by what its server has, which may be a copy that
    was just made, or was stopped: then the stream's leader knows more, and it is asked.
    """

    def __init__(
        self, session: Session, stream: str, config: wire.ConsumerConfig, *, upto: int
    ) -> None:
        self.seen = 0
        """The newest message that was told."""
        self.wait_s = 0
        """How long the next pull may wait for messages."""
        self._session = session
        self._ask = f"STREAM.MSG.GET.{stream}"
        self._filter = config.filter_subject or ">"
        self._begins = config.opt_start_seq
        self._upto = upto
        self._is_timed = bool(config.opt_start_time)
        self._came = False

    async def came(self) -> bool:
        """Say so, once."""
        if self._came:
            return False
        if not self._is_timed and await self._leader_has_more():
            self.wait_s = LAG_S
            return False
        self._came, self.wait_s = True, PULL_S
        return True

    async def _leader_has_more(self) -> bool:
        after = max(self.seen + 1, self._begins)
        if after > self._upto:
            return False
        body = wire.GetMessage(seq=after, next_by_subj=self._filter)
        answer = await self._session.request(
            f"$JS.API.{self._ask}", msgspec.json.encode(body)
        )
        told = msgspec.json.decode(answer.data, type=wire.Got)
        if told.error is not None and told.error.err_code in wire.NO_MESSAGE:
            return False
        if told.error is not None:
            raise _Stale(f"{self._ask}: {told.error.description}")
        return told.message is not None and told.message.seq <= self._upto


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

    async def once(self, *, wait: int) -> AsyncIterator[tuple[Entry, int]]:
        """Pull one batch; wait so many seconds for it, 0: only what is there."""
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


def _pull(*, wait: int) -> bytes:
    if not wait:
        asked = wire.Pull(batch=BATCH, max_bytes=BATCH_BYTES, no_wait=True)
    else:
        asked = wire.Pull(
            batch=BATCH,
            max_bytes=BATCH_BYTES,
            expires=wait * wire.SECOND,
            idle_heartbeat=HEARTBEAT_S * wire.SECOND if wait > HEARTBEAT_S else 0,
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
