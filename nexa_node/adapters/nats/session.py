"""One live connection to NATS; when it is lost, everything that waits on it is told.

nats-py's own reconnecting is switched off: it replays writes whose callers were told
long ago that they failed, and buffers what it can't send. A new session is made instead
(connection.py). Of nats-py we use connect, publish and subscribe alone.
"""

import asyncio
import contextlib
import itertools
from typing import Self

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from nexa_node.contract.errors import PayloadTooLarge

CONNECT_S = 2
PING_S = 1
"""With two missed answers a server that hangs is noticed after three seconds."""
PENDING_BYTES = 64 * 1024**2
"""Unsent bytes after which publishing waits for the socket."""
STATUS = "Status"
NO_RESPONDERS = "503"

_log = structlog.get_logger("nexa.store")


class Lost(Exception):
    """The session ended; what was asked may or may not have happened."""


class NoResponders(Exception):
    """Nobody listens there: not now, or not any more."""


class Inbox:
    """Messages that come to one address of ours, in order, and the end of the session."""

    def __init__(self, session: "Session", subject: str) -> None:
        """Belongs to `Session.inbox`."""
        self.subject = subject
        self._session = session
        self._queue: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._subscription: Subscription | None = None

    async def open(self) -> Self:
        """Begin to listen on `subject`, which may have wildcards."""
        self._subscription = await self._session.client.subscribe(
            self.subject, cb=self._take
        )
        self._session.inboxes.add(self)
        return self

    async def get(self) -> Msg:
        """Wait for the next message.

        Raises:
            Lost: The session ended.
        """
        message = await self._queue.get()
        if message is None:
            self._queue.put_nowait(None)
            raise Lost
        return message

    def rest(self) -> list[Msg]:
        """What has come and was not taken yet."""
        found: list[Msg] = []
        while not self._queue.empty():
            message = self._queue.get_nowait()
            if message is None:
                self._queue.put_nowait(None)
                break
            found.append(message)
        return found

    async def finish(self) -> list[Msg]:
        """Stop listening without losing what is on its way.

        `Subscription.unsubscribe` drops messages that were sent before the server read
        it; `drain` sends its ping ahead of the UNSUB, so it may end too early. Here the
        UNSUB goes first, then a message to ourselves on the same connection.
        """
        subscription = self._subscription
        if subscription is None or self._session.is_lost:
            return self.rest()
        client = self._session.client
        # Private, because nothing public sends UNSUB and goes on listening.
        await client._send_unsubscribe(subscription._id)  # pyright: ignore[reportPrivateUsage]
        await self._session.barrier()
        while subscription.pending_msgs:
            if self._session.is_lost:
                break
            await asyncio.sleep(0)
        await self.close()
        return self.rest()

    async def close(self) -> None:
        """Stop listening at once."""
        self._session.inboxes.discard(self)
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._session.is_lost:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()

    def end(self) -> None:
        """Tell whoever waits that the session is lost."""
        self._queue.put_nowait(None)

    async def _take(self, message: Msg) -> None:
        self._queue.put_nowait(message)


class Session:
    """One connection, from its first moment to its end."""

    def __init__(self) -> None:
        """Use `open`."""
        self.client = Client()
        self.inboxes: set[Inbox] = set()
        self._ended = asyncio.Event()
        self._tokens = itertools.count()
        self._prefix = ""
        self._waiting: dict[str, asyncio.Future[Msg]] = {}

    @classmethod
    async def open(cls, url: str, seed: str) -> Self:
        """Connect and prove who we are.

        Raises:
            OSError, NatsError, TimeoutError: It does not work.
        """
        session = cls()
        try:
            async with asyncio.timeout(2 * CONNECT_S):
                await session._connect(url, seed)
        except BaseException:
            await session.close()
            raise
        return session

    async def _connect(self, url: str, seed: str) -> None:
        await self.client.connect(
            url,
            name="nexa",
            nkeys_seed_str=seed,
            allow_reconnect=False,
            connect_timeout=CONNECT_S,
            # By default a refused connection is tried for two minutes.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            # By default a server that hangs is noticed after six minutes.
            ping_interval=PING_S,
            max_outstanding_pings=2,
            pending_size=PENDING_BYTES,
            error_cb=_note_error,
            closed_cb=self._closed,
        )
        self._prefix = self.client.new_inbox()
        await self.client.subscribe(f"{self._prefix}.*", cb=self._answered)

    @property
    def is_lost(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set() or self.client.is_closed

    @property
    def version(self) -> str:
        """Of the server, as it says itself."""
        told = self.client.connected_server_version
        return f"{told.major}.{told.minor}.{told.patch}"

    async def ended(self) -> None:
        """Wait until the session is lost.

        Looks by itself too: nats-py tells of the end only after it has closed its
        socket, which waits for a peer that takes nothing.
        """
        while not self.is_lost:
            # Not wait_for: before Python 3.12 it may swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_S / 2):
                    await self._ended.wait()
        self._end()

    async def request(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> Msg:
        """Send, and wait for one answer. Not bounded: the caller sets the time-out.

        Raises:
            Lost: The session ended first.
            NoResponders: Nobody listens on `subject`.
        """
        token, future = self._expect()
        try:
            await self.publish(
                subject, payload, reply=f"{self._prefix}.{token}", headers=headers
            )
            message = await future
        finally:
            self._waiting.pop(token, None)
        if (message.headers or {}).get(STATUS) == NO_RESPONDERS:
            raise NoResponders(subject)
        return message

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        reply: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send without waiting for anything.

        Raises:
            Lost: The session has ended.
            PayloadTooLarge: The server would close the connection over it.
        """
        if self.is_lost:
            raise Lost
        if len(payload) > self.client.max_payload:
            raise PayloadTooLarge(
                f"{len(payload)} bytes are too many for one record of the store "
                f"({self.client.max_payload})"
            )
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        try:
            await self.client.publish(subject, payload, reply=reply, headers=headers)
        except (NatsError, OSError) as error:
            raise Lost from error
        if task and task.cancelling() > before:
            # nats-py swallows a cancellation that comes while it waits for its buffer.
            raise asyncio.CancelledError

    async def inbox(self, subject: str | None = None) -> Inbox:
        """Listen on `subject`; without one, on an address of its own and all below.

        Raises:
            Lost: The session has ended.
        """
        if self.is_lost:
            raise Lost
        try:
            where = subject or f"{self.client.new_inbox()}.*"
            return await Inbox(self, where).open()
        except (NatsError, OSError) as error:
            raise Lost from error

    async def barrier(self) -> None:
        """Return when the server has read all that was sent so far on this session."""
        token, future = self._expect()
        try:
            await self.publish(f"{self._prefix}.{token}", b"")
            await future
        finally:
            self._waiting.pop(token, None)

    async def close(self) -> None:
        """End it in order."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self.client.close()
        except (NatsError, OSError, TimeoutError) as error:
            _log.debug("closing a connection to the store", error=repr(error))
        self._end()

    def _expect(self) -> tuple[str, asyncio.Future[Msg]]:
        token = str(next(self._tokens))
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        return token, future

    async def _answered(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        future = self._waiting.pop(token, None)
        if future is not None and not future.done():
            future.set_result(message)

    async def _closed(self) -> None:
        self._end()

    def _end(self) -> None:
        self._ended.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Lost())
        self._waiting.clear()
        for inbox in list(self.inboxes):
            inbox.end()
        self.inboxes.clear()


def status(message: Msg) -> str | None:
    """The status a server sent in place of a message; None for a message."""
    return None if message.headers is None else message.headers.get(STATUS)


async def _note_error(error: Exception) -> None:
    _log.debug("nats-py reports", error=repr(error))
