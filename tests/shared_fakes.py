"""Shared state and the conflict log in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from nexa_node.contract.shared import ConflictRecord
from nexa_node.core.shared import Record
from nexa_node.ports import Versioned


@dataclass
class MemoryShared:
    """`ports.SharedRecords`."""

    kept: dict[tuple[str, str], Versioned[Record]] = field(default_factory=dict)
    seq: int = 0
    before_put: list[tuple[str, str, Record]] = field(default_factory=list)
    """Writes of others that come just before the next one of ours."""

    async def get(self, bucket: str, key: str = "") -> Versioned[Record] | None:
        return self.kept.get((bucket, key))

    async def put(
        self, bucket: str, key: str, record: Record, *, revision: int
    ) -> int | None:
        while self.before_put:
            other_bucket, other_key, other = self.before_put.pop(0)
            self._store(other_bucket, other_key, other)
        there = self.kept.get((bucket, key))
        if (there.revision if there else 0) != revision:
            return None
        return self._store(bucket, key, record)

    async def delete(self, bucket: str, key: str, *, revision: int) -> bool:
        there = self.kept.get((bucket, key))
        if there is None or there.revision != revision:
            return False
        del self.kept[bucket, key]
        return True

    async def all(
        self, bucket: str = ""
    ) -> AsyncIterator[tuple[str, Versioned[Record]]]:
        for (name, key), record in list(self.kept.items()):
            if bucket and name == bucket and key:
                yield key, record
            elif not bucket and not key:
                yield name, record

    def _store(self, bucket: str, key: str, record: Record) -> int:
        self.seq += 1
        self.kept[bucket, key] = Versioned(record, self.seq)
        return self.seq


@dataclass
class MemoryConflicts:
    """`ports.ConflictLog`."""

    kept: dict[str, ConflictRecord] = field(default_factory=dict)

    async def add(self, record: ConflictRecord) -> None:
        self.kept.setdefault(record.id, record)

    async def get(self, conflict: str) -> ConflictRecord | None:
        return self.kept.get(conflict)

    async def all(self) -> list[ConflictRecord]:
        return sorted(
            self.kept.values(), key=lambda each: (each.time, each.id), reverse=True
        )
