"""A node's calls about the cluster: may the caller, and whom to ask."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from nexa_node.contract.access import Identity
from nexa_node.contract.cluster import ClusterChange, Growth, JoinToken
from nexa_node.contract.errors import Draining
from nexa_node.contract.nodes import Profile
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.health.condition import Condition
from nexa_node.services.health.draining import Drain
from nexa_node.services.parts import BackupDesk, ClusterDesk, RelayDesk


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a further base of `Node`
class ClusterCalls:
    """Those calls of `services.api.NodeApi` that change what the cluster is made of."""

    permissions: Permissions
    condition: Condition
    """How this node is, and who."""
    changes: ClusterDesk
    """Changes what the cluster is made of."""
    archive: BackupDesk
    relay: RelayDesk
    """Asks other nodes for what only they know or may do."""
    way_out: Drain

    async def drain(self, identity: Identity, node: str | None = None) -> None:
        """Begin to stop gracefully; answered at once, before the process ends."""
        self.permissions.allow(identity, "drain")
        if node in (None, self.condition.card.name):
            self.way_out.begin(f"drained by {identity.id}")
        else:
            await self.changes.drain(node, by=identity.id)

    async def maintain(self, identity: Identity, node: str, *, on: bool) -> None:
        """Have a node take nothing new, or take it again."""
        self.permissions.allow(identity, "maintain")
        await self.changes.maintain(node, on=on, by=identity.id)

    async def profile(self, identity: Identity, node: str, *, cpu_s: float) -> Profile:
        """Look where a node spends its CPU time."""
        self.permissions.allow(identity, "profile")
        return await self.relay.profile(node, cpu_s=cpu_s)

    async def join_token(self, identity: Identity, *, expires_s: int) -> JoinToken:
        """Issue a token by which one node may join."""
        self.permissions.allow(identity, "join_token")
        self._check_open()
        return await self.changes.join_token(expires_s=expires_s, by=identity)

    async def leave(self, identity: Identity, *, dry_run: bool) -> ClusterChange:
        """Have this node leave the cluster."""
        self.permissions.allow(identity, "leave")
        return await self.changes.leave(by=identity.id, dry_run=dry_run)

    async def remove_node(
        self, identity: Identity, node: str, *, dry_run: bool
    ) -> ClusterChange:
        """Strike a dead node off."""
        self.permissions.allow(identity, "remove_node")
        return await self.changes.remove(node, by=identity.id, dry_run=dry_run)

    async def rotate_keys(self, identity: Identity, *, dry_run: bool) -> ClusterChange:
        """Give all members new authorities and a new password for the routes."""
        self.permissions.allow(identity, "rotate_keys")
        return await self.changes.rotate(by=identity.id, dry_run=dry_run)

    async def set_replicas(
        self, identity: Identity, copies: int, *, dry_run: bool
    ) -> ClusterChange:
        """Keep so many copies of everything."""
        self.permissions.allow(identity, "set_replicas")
        return await self.changes.set_replicas(copies, by=identity.id, dry_run=dry_run)

    def growth(self, identity: Identity) -> Growth | None:
        """How far the newest change of the cluster's shape is."""
        self.permissions.allow(identity, "growth")
        return self.changes.growth()

    async def backup(self, identity: Identity) -> AsyncIterator[bytes]:
        """All that the store has, as one archive."""
        self.permissions.allow(identity, "backup")
        return await self.archive.backup(by=identity.id)

    def restore(
        self, identity: Identity, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[Growth]:
        """Fill an empty store from an archive."""
        self.permissions.allow(identity, "restore")
        self._check_open()
        return self.archive.restore(chunks, by=identity.id)

    def _check_open(self) -> None:
        if self.way_out.begun:
            raise draining()


def draining() -> Draining:
    """The error of a node that is on its way out."""
    return Draining(
        "the node is draining and takes nothing new",
        remedy="use another node of the cluster, or nexa node start",
    )
