"""What can be seen of a NATS of somebody else's without its system account.

Where each stream is, its leader tells anybody who may ask for it. Who else is a member
of the meta group, who leads that, and the routes are not told: they are unknown, and
shown so.
"""

import asyncio
import time
from collections.abc import AsyncGenerator

import structlog

from nexa_node.adapters.nats.attached.streams import AttachedTopology, see
from nexa_node.adapters.nats.attached.upstream import Attachment
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.session import Lost, NoResponders
from nexa_node.adapters.nats.topology import NotReady
from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, NexaError, Unavailable
from nexa_node.contract.nodes import StreamPlace
from nexa_node.ports import StoreShape

LOOK_S = 2.0
AT_ONCE_S = 10.0
"""Without a connection for so long, callers are told at once instead of waiting."""

_log = structlog.get_logger("nexa.store")


class AttachedCluster:
    """`ports.StoreCluster` of a NATS that others administer."""

    def __init__(
        self, attachment: Attachment, connection: Connection, streams: AttachedTopology
    ) -> None:
        """Join the parts; `run` looks."""
        self._attachment = attachment
        self._connection = connection
        self._streams = streams
        self._places: tuple[StreamPlace, ...] = ()
        self._down_since: float | None = None

    @property
    def has_quorum(self) -> bool:
        """Whether there is a connection; who votes is not known."""
        return self._connection.is_up

    @property
    def waits_for(self) -> str | None:
        """What is missing, in words; None if nothing is."""
        return None if self._connection.is_up else self._connection.detail

    def shape(self) -> StoreShape:
        """How it lies, from memory."""
        return StoreShape(
            clustered=True,
            leader=None,
            peers=(),
            streams=self._places,
            routes=(),
            replicas=self._attachment.policy.replicas,
            have=int(self._connection.is_up),
            need=1,
            attached=True,
        )

    async def run(self) -> None:
        """Look every two seconds. Until cancelled."""
        while True:
            try:
                self._refuse(time.monotonic())
                await self.look()
            except (NexaError, Lost, NoResponders, NotReady, TimeoutError) as error:
                _log.debug("the attached NATS was not seen", cause=repr(error))
            except Exception as error:  # noqa: BLE001  nothing may end this loop
                _log.warning("the attached NATS was not seen", error=repr(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask where the streams are.

        Raises:
            NotReady: One has no leader; that is noted.
            Unavailable: There is no connection.
        """
        if not self._connection.is_up:
            return
        session = await self._connection.session(self._connection.deadline())
        names = self._streams.names
        told = await asyncio.gather(
            *(see(session, (name,)) for name in names), return_exceptions=True
        )
        had = {one.name: one for one in self._places}
        places: list[StreamPlace] = []
        for name, one in zip(names, told, strict=True):
            if isinstance(one, dict) and name in one:
                places.append(one[name].place(name))
            elif isinstance(one, (NotReady, NoResponders, TimeoutError)):
                # A stream whose leader is gone answers nobody.
                known = had.get(name)
                replicas = () if known is None else known.replicas
                places.append(StreamPlace(name=name, leader=None, replicas=replicas))
        self._places = tuple(places)

    def _refuse(self, now: float) -> None:
        if self._connection.is_up:
            self._down_since = self._connection.refusal = None
            return
        if self._down_since is None:
            self._down_since = now
        if now - self._down_since >= AT_ONCE_S:
            self._connection.refusal = Unavailable(
                self._connection.detail, remedy="start the NATS; nexa node status"
            )

    async def set_replicas(self, copies: int) -> AsyncGenerator[Growth]:
        """Refuse: copies are a setting of each node here.

        Raises:
            Conflict: Always.
        """
        raise Conflict(
            f"the store is attached: {copies} copies are a setting",
            remedy=f"[store] replicas = {copies} on every node, then nexa node restart",
        )
        yield  # pyright: ignore[reportUnreachable]  # it makes this a generator

    async def remove_peer(self, node: str) -> None:
        """Do nothing: a node has no part in their NATS."""

    async def step_down(self) -> None:
        """Do nothing: this node leads nothing."""
