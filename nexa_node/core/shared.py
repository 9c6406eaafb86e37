"""Who wins when a shared value is written: decided here, stored elsewhere.

The store's compare-and-set makes sure that what is decided about is still there. So a
decision is made anew, from what is there then, until a write of it goes through.
"""

from dataclasses import dataclass
from typing import Any, cast

import msgspec

from nexa_node.contract.shared import BucketClass, Side, Written
from nexa_node.contract.tasks import Json

HISTORY = 8
"""Writes of a value that are remembered, to explain a conflict."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored under a key; of a bucket itself only `kind`."""

    kind: BucketClass
    writes: tuple[Written, ...] = ()
    """The newest last: the one that holds."""

    @property
    def now(self) -> Written | None:
        """The write that holds."""
        return self.writes[-1] if self.writes else None


@dataclass(frozen=True, slots=True)
class Keep:
    """Store this record."""

    record: Record
    lost: Written | None = None
    """A write that nobody would see again: it goes to the conflict log."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """What is there stays, since it is later; `lost` goes to the conflict log."""

    lost: Written


@dataclass(frozen=True, slots=True)
class Refuse:
    """The writer has not seen what is there."""

    why: str


Verdict = Keep | Ignore | Refuse


def decide(
    kind: BucketClass, there: Record | None, revision: int, write: Written
) -> Verdict:
    """Say what becomes of a write.

    Args:
        kind: The bucket's rule.
        there: What is stored now; None: nothing.
        revision: Of that; 0 of nothing.
        write: The new one. Its `base` is the revision that its writer saw, 0 if it saw
            that there was nothing, None if it did not look.
    """
    now = None if there is None else there.now
    saw_it = write.base == revision or (write.base is None and now is None)
    if kind == "lww":
        return _last(there, write, saw_it=saw_it)
    if kind == "merge":
        if write.base is not None and not saw_it:
            return Refuse(_stale(write.base, revision))
        merged = merge(None if now is None else now.value, write.value)
        return Keep(_after(there, kind, msgspec.structs.replace(write, value=merged)))
    if not saw_it:
        told = "there is a value, and it was not said which one was seen"
        return Refuse(told if write.base is None else _stale(write.base, revision))
    return Keep(_after(there, kind, write))


def merge(value: Json, patch: Json) -> Json:
    """Change `value` as RFC 7396 says: objects field by field, null removes a field."""
    if not isinstance(patch, dict):
        return patch
    made: dict[str, Any] = {}
    if isinstance(value, dict):
        made.update(cast("dict[str, Any]", value))
    for field, change in cast("dict[str, Any]", patch).items():
        if change is None:
            made.pop(field, None)
        else:
            made[field] = merge(made.get(field), change)
    return made


def sides(kept: Record, lost: Written) -> tuple[Side, Side]:
    """Both histories of a conflict: of the write that holds, and of the one that does not."""
    now = kept.now
    assert now is not None, "a record that was kept has a write"
    return (
        Side(
            name=now.by,
            kept=True,
            did=tuple(_words(each) for each in kept.writes if each != lost),
            writes=kept.writes,
        ),
        Side(name=lost.by, kept=False, did=(_words(lost),), writes=(lost,)),
    )


def _last(there: Record | None, write: Written, *, saw_it: bool) -> Verdict:
    now = None if there is None else there.now
    if now is None or saw_it:
        return Keep(_after(there, "lww", write))
    is_conflict = now.by != write.by
    if write.stamp > now.stamp:
        return Keep(_after(there, "lww", write), now if is_conflict else None)
    return Ignore(write)


def _after(there: Record | None, kind: BucketClass, write: Written) -> Record:
    before = () if there is None else there.writes
    return Record(kind=kind, writes=(*before, write)[-HISTORY:])


def _stale(base: int, revision: int) -> str:
    if not revision:
        return f"revision {base} was seen, and there is no value any more"
    if not base:
        return f"no value was seen, and there is one at revision {revision}"
    return f"revision {base} was seen, and it is at revision {revision}"


def _words(write: Written) -> str:
    seen = {None: "", 0: ", having seen no value"}.get(
        write.base, f", having seen revision {write.base}"
    )
    return (
        f"{write.by} wrote at {write.time:%Y-%m-%d %H:%M:%S} through {write.node}{seen}"
    )
