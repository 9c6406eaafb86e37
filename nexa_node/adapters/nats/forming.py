"""A lone store becomes a cluster's: 1 → many, without losing a byte or a position.

    async for growth in Forming(server, connection, streams).run(member, commit): ...

Nobody may write meanwhile: callers wait, at most their time. The old folder is not
touched until the new one is counted, synced and written down by `commit`; whatever
happens before that, also a kill, leads back to it (`tidy`, at the next start).

The new folder is filled by a server that does not sync each write: what it made is
worth nothing until it has stopped in order and the folder was synced.
"""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog

from nexa_node.adapters.nats import private, snapshots, topology, wire
from nexa_node.adapters.nats.aside import sync_folder
from nexa_node.adapters.nats.config import ALONE, Layout, Member
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.failures import RECORD_NAME, StoreFailed
from nexa_node.adapters.nats.server import Server
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.adapters.nats.streams import Mark, Topology
from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, NexaError
from nexa_node.core.addresses import parse_address
from nexa_node.core.backups import Described

FOLDER, BEGUN = "forming", "begun"
"""In the node's folder: the snapshots, and the name of the folder that is filled."""
PEER_S = 60.0
"""For the joiner's server to listen; nothing is held meanwhile."""
LEADER_S = 45.0
"""For the two to elect a leader, and for a stream to be there again."""
CLEAR_S = 3.0
COUNT_S = 8.0
"""For streams that are there to have what was restored into them."""
_LOOK_S = 0.1
_NO_PEERS = "no suitable peers"
"""In nats-server's words: it knows of no member with the tag that is asked for."""
_CHUNK = 128 * 1024
_LEFT_BEHIND = frozenset(
    (
        topology.PROBE,
        topology.bucket_stream(topology.PROBES),
        topology.bucket_stream(topology.LEASES),
    )
)
"""True of this moment only: made anew."""


class _Names(wire.Answer, frozen=True, kw_only=True):
    streams: tuple[str, ...] | None = None


Commit = Callable[[Member], Awaitable[None]]
"""Writes down, durably, that this node's store is a member from now on."""

_log = structlog.get_logger("nexa.store")


class Forming:
    """One attempt; a second one begins anew."""

    def __init__(
        self, server: Server, connection: Connection, streams: Topology
    ) -> None:
        """Join the parts; nothing happens before `run`."""
        self._server = server
        self._connection = connection
        self._streams = streams
        self._home = server.layout.folder / FOLDER
        self._taken: list[Described] = []

    async def run(self, member: Member, commit: Commit) -> AsyncGenerator[Growth]:
        """Make this node's store the first member of a cluster.

        Args:
            member: Its place; `routes` has the joiner's, which waits for us.
            commit: Called once, when all is on the disk in the new folder.

        Yields:
            The phases wait, snapshot, start, restore, verify, commit, done; or
            rolled_back, and then the cause is raised.

        Raises:
            Conflict: The store is clustered already.
            StoreFailed: It did not work, and everything is as it was.
        """
        if self._server.member is not None:
            raise Conflict("this node's store is a member of a cluster already")
        is_committed = False
        try:
            yield _growth("wait", detail=", ".join(member.routes))
            await self._await_peers(member)
            async with self._connection.hold("the cluster is being formed"):
                try:
                    async for growth in self._move(member):
                        yield growth
                    await commit(member)
                    is_committed = True
                finally:
                    if not is_committed:
                        await asyncio.shield(self._back())
            yield _growth("commit")
        except (NexaError, Lost, NoResponders, TimeoutError, OSError) as error:
            if is_committed:
                raise
            failure = _failure(error)
            yield Growth(
                action="form",
                phase="rolled_back",
                error=failure.message,
                remedy=failure.remedy,
            )
            raise failure from error
        await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)
        async with asyncio.timeout(LEADER_S):
            while not await self._connection.wait_up(LEADER_S):
                pass
        await asyncio.to_thread(tidy, self._server.layout.folder, member)
        total = self._messages
        yield _growth("done", done=total, total=total)

    async def _move(self, member: Member) -> AsyncGenerator[Growth]:
        yield _growth("snapshot")
        await asyncio.to_thread(self._begin, member)
        async with self._session() as session:
            for one in await snapshots.streams(session):
                if one.name not in _LEFT_BEHIND:
                    self._taken.append(await self._take(session, one.name))
                    yield _growth("snapshot", done=self._messages, detail=one.name)
        total = self._messages
        yield _growth("start", total=total)
        await self._server.shift(member, is_synced=False)
        done = 0
        async with self._led() as session:
            yield _growth("restore", total=total)
            await _clear(session)
            for one in self._taken:
                await self._put(session, one, member)
                done += one.counts.messages
                yield _growth("restore", done=done, total=total, detail=one.name)
            yield _growth("verify", done=done, total=total)
            await self._count(session)
        store = self._server.layout.store
        # Stopped in order, synced as a whole, and from then on each write by itself.
        await self._server.shift(
            member, between=lambda: asyncio.to_thread(sync_folder, store)
        )
        yield _growth("sync", done=done, total=total)
        async with self._led() as session:
            await self._count(session)
        await asyncio.to_thread(self._carry_marks)
        self._streams.move(store, member)

    @property
    def _messages(self) -> int:
        return sum(one.counts.messages for one in self._taken)

    # -- before ------------------------------------------------------------------

    async def _await_peers(self, member: Member) -> None:
        """Wait until a joiner listens: held calls should not wait for it."""
        deadline = time.monotonic() + PEER_S
        while True:
            for route in member.routes:
                address = parse_address(route)
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(2):
                        _, writer = await asyncio.open_connection(
                            address.host, address.port
                        )
                    writer.close()
                    return
            if time.monotonic() > deadline:
                raise StoreFailed(
                    f"nobody listens at {', '.join(member.routes)}",
                    remedy="start the node that joins; see that its [cluster]"
                    " route_port can be reached from here",
                )
            await asyncio.sleep(_LOOK_S)

    def _begin(self, member: Member) -> None:
        folder = self._server.layout.folder
        if member.store == ALONE:
            raise StoreFailed(f"{ALONE} can't be the folder of a clustered store")
        shutil.rmtree(self._home, ignore_errors=True)
        private.make_folder(self._home)
        # From here on the new folder is ours to remove, until the commit.
        private.write(self._home / BEGUN, member.store.encode())
        shutil.rmtree(folder / member.store, ignore_errors=True)

    async def _take(self, session: Session, stream: str) -> Described:
        path = self._home / stream
        async with snapshots.snapshot(session, stream) as taken:
            with await asyncio.to_thread(_create, path) as file:
                async for chunk in taken.chunks:
                    await asyncio.to_thread(file.write, chunk)
            return taken.described

    # -- there -------------------------------------------------------------------

    async def _put(self, session: Session, one: Described, member: Member) -> None:
        config = {**one.config, "num_replicas": 1, "placement": {"tags": [member.tag]}}
        moved = msgspec.structs.replace(one, config=config)
        path = self._home / one.name
        deadline = time.monotonic() + LEADER_S
        while True:
            try:
                await snapshots.restore(session, moved, _chunks(path))
            except snapshots.RestoreFailed as error:
                # A leader that was elected just now has not heard of us yet.
                if _NO_PEERS not in error.message or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_LOOK_S)
            else:
                return

    async def _count(self, session: Session) -> None:
        """See that all is there, stream by stream."""
        deadline = time.monotonic() + LEADER_S
        settled = time.monotonic() + COUNT_S
        names = {one.name for one in self._taken}
        while True:
            now = {each.name: each for each in await snapshots.streams(session)}
            wrong = next(filter(None, (_wrong(one, now) for one in self._taken)), None)
            if wrong is None:
                return
            if time.monotonic() > (deadline if names - now.keys() else settled):
                raise StoreFailed(
                    f"what was restored is not what was taken: {wrong}",
                    remedy="try again, and report this",
                )
            await asyncio.sleep(_LOOK_S)

    def _carry_marks(self) -> None:
        """How far the streams had come is known in the new folder, too."""
        content = private.read(Layout(self._server.layout.folder).store / RECORD_NAME)
        if content is None:
            return
        marks = msgspec.json.decode(content, type=dict[str, Mark])
        kept = {one.name: marks[one.name] for one in self._taken if one.name in marks}
        path = self._server.layout.store / RECORD_NAME
        private.write(path, msgspec.json.encode(kept))

    async def _back(self) -> None:
        """Be alone again, on the old folder."""
        _log.warning("the cluster was not formed; the store goes on alone")
        if self._server.member is not None:
            await self._server.shift(None)
            self._streams.move(self._server.layout.store, None)
        await asyncio.to_thread(tidy, self._server.layout.folder, None)

    # -- sessions ----------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncGenerator[Session]:
        session = await Session.open(self._server.url, self._server.seed)
        try:
            yield session
        finally:
            await session.close()

    @contextlib.asynccontextmanager
    async def _led(self) -> AsyncGenerator[Session]:
        """A session at a server whose cluster has a leader."""
        async with self._session() as session:
            deadline = time.monotonic() + LEADER_S
            while await _names(session) is None:
                if time.monotonic() > deadline:
                    raise StoreFailed(
                        f"the two stores elected no leader within {LEADER_S:g} s",
                        remedy="nexa logs, on both; see that each reaches the other's"
                        " [cluster] route_port",
                    )
                await asyncio.sleep(_LOOK_S)
            yield session


def tidy(folder: Path, member: Member | None) -> None:
    """Remove what an attempt left, and the old folder once it is not needed.

    Call at each start before the server is started if it is alone; if it is a member,
    once its streams were seen.

    Args:
        folder: The node's.
        member: Its place, as `cluster.json` has it.
    """
    begun = private.read(folder / FOLDER / BEGUN)
    new = None if begun is None else begun.decode("utf-8", "replace")
    is_ours = new is not None and new != ALONE and "/" not in new and new.strip(".")
    if new is not None and is_ours and (member is None or member.store != new):
        shutil.rmtree(folder / new, ignore_errors=True)
    if member is not None and member.store != ALONE:
        shutil.rmtree(folder / ALONE, ignore_errors=True)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


async def _names(session: Session) -> tuple[str, ...] | None:
    """Name the streams that the cluster knows of, lost ones too; None: no leader."""
    until = asyncio.get_running_loop().time() + 1
    try:
        answer = await session.request("$JS.API.STREAM.NAMES", b"", until=until)
    except (NoResponders, TimeoutError):
        return None
    told = wire.read(answer.data, _Names)
    return None if told.error is not None else told.streams or ()


async def _clear(session: Session) -> None:
    """Remove what an attempt before this one left in the joiner's memory."""
    deadline = time.monotonic() + LEADER_S
    while (names := await _names(session)) != ():
        if time.monotonic() > deadline:
            raise StoreFailed(
                "the joiner's store does not forget an attempt before this one: "
                f"{', '.join(names or ('it has no leader',))}",
                remedy="remove that node's folder, and join it anew",
            )
        for name in names or ():
            with contextlib.suppress(TimeoutError, StoreFailed):
                async with asyncio.timeout(CLEAR_S):
                    await snapshots.delete(session, name)
        await asyncio.sleep(_LOOK_S)


def _wrong(was: Described, now: dict[str, Described]) -> str | None:
    found = now.get(was.name)
    if found is None:
        return f"{was.name} is not there"
    return snapshots.differences(was, found)


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


def _growth(phase: str, *, done: int = 0, total: int = 0, detail: str = "") -> Growth:
    return Growth(action="form", phase=phase, done=done, total=total, detail=detail)


def _failure(error: BaseException) -> NexaError:
    if isinstance(error, NexaError):
        return error
    return StoreFailed(
        f"the cluster was not formed, the store went away: {error!r}",
        remedy="try again; if it stays so: nexa logs",
    )
