"""The store's own administration: `ports.StoreCluster` of a clustered nats-server.

The shape is looked at each second. Who is heard is judged by answers to pings and not by
what Raft's leader calls current: it says so of members that are gone for ten seconds.
"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog

from nexa_node.adapters.nats import cluster_shape, snapshots, wire
from nexa_node.adapters.nats.config import Member
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.adapters.nats.system import (
    Copy,
    Jsz,
    System,
)
from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, Invalid, NexaError, Unavailable
from nexa_node.core.backups import Described
from nexa_node.ports import StorePeer, StoreShape

LOOK_S = 1.0
HEARD_S = 2.5
"""A server that answered within so long is heard."""
AT_ONCE_S = 10.0
"""Without a quorum for so long, callers are told at once instead of waiting."""
COPY_S = 600.0
"""For the copies of all streams to become current."""

T = TypeVar("T")

_log = structlog.get_logger("nexa.store")


class NatsCluster:
    """`ports.StoreCluster`; alone, its shape is that of one server."""

    def __init__(
        self,
        member: Callable[[], Member | None],
        connection: Connection,
        system: System,
    ) -> None:
        """Join the parts; `run` looks."""
        self._member = member
        self._connection = connection
        self._system = system
        self._shape = cluster_shape.ALONE
        self._heard: dict[str, float] = {}
        self._told: dict[str, Jsz] = {}
        self._known: dict[str, Copy] = {}
        self._size = 0
        self._leader: str | None = None
        self._wanted = 0
        self._short_since: float | None = None

    @property
    def has_quorum(self) -> bool:
        """Whether enough members are heard; True when alone."""
        shape = self.shape()
        return shape.have >= shape.need

    @property
    def waits_for(self) -> str | None:
        """What is missing, in words; None if nothing is."""
        if self.has_quorum:
            return None
        shape = self.shape()
        members = max(len(shape.peers), self._size)
        return f"waits for peers: {shape.have} of {members} are heard"

    def shape(self) -> StoreShape:
        """How it lies, from memory: looked at every second."""
        member = self._member()
        if member is None:
            return cluster_shape.ALONE
        self._size = max(self._size, 1 if self._known else len(member.routes) + 1)
        if not self._shape.clustered:
            return cluster_shape.first_sight(member)
        return self._shape

    async def run(self) -> None:
        """Look each second. Until cancelled."""
        while True:
            try:
                await self.look()
            except NexaError as error:
                _log.debug("the cluster was not seen", cause=error.message)
                self._count(time.monotonic())
            except Exception as error:  # noqa: BLE001  nothing may end this loop
                _log.warning("the cluster was not seen", error=repr(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask all servers now.

        Raises:
            Unavailable: Our own does not answer.
        """
        member = self._member()
        if member is None:
            self._forget()
            return
        told, routes = await asyncio.gather(self._system.jsz(), self._system.routez())
        now = time.monotonic()
        for name, one in told.items():
            self._heard[name], self._told[name] = now, one
        self._take_meta(told)
        self._shape = dataclasses.replace(
            self._shape,
            clustered=True,
            streams=(places := cluster_shape.places(self._newest(told, now))),
            routes=cluster_shape.routes(routes),
            replicas=max((len(one.replicas) for one in places), default=1),
        )
        self._count(now)

    async def set_replicas(self, copies: int) -> AsyncIterator[Growth]:
        """Keep so many copies of every stream; ends when all are current.

        Raises:
            Invalid: More copies than members, or a number that is none.
            Unavailable: A stream did not take it; those before it have. Again is safe.
        """
        members = len(self.shape().peers) if self.shape().clustered else 1
        if copies not in (1, 3, 5):
            raise Invalid(f"{copies} copies can't be kept", remedy="give 1, 3 or 5")
        if copies > members:
            raise Invalid(
                f"{copies} copies need {copies} nodes, and there are {members}",
                remedy="nexa cluster join-token, on this node; then join another one",
            )
        self._wanted = copies
        streams = await self._ask(snapshots.streams)
        total = sum(one.counts.messages for one in streams)
        for one in streams:
            if one.config.get("num_replicas") != copies or one.config.get("placement"):
                await self._scale(one, copies)
            yield Growth(action="replicas", phase="start", total=total, detail=one.name)
        async for missing in self._until_current(copies):
            yield Growth(
                action="replicas",
                phase="copy",
                done=max(0, total - missing),
                total=total,
            )
        yield Growth(action="replicas", phase="done", done=total, total=total)

    async def remove_peer(self, node: str) -> None:
        """Strike a dead member off; its copies are made anew elsewhere.

        Raises:
            Conflict: It is alive, or without it there would be no quorum, or it has
                the only copy of something.
            Unavailable: No leader answered.
        """
        await self.look()
        shape = self.shape()
        if node not in {peer.node for peer in shape.peers}:
            raise Conflict(
                f"{node} is no member of the store's cluster",
                remedy="nexa cluster status shows the members",
            )
        if time.monotonic() - self._heard.get(node, -HEARD_S) < HEARD_S:
            raise Conflict(
                f"{node} is alive: its store answers",
                remedy=f"have it leave: nexa cluster leave, on {node}",
            )
        if shape.have < shape.need:
            raise Conflict(
                f"{shape.have} of {len(shape.peers)} members are heard and {shape.need}"
                " must be to change the cluster",
                remedy="start another one of them first",
            )
        only = [s.name for s in shape.streams if [r.node for r in s.replicas] == [node]]
        if only:
            raise Conflict(
                f"{node} has the only copy of {', '.join(only)}",
                remedy=f"start {node} again, or restore a backup into a new cluster",
            )
        refusal = await self._system.remove(node)
        if refusal is not None:
            raise Conflict(
                f"the store did not strike {node} off: {refusal.description}",
                remedy="nexa cluster status; then try again",
            )
        for known in (self._heard, self._told, self._known):
            known.pop(node, None)

    async def step_down(self) -> None:
        """Give every leadership of this node to others: a stop costs nobody 4 s then."""
        member = self._member()
        if member is None:
            return
        await self.look()
        own = [
            one.name
            for one in self.shape().streams
            if one.leader == member.name and len(one.replicas) > 1
        ]

        async def give(session: Session) -> None:
            for name in own:
                await _request(session, f"$JS.API.STREAM.LEADER.STEPDOWN.{name}", b"")

        if own:
            await self._ask(give)
        if self._leader == member.name:
            await self._system.step_down()

    # -- looking -----------------------------------------------------------------

    def _forget(self) -> None:
        self._shape, self._leader, self._size = cluster_shape.ALONE, None, 0
        self._heard, self._told, self._known = {}, {}, {}
        self._short_since = self._connection.refusal = None

    def _take_meta(self, told: dict[str, Jsz]) -> None:
        """Take over what the meta group's leader says; of two, the one with more."""
        leaders = [
            (name, meta)
            for name, one in told.items()
            if (meta := one.meta_cluster) is not None and meta.leader == name
        ]
        self._leader = None
        sizes = [m.meta_cluster.cluster_size for m in told.values() if m.meta_cluster]
        self._size = max(sizes, default=self._size)
        for name, meta in leaders:
            self._leader = name
            self._known = {one.name: one for one in meta.replicas or ()}
            self._known[name] = Copy(name=name, current=True)

    def _newest(self, told: dict[str, Jsz], now: float) -> dict[str, Jsz]:
        """What was told now, then what those said who are heard and were late this time."""
        late = {
            name: one
            for name, one in self._told.items()
            if name not in told and now - self._heard.get(name, -1e9) < HEARD_S
        }
        return {**told, **late}

    def _count(self, now: float) -> None:
        """Judge who is heard, and whether calls are worth waiting for."""
        member = self._member()
        if member is None:
            return
        names = {*self._known, *self._heard, member.name}
        if self._known:
            names = {*self._known, member.name}
        if not self._known:
            self._size = max(self._size, len(member.routes) + 1)
        need = max(len(names), self._size) // 2 + 1
        heard = [n for n in names if now - self._heard.get(n, -1e9) < HEARD_S]
        self._shape = dataclasses.replace(
            self._shape,
            clustered=True,
            leader=self._leader if len(heard) >= need else None,
            peers=tuple(self._peer(name, now) for name in sorted(names)),
            have=len(heard),
            need=need,
        )
        self._refuse(now)

    def _peer(self, name: str, now: float) -> StorePeer:
        copy = self._known.get(name)
        since = now - self._heard[name] if name in self._heard else None
        away = since is None or since >= HEARD_S
        return StorePeer(
            node=name,
            current=copy is not None and copy.current and not away,
            offline=away,
            active_ms=0.0 if since is None else since * 1000,
        )

    def _refuse(self, now: float) -> None:
        """Have callers told at once when it is no election that they wait for."""
        if self.has_quorum:
            self._short_since = None
            self._connection.refusal = None
            return
        if self._short_since is None:
            self._short_since = now
        if now - self._short_since >= AT_ONCE_S:
            self._connection.refusal = Unavailable(
                f"too few members of the store's cluster are heard: {self.waits_for}",
                remedy="nexa cluster status says which are missing; start them",
            )

    # -- changing ----------------------------------------------------------------

    async def _scale(self, stream: Described, copies: int) -> None:
        config = {**stream.config, "num_replicas": copies}
        config.pop("placement", None)
        body = msgspec.json.encode(config)
        subject = f"$JS.API.STREAM.UPDATE.{stream.name}"

        async def update(session: Session) -> wire.Answer:
            return wire.read(await _request(session, subject, body), wire.Answer)

        deadline = time.monotonic() + AT_ONCE_S
        while True:
            told = await self._ask(update)
            if told.error is None:
                return
            if told.error.code != wire.BUSY or time.monotonic() > deadline:
                raise Unavailable(
                    f"{stream.name} does not get {copies} copies: "
                    f"{told.error.description}",
                    remedy="nexa cluster status; then the same command again",
                )
            await asyncio.sleep(LOOK_S / 2)

    async def _until_current(self, copies: int) -> AsyncIterator[int]:
        """Tell how much is missing until all copies are current."""
        deadline = time.monotonic() + COPY_S
        while True:
            await self.look()
            waiting = [
                one
                for one in self.shape().streams
                if not cluster_shape.is_whole(one, copies)
            ]
            if self.shape().streams and not waiting:
                return
            if time.monotonic() > deadline:
                names = ", ".join(one.name for one in waiting)
                raise Unavailable(
                    f"the copies of {names} are not current after {COPY_S:g} s",
                    remedy="nexa cluster status; they go on being made",
                )
            yield sum(one.messages for one in waiting)
            await asyncio.sleep(LOOK_S / 4)

    async def _ask(self, work: Callable[[Session], Awaitable[T]]) -> T:
        session = await self._connection.session(self._connection.deadline())
        try:
            return await work(session)
        except (Lost, NoResponders, TimeoutError) as error:
            raise Unavailable(
                f"the store went away in the middle ({error!r})",
                remedy="the same command again",
            ) from error


async def _request(session: Session, subject: str, body: bytes) -> bytes:
    until = asyncio.get_running_loop().time() + AT_ONCE_S
    return (await session.request(subject, body, until=until)).data
