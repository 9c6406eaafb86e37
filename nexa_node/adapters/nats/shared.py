"""Users' shared state: `ports.SharedRecords` in `nx_shared`, and `ports.ConflictLog`.

nx_shared      <bucket>           the bucket itself
               <bucket>.<key>     a value with its last writes
nx_conflicts   <id>               one conflict, for 30 days
"""

from collections.abc import AsyncIterator

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.records import Records
from nexa_node.contract.errors import Conflict
from nexa_node.contract.shared import ConflictRecord
from nexa_node.core.shared import Record
from nexa_node.ports import Versioned


class NatsShared:
    """`ports.SharedRecords`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.SHARED, Record)

    async def get(self, bucket: str, key: str = "") -> Versioned[Record] | None:
        """Read a value, committed; without a key the bucket itself."""
        return await self._records.read(_key(bucket, key))

    async def put(
        self, bucket: str, key: str, record: Record, *, revision: int
    ) -> int | None:
        """Store if it is still at `revision`, 0: if there is none; None if it is not."""
        where = _key(bucket, key)
        if not revision:
            return await self._records.add(where, record)
        try:
            return await self._records.replace(where, record, revision=revision)
        except Conflict:
            return None

    async def delete(self, bucket: str, key: str, *, revision: int) -> bool:
        """Remove if it is still at `revision`; False if it is not."""
        try:
            return await self._records.remove(_key(bucket, key), revision=revision)
        except Conflict:
            return False

    async def all(
        self, bucket: str = ""
    ) -> AsyncIterator[tuple[str, Versioned[Record]]]:
        """Every value of a bucket with its key; without a name, every bucket."""
        prefix = f"{_key(bucket, '')}." if bucket else ""
        async for told in self._records.all():
            key, found = told
            if key.startswith(prefix) and (bucket or "." not in key):
                yield key.removeprefix(prefix), found


class NatsConflicts:
    """`ports.ConflictLog`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.CONFLICTS, ConflictRecord)

    async def add(self, record: ConflictRecord) -> None:
        """Keep it; one of the same id is kept as it is."""
        await self._records.add(_key(record.id, ""), record)

    async def get(self, conflict: str) -> ConflictRecord | None:
        """Read one."""
        found = await self._records.read(_key(conflict, ""))
        return None if found is None else found.value

    async def all(self) -> list[ConflictRecord]:
        """Every one, the newest first."""
        found = [each.value async for _, each in self._records.all()]
        return sorted(found, key=lambda each: (each.time, each.id), reverse=True)


def _key(*parts: str) -> str:
    return topology.subject("", *(part for part in parts if part))[1:]
