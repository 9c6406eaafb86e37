"""One socket to nats-server, and NATS' protocol on it.

Our own, because nats-py hands every message through two tasks and a queue, and every
command through a third: four to ten times the processor time. Messages go straight
from the socket to their handlers; what is sent in one turn of the loop is one write.
A link that is lost stays lost (session.py).
"""

import asyncio
import base64
import contextlib
import itertools
from collections.abc import Callable
from typing import Self, cast
from urllib.parse import urlsplit

import msgspec
import nkeys
import structlog

from nexa_node.adapters.nats.message import Line, Malformed, Msg, Reader, publish

PING_S = 1.0
UNANSWERED = 2
"""With so many pings unanswered the link is lost: a server that hangs is noticed after
three seconds."""
WRITE_BUFFER = 4 * 1024**2
"""Unsent bytes after which senders wait."""

_log = structlog.get_logger("nexa.store")


class LinkFailed(ConnectionError):
    """There is no link, or not any more; the message says what the server said."""


class Info(msgspec.Struct, frozen=True):
    """What the server says of itself."""

    version: str = "0.0.0"
    max_payload: int = 1024**2
    nonce: str = ""
    server_name: str = ""
    jetstream: bool = False
    tls_required: bool = False
    tls_available: bool = False


class _Connect(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    nkey: str
    sig: str
    lang: str = "python"
    version: str = "1"
    protocol: int = 1
    verbose: bool = False
    pedantic: bool = False
    headers: bool = True
    no_responders: bool = True
    echo: bool = True


class Link(asyncio.Protocol):
    """A connected socket; made by `open`."""

    def __init__(self, seed: str, on_lost: Callable[[], None]) -> None:
        """Use `open`."""
        loop = asyncio.get_running_loop()
        self.info = Info()
        self.is_lost = False
        self._seed = seed
        self._on_lost = on_lost
        self._loop = loop
        self._reader = Reader()
        self._numbers = itertools.count(1)
        self._transport: asyncio.Transport | None = None
        self._ready: asyncio.Future[None] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._room = asyncio.Event()
        self._room.set()
        self._unsent: list[bytes] = []
        self._unanswered = 0
        self._pinging: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, url: str, seed: str, on_lost: Callable[[], None]) -> Self:
        """Connect to `url` and prove who we are with `seed`. The caller bounds the time.

        Args:
            url: `nats://HOST:PORT`.
            seed: An nkey's.
            on_lost: Called once, when it ends, from whichever side.

        Raises:
            OSError: It does not work.
        """
        where = urlsplit(url)
        if where.hostname is None or where.port is None:
            raise LinkFailed(f"{url} is no address of a nats-server")
        host, port = where.hostname, where.port
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(lambda: cls(seed, on_lost), host, port)
        try:
            await link._ready
        except BaseException:
            link.abort()
            raise
        return link

    def subscribe(self, subject: str, handler: Callable[[Msg], None]) -> bytes:
        """Hand every message on `subject`, which may have wildcards, to `handler`.

        Returns:
            The subscription's number.
        """
        number = b"%d" % next(self._numbers)
        self._reader.handlers[number] = handler
        self.send(b"SUB %b %b\r\n" % (subject.encode(), number))
        return number

    def unsubscribe(self, number: bytes) -> None:
        """Tell the server to send no more; what is on its way still comes."""
        self.send(b"UNSUB %b\r\n" % number)

    def forget(self, number: bytes) -> None:
        """Drop what still comes."""
        self._reader.handlers.pop(number, None)

    def publish(
        self, subject: str, payload: bytes, reply: str = "", block: bytes = b""
    ) -> None:
        """Send a message; lost without a word if the link is."""
        self.send(publish(subject, payload, reply, block))

    def send(self, command: bytes) -> None:
        """Send at the end of this turn of the loop."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(command)

    @property
    def has_room(self) -> bool:
        """Whether what is sent now goes out soon."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until less than `WRITE_BUFFER` is unsent, or the link is lost."""
        await self._room.wait()

    async def close(self) -> None:
        """Send what is left, and end it. The caller bounds the time, then aborts."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
            await asyncio.shield(self._closed)

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the server speaks first."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        self._unanswered = 0
        try:
            for line in self._reader.feed(data):
                self._heard(line)
        except (Malformed, msgspec.DecodeError, ValueError) as error:
            self._fail(f"nats-server says what is no NATS: {error}")

    def pause_writing(self) -> None:
        """Let senders wait."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Let senders go on."""
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody."""
        self.is_lost = True
        self._room.set()
        if self._pinging is not None:
            self._pinging.cancel()
        self._fail(f"nats-server closed the connection: {exc}")
        if not self._closed.done():
            self._closed.set_result(None)
        self._on_lost()

    # -- the protocol ----------------------------------------------------------

    def _heard(self, line: Line) -> None:
        match line.verb:
            case b"PING":
                self.send(b"PONG\r\n")
            case b"PONG":
                if not self._ready.done():
                    self._ready.set_result(None)
                    self._ping_later()
            case b"INFO":
                known = self.info
                self.info = msgspec.json.decode(line.rest, type=Info)
                if known.nonce == "" and not self._ready.done():
                    self._connect()
            case b"-ERR":
                self._refused(line.rest.decode("utf-8", "replace").strip(" '"))
            case b"+OK":
                pass
            case _:
                raise Malformed(repr(line.verb[:20]))

    def _connect(self) -> None:
        key = nkeys.from_seed(bytearray(self._seed.encode()))
        signed = key.sign(self.info.nonce.encode())
        told = _Connect(
            name="nexa",
            nkey=bytes(key.public_key).decode(),
            sig=base64.b64encode(signed).decode(),
        )
        self.send(b"CONNECT %b\r\nPING\r\n" % msgspec.json.encode(told))

    def _refused(self, why: str) -> None:
        """Fatal ones are followed by the end of the connection."""
        if not self._ready.done():
            self._fail(f"nats-server refused us: {why}")
        else:
            _log.debug("nats-server objects", why=why)

    def _fail(self, why: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(LinkFailed(why))
        self.abort()

    def _ping_later(self) -> None:
        self._pinging = self._loop.call_later(PING_S, self._ping)

    def _ping(self) -> None:
        if self._unanswered >= UNANSWERED:
            _log.debug("nats-server does not answer pings")
            self.abort()
            return
        self._unanswered += 1
        self.send(b"PING\r\n")
        self._ping_later()

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and unsent and not self.is_lost:
            with contextlib.suppress(RuntimeError):  # it is closing
                self._transport.write(b"".join(unsent))
