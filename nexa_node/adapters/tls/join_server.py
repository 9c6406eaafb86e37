"""The join port: TLS 1.3, one line said by each side, everything limited.

It greets whoever comes with the certificates of its authorities, which are public, and
then takes one request. Few are inside at once; who dawdles makes room for who comes
after. Nothing here knows what a token is.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from nexa_node.adapters.tls.credentials import Presented
from nexa_node.adapters.tls.limits import HANG_UP_S, REQUEST_MAX, STEP_S, hang_up
from nexa_node.contract.errors import Unavailable
from nexa_node.core.addresses import Address
from nexa_node.core.join_tokens import Greeting
from nexa_node.services.cluster.join_means import JoinDesk, Reply

INSIDE_MAX = 8
PATIENCE_S = 1.0
"""How long one that has said nothing keeps its place while others wait outside."""
BACKLOG = 16
ACCEPT_PAUSE_S = 0.1
"""After a failed accept: no descriptors are left, say."""

log: Any = structlog.get_logger("nexa_node.join")


@dataclass(slots=True)
class _Visit:
    """One connection."""

    address: str
    since: float
    has_asked: bool = False
    is_leaving: bool = False
    """It was sent away for a newer one."""


class JoinServer:
    """`services.join_means.JoinDoor` over TCP."""

    def __init__(
        self,
        *,
        bind: str,
        port: int,
        hosts: tuple[str, ...],
        present: Callable[[], Awaitable[Presented]],
    ) -> None:
        """Listen to nothing yet.

        Args:
            bind: The address to listen at.
            port: 0 takes a free one.
            hosts: Names or addresses by which joiners reach it, for tokens.
            present: Certificate and authorities to show; asked at each opening.
        """
        self._bind = bind
        self._port = port
        self._hosts = hosts
        self._present = present
        self._visits: dict[asyncio.Task[None], _Visit] = {}
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        return self._listener is not None

    @property
    def inside(self) -> int:
        """How many connections there are."""
        return sum(not visit.is_leaving for visit in self._visits.values())

    async def open(self, desk: JoinDesk, *, prefer: int = 0) -> tuple[str, ...]:
        """Listen, or go on doing so; where, as host:port.

        Raises:
            Unavailable: The port is taken, or there is no certificate to show.
        """
        if self._listener is None:
            presented = await self._present()
            self._listener = self._listen(prefer)
            self._accepting = asyncio.create_task(
                self._accept(self._listener, desk, presented), name="join-port"
            )
        port: int = self._listener.getsockname()[1]
        return tuple(str(Address(host, port)) for host in self._hosts)

    async def close(self) -> None:
        """Stop listening, and send away who is inside. Idempotent."""
        listener, self._listener = self._listener, None
        tasks = list(self._visits)
        if self._accepting is not None:
            tasks.append(self._accepting)
            self._accepting = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if listener is not None:
            listener.close()

    def _listen(self, prefer: int) -> socket.socket:
        """Listen at the set port, else at the preferred one, else at a free one."""
        wanted = [self._port] if self._port or not prefer else [prefer, 0]
        for last, port in enumerate(wanted, start=1):
            try:
                return _listening(self._bind, port)
            except OSError as error:
                if last == len(wanted):
                    raise Unavailable(
                        f"the join port {Address(self._bind, port)} can't be opened:"
                        f" {error.strerror}",
                        remedy="set [cluster] join_port to a free one, and host",
                    ) from error
        raise AssertionError

    async def _accept(
        self, listener: socket.socket, desk: JoinDesk, presented: Presented
    ) -> None:
        loop = asyncio.get_running_loop()
        greeting = Greeting(authorities=presented.authorities)
        line = msgspec.json.encode(greeting) + b"\n"
        while True:
            try:
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("join_port_accept_failed", reason=error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            visit = _Visit(str(peer[0]), loop.time())
            if not self._make_room(loop.time()):
                connection.close()
                desk.turned_away("too many connections", visit.address)
                continue
            task = asyncio.create_task(
                self._receive(visit, connection, presented.context, line, desk)
            )
            self._visits[task] = visit
            task.add_done_callback(self._visits.pop)

    def _make_room(self, now: float) -> bool:
        """Whether one more may come in, maybe for one that dawdles."""
        if self.inside < INSIDE_MAX:
            return True
        dawdling = [
            (visit.since, task)
            for task, visit in self._visits.items()
            if not (visit.has_asked or visit.is_leaving)
            and now - visit.since >= PATIENCE_S
        ]
        if not dawdling:
            return False
        _, oldest = min(dawdling, key=lambda found: found[0])
        self._visits[oldest].is_leaving = True
        oldest.cancel()
        return True

    async def _receive(
        self,
        visit: _Visit,
        connection: socket.socket,
        context: ssl.SSLContext,
        greeting: bytes,
        desk: JoinDesk,
    ) -> None:
        """See one visitor through; nothing escapes."""
        try:
            async with _secured(connection, context) as (reader, writer):
                await _say(writer, greeting)
                line = await _hear(reader)
                if line is None:
                    return  # it came for the greeting
                visit.has_asked = True
                await _answer(reader, writer, await desk.answer(line, visit.address))
        except asyncio.CancelledError:
            if not visit.is_leaving:
                raise
            desk.turned_away("too slow, others waited", visit.address)
        except _TurnedAway as error:
            desk.turned_away(str(error), visit.address)
        except Exception:
            log.exception("join_crashed", address=visit.address)


class _TurnedAway(Exception):
    """One that did not get so far as to ask; says why."""


@asynccontextmanager
async def _secured(
    connection: socket.socket, context: ssl.SSLContext
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Speak TLS over an accepted connection, and close it whatever happens."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=REQUEST_MAX)
    protocol = asyncio.StreamReaderProtocol(reader)
    try:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=context,
            ssl_handshake_timeout=STEP_S,
            ssl_shutdown_timeout=HANG_UP_S,
        )
    except OSError as error:
        connection.close()
        raise _TurnedAway(f"no TLS 1.3 within {STEP_S:.0f} s") from error
    except BaseException:
        connection.close()
        raise
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    try:
        yield reader, writer
        await hang_up(writer)
    finally:
        writer.transport.abort()


async def _say(writer: asyncio.StreamWriter, line: bytes) -> None:
    try:
        async with asyncio.timeout(STEP_S):
            writer.write(line)
            await writer.drain()
    except (TimeoutError, OSError) as error:
        raise _TurnedAway("it did not take the greeting") from error


async def _hear(reader: asyncio.StreamReader) -> bytes | None:
    """One line, whole and in time; None of one that left without a word."""
    try:
        async with asyncio.timeout(STEP_S):
            return await reader.readuntil(b"\n")
    except TimeoutError as error:
        raise _TurnedAway(f"no whole line within {STEP_S:.0f} s") from error
    except asyncio.LimitOverrunError as error:
        raise _TurnedAway(f"a line over {REQUEST_MAX} bytes") from error
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise _TurnedAway("it left in the middle of a line") from None
    except OSError:
        return None


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply
) -> None:
    """Send the answer; it counts as sent when the other side closes in order."""
    is_whole = False
    try:
        async with asyncio.timeout(STEP_S):
            writer.write(reply.line + b"\n")
            await writer.drain()
            await reader.read(1)
            is_whole = True
    except (TimeoutError, OSError):
        log.info("join_answer_lost")
    finally:
        reply.sent(is_whole)


def _listening(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((bind, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
