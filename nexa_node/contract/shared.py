"""State that users share: buckets of JSON values, each bucket with its rule for conflicts.

    cas     whoever did not see the newest value loses, and is told it
    lww     the last writer wins, by a clock that follows all others; what lost is kept
    merge   changes of different fields are merged (RFC 7396)

And what became of it when two did something at once: conflicts, with both histories.
"""

from datetime import datetime
from typing import Literal

import msgspec

from nexa_node.contract.tasks import Json

BucketClass = Literal["cas", "lww", "merge"]
ConflictKind = Literal["value", "partition"]


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """One write of a value."""

    by: str
    """Who: `token:<id>`."""
    node: str
    """Which node took it."""
    time: datetime
    stamp: str
    """Of the hybrid logical clock: as text in the order of what could know of what."""
    value: Json = None
    base: int | None = None
    """The revision its writer had seen; None if it did not say."""


class SharedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value as it is kept now."""

    bucket: str
    key: str
    kind: BucketClass
    value: Json
    revision: int
    """Also its ETag: `If-Match: "7"`."""
    by: str
    node: str
    time: datetime
    stamp: str
    kept: bool = True
    """In the answer to a write to an `lww` bucket: False if the other value was later."""


class NewValue(msgspec.Struct, frozen=True, kw_only=True):
    """The body of PUT /v1/buckets/{bucket}/{key}."""

    value: Json
    """The value; to a `merge` bucket what should change, as RFC 7396 has it."""
    time: datetime | None = None
    """When it was written, of a writer to an `lww` bucket that was away; now by default."""


class NewBucket(msgspec.Struct, frozen=True, kw_only=True):
    """The body of PUT /v1/buckets/{bucket}."""

    kind: BucketClass


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket and its rule."""

    name: str
    kind: BucketClass


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one side did while it did not know of the other."""

    name: str
    """Whose: a writer, or nodes."""
    kept: bool
    """Whether what it did is what holds now."""
    did: tuple[str, ...] = ()
    """In words, the oldest first."""
    writes: tuple[Written, ...] = ()


class ConflictRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Two did something at once: what each did, and what holds. Kept 30 days."""

    id: str
    time: datetime
    kind: ConflictKind
    subject: str
    """What it is about: `bucket/<bucket>/<key>`, `node/<name>`."""
    message: str
    sides: tuple[Side, ...] = ()
