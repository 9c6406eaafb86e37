"""A node's store in a NATS that its operators run: `ports.Store`, and no child process.

async with open_attached(policy, folder, retention=..., on_change=..., cluster=...) as store:
    ...
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import cast

from nexa_node.adapters.nats import private, topology
from nexa_node.adapters.nats.attached import checks
from nexa_node.adapters.nats.attached.backups import AttachedBackups
from nexa_node.adapters.nats.attached.cluster import AttachedCluster
from nexa_node.adapters.nats.attached.figures import AttachedFigures, NoSystem
from nexa_node.adapters.nats.attached.link import AttachedSession
from nexa_node.adapters.nats.attached.looking import look
from nexa_node.adapters.nats.attached.streams import AttachedTopology
from nexa_node.adapters.nats.attached.upstream import AttachedConnection, Attachment
from nexa_node.adapters.nats.beats import NatsBeats
from nexa_node.adapters.nats.cluster_admin import NatsCluster
from nexa_node.adapters.nats.config import Member
from nexa_node.adapters.nats.forming import Commit
from nexa_node.adapters.nats.node_calls import NatsNodeCalls
from nexa_node.adapters.nats.partials import NatsPartials
from nexa_node.adapters.nats.server import Server
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.signals import NatsSignals
from nexa_node.adapters.nats.store import (
    NOTE_S,
    SETTLE_S,
    Among,
    Background,
    NatsStore,
    Parts,
    note_once,
)
from nexa_node.adapters.nats.ticks import NatsTicks
from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict
from nexa_node.core.policies import RetentionPolicy, StorePolicy
from nexa_node.ports import StoreHealth

FOLDER = "attached"
"""In the node's folder: what was noted of the streams."""


class AttachedStore(NatsStore):
    """`NatsStore` without a server of its own."""

    is_shared = True

    def __init__(
        self, parts: Parts, retention: RetentionPolicy, streams: AttachedTopology
    ) -> None:
        """Put the parts together."""
        super().__init__(parts, retention)
        self._own = streams

    def streams(self, policy: StorePolicy, folder: Path) -> AttachedBackups:
        """What a backup takes, and a restore fills."""
        return AttachedBackups(self._connection, policy, folder / FOLDER, self._own)

    def health(self) -> StoreHealth:
        """Tell how it is, from memory; there is no process."""
        is_up = self._connection.is_up
        return StoreHealth(
            connected=is_up,
            detail=self._connection.detail,
            pid=None,
            restarts=self._server.restarts,
            quorum=is_up,
        )

    def forming(self, member: Member, commit: Commit) -> AsyncIterator[Growth]:
        """Refuse: nodes that are attached to one NATS are a cluster by themselves.

        Raises:
            Conflict: Always.
        """
        del member, commit
        raise Conflict("the store is attached: no cluster of stores is formed")


@contextlib.asynccontextmanager
async def open_attached(
    policy: StorePolicy,
    folder: Path,
    *,
    retention: RetentionPolicy,
    on_change: Callable[[str], None],
    cluster: str,
    node: str,
) -> AsyncGenerator[AttachedStore]:
    """Attach to the NATS of `[store] urls`; see that it will do, and make the streams.

    Args:
        policy: `[store]`.
        folder: The node's own folder.
        retention: `[retention]`.
        on_change: Told in one sentence when the connection went to another server.
        cluster: `[node] cluster`: all nodes that say the same are one cluster.
        node: This node's name, by which others call it.

    Raises:
        StoreFailed: It will not do; a subclass and the message say why, and the remedy.
        Unavailable: No server answers.
    """
    home = folder / FOLDER
    await asyncio.to_thread(private.make_folder, home)
    attachment = Attachment(policy, on_change)
    plan = topology.plan(retention, policy.replicas)
    streams = AttachedTopology(home, plan, cluster)
    parts = _assembled(attachment, streams, node)
    connection, small_things, loops = parts.connection, parts.small_things, Background()
    try:
        await connection.open()
        loops.spawn(connection.keep())
        loops.spawn(parts.cluster.run())
        loops.spawn(parts.among.figures.run())
        loops.spawn(_note(parts))
        yield AttachedStore(parts, retention, streams)
    finally:
        await small_things.settle(SETTLE_S if connection.is_up else 0)
        await loops.settle(0)
        await note_once(connection, streams)
        await connection.close()


def _assembled(attachment: Attachment, streams: AttachedTopology, node: str) -> Parts:
    policy = attachment.policy
    signals, partials = NatsSignals(), NatsPartials()
    small_things = Background()
    figures = AttachedFigures()
    among = Among(
        NatsBeats(node), NatsNodeCalls(small_things.spawn), NatsTicks(node), figures
    )

    async def prepare(session: Session) -> None:
        assert isinstance(session, AttachedSession)
        await look(session, policy, streams)
        await streams.ensure(session)
        await checks.check_publishing(session, topology.plan(RetentionPolicy()))
        await checks.check_clock(session, policy)
        await signals.attach(session)
        for hears in (partials, among.beats, among.calls, among.ticks, figures):
            hears.attach(session)
        await checks.check_denied(session)

    connection = AttachedConnection(attachment, prepare)
    for speaks in (
        signals,
        partials,
        *(among.beats, among.calls, among.ticks, figures),
    ):
        speaks.use(connection)
    return Parts(
        # Everything of these two that a store asks for is there.
        server=cast("Server", attachment),
        cluster=cast("NatsCluster", AttachedCluster(attachment, connection, streams)),
        connection=connection,
        signals=signals,
        partials=partials,
        streams=streams,
        small_things=small_things,
        system=NoSystem(),
        among=among,
    )


async def _note(parts: Parts) -> None:
    while True:
        await asyncio.sleep(NOTE_S)
        await note_once(parts.connection, parts.streams)
