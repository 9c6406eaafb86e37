"""The store's connection: it comes back by itself, and every wait on it has an end.

A call is tried again until its time is over, with the same message id, so it happens
once. After that the caller is told `Unavailable` with the cause, not "time-out".
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec
import structlog

from nexa_node.adapters.nats import wire
from nexa_node.adapters.nats.binary import check_version
from nexa_node.adapters.nats.failures import StoreFailed, afresh
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.adapters.nats.topology import NotReady
from nexa_node.adapters.nats.writes import Stream, Tally, Write
from nexa_node.contract.errors import NexaError, PayloadTooLarge, Unavailable

A = TypeVar("A", bound=wire.Answer)

RETRY_S = 0.05
"""Between two tries of a call, and of a connection."""
PREPARE_S = 15.0
"""For a session to be made ready: to look at every stream, and to make what is missing."""
BROKEN_S = 2.0
"""Between two looks at a store that was found damaged."""
TRY_S = 2.5
"""A try that is not answered for so long is made again: its leader may be gone."""
SETTLE_S = 2.0
"""For what was asked before writes are held."""

_log = structlog.get_logger("nexa.store")


class Upstream(Protocol):
    """Whom we connect to: the supervised server."""

    detail: str
    trouble: NexaError | None

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    @property
    def seed(self) -> str:
        """What we prove ourselves with."""
        ...

    async def up(self) -> None:
        """Wait until it listens."""
        ...


class WrongSequence(Exception):
    """A compare-and-set lost, or its first try won and the answer was lost."""

    def __init__(self, message_id: str, *, unsure: bool) -> None:
        """Keep whose write it was, and whether an earlier try may have won."""
        super().__init__(message_id)
        self.message_id = message_id
        self.unsure = unsure


class Refused(Exception):
    """JetStream answered with an error that is the caller's to judge."""

    def __init__(self, error: wire.ApiError) -> None:
        """Keep the error."""
        super().__init__(error.description)
        self.error = error


class Connection:
    """Sessions, one after the other, and calls over them."""

    def __init__(
        self,
        upstream: Upstream,
        prepare: Callable[[Session], Awaitable[None]],
        *,
        timeout_s: float | Callable[[], float],
        direct: bool | Callable[[], bool] = False,
    ) -> None:
        """Take what is needed; `open` connects.

        Args:
            upstream: The server.
            prepare: Called with each new session before anybody else may use it: makes
                or verifies what must be there.
            timeout_s: After that a call answers `Unavailable`; asked for each call.
            direct: Whether any replica may be believed: only if there is one alone, for
                a second one may be behind.
        """
        self._timeout_s = timeout_s
        self._direct = direct
        self._upstream = upstream
        self._prepare = prepare
        self._session: Session | None = None
        self._ready = asyncio.Event()
        self._broken: StoreFailed | None = None
        self._why = ""
        self._held = ""
        self._free = asyncio.Event()
        self._free.set()
        self._busy = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.refusal: NexaError | None = None
        """Why nothing can be answered for now; every call is told at once."""
        self._streams: dict[str, Stream] = {}
        self.tally = Tally()
        """How writes were sent."""

    @property
    def timeout_s(self) -> float:
        """How long a call that begins now may take."""
        told = self._timeout_s
        return told if isinstance(told, float | int) else told()

    @timeout_s.setter
    def timeout_s(self, seconds: float) -> None:
        self._timeout_s = seconds

    @property
    def is_up(self) -> bool:
        """Whether calls get through now."""
        return self._session is not None and not self._session.is_lost

    @property
    def is_alone(self) -> bool:
        """Whether there is one replica of everything, which can't be behind."""
        direct = self._direct
        return direct if isinstance(direct, bool) else direct()

    @property
    def detail(self) -> str:
        """Why not, in one sentence; or where and what it is."""
        if self._broken is not None:
            return self._broken.message
        return self._held or (not self.is_up and self._why) or self._upstream.detail

    async def open(self) -> None:
        """Connect and prepare, once.

        Raises:
            StoreFailed: The store is not what it should be.
            Unavailable: No connection in time.
        """
        deadline = self.deadline()
        while True:
            try:
                await self._connect()
            except (OSError, Lost, NoResponders, TimeoutError, NotReady) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise self._unavailable(f"connecting failed: {error!r}") from error
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def keep(self) -> None:
        """Connect again whenever the session is lost. Until cancelled."""
        while True:
            if self._session is not None:
                await self._session.ended()
                self._drop()
            await self._free.wait()
            await self._upstream.up()
            try:
                await self._connect()
            except NotReady as error:
                self._why = f"waits for the cluster: {error}"
                await asyncio.sleep(RETRY_S)
            except (Lost, NoResponders, TimeoutError) as error:
                self._why = "waits for the cluster's streams"
                _log.debug("no connection to the store", error=repr(error))
                await asyncio.sleep(RETRY_S)
            except StoreFailed as error:
                self._broken = error
                _log.error("the store is not usable", cause=error.message)
                await asyncio.sleep(BROKEN_S)
            except Exception as error:  # noqa: BLE001  nothing may end this loop
                _log.warning("no connection to the store", error=repr(error))
                await asyncio.sleep(RETRY_S)

    @contextlib.asynccontextmanager
    async def hold(self, why: str) -> AsyncGenerator[None]:
        """Let nobody ask or write meanwhile: callers wait, at most their time.

        What was begun before gets a moment to end; then the session is ended, so that
        nothing more is written by anybody. On leaving there is a new one soon.
        """
        self._held = why
        self._free.clear()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(SETTLE_S, self.timeout_s / 2)):
                    await self._quiet.wait()
            await self.close()
            yield
        finally:
            self._held = ""
            self._free.set()

    async def wait_up(self, seconds: float) -> bool:
        """Wait at most so long for a session; whether there is one."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End the session in order."""
        session = self._session
        self._drop()
        if session is not None:
            await session.close()

    async def session(self, deadline: float | None = None) -> Session:
        """Wait for a usable session; without a deadline, for as long as it takes.

        Raises:
            Unavailable: There was none before `deadline` (the loop's time).
        """
        while self._session is None or self._session.is_lost or self._held:
            if self.refusal is not None and deadline is not None:
                raise afresh(self.refusal)
            if deadline is not None and self._broken is not None:
                raise afresh(self._broken)
            if self._session is not None and not self._held:
                self._drop()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._free.wait()
                    await self._ready.wait()
            except TimeoutError as error:
                raise self._unavailable("there is no connection") from error
        return self._session

    def deadline(self) -> float:
        """When a call that begins now must have ended, in the loop's time."""
        return asyncio.get_running_loop().time() + self.timeout_s

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> tuple[Msg, bool]:
        """Ask until there is an answer; for calls that may happen twice.

        Returns:
            The answer, and whether an earlier try may have been heard too.

        Raises:
            Unavailable: No answer in time.
        """
        deadline = self.deadline()
        unsure = False
        while True:
            self._check()
            session = await self.session(deadline)
            until = asyncio.get_running_loop().time() + self._try_s
            try:
                answer = await session.request(
                    subject, payload, headers, until=min(deadline, until)
                )
            except NoResponders as error:
                await self._pause(deadline, f"nobody answers {subject}", error)
            except (Lost, TimeoutError) as error:
                unsure = True
                await self._pause(deadline, f"no answer to {subject}", error)
            else:
                return answer, unsure

    async def call(self, subject: str, body: msgspec.Struct | None, kind: type[A]) -> A:
        """Ask JetStream's API.

        Raises:
            Unavailable: No answer in time, or the store is full.
            Refused: It answered with an error.
        """
        payload = b"" if body is None else msgspec.json.encode(body)
        deadline = self.deadline()
        while True:
            answer, _ = await self.request(f"$JS.API.{subject}", payload)
            told = wire.read(answer.data, kind)
            if told.error is None:
                return told
            self._judge(told.error, subject)
            if told.error.code != wire.BUSY:
                raise Refused(told.error)
            await self._pause(deadline, told.error.description, None)

    async def last(self, stream: str, subject: str) -> wire.Entry | None:
        """Read the newest message on `subject`, deletions too; None without any.

        It sees every write that was answered before.

        Raises:
            Unavailable: No answer in time, or no sensible one.
        """
        if self.is_alone:
            return await self._directly(stream, subject)
        asked = wire.GetMessage(last_by_subj=subject)
        try:
            got = await self.call(f"STREAM.MSG.GET.{stream}", asked, wire.Got)
        except Refused as refused:
            if refused.error.err_code in wire.NO_MESSAGE:
                return None
            raise Unavailable(f"{subject} can't be read: {refused}") from refused
        found = got.message
        if found is None:
            return None
        return wire.Entry(subject, found.seq, found.payload(), found.headers())

    async def _directly(self, stream: str, subject: str) -> wire.Entry | None:
        answer, _ = await self.request(f"$JS.API.DIRECT.GET.{stream}.{subject}")
        headers = answer.headers or {}
        if answer.status == wire.NOT_FOUND:
            return None
        if answer.status is not None or not headers.get(wire.SEQUENCE, "").isdigit():
            raise Unavailable(f"{subject} can't be read: {headers}")
        return wire.Entry(subject, int(headers[wire.SEQUENCE]), answer.data, headers)

    async def store(
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str,
        headers: dict[str, str] | None = None,
    ) -> wire.PubAck:
        """Publish into a stream; returns when it is safe on the disk.

        Args:
            subject: One of a stream.
            payload: The message.
            message_id: The same one within two minutes is stored once.
            headers: More of them; may ask for a compare-and-set.

        Raises:
            Unavailable: Not stored in time; it may have been stored all the same.
            WrongSequence: The compare-and-set lost.
            PayloadTooLarge: Too big for the store.
        """
        if self._upstream.trouble is not None:
            raise afresh(self._upstream.trouble)
        await self.session(self.deadline())
        self._busy += 1
        self._quiet.clear()
        try:
            return await self._store(subject, payload, message_id, headers or {})
        finally:
            self._busy -= 1
            if not self._busy:
                self._quiet.set()

    async def _store(
        self, subject: str, payload: bytes, message_id: str, headers: dict[str, str]
    ) -> wire.PubAck:
        deadline = self.deadline()
        write = Write(
            subject,
            payload,
            message_id=message_id,
            headers=headers,
            deadline=deadline,
            try_s=self._try_s,
        )
        while True:
            session = await self.session(deadline)
            self._check()
            try:
                self._stream(session, subject).put(write)
                ack = await write.future
            except NoResponders as error:
                await self._pause(deadline, f"nobody answers {subject}", error)
            except (Lost, TimeoutError) as error:
                write.is_unsure = True
                await self._pause(deadline, f"no answer to {subject}", error)
            else:
                if ack.error is None:
                    is_own = ack.duplicate and write.is_unsure
                    return _first(ack) if is_own else ack
                await self._refused(ack.error, write)
            write.again()

    @property
    def _try_s(self) -> float:
        return min(TRY_S, self.timeout_s / 2)

    def _check(self) -> None:
        """Don't let anybody wait for what can't come."""
        if self.refusal is not None:
            raise afresh(self.refusal)

    async def _refused(self, error: wire.ApiError, write: Write) -> None:
        """Tell why a write was refused; returns when it may be tried again."""
        if error.err_code in wire.WRONG_LAST_SEQUENCE:
            raise WrongSequence(write.message_id, unsure=write.is_unsure)
        self._judge(error, write.subject)
        if error.err_code != wire.IN_PROCESS and error.code != wire.BUSY:
            raise self._unavailable(f"{write.subject}: {error.description}")
        await self._pause(write.deadline, error.description, None)

    def _stream(self, session: Session, subject: str) -> Stream:
        """Two tokens name a stream: `$KV.<bucket>`, `nx.events`."""
        name = ".".join(subject.split(".", 2)[:2])
        stream = self._streams.get(name)
        if stream is None or stream.session is not session:
            stream = self._streams[name] = Stream(
                session, f"-{len(self._streams)}-", self.tally
            )
            session.on_sweep(stream.sweep)
            session.on_end(stream.end)
        return stream

    def _judge(self, error: wire.ApiError, subject: str) -> None:
        if error.err_code in wire.STORE_FULL:
            raise Unavailable(
                f"the store is full: {error.description} ({subject})",
                remedy="raise [store] max_bytes, or shorten [retention]",
            )
        if error.err_code == wire.TOO_LARGE:
            raise PayloadTooLarge(f"{subject}: {error.description}")

    async def _connect(self) -> None:
        session = await self._dial()
        try:
            check_version(session.version, self._upstream.url)
            # A server whose cluster has no leader yet may never answer.
            async with asyncio.timeout(PREPARE_S):
                await self._prepare(session)
        except BaseException:
            await session.close()
            raise
        if self._held:
            await session.close()
            return
        self._session, self._broken, self._why = session, None, ""
        self._ready.set()

    async def _dial(self) -> Session:
        return await Session.open(self._upstream.url, self._upstream.seed)

    def _drop(self) -> None:
        self._ready.clear()
        self._session = None
        self._streams = {}

    async def _pause(
        self, deadline: float, what: str, cause: BaseException | None
    ) -> None:
        if asyncio.get_running_loop().time() + RETRY_S >= deadline:
            raise self._unavailable(what) from cause
        await asyncio.sleep(RETRY_S)

    def _unavailable(self, what: str) -> NexaError:
        trouble = self._upstream.trouble
        if trouble is not None:
            return afresh(trouble)
        return Unavailable(
            f"the store does not answer ({what}; {self.detail})",
            remedy="nexa logs; nexa selftest node.store",
        )


def _first(ack: wire.PubAck) -> wire.PubAck:
    """It was stored by an earlier try of the same call, so it is no duplicate."""
    return msgspec.structs.replace(ack, duplicate=False)
