"""All clusters at one look: those of this machine and the contexts; Enter turns to one."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual.binding import BindingType

from nexa_node.contract.errors import NexaError
from nexa_tui.client.api import NodeClient
from nexa_tui.client.discovery import Target
from nexa_tui.screens.asked import AskedList
from nexa_tui.screens.finding import known_targets
from nexa_tui.screens.keys import bindings
from nexa_tui.screens.session import Session
from nexa_tui.state.clusters import CLUSTERS, ClusterRow, cluster_lines, once_each
from nexa_tui.widgets.ink import app_of

AT_ONCE = 8


class ClustersView(AskedList[ClusterRow]):
    """The list; asks every cluster while it is seen, and keeps their connections."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("clusters", "list")

    def __init__(self, session: Session) -> None:
        """Look at what `session` can reach."""
        super().__init__(
            CLUSTERS,
            lambda _: self._look_at_all(),
            cluster_lines,
            place="clusters",
            number=0,
            session=session,
        )
        self._clients: dict[Target, NodeClient] = {}

    def action_open(self) -> None:
        """Turn to the cluster under the cursor."""
        if self.current() is not None:
            app_of(self).call_later(app_of(self).run_action, "app.do('cluster-use')")

    async def on_unmount(self) -> None:
        """Let go of all connections."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()

    async def _look_at_all(self) -> Sequence[ClusterRow]:
        gate = asyncio.Semaphore(AT_ONCE)
        known = known_targets(self._session.options.environ)
        rows = await asyncio.gather(
            *(self._look_at(key, target, gate) for key, target in known)
        )
        gone = self._clients.keys() - {target for _, target in known}
        for target in gone:
            await self._clients.pop(target).close()
        return once_each(rows)

    async def _look_at(
        self, key: str, target: Target, gate: asyncio.Semaphore
    ) -> ClusterRow:
        client = self._clients.get(target)
        if client is None:
            client = self._clients[target] = self._session.connect(target)
        watched = self._session.target
        row = ClusterRow(
            key=key,
            name=target.name,
            url=target.url,
            current=watched is not None and watched.url == target.url,
            production=target.production,
            read_only=target.read_only,
        )
        async with gate:
            try:
                glance = await client.glance()
            except NexaError as error:
                return msgspec.structs.replace(row, error=error)
        return msgspec.structs.replace(
            row, status=glance.status, cluster=glance.cluster, alerts=glance.alerts
        )
