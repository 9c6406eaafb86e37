"""The console's feed: one snapshot, then changes, over `WS /v1/console`.

A hole in the sequence, a node that falls silent or goes away: the connection is opened
again, with full jitter, for a new snapshot. What can't get better by waiting (no right,
too old) is refused once and for all.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import msgspec

from nexa_node.contract.errors import (
    CLOSE_FORBIDDEN,
    CLOSE_GOING_AWAY,
    CLOSE_REVOKED,
    CLOSE_SLOW,
    CLOSE_UNAUTHORIZED,
    Forbidden,
    NexaError,
    Unauthorized,
    may_reconnect,
)
from nexa_node.contract.events import FeedFrame, Snapshot
from nexa_node.contract.version import CONSOLE_PROTOCOL
from nexa_tui.client.api import Connecting, FeedNews, Lost, Received, Refused
from nexa_tui.client.backoff import full_jitter
from nexa_tui.client.clock import Clock
from nexa_tui.client.discovery import Target
from nexa_tui.client.problems import told, too_old, unreadable
from nexa_tui.client.trust import trouble_in

CONNECT_S = 5.0
SILENCE_S = 10.0
"""Five beats. The data is called stale after three already."""
PATH = "/v1/console"
_FINAL_STATUS = {401, 403, 404, 426}

Resolve = Callable[[], Target | None]
Receive = Callable[[], Awaitable[bytes]]


class _Broken(Exception):
    """This connection is over; another may do."""

    def __init__(self, why: str, *, remedy: str | None = None, now: bool = False):
        super().__init__(why)
        self.why = why
        self.remedy = remedy
        self.now = now


class _Head(msgspec.Struct, frozen=True):
    """What every frame has, of kinds to come too."""

    seq: int
    type: str


_KINDS = {
    "snapshot", "agent", "agent_gone", "task", "task_gone", "cluster", "sample",
    "event", "selftest", "alert", "alert_gone",
}  # fmt: skip


class Feed:
    """Watch one node for ever."""

    def __init__(
        self, target: Target, clock: Clock, rng: random.Random, *, resolve: Resolve
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            target: Where to begin.
            clock: For the moment each frame came.
            rng: For the pauses.
            resolve: Asked before each new attempt: a node that was restarted may be
                at another port. None leaves the target as it is.
        """
        self.target = target
        self._clock = clock
        self._rng = rng
        self._resolve = resolve
        self._decoder = msgspec.json.Decoder(FeedFrame)
        self._head = msgspec.json.Decoder(_Head)

    async def watch(self) -> AsyncIterator[FeedNews]:
        """Yield what comes, and what happens to the connection; see `NodeClient.feed`."""
        failed = 0
        while True:
            yield Connecting(self.target, failed)
            try:
                async with aclosing(self._once()) as frames:
                    async for frame in frames:
                        failed = 0
                        yield Received(frame, self._clock.monotonic())
            except NexaError as error:
                yield Refused(error)
                return
            except _Broken as broken:
                failed += 1
                pause = full_jitter(failed, self._rng)
                if broken.now and failed == 1:
                    pause = 0.0
                retry_at = self._clock.monotonic() + pause
                yield Lost(broken.why, broken.remedy, retry_at, failed)
                await asyncio.sleep(pause)
            self.target = self._resolve() or self.target

    async def _once(self) -> AsyncGenerator[FeedFrame]:
        from nexa_tui.client.socket import HandshakeRefused, Socket, SocketClosed

        socket = Socket(self.target.url + PATH, self.target.token, self.target.trust)
        try:
            async with asyncio.timeout(CONNECT_S):
                await socket.__aenter__()
        except TimeoutError:
            raise _Broken(f"no answer within {CONNECT_S:.0f} s") from None
        except OSError as error:
            trouble = trouble_in(error, self.target.url)
            if trouble is not None:
                raise _Broken(trouble.why, remedy=trouble.remedy) from error
            raise _Broken(_unreachable(error), remedy=self._restart()) from error
        except HandshakeRefused as refused:
            raise self._refusal(refused.status, refused.body) from refused
        except SocketClosed as closed:
            trouble = trouble_in(closed, self.target.url)
            if trouble is not None:
                raise _Broken(trouble.why, remedy=trouble.remedy) from closed
            raise _Broken(
                f"{self.target.url} does not speak WebSocket: {closed.reason}"
            ) from closed
        try:
            async with aclosing(self._frames(socket.receive)) as frames:
                async for frame in frames:
                    yield frame
        except SocketClosed as closed:
            raise self._closed(closed.code, closed.reason) from closed
        finally:
            await socket.__aexit__(None, None, None)

    async def _frames(self, receive: Receive) -> AsyncGenerator[FeedFrame]:
        expected: int | None = None
        while True:
            frame = await self._next(receive)
            if expected is not None and frame.seq != expected:
                raise _Broken(
                    f"frames {expected} to {frame.seq - 1} are missing", now=True
                )
            if expected is None and not isinstance(frame, Snapshot):
                raise unreadable(self.target, "the feed does not begin with a snapshot")
            expected = frame.seq + 1
            if isinstance(frame, Snapshot):
                _check_version(frame)
            if not isinstance(frame, _Head):
                yield frame

    async def _next(self, receive: Receive) -> FeedFrame | _Head:
        try:
            async with asyncio.timeout(SILENCE_S):
                data = await receive()
        except TimeoutError:
            raise _Broken(
                f"the node fell silent for {SILENCE_S:.0f} s", remedy=self._restart()
            ) from None
        return self._decode(data)

    def _decode(self, data: bytes) -> FeedFrame | _Head:
        try:
            return self._decoder.decode(data)
        except msgspec.DecodeError as error:
            head = self._peek(data, error)
        if head.type in _KINDS:
            raise unreadable(self.target, f"a frame of type {head.type} is not its own")
        return head  # of a newer node: counted, and left alone

    def _peek(self, data: bytes, error: msgspec.DecodeError) -> _Head:
        try:
            return self._head.decode(data)
        except msgspec.DecodeError:
            raise unreadable(self.target, str(error)) from error

    def _refusal(self, status: int, body: bytes) -> Exception:
        error = told(status, body, self.target)
        if status in _FINAL_STATUS:
            return error
        return _Broken(error.message, remedy=error.remedy)

    def _closed(self, code: int, reason: str) -> Exception:
        name = self.target.name
        if code in {CLOSE_REVOKED, CLOSE_UNAUTHORIZED}:
            return Unauthorized(
                f"node {name} no longer accepts the token",
                remedy="nexa login, or set NEXA_TOKEN_FILE to a file with a valid token",
            )
        if code == CLOSE_FORBIDDEN:
            return Forbidden(f"node {name} does not let this token watch: {reason}")
        if not may_reconnect(code):
            return NexaError(f"node {name} closed the feed: {reason}")
        if code == CLOSE_SLOW:
            return _Broken("this console was too slow for the feed", now=True)
        if code == CLOSE_GOING_AWAY:
            return _Broken(f"node {name} is shutting down", remedy=self._restart())
        why = reason or f"the connection to {name} broke"
        return _Broken(why, remedy=self._restart())

    def _restart(self) -> str:
        if self.target.pid is not None:
            return "nexa node start"
        return f"nexa node status --attach {self.target.url}"


def _check_version(snapshot: Snapshot) -> None:
    node = snapshot.node
    if node.console_protocol < CONSOLE_PROTOCOL:
        raise too_old(node.name, node.version, node.console_protocol)


def _unreachable(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there any more (connection refused)"
    return error.strerror or str(error) or type(error).__name__
