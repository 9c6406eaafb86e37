"""One live connection to NATS; when it is lost, everything that waits on it is told.

It does not reconnect: a new session is made instead (connection.py), so no write is
replayed whose caller was told long ago that it failed.
"""

import asyncio
import contextlib
import itertools
import math
import secrets
from collections import deque
from collections.abc import Callable
from typing import Protocol, Self

import structlog

from nexa_node.adapters.nats.link import Link
from nexa_node.adapters.nats.message import Msg, header_block
from nexa_node.contract.errors import PayloadTooLarge

CONNECT_S = 2
SWEEP_S = 0.05
"""How often it is looked for whose time to answer is over."""
NO_RESPONDERS = "503"

_log = structlog.get_logger("nexa.store")


class Lost(Exception):
    """The session ended; what was asked may or may not have happened."""


class NoResponders(Exception):
    """Nobody listens there: not now, or not any more."""


class Asker(Protocol):
    """Who waits for one answer. Told exactly once, by one of the two; must not raise."""

    until: float
    """When its time is over, in the loop's time."""

    def take(self, message: Msg) -> None:
        """The answer; `NO_RESPONDERS` may be its status."""
        ...

    def fail(self, error: Exception) -> None:
        """There will be none: `Lost` or `TimeoutError`."""
        ...


class Inbox:
    """Messages that come to one address of ours, in order, and the end of the session."""

    def __init__(self, session: "Session", subject: str) -> None:
        """Belongs to `Session.inbox`."""
        self.subject = subject
        self._session = session
        self._messages: deque[Msg] = deque()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._number: bytes | None = None

    def open(self) -> Self:
        """Begin to listen on `subject`, which may have wildcards."""
        self._number = self._session.link.subscribe(self.subject, self._take)
        self._session.inboxes.add(self)
        return self

    async def get(self) -> Msg:
        """Wait for the next message. One caller at a time.

        Raises:
            Lost: The session ended.
        """
        while not self._messages:
            if self._ended:
                raise Lost
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._messages.popleft()

    def get_now(self) -> Msg | None:
        """Take the next message if it has come already."""
        return self._messages.popleft() if self._messages else None

    def rest(self) -> list[Msg]:
        """What has come and was not taken yet."""
        found = list(self._messages)
        self._messages.clear()
        return found

    async def finish(self) -> list[Msg]:
        """Stop listening without losing what is on its way.

        The UNSUB goes first, then a message to ourselves on the same connection.
        """
        if self._number is None or self._session.is_lost:
            return self.rest()
        self._session.link.unsubscribe(self._number)
        await self._session.barrier()
        self._forget()
        return self.rest()

    async def close(self) -> None:
        """Stop listening at once."""
        if self._number is not None and not self._session.is_lost:
            self._session.link.unsubscribe(self._number)
        self._forget()

    def end(self) -> None:
        """Tell whoever waits that the session is lost."""
        self._ended = True
        self._wake()

    def _forget(self) -> None:
        self._session.inboxes.discard(self)
        if self._number is not None:
            self._session.link.forget(self._number)
            self._number = None

    def _take(self, message: Msg) -> None:
        self._messages.append(message)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Waiting:
    """A coroutine that waits for one answer."""

    __slots__ = ("future", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

    def take(self, message: Msg) -> None:
        if not self.future.done():
            self.future.set_result(message)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Session:
    """One connection, from its first moment to its end."""

    def __init__(self) -> None:
        """Use `open`."""
        self.link: Link
        self.inboxes: set[Inbox] = set()
        self.name = secrets.token_hex(8)
        """Drawn anew for each session."""
        self._prefix = f"_INBOX.{self.name}"
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._numbers = itertools.count()
        self._asking: dict[str, Asker] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._sweeps: list[Callable[[float], bool]] = []
        self._endings: list[Callable[[], None]] = []

    @classmethod
    async def open(cls, url: str, seed: str) -> Self:
        """Connect and prove who we are.

        Raises:
            OSError, TimeoutError: It does not work.
        """
        session = cls()
        async with asyncio.timeout(2 * CONNECT_S):
            session.link = await Link.open(url, seed, session._end)
        session.link.subscribe(f"{session._prefix}.*", session._answered)
        return session

    @property
    def is_lost(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    @property
    def version(self) -> str:
        """Of the server, as it says itself."""
        return self.link.info.version

    async def ended(self) -> None:
        """Wait until the session is lost."""
        await self._ended.wait()

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        until: float = math.inf,
    ) -> Msg:
        """Send, and wait for one answer.

        Args:
            subject: Whom to ask.
            payload: What.
            headers: Of the request.
            until: The loop's time when waiting ends; by default the caller bounds it.

        Raises:
            Lost: The session ended first.
            NoResponders: Nobody listens on `subject`.
            TimeoutError: No answer before `until`; noticed up to `SWEEP_S` later.
            PayloadTooLarge: The server would close the connection over it.
        """
        if not self.link.has_room:
            await self.link.room()
        asker = _Waiting(until)
        block = header_block(headers) if headers else b""
        token = self.ask(subject, payload, asker, block=block)
        try:
            message = await asker.future
        finally:
            self._asking.pop(token, None)
        if message.status == NO_RESPONDERS:
            raise NoResponders(subject)
        return message

    def ask(
        self, subject: str, payload: bytes, asker: Asker, *, block: bytes = b""
    ) -> str:
        """Send; `asker` is told the answer, that it is too late, or the end.

        Returns:
            The address of the answer.

        Raises:
            Lost: The session has ended.
            PayloadTooLarge: The server would close the connection over it.
        """
        self.check(payload)
        token = f"{self._prefix}.{next(self._numbers)}"
        self.link.publish(subject, payload, token, block)
        self._asking[token] = asker
        if asker.until != math.inf:
            self.sweep_soon()
        return token

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
        if not self.link.has_room:
            await self.link.room()
        self.check(payload)
        block = header_block(headers) if headers else b""
        self.link.publish(subject, payload, reply, block)

    def answer(self, message: Msg, payload: bytes) -> None:
        """Answer a small thing; lost without a word if the session is."""
        if message.reply:
            self.link.publish(message.reply, payload)

    def check(self, payload: bytes) -> None:
        """See whether `payload` may be sent.

        Raises:
            Lost: The session has ended.
            PayloadTooLarge: The server would close the connection over it.
        """
        if self._ended.is_set():
            raise Lost
        if len(payload) > self.link.info.max_payload:
            raise PayloadTooLarge(
                f"{len(payload)} bytes are too many for one record of the store "
                f"({self.link.info.max_payload})"
            )

    def listen(self, subject: str, heard: Callable[[Msg], None]) -> None:
        """Hand every message on `subject` to `heard`, until the session ends.

        Raises:
            Lost: The session has ended.
        """
        self.check(b"")

        def guarded(message: Msg) -> None:
            try:
                heard(message)
            except Exception as error:  # noqa: BLE001  it is not the next one's fault
                _log.error("a message was not taken", subject=subject, exc_info=error)

        self.link.subscribe(subject, guarded)

    async def inbox(self, subject: str | None = None) -> Inbox:
        """Listen on `subject`; without one, on an address of its own and all below.

        Raises:
            Lost: The session has ended.
        """
        self.check(b"")
        where = subject or f"_INBOX.{self.name}{next(self._numbers)}.*"
        return Inbox(self, where).open()

    async def barrier(self) -> None:
        """Return when the server has read all that was sent so far on this session."""
        self.check(b"")
        asker = _Waiting(math.inf)
        token = f"{self._prefix}.{next(self._numbers)}"
        self._asking[token] = asker
        try:
            self.link.publish(token, b"")
            await asker.future
        finally:
            self._asking.pop(token, None)

    async def close(self) -> None:
        """End it in order."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self.link.close()
        except TimeoutError:
            self.link.abort()
        self._end()

    # -- for those who keep things on a session --------------------------------

    def on_sweep(self, sweep: Callable[[float], bool]) -> None:
        """Call `sweep` with the time while it says that it waits for something."""
        self._sweeps.append(sweep)

    def on_end(self, end: Callable[[], None]) -> None:
        """Call `end` once, when the session is lost."""
        self._endings.append(end)

    def sweep_soon(self) -> None:
        """Look within `SWEEP_S` for whose time is over."""
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = self._loop.time()
        late = [token for token, asker in self._asking.items() if asker.until <= now]
        for token in late:
            self._asking.pop(token).fail(TimeoutError())
        waits = [sweep(now) for sweep in self._sweeps]
        if any(waits) or any(a.until != math.inf for a in self._asking.values()):
            self.sweep_soon()

    def _answered(self, message: Msg) -> None:
        asker = self._asking.pop(message.subject, None)
        if asker is not None:
            asker.take(message)

    def _end(self) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        if self._sweeping is not None:
            self._sweeping.cancel()
        asking, self._asking = self._asking, {}
        for asker in asking.values():
            asker.fail(Lost())
        for end in self._endings:
            end()
        for inbox in list(self.inboxes):
            inbox.end()
        self.inboxes.clear()
        with contextlib.suppress(AttributeError):  # it never came to a link
            self.link.abort()


def status(message: Msg) -> str | None:
    """The status a server sent in place of a message; None for a message."""
    return message.status
