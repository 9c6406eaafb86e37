"""Keeping the cluster's shape: as many copies as it can have, and nobody who has left.

Duties of the controller; each look begins anew from what is seen.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from nexa_node.contract.cluster import Growth
from nexa_node.core.policies import ClusterPolicy
from nexa_node.ports import NodeEntries, StoreCluster, StoreShape
from nexa_node.services.api import Journal

EVERY_S = 2.0
FROM_NODES = 3
"""With fewer, a second copy makes nothing safer: either loss is a standstill."""


def wanted_copies(policy: ClusterPolicy, shape: StoreShape) -> int:
    """How many copies of everything there should be."""
    members = len(shape.peers)
    asked = policy.replicas or (3 if members >= FROM_NODES else 1)
    return asked if asked <= members else 1


def fewest_copies(shape: StoreShape) -> int:
    """Copies of the stream that has the fewest."""
    return min((len(stream.replicas) for stream in shape.streams), default=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapeKeeping:
    """Looks and puts right."""

    store: StoreCluster
    entries: NodeEntries
    living: Callable[[], Collection[str]]
    policy: ClusterPolicy
    journal: Journal
    node: str
    tell: Callable[[Growth], None]
    """Told how far the copying is."""

    async def copy(self) -> None:
        """Make more copies once there are nodes for them; never fewer.

        Raises:
            NexaError: The store does not do it; the next look tries again.
        """
        shape = self.store.shape()
        copies = wanted_copies(self.policy, shape)
        all_heard = shape.have == len(shape.peers)
        if not shape.clustered or not all_heard or shape.leader is None:
            return
        if not shape.streams or fewest_copies(shape) >= copies:
            return
        self._note("cluster.copying", f"{copies} copies of everything are made")
        async for growth in self.store.set_replicas(copies):
            self.tell(growth)
        self._note("cluster.copied", f"there are {copies} copies of everything")

    async def strike_off(self) -> None:
        """Strike off the store's group who has said that it leaves, and is gone.

        Raises:
            NexaError: The store does not do it; the next look tries again.
        """
        shape, living = self.store.shape(), self.living()
        if not shape.clustered:
            return
        for peer in shape.peers:
            if peer.node in living:
                continue
            seen = await self.entries.get(peer.node)
            if seen is None or not seen.value.left:
                continue
            await self.store.remove_peer(peer.node)
            await self.entries.delete(peer.node)
            self._note("cluster.left", f"{peer.node} has left the cluster")

    def _note(self, kind: str, message: str) -> None:
        self.journal.record(kind, subject=f"node/{self.node}", message=message)
