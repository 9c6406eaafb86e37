"""The link: the agent's connection, on a thread and an event loop of its own.

Handlers run elsewhere, so nothing they do keeps the link from answering pings,
renewing leases or bringing results to a node. (Only code that never lets go of the
interpreter can: a C extension that holds the GIL.)
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from websockets.exceptions import ConnectionClosed

from nexa_node.agent.claims import Claims
from nexa_node.agent.credentials import TlsSource
from nexa_node.agent.dialing import Trouble, closed, dial
from nexa_node.agent.endpoints import Endpoints, full_jitter
from nexa_node.agent.inbox import Inbox
from nexa_node.agent.letters import Letters
from nexa_node.agent.line import Line
from nexa_node.agent.peer import Lost, Peer, internal
from nexa_node.agent.reporting import Reporter
from nexa_node.agent.session import Profile, Session
from nexa_node.agent.signing import Signer
from nexa_node.agent.timing import Timing
from nexa_node.agent.upward import Connected, Disconnected, Upward
from nexa_node.agent.work import Work
from nexa_node.contract.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    Invalid,
    NexaError,
    NotFound,
    Unavailable,
)
from nexa_node.contract.frames import (
    Assign,
    CancelledNotice,
    Deliver,
    Empty,
    Envelope,
    GoAway,
    TaskUpdate,
    Welcome,
)
from nexa_node.contract.login import Challenge, NewChallenge
from nexa_node.contract.version import JSON_SUBPROTOCOL

T = TypeVar("T")
_log = logging.getLogger("nexa.agent")


@dataclass(frozen=True, slots=True)
class Dial:
    """Where and how to connect."""

    endpoints: Endpoints
    token: Callable[[], str | None]
    subprotocol: str = JSON_SUBPROTOCOL
    tls: TlsSource = lambda: None
    timing: Timing = field(default_factory=Timing)
    signer: Signer | None = None
    """Signs hello; then no token is shown."""


class Link:
    """Keeps one session with the cluster; `start` once, `close` once."""

    def __init__(
        self, profile: Profile, dial: Dial, upward: Upward, *, chance: random.Random
    ) -> None:
        """Prepare; nothing runs yet."""
        self._dial = dial
        self._upward = upward
        self._chance = chance
        self._profile = profile
        timing = dial.timing
        self.line = Line(timing, chance)
        inbox = Inbox()
        self._session = Session(profile, inbox)
        types = frozenset(one.name for one in profile.capabilities)
        claims = Claims(slots=profile.slots, types=types)
        self.work = Work(
            claims, self._session, self.line, upward, timing=timing, spawn=self._spawn
        )
        self.letters = Letters(
            inbox, self.line, upward, spawn=self._spawn, timeout=timing.call_timeout
        )
        self._reporter = Reporter(self.work, self.line, timing)
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._error: NexaError | None = None
        self._hold_s = 0.0
        self._gate = threading.Lock()
        self._closed = False
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, name=f"nexa-agent-{profile.id}", daemon=True
        )

    def start(self) -> None:
        """Start the thread; it begins to connect at once."""
        self._thread.start()

    def join(self) -> None:
        """Block until the thread has ended."""
        self._thread.join()

    def post(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function` on the link's loop, from any thread; nothing once it ended."""
        with self._gate:
            if not self._closed:
                self.loop.call_soon_threadsafe(function, *args)

    async def drain(self) -> None:
        """Take nothing new from now on, and say so. On the link's loop."""
        self.work.drain()
        self._spawn(self._reporter.tell_now())

    async def ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` on the link's loop, and wait for it on the caller's.

        Raises:
            NexaError: What it raised; Unavailable when the link has ended.
        """
        with self._gate:
            if self._closed:
                coroutine.close()
                raise self._error or Unavailable("the agent has stopped")
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise self._error or Unavailable("the agent has stopped") from None

    def begin_close(self, patience: float) -> None:
        """Start to `close`. On the link's loop."""
        self._spawn(self._close(patience))

    async def _close(self, patience: float) -> None:
        """End in order: results first, for `patience` seconds, then bye.

        A claim that nobody could be told of is left to its lease.
        """
        self.work.drain()
        try:
            async with asyncio.timeout(patience):
                await self.work.idle()
        except TimeoutError:
            left = [claim.task.id for claim in self.work.claims.all()]
            _log.warning("ended without telling a node of %s", ", ".join(left))
        peer = self.line.peer
        if peer is not None:
            timeout = self._dial.timing.close_timeout
            with suppress(Lost, NexaError, TimeoutError):
                await peer.call("session.bye", Empty(), Empty, timeout=timeout)
        self._over.set()

    def _run(self) -> None:
        try:
            self.loop.run_until_complete(self._main())
        finally:
            with self._gate:
                self._closed = True
            self.loop.run_until_complete(_sweep())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
            self._upward.ended(self._error)

    async def _main(self) -> None:
        for loop in (self.work.keep_leases(), self._reporter.run(), self._connect()):
            self._spawn(loop)
        await self._over.wait()
        self.line.end(self._error or Unavailable("the agent has stopped"))
        remaining = list(self._tasks)
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        if self._over.is_set():
            coroutine.close()
            return
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        _log.error("the agent's link failed", exc_info=error)
        self._fail(NexaError(f"the agent's link failed: {error!r}"))

    def _fail(self, error: NexaError) -> None:
        self._error = self._error or error
        self._over.set()

    async def _connect(self) -> None:
        """Stay connected, until it makes no sense any more."""
        endpoints, timing = self._dial.endpoints, self._dial.timing
        attempt = 0
        while True:
            began, url = time.monotonic(), endpoints.current
            try:
                trouble = await self._one_connection(url)
            except NexaError as error:
                self._fail(error)
                return
            if time.monotonic() - began > timing.backoff_cap:
                attempt = 0
            wait = full_jitter(
                attempt // len(endpoints),
                self._chance,
                base=timing.backoff_base,
                cap=timing.backoff_cap,
            )
            wait = max(wait, trouble.retry_after_s, self._hold_s)
            self._hold_s = 0.0
            attempt += 1
            endpoints.advance()
            self._upward.connection(Disconnected(url, str(trouble), wait))
            await asyncio.sleep(wait)

    async def _one_connection(self, url: str) -> Trouble:
        """Connect, say hello and serve; say why it ended, or could not begin.

        Raises:
            NexaError: There is no use in another try.
        """
        try:
            await self._serve(url)
        except Trouble as trouble:
            return trouble
        return Trouble("the connection was lost")

    async def _serve(self, url: str) -> None:
        dialling = self._dial
        socket, codec = await dial(
            url,
            token=dialling.token if dialling.signer is None else lambda: None,
            prefer=dialling.subprotocol,
            timing=dialling.timing,
            tls=dialling.tls,
        )
        peer = Peer(socket, codec)
        welcomed = asyncio.Event()
        reader = self.loop.create_task(self._read(peer, welcomed))
        try:
            welcome = await self._hello(peer, reader)
            self._welcomed(peer, welcome, url)
            welcomed.set()
            await reader
        except ConnectionClosed as error:
            raise closed(error, incarnation=self._profile.incarnation) from None
        finally:
            self.line.down()
            peer.lost()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await socket.close()

    async def _hello(self, peer: Peer, reader: "asyncio.Task[None]") -> Welcome:
        try:
            hello, timeout = self._session.hello(), self._dial.timing.open_timeout
            if (signer := self._dial.signer) is not None:
                asked = NewChallenge(id=signer.id)
                challenge = await peer.call(
                    "session.challenge", asked, Challenge, timeout=timeout
                )
                hello = msgspec.structs.replace(hello, auth=signer.sign(challenge))
            return await peer.call("session.hello", hello, Welcome, timeout=timeout)
        except Lost:
            await asyncio.wait((reader,), timeout=self._dial.timing.close_timeout)
            if reader.done():
                reader.result()
            raise Trouble("the connection was lost") from None
        except TimeoutError:
            raise Trouble("the node did not answer hello") from None
        except NexaError as error:
            if error.retryable or error.code == INTERNAL_ERROR:
                after = (error.retry_after_ms or 0) / 1000
                raise Trouble(error.message, retry_after_s=after) from None
            raise

    def _welcomed(self, peer: Peer, welcome: Welcome, url: str) -> None:
        gap = self._session.welcomed(welcome, now=datetime.now(UTC))
        peer.limit(welcome.limits)
        self._dial.endpoints.learn(welcome.cluster)
        self.line.up(peer)
        self.work.reconnected()
        self._reporter.now()
        told = Connected(url, welcome.node.name, welcome.session, welcome.resumed)
        self._upward.connection(told)
        if gap is not None:
            self._upward.gap(gap)

    async def _read(self, peer: Peer, welcomed: asyncio.Event) -> None:
        async for envelope in peer.incoming():
            await welcomed.wait()
            try:
                await self._dispatch(peer, envelope)
            except Lost:
                continue
            except NexaError as error:
                await self._complain(peer, envelope, error)
            except Exception as error:  # noqa: BLE001  # one bad frame ends no agent
                _log.exception("a call of the node failed here")
                await self._complain(peer, envelope, internal(error))

    async def _dispatch(self, peer: Peer, envelope: Envelope) -> None:
        match envelope.method:
            case "task.assign" if isinstance(envelope.id, int | str):
                assign = peer.read(envelope, Assign)
                await self.work.assigned(peer, envelope.id, assign)
            case "task.cancelled":
                self.work.cancelled(peer.read(envelope, CancelledNotice))
            case "message.deliver":
                self.letters.delivered(peer.read(envelope, Deliver))
            case "task.update":
                self._upward.updated(peer.read(envelope, TaskUpdate))
            case "session.go_away":
                self._spawn(self._go_away(peer, peer.read(envelope, GoAway)))
            case method:
                raise NotFound(f"unknown method {method!r}"[:100])

    async def _complain(self, peer: Peer, envelope: Envelope, error: NexaError) -> None:
        code = 0
        if isinstance(error, Invalid):
            code = INVALID_PARAMS
        elif isinstance(error, NotFound):
            code = METHOD_NOT_FOUND
        if not isinstance(envelope.id, int | str):
            _log.warning("a notification of the node was left out: %s", error)
            return
        with suppress(Lost):
            await peer.refuse(envelope.id, error, code)

    async def _go_away(self, peer: Peer, asked: GoAway) -> None:
        """Move to another node when there is one; else come back when told to.

        A lone node that drains wants the results of what it gave, so the connection
        stays until the node closes it.
        """
        pause = max(0.0, asked.reconnect_after_ms / 1000)
        self._hold_s = pause
        _log.info("the node asks us to move: %s", asked.reason)
        if asked.cluster:
            self._dial.endpoints.learn(asked.cluster)
        if len(self._dial.endpoints) == 1:
            return
        await asyncio.sleep(pause)
        self._hold_s = 0.0
        await peer.close(1001, "moving")


async def _sweep() -> None:
    """Let what was asked at the last moment see that it is over."""
    for _ in range(3):
        await asyncio.sleep(0)
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
