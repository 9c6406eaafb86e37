"""A node's calls about shared state: may the caller, and whom to ask."""

from collections.abc import Callable
from dataclasses import dataclass

from nexa_node.contract.access import Identity
from nexa_node.contract.rest import Page
from nexa_node.contract.shared import (
    Bucket,
    BucketClass,
    ConflictRecord,
    NewValue,
    SharedValue,
)
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.shared.state import SharedState


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a second base of `Node`
class SharedCalls:
    """`services.shared_api.SharedApi`."""

    permissions: Permissions
    shared: SharedState
    """Buckets, values and conflicts."""
    writable: Callable[[], None]
    """Raises `Unavailable` while nothing can be stored."""

    async def buckets(self, identity: Identity) -> Page[Bucket]:
        """List buckets, by name."""
        self.permissions.allow(identity, "buckets")
        return Page(items=tuple(await self.shared.buckets()))

    async def declare_bucket(
        self, identity: Identity, bucket: str, kind: BucketClass
    ) -> Bucket:
        """Make a bucket; Conflict if it is there with another rule."""
        self.permissions.allow(identity, "declare_bucket")
        self.writable()
        return await self.shared.declare(bucket, kind)

    async def shared_values(self, identity: Identity, bucket: str) -> Page[SharedValue]:
        """List a bucket's values, by key."""
        self.permissions.allow(identity, "shared_values")
        return Page(items=tuple(await self.shared.values(bucket)))

    async def shared_value(
        self, identity: Identity, bucket: str, key: str
    ) -> SharedValue:
        """One value; NotFound if there is none."""
        self.permissions.allow(identity, "shared_value")
        return await self.shared.get(bucket, key)

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
        self.permissions.allow(identity, "write_value")
        self.writable()
        return await self.shared.put(bucket, key, new, base=base, by=identity.id)

    async def delete_value(
        self, identity: Identity, bucket: str, key: str, *, base: int | None
    ) -> None:
        """Remove a value; Conflict, with the current one, to who has not seen it."""
        self.permissions.allow(identity, "delete_value")
        self.writable()
        await self.shared.delete(bucket, key, base=base)

    async def conflicts(self, identity: Identity) -> Page[ConflictRecord]:
        """List conflicts, the newest first."""
        self.permissions.allow(identity, "conflicts")
        return Page(items=tuple(await self.shared.conflicts()))

    async def conflict(self, identity: Identity, conflict: str) -> ConflictRecord:
        """One conflict; NotFound if there is none."""
        self.permissions.allow(identity, "conflict")
        return await self.shared.conflict(conflict)
