"""Streams as files: taken with the server's flow control, put back, and counted.

    async with snapshot(session, "NX_TASKQ") as taken:
        async for chunk in taken.chunks: file.write(chunk)
    await restore(session, taken.described, chunks, replicas=3)

Memory is bounded: at most `WINDOW` bytes are on their way at any time. A snapshot of a
stream that nobody writes to is exact. Of one that is written to meanwhile, what was
removed or replaced before it was read is not in it (see `tails`).

A restore stores every message by itself. Under `sync_interval: always` that is one sync
of the disk for each: 5,000/s on a fast one, and on one that needs more than a
millisecond the server's own watch over restores (5 s for at most 1 MiB of messages)
ends it. So restore into a server that is started without `always` on a folder that
nobody uses yet; stop it, sync the folder, and only then let it be used (`aside.py`).
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from nexa_node.adapters.nats import wire
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.nats.session import (
    Inbox,
    Lost,
    NoResponders,
    Session,
)
from nexa_node.core.backups import Described

CHUNK = 128 * 1024
WINDOW = 4 * 1024**2
"""Bytes of a snapshot that may be on their way unacknowledged."""
IN_FLIGHT = 16
"""Chunks of a restore that may be on their way unanswered: 2 MiB."""
SILENCE_S = 30.0
"""A server that says nothing for so long has given up without a word."""

Progress = Callable[[int], None]
"""Told how many bytes of the snapshot went through so far."""


class SnapshotFailed(StoreFailed):
    """A snapshot could not be taken, or was cut off; nothing was changed."""

    retryable = True


class RestoreFailed(StoreFailed):
    """A stream could not be restored, and what was begun of it was removed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stream on its way out."""

    described: Described
    """As it was when the snapshot began; keep it, `restore` needs it."""
    chunks: AsyncIterator[bytes]
    """Its bytes; raises `SnapshotFailed` when the server gives up in the middle."""


class _Info(wire.Answer, frozen=True, kw_only=True):
    """A stream in full, without naming its settings: newer servers have more."""

    config: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    state: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class _List(wire.Answer, frozen=True, kw_only=True):
    total: int = 0
    streams: tuple[_Info, ...] | None = None


class _TakeIt(msgspec.Struct, frozen=True, kw_only=True):
    deliver_subject: str
    no_consumers: bool
    chunk_size: int = CHUNK
    window_size: int = WINDOW
    jsck: bool = True


class _PutBack(msgspec.Struct, frozen=True, kw_only=True):
    config: dict[str, Any]
    state: dict[str, Any]


class _Whereto(wire.Answer, frozen=True, kw_only=True):
    deliver_subject: str = ""


async def streams(session: Session) -> tuple[Described, ...]:
    """List every stream there is, by name, with the figures to count by.

    Raises:
        StoreFailed: The server can't tell.
        Lost, NoResponders, TimeoutError: No answer.
    """
    found: dict[str, Described] = {}
    while True:
        body = msgspec.json.encode(wire.Offset(offset=len(found)))
        answer = await _ask(session, "$JS.API.STREAM.LIST", body)
        page = wire.read(answer, _List)
        if page.error is not None:
            raise StoreFailed(f"nats-server can't list its streams: {page.error}")
        for info in page.streams or ():
            described = _described(info)
            found[described.name] = described
        if len(found) >= page.total or not page.streams:
            return tuple(found[name] for name in sorted(found))


async def describe(session: Session, stream: str) -> Described | None:
    """Say how a stream is now, as its leader has it; None if there is none.

    Raises:
        StoreFailed: The server can't tell.
        Lost, NoResponders, TimeoutError: No answer.
    """
    info = wire.read(await _ask(session, f"$JS.API.STREAM.INFO.{stream}", b""), _Info)
    if info.error is None:
        return _described(info)
    if info.error.err_code == wire.STREAM_NOT_FOUND:
        return None
    raise StoreFailed(f"nats-server can't tell of {stream}: {info.error.description}")


async def delete(session: Session, stream: str) -> None:
    """Remove a stream with all it has; no error if there is none.

    Raises:
        StoreFailed: The server refused.
        Lost, NoResponders, TimeoutError: No answer.
    """
    told = wire.read(
        await _ask(session, f"$JS.API.STREAM.DELETE.{stream}", b""), wire.Answer
    )
    if told.error is not None and told.error.err_code != wire.STREAM_NOT_FOUND:
        raise StoreFailed(f"{stream} can't be removed: {told.error.description}")


@contextlib.asynccontextmanager
async def snapshot(
    session: Session, stream: str, *, consumers: bool | None = None
) -> AsyncGenerator[Snapshot]:
    """Take a stream. Read `chunks` without pausing for seconds: the server gives up.

    Args:
        session: At a server with JetStream.
        stream: Which.
        consumers: Whether their places are taken, too; by default only a work queue's,
            since all other readers begin anew by themselves.

    Raises:
        SnapshotFailed: The server refused; also from `chunks`, when it broke off.
        Lost, NoResponders, TimeoutError: No answer.
    """
    if consumers is None:
        there = await describe(session, stream)
        consumers = there is not None and there.is_queue
    # Without wildcards: for others the server waits two seconds until it begins.
    inbox = await session.inbox(f"_INBOX.snapshot.{secrets.token_hex(8)}")
    try:
        asked = _TakeIt(deliver_subject=inbox.subject, no_consumers=not consumers)
        body = msgspec.json.encode(asked)
        told = wire.read(
            await _ask(session, f"$JS.API.STREAM.SNAPSHOT.{stream}", body), _Info
        )
        if told.error is not None:
            raise _not_taken(stream, told.error.description)
        yield Snapshot(_described(told), _chunks(session, stream, inbox))
    finally:
        await inbox.close()


async def restore(
    session: Session,
    described: Described,
    chunks: AsyncIterator[bytes],
    *,
    replicas: int | None = None,
    on_progress: Progress | None = None,
) -> Described:
    """Make a stream from a snapshot, exactly: sequences, times, consumers' places.

    Args:
        session: At the server it should be in (in a cluster: any member).
        described: What came with the snapshot; its `config` may be changed before,
            but for the name.
        chunks: The snapshot's bytes, in pieces of any size up to 1 MiB.
        replicas: Copies, if not as many as there were.
        on_progress: Told how many bytes went through.

    Returns:
        The stream as it is now; hold it against `described` by `differences`.

    Raises:
        RestoreFailed: It is there already, or the bytes are no whole snapshot.
        Lost, NoResponders, TimeoutError: No answer; `delete` what may be there.
    """
    name = described.name
    config = dict(described.config)
    if replicas is not None:
        config["num_replicas"] = replicas
    body = msgspec.json.encode(_PutBack(config=config, state=described.state))
    asked = await _ask(session, f"$JS.API.STREAM.RESTORE.{name}", body)
    told = wire.read(asked, _Whereto)
    if told.error is not None:
        raise _not_restored(name, told.error.description)
    try:
        final = await _send(session, told.deliver_subject, chunks, on_progress)
        made = wire.read(final, _Info)
        if made.error is not None:
            raise _not_restored(name, made.error.description)
    except (RestoreFailed, msgspec.DecodeError):
        # The server keeps what it has read so far as if it were the whole.
        with contextlib.suppress(StoreFailed, Lost, NoResponders, TimeoutError):
            await delete(session, name)
        raise
    return _described(made)


async def _chunks(session: Session, stream: str, inbox: Inbox) -> AsyncIterator[bytes]:
    while True:
        message = inbox.get_now()
        if message is None:
            try:
                async with asyncio.timeout(SILENCE_S):
                    message = await inbox.get()
            except TimeoutError:
                raise _not_taken(stream, f"silence for {SILENCE_S:g} s") from None
        if not message.data:
            if message.status not in (None, "204"):
                why = (message.headers or {}).get("Description", "no reason told")
                raise _not_taken(stream, f"{message.status} {why}")
            return
        yield message.data
        session.answer(message, b"")


class _Answers:
    """The server's answers to the chunks of one restore, in order."""

    def __init__(self, session: Session, subject: str) -> None:
        self._session = session
        self._subject = subject
        self._waiting: deque[asyncio.Task[bytes]] = deque()

    async def send(self, chunk: bytes) -> None:
        while len(self._waiting) >= IN_FLIGHT:
            await self._next()
        ask = _ask(self._session, self._subject, chunk)
        self._waiting.append(asyncio.get_running_loop().create_task(ask))
        await asyncio.sleep(0)  # so that it is on its way before the next one

    async def settle(self) -> None:
        while self._waiting:
            await self._next()

    async def drop(self) -> None:
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _next(self) -> None:
        said = await self._waiting.popleft()
        if said:
            told = wire.read(said, wire.Answer)
            if told.error is not None:
                raise RestoreFailed(told.error.description)


async def _send(
    session: Session,
    subject: str,
    chunks: AsyncIterator[bytes],
    on_progress: Progress | None,
) -> bytes:
    answers = _Answers(session, subject)
    sent = 0
    try:
        async for chunk in chunks:
            if not chunk:
                continue  # an empty one means the end
            await answers.send(chunk)
            sent += len(chunk)
            if on_progress is not None:
                on_progress(sent)
        await answers.settle()
    finally:
        await answers.drop()
    return await _ask(session, subject, b"")


def differences(
    was: Described, now: Described, *, removed: int = 0, added: int = 0
) -> str | None:
    """Compare a restored stream with what was taken; None if it is all there.

    Messages may be fewer than they were for two reasons only: they were removed while
    the snapshot was taken, or their time was over since. Nothing may be gained but one:
    the snapshot's end is the first message behind the newest, if that was removed.

    Args:
        was: What came with the snapshot.
        now: What `restore` returned.
        removed: Messages that were removed while the snapshot was taken; 0 of a stream
            that nobody wrote to.
        added: Messages that were written into it after it was restored.
    """
    before, after = was.counts, now.counts
    least = 0 if was.ages else before.messages - removed - added
    most = before.messages + (1 if removed else 0) + added
    if not least <= after.messages <= most:
        return f"{was.name} has {after.messages} of {before.messages} messages"
    if not before.last_seq <= after.last_seq <= before.last_seq + removed + added:
        return f"{was.name} ends at {after.last_seq} instead of {before.last_seq}"
    if after.messages and after.first_seq < before.first_seq:
        return f"{was.name} begins at {after.first_seq} instead of {before.first_seq}"
    return None


async def _ask(session: Session, subject: str, body: bytes) -> bytes:
    until = asyncio.get_running_loop().time() + SILENCE_S
    return (await session.request(subject, body, until=until)).data


def _described(info: _Info) -> Described:
    return Described(
        name=str(info.config.get("name", "")), config=info.config, state=info.state
    )


def _not_taken(stream: str, why: str) -> SnapshotFailed:
    return SnapshotFailed(
        f"a snapshot of {stream} was not taken: {why}",
        remedy="try again; if it stays so: nexa logs",
    )


def _not_restored(stream: str, why: str) -> RestoreFailed:
    return RestoreFailed(
        f"{stream} was not restored: {why}", remedy="nexa logs; then try again"
    )
