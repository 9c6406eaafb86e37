"""Shared state: each write is decided by its bucket's rule, and stored by compare-and-set.

A writer that loses is told what is there (`Conflict`, details `current`). What an `lww`
bucket does not keep is in the conflict log before its writer is answered.
"""

from datetime import datetime

import msgspec

from nexa_node.contract.errors import Conflict, Invalid, NotFound, PayloadTooLarge
from nexa_node.contract.frames import DATA_LIMIT
from nexa_node.contract.shared import (
    Bucket,
    BucketClass,
    ConflictRecord,
    NewValue,
    SharedValue,
    Written,
)
from nexa_node.core import shared
from nexa_node.core.hlc import AHEAD_MS, HybridClock
from nexa_node.core.shared import Ignore, Record, Refuse
from nexa_node.ports import Clock, ConflictLog, SharedRecords
from nexa_node.services.api import Journal

TRIES = 16
"""Of a write that others' writes come before."""
LISTED_MAX = 1000
OLDEST = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


class SharedState:
    """Buckets and their values, through this node."""

    def __init__(
        self,
        *,
        records: SharedRecords,
        conflicts: ConflictLog,
        clock: Clock,
        journal: Journal,
        node: str,
    ) -> None:
        """Keep nothing in memory but the clock of stamps."""
        self._records = records
        self._conflicts = conflicts
        self._clock = clock
        self._journal = journal
        self._node = node
        self._hlc = HybridClock(node)

    async def declare(self, name: str, kind: BucketClass) -> Bucket:
        """Make a bucket; again is no error.

        Raises:
            Conflict: It is there with another rule, which its values rely on.
        """
        for _ in range(TRIES):
            found = await self._records.get(name)
            if found is not None:
                if found.value.kind == kind:
                    return Bucket(name=name, kind=kind)
                raise Conflict(
                    f"the bucket {name} is there, as {found.value.kind}",
                    remedy="use it so, or another name",
                    details={"kind": found.value.kind},
                )
            if await self._records.put(name, "", Record(kind=kind), revision=0):
                return Bucket(name=name, kind=kind)
        raise _too_fast(name)

    async def buckets(self) -> list[Bucket]:
        """Every bucket, by name."""
        found = [
            Bucket(name=name, kind=each.value.kind)
            async for name, each in self._records.all()
        ]
        return sorted(found, key=lambda each: each.name)

    async def get(self, bucket: str, key: str) -> SharedValue:
        """One value, committed; NotFound if there is none."""
        found = await self._records.get(bucket, key)
        told = (
            None if found is None else _told(bucket, key, found.value, found.revision)
        )
        if told is None:
            raise NotFound(f"no value {key!r} in the bucket {bucket}")
        return told

    async def values(self, bucket: str) -> list[SharedValue]:
        """Every value of a bucket, by key, at most `LISTED_MAX`."""
        await self._kind(bucket)
        found = [
            told
            async for key, each in self._records.all(bucket)
            if (told := _told(bucket, key, each.value, each.revision)) is not None
        ]
        return sorted(found, key=lambda each: each.key)[:LISTED_MAX]

    async def put(
        self, bucket: str, key: str, new: NewValue, *, base: int | None, by: str
    ) -> SharedValue:
        """Write a value.

        Args:
            bucket: Declared before.
            key: A slug.
            new: The value, or what should change of it.
            base: The revision that the writer saw, 0: none; None: it did not look.
            by: Who writes.

        Raises:
            Conflict: The writer has not seen what is there; details `current` has it.
            NotFound: There is no such bucket.
            PayloadTooLarge: The value is too large.
        """
        kind = await self._kind(bucket)
        size = len(msgspec.json.encode(new.value))
        if size > DATA_LIMIT:
            raise PayloadTooLarge(f"{size} bytes; a value has at most {DATA_LIMIT}")
        for _ in range(TRIES):
            found = await self._records.get(bucket, key)
            there = None if found is None else found.value
            revision = 0 if found is None else found.revision
            write = self._write(kind, there, new, base=base, by=by)
            verdict = shared.decide(kind, there, revision, write)
            if isinstance(verdict, Refuse):
                raise _lost(bucket, key, there, revision, verdict.why)
            if isinstance(verdict, Ignore):
                assert there is not None, "nothing is later than what is not there"
                await self._log(bucket, key, there, verdict.lost)
                return _surely(bucket, key, there, revision, kept=False)
            stored = await self._records.put(
                bucket, key, verdict.record, revision=revision
            )
            if stored is not None:
                if verdict.lost is not None:
                    await self._log(bucket, key, verdict.record, verdict.lost)
                return _surely(bucket, key, verdict.record, stored)
        raise _too_fast(f"{bucket}/{key}")

    async def delete(self, bucket: str, key: str, *, base: int | None) -> None:
        """Remove a value; of a `cas` bucket only with the revision that was seen.

        Raises:
            Conflict: The writer has not seen what is there; details `current` has it.
            NotFound: There is no such value.
        """
        kind = await self._kind(bucket)
        for _ in range(TRIES):
            found = await self._records.get(bucket, key)
            if found is None:
                raise NotFound(f"no value {key!r} in the bucket {bucket}")
            if base != found.revision and (base is not None or kind == "cas"):
                why = "it was not said which value was seen"
                if base is not None:
                    why = f"revision {base} was seen, and it is at {found.revision}"
                raise _lost(bucket, key, found.value, found.revision, why)
            if await self._records.delete(bucket, key, revision=found.revision):
                return
        raise _too_fast(f"{bucket}/{key}")

    # -- conflicts -------------------------------------------------------------

    async def conflicts(self) -> list[ConflictRecord]:
        """Every conflict of the last 30 days, the newest first."""
        return await self._conflicts.all()

    async def conflict(self, conflict: str) -> ConflictRecord:
        """One conflict; NotFound if there is none."""
        found = await self._conflicts.get(conflict)
        if found is None:
            raise NotFound(f"no conflict {conflict!r}", remedy="nexa cluster conflicts")
        return found

    async def _log(self, bucket: str, key: str, kept: Record, lost: Written) -> None:
        stamp = lost.stamp.partition("@")[0].replace(".", "-")
        message = f"{bucket}/{key}: what {lost.by} wrote was not kept, a later one was"
        record = ConflictRecord(
            id=f"value-{stamp}-{lost.node}"[:63],
            time=self._clock.now(),
            kind="value",
            subject=f"bucket/{bucket}/{key}",
            message=message,
            sides=shared.sides(kept, lost),
        )
        await self._conflicts.add(record)
        self._journal.record(
            "conflict.value",
            subject=record.subject,
            message=f"{message} (nexa cluster conflicts show {record.id})",
            severity="warning",
            data={"conflict": record.id},
        )

    # -- helpers ---------------------------------------------------------------

    async def _kind(self, bucket: str) -> BucketClass:
        found = await self._records.get(bucket)
        if found is None:
            raise NotFound(
                f"no bucket {bucket!r}",
                remedy=f'PUT /v1/buckets/{bucket} with {{"kind": "cas"}}, lww or merge',
            )
        return found.value.kind

    def _write(
        self,
        kind: BucketClass,
        there: Record | None,
        new: NewValue,
        *,
        base: int | None,
        by: str,
    ) -> Written:
        now = self._clock.now()
        now_ms = int(now.timestamp() * 1000)
        if there is not None and there.now is not None:
            self._hlc.see(there.now.stamp, now_ms)
        time, stamp = now, self._hlc.stamp(now_ms)
        if new.time is not None:
            at_ms = _moment(kind, new.time, now_ms)
            time, stamp = new.time, self._hlc.at(at_ms)
        return Written(
            by=by, node=self._node, time=time, stamp=stamp, value=new.value, base=base
        )


def _moment(kind: BucketClass, time: datetime, now_ms: int) -> int:
    """When something was written, as its writer says.

    Raises:
        Invalid: Only an `lww` bucket asks for it; or it is none, or of the future.
    """
    if kind != "lww":
        raise Invalid(
            f"a {kind} bucket does not go by time",
            remedy="leave time out",
            details={"field": "time"},
        )
    if time.tzinfo is None or time < OLDEST:
        raise Invalid("time needs its zone, and a year", details={"field": "time"})
    at_ms = int(time.timestamp() * 1000)
    if at_ms > now_ms + AHEAD_MS:
        raise Invalid(
            f"time is {(at_ms - now_ms) / 1000:.0f} s ahead of this node",
            remedy="set the writer's clock",
            details={"field": "time"},
        )
    return at_ms


def _told(
    bucket: str, key: str, record: Record, revision: int, *, kept: bool = True
) -> SharedValue | None:
    now = record.now
    if now is None:
        return None
    return SharedValue(
        bucket=bucket,
        key=key,
        kind=record.kind,
        value=now.value,
        revision=revision,
        by=now.by,
        node=now.node,
        time=now.time,
        stamp=now.stamp,
        kept=kept,
    )


def _surely(
    bucket: str, key: str, record: Record, revision: int, *, kept: bool = True
) -> SharedValue:
    told = _told(bucket, key, record, revision, kept=kept)
    assert told is not None, "what was written has a value"
    return told


def _lost(
    bucket: str, key: str, there: Record | None, revision: int, why: str
) -> Conflict:
    current = None if there is None else _told(bucket, key, there, revision)
    return Conflict(
        f"{bucket}/{key} was not written: {why}",
        remedy="take the current value, which is told, and write again with its revision",
        details={
            "revision": revision if current else None,
            "current": msgspec.to_builtins(current),
        },
    )


def _too_fast(what: str) -> Conflict:
    return Conflict(
        f"{what} changes too fast to be written", remedy="try again in a moment"
    )
