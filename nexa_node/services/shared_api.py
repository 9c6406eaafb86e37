"""The driving side of shared state: a part of `api.NodeApi`, in a file of its own."""

from typing import Protocol

from nexa_node.contract.access import Identity
from nexa_node.contract.rest import Page
from nexa_node.contract.shared import (
    Bucket,
    BucketClass,
    ConflictRecord,
    NewValue,
    SharedValue,
)


class SharedApi(Protocol):
    """What a node answers about state that users share, and about conflicts."""

    async def buckets(self, identity: Identity) -> Page[Bucket]:
        """List buckets, by name."""
        ...

    async def declare_bucket(
        self, identity: Identity, bucket: str, kind: BucketClass
    ) -> Bucket:
        """Make a bucket; Conflict if it is there with another rule."""
        ...

    async def shared_values(self, identity: Identity, bucket: str) -> Page[SharedValue]:
        """List a bucket's values, by key."""
        ...

    async def shared_value(
        self, identity: Identity, bucket: str, key: str
    ) -> SharedValue:
        """One value; NotFound if there is none."""
        ...

    async def write_value(
        self,
        identity: Identity,
        bucket: str,
        key: str,
        new: NewValue,
        *,
        base: int | None,
    ) -> SharedValue:
        """Write a value; Conflict, with the current one, to who has not seen it."""
        ...

    async def delete_value(
        self, identity: Identity, bucket: str, key: str, *, base: int | None
    ) -> None:
        """Remove a value; Conflict, with the current one, to who has not seen it."""
        ...

    async def conflicts(self, identity: Identity) -> Page[ConflictRecord]:
        """List conflicts, the newest first."""
        ...

    async def conflict(self, identity: Identity, conflict: str) -> ConflictRecord:
        """One conflict; NotFound if there is none."""
        ...
