"""The members on record: `ports.NodeEntries` in the bucket `nx_nodes`."""

from collections.abc import AsyncIterator

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.records import Records
from nexa_node.contract.cluster import NodeEntry
from nexa_node.contract.errors import Conflict
from nexa_node.ports import Caught, Removed, Versioned

BUCKET = "nx_nodes"


class NatsNodeEntries:
    """`ports.NodeEntries`: one entry under each node's name."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, BUCKET, NodeEntry)

    async def get(self, name: str) -> Versioned[NodeEntry] | None:
        """Read one, committed."""
        return await self._records.read(_key(name))

    async def put(self, entry: NodeEntry, *, revision: int | None = None) -> int:
        """Store it; with `revision` only if it is still at that one, 0: if there is none.

        Raises:
            Conflict: Somebody wrote first; read again.
        """
        key = _key(entry.name)
        if revision is None:
            return await self._records.write(key, entry)
        if revision:
            return await self._records.replace(key, entry, revision=revision)
        created = await self._records.add(key, entry)
        if created is None:
            raise Conflict(f"there is an entry of {entry.name} already: read it again")
        return created

    async def delete(self, name: str) -> None:
        """Forget a member."""
        await self._records.remove(_key(name))

    def watch(self) -> AsyncIterator[Versioned[NodeEntry] | Removed | Caught]:
        """Every entry, then `Caught`, then every change."""
        return self._records.watch()


def _key(name: str) -> str:
    return topology.subject("", name)[1:]
