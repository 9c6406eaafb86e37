"""What of the store goes into a backup, in which order, and how it comes back.

The order is chosen so that what was taken later explains what was taken earlier
(docs/backup.md): the queue, then the records of tasks; sessions, then the inboxes they
have positions in; what refers to large objects, then the objects.

A restore never writes into the store that is in use: it makes a new one beside it,
counts it, and has the node put it in the place of the old one (`adopt`).
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from nexa_node.adapters.nats import private, snapshots, tails, topology
from nexa_node.adapters.nats.aside import server_aside, sync_folder
from nexa_node.adapters.nats.config import Layout
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.adapters.nats.snapshots import SnapshotFailed
from nexa_node.contract.errors import Unavailable
from nexa_node.core.backups import Contents, Described, Part
from nexa_node.core.policies import StorePolicy

FIRST = (
    topology.TASKQ,
    topology.bucket_stream(topology.TASKS),
    topology.bucket_stream(topology.SESSIONS),
    topology.bucket_stream(topology.AGENTS),
    topology.INBOX,
    topology.OBJECTS,
)
LAST = (topology.EVENTS,)
LEFT_OUT = frozenset(
    (
        topology.PROBE,
        topology.bucket_stream(topology.PROBES),
        topology.bucket_stream("nx_nodes"),
        topology.bucket_stream("nx_leases"),
        topology.bucket_stream(topology.NOTIFY),
    )
)
"""What is true of this cluster at this moment only."""

_TOKENS = topology.bucket_stream(topology.TOKENS)

RESTORED, READY, BEFORE = "restored", "ready", "jetstream.before-restore"
BACK_S = 120.0
"""A large store is read through before its server listens."""
_LOOK_S = 0.02

Open = Callable[[str], AsyncIterator[bytes]]
"""Reads a piece of an archive by its name."""

_log = structlog.get_logger("nexa.backup")


class NatsBackups:
    """`services.vaults.Streams` of the store in one node's folder."""

    def __init__(
        self,
        connection: Connection,
        policy: StorePolicy,
        folder: Path,
        *,
        bounce: Callable[[], Awaitable[None]],
        clustered: Callable[[], bool] = lambda: False,
    ) -> None:
        """Join the parts.

        Args:
            connection: To the store.
            policy: Which nats-server makes a restored store.
            folder: The node's own.
            bounce: Ends the store's server, has `adopt(Layout(folder))` called, starts
                it, and returns when it listens.
            clustered: Whether the store is shared with other nodes.
        """
        self._connection = connection
        self._policy = policy
        self._folder = folder
        self._bounce = bounce
        self._clustered = clustered

    async def names(self) -> tuple[str, ...]:
        """Name the streams to take, in the order to take them.

        Raises:
            Unavailable: The store does not answer.
        """
        async with self._session() as session:
            there = {one.name for one in await snapshots.streams(session)} - LEFT_OUT
        middle = sorted(there.difference(FIRST, LAST))
        return tuple(name for name in (*FIRST, *middle, *LAST) if name in there)

    @contextlib.asynccontextmanager
    async def take(
        self, stream: str
    ) -> AsyncGenerator[tuple[Described, AsyncIterator[bytes]]]:
        """Take one stream: how it was when it began, and its bytes.

        Raises:
            Unavailable: The store does not answer, or gave up; also from the bytes.
        """
        async with (
            self._session() as session,
            snapshots.snapshot(session, stream) as taken,
        ):
            yield taken.described, taken.chunks

    async def after(self, was: Described) -> tuple[int, AsyncIterator[bytes] | None]:
        """Say what changed while a stream was taken.

        Returns:
            How many messages were removed since; and, of a stream where newer messages
            replace older ones, those that were stored since, as bytes for `restore`.

        Raises:
            Unavailable: The store does not answer; or so much is written that no end
                is found.
        """
        async with self._session() as session:
            now = await snapshots.describe(session, was.name)
            if now is None:
                raise SnapshotFailed(f"{was.name} was removed while it was taken")
            had, has = was.counts, now.counts
            new = has.last_seq - had.last_seq
            removed = max(0, had.messages + new - has.messages)
            if not new or was.config.get("max_msgs_per_subject") != 1:
                return removed, None
        return removed, tails.encode(self._tail(was))

    async def _tail(self, was: Described) -> AsyncIterator[tails.Late]:
        async with self._session() as session:
            after = was.counts.last_seq
            async for late in tails.read(session, was.name, after=after):
                yield late

    async def contents(self) -> Contents:
        """Count what a restore would replace.

        Raises:
            Unavailable: The store does not answer.
        """
        async with self._session() as session:
            had = {one.name: one.counts for one in await snapshots.streams(session)}

        def count(name: str) -> int:
            return had[name].messages if name in had else 0

        return Contents(
            tasks=count(topology.bucket_stream(topology.TASKS)),
            queued=count(topology.TASKQ),
            messages=count(topology.INBOX),
            objects=count(topology.OBJECTS),
            clustered=self._clustered(),
        )

    async def restore(
        self, parts: tuple[Part, ...], read: Open
    ) -> AsyncGenerator[tuple[str, int]]:
        """Make a store of `parts` and put it in the place of the one there is.

        The old one is untouched until the new one is whole, counted and on the disk;
        it is gone when this ends. This node's own tokens are in the new one, too.

        Yields:
            A phase and how many messages are through it: restore, verify, start.

        Raises:
            StoreFailed: The new one could not be made; nothing was changed.
            Unavailable: The store did not come back.
        """
        aside = self._folder / RESTORED
        await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
        await asyncio.to_thread(private.make_folder, aside)
        async with self._session() as session:
            tokens = await tails.newest(session, _TOKENS)
        try:
            done = 0
            added: dict[str, int] = {}
            async with self._aside(aside) as session:
                for part in parts:
                    added[part.stream.name] = await _one(session, part, read)
                    done += part.stream.counts.messages
                    yield "restore", done
                own = await tails.add(session, _each(tokens), only_new=True)
                added[_TOKENS] = added.get(_TOKENS, 0) + own
            yield "verify", done
            # Counted by a server that finds it on the disk.
            async with self._aside(aside) as session:
                await _count(session, parts, added)
            yield "start", done
            await asyncio.to_thread(sync_folder, aside)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
            raise
        # From here on it is the store, now or at the node's next start.
        await asyncio.to_thread(private.write, aside / READY, b"")
        await self._bounce()
        async with self._session() as session:
            await _are_there(session, parts)
        await asyncio.to_thread(shutil.rmtree, self._folder / BEFORE)

    @contextlib.asynccontextmanager
    async def _aside(self, folder: Path) -> AsyncGenerator[Session]:
        try:
            async with server_aside(self._policy, folder) as session:
                yield session
        except (Lost, NoResponders, TimeoutError, OSError) as error:
            raise StoreFailed(
                f"the server that restores went away ({error!r}); nothing was changed",
                remedy=f"see {Layout(folder).log} and the space on the disk; try again",
            ) from error

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncGenerator[Session]:
        session = await self._connection.session(self._connection.deadline())
        try:
            yield session
        except (Lost, NoResponders, TimeoutError) as error:
            raise Unavailable(
                f"the store went away in the middle ({error!r})", remedy="try again"
            ) from error


def adopt(folder: Path) -> bool:
    """Put a restored store in the place of the old one, if there is one; whether so.

    Call before each start of the server on `folder`, never while it runs. Killed at any
    point, the next call goes on: the old store stays until it is known that the new one
    works.
    """
    store, aside = Layout(folder).store, folder / RESTORED
    ready, made = aside / READY, Layout(aside).store
    if not ready.exists():
        return False
    if made.exists():
        old = folder / BEFORE
        if old.exists() and store.exists() and not any(store.iterdir()):
            store.rmdir()  # made by a start since we were killed here
        if store.exists():
            shutil.rmtree(old, ignore_errors=True)
            store.rename(old)
        made.rename(store)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    ready.unlink()
    shutil.rmtree(aside, ignore_errors=True)
    return True


async def _each(messages: list[tails.Late]) -> AsyncIterator[tails.Late]:
    for message in messages:
        yield message


async def _one(session: Session, part: Part, read: Open) -> int:
    """Restore a stream; how many messages were written behind its snapshot."""
    config = {**part.stream.config, "metadata": {}, "num_replicas": 1}
    config.pop("placement", None)
    described = msgspec.structs.replace(part.stream, config=config)
    await snapshots.restore(session, described, read(part.snapshot.name))
    if part.tail is None:
        return 0
    return await tails.add(session, tails.decode(read(part.tail.name)))


async def _count(
    session: Session, parts: tuple[Part, ...], added: dict[str, int]
) -> None:
    """See that all is there, and what was added to some streams."""
    now = {one.name: one for one in await snapshots.streams(session)}
    for part in parts:
        name = part.stream.name
        found = now.get(name)
        wrong = f"{name} is not there"
        if found is not None:
            wrong = snapshots.differences(
                part.stream, found, removed=part.removed, added=added[name]
            )
        if wrong is not None:
            raise StoreFailed(
                f"what was restored is not what was taken: {wrong}",
                remedy="try another backup, and report this one",
            )


async def _are_there(session: Session, parts: tuple[Part, ...]) -> None:
    """See that the store in use is the restored one; it may be used already."""
    now = {one.name: one.counts.last_seq for one in await snapshots.streams(session)}
    for part in parts:
        if now.get(part.stream.name, -1) < part.stream.counts.last_seq:
            raise StoreFailed(
                f"the node runs, and not on what was restored: {part.stream.name}",
                remedy="nexa node restart; then look again: nexa cluster status",
            )


class Supervised(Protocol):
    """The store's server, as `Server` has it."""

    restarts: int

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        ...


async def bounce(server: Supervised, connection: Connection) -> None:
    """Have the supervisor start the store's server anew, and wait until it is back.

    Raises:
        StoreFailed: It did not come back in time.
    """
    before, pid = server.restarts, server.pid
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(BACK_S):
            while server.restarts == before or not connection.is_up:  # noqa: ASYNC110  no event tells both
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise StoreFailed(
            f"the restored store did not start within {BACK_S:g} s",
            remedy=f"nexa logs; to go back: stop the node, mv {BEFORE} jetstream",
        ) from None
