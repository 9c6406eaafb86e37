"""The part of `FakeNode` about shared state: examples, and what was asked."""

from typing import Any

from nexa_node.adapters.asgi import bucket_examples as examples
from nexa_node.contract.access import Identity
from nexa_node.contract.rest import Page
from nexa_node.contract.shared import (
    Bucket,
    BucketClass,
    ConflictRecord,
    NewValue,
    SharedValue,
)


class FakeShared:
    def _ask(self, name: str, what: Any = None) -> None:
        raise NotImplementedError

    async def buckets(self, identity: Identity) -> Page[Bucket]:
        self._ask("buckets")
        return examples.BUCKETS

    async def declare_bucket(
        self, identity: Identity, bucket: str, kind: BucketClass
    ) -> Bucket:
        self._ask("declare_bucket", (bucket, kind))
        return examples.BUCKET

    async def shared_values(self, identity: Identity, bucket: str) -> Page[SharedValue]:
        self._ask("shared_values", bucket)
        return examples.VALUES

    async def shared_value(
        self, identity: Identity, bucket: str, key: str
    ) -> SharedValue:
        self._ask("shared_value", (bucket, key))
        return examples.VALUE

    async def write_value(
        self,
        identity: Identity,
        bucket: str,
        key: str,
        new: NewValue,
        *,
        base: int | None,
    ) -> SharedValue:
        self._ask("write_value", (bucket, key, new, base))
        return examples.VALUE

    async def delete_value(
        self, identity: Identity, bucket: str, key: str, *, base: int | None
    ) -> None:
        self._ask("delete_value", (bucket, key, base))

    async def conflicts(self, identity: Identity) -> Page[ConflictRecord]:
        self._ask("conflicts")
        return examples.CONFLICTS

    async def conflict(self, identity: Identity, conflict: str) -> ConflictRecord:
        self._ask("conflict", conflict)
        return examples.CONFLICT
