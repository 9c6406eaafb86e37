"""How far the nodes' audits are: `ports.Checkpoints` in the bucket `nx_audit`.

One for each chain and day, the day's last: whoever computes a chain anew would have to
forge all of them, on a majority of the nodes.
"""

from collections.abc import AsyncIterator

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.records import Records
from nexa_node.contract.audit import Checkpoint
from nexa_node.ports import Caught, Versioned


class NatsCheckpoints:
    """`ports.Checkpoints`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.AUDIT, Checkpoint)

    async def put(self, point: Checkpoint) -> None:
        """Keep one, in place of the day's last."""
        await self._records.write(_key(point), point)

    async def all(self) -> list[Checkpoint]:
        """Every one there is."""
        found: list[Checkpoint] = []
        async for told in self._records.watch():
            if isinstance(told, Caught):
                break
            if isinstance(told, Versioned):
                found.append(told.value)
        return found

    async def watch(self) -> AsyncIterator[Checkpoint]:
        """Every one there is, then each that comes, for ever."""
        async for told in self._records.watch():
            if isinstance(told, Versioned):
                yield told.value


def _key(point: Checkpoint) -> str:
    node, _, epoch = point.chain.partition("/")
    return topology.subject("", node, epoch, f"{point.time:%Y%m%d}")[1:]
