"""The figures of all nodes over time: rings of three resolutions, a column for each tick.

The newest hour is kept as it was read, each ten seconds; six hours by the minute, a day
by five minutes. Of a counter the coarser rings keep the newest value, so that `rate` is
right over any span; of a gauge they keep average, least and most. A series that has had
one value since it began takes no room in the rings: most counters stay at zero. A
hundred moving series take less than a megabyte. It is a `promql.samples.Source`.

Series belong to an owner, the node that told them; where an owner told nothing at all
none of its series has a sample.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import intern

import numpy as np

from nexa_node.core.history_tiers import (
    COARSE,
    KINDS,
    TICK_MS,
    Chosen,
    Entry,
    Fine,
    Fold,
    Kind,
    Places,
    Tier,
)
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.samples import (
    Floats,
    Labels,
    Matcher,
    Series,
    Table,
    Times,
    is_stale,
    meets,
)
from nexa_node.core.promql.vectors import Key, key_of
from nexa_node.core.rings import ABSENT

__all__ = ["ABSENT", "SERIES_MAX", "TICK_MS", "History", "Kind", "Sample"]

SERIES_MAX = 2000
"""Series of one owner; what comes above that is counted as dropped, and told."""
BACKWARDS_MS = 60_000
"""A clock that went back by more begins anew there; by less, its ticks are ignored."""
_CACHED = 1000
"""Selections remembered."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at a tick."""

    labels: Labels
    """Its name included."""
    value: float
    kind: Kind


_Asked = tuple[str | None, tuple[Matcher, ...]]
"""An owner, or all of them; conditions."""


class History:
    """All series of all owners."""

    def __init__(self, *, limit: int = SERIES_MAX) -> None:
        """Know nothing yet; keep at most `limit` series of each owner."""
        self.limit = limit
        self.dropped = 0
        """Samples refused because their owner had too many series."""
        self.forgotten: set[int] = set()
        """Owners some of whose series were forgotten: their numbers mean nothing now."""
        self.fine = Fine()
        self.tiers = tuple(Tier(resolution) for resolution in COARSE)
        self.owners: dict[str, int] = {}
        self._entries: list[Entry | None] = []
        self._ids: list[dict[Key, int]] = []
        """Of each owner."""
        self._named: dict[str, list[int]] = {}
        self._changed: dict[str, int] = {"": 0}
        """How often series of a name came or went; of any name, by the empty one."""
        self._met: dict[_Asked, tuple[int, tuple[Chosen, ...]]] = {}
        self.moved = 0
        """How often any series woke, was told first, or turned out to be older."""
        self._rows = Places()
        self._places = {kind: Places() for kind in KINDS}

    def __len__(self) -> int:
        """How many series are kept."""
        return sum(map(len, self._ids))

    @property
    def bytes(self) -> int:
        """What the rings take."""
        kept = [self.fine.rows.values, self.fine.present.marks, self.fine.axis.times]
        for tier in self.tiers:
            kept += [tier.present.marks, tier.axis.times]
            kept += [rows.values for kind in KINDS for rows in tier.rows_of(kind)]
        return sum(array.nbytes for array in kept)

    @property
    def moving(self) -> int:
        """How many series take room in the rings."""
        return self._rows.taken

    @property
    def newest_ms(self) -> int | None:
        """When the last tick was."""
        newest = self.fine.axis.newest
        return None if newest < 0 else newest

    def labels(self, owner: str | None = None) -> tuple[Labels, ...]:
        """The labels of every series, or of one owner's."""
        return tuple(entry.labels for entry in self.series(owner))

    def series(self, owner: str | None = None) -> list[Entry]:
        """Every series, or one owner's."""
        if owner is None:
            return [entry for entry in self._entries if entry is not None]
        number = self.owners.get(owner)
        mine = {} if number is None else self._ids[number]
        return [self.entry(each) for each in mine.values()]

    # -- writing ---------------------------------------------------------------

    def append(self, at_ms: int, samples: Sequence[Sample], *, owner: str = "") -> None:
        """Take what one owner told at a tick; see `open` and `fill`."""
        if self.open(at_ms):
            self.fill(samples, owner=owner)

    def open(self, at_ms: int) -> bool:
        """Begin a tick, at which nobody told anything yet.

        Returns:
            False: it is no newer than the last one, and ignored.
        """
        axis = self.fine.axis
        if axis.newest >= 0 and at_ms // TICK_MS <= axis.newest // TICK_MS:
            if at_ms > axis.newest - BACKWARDS_MS:
                return False
            self._forget_after(at_ms - 1)
        for tier in self.tiers:
            if axis.newest >= 0 and tier.is_over(axis.newest, at_ms):
                tier.close(self.fine, self.series())
        place = axis.open(at_ms)
        self.fine.rows.clear(column=place)
        self.fine.present.marks[:, place] = False
        return True

    def fill(self, samples: Iterable[Sample], *, owner: str = "") -> None:
        """Take all that an owner told at the newest tick.

        A series that was there and is not among `samples` has no sample then.
        """
        number, kept = self.owner(owner), list(samples)
        ids = self.identify(number, ((one.labels, one.kind) for one in kept))
        self.write(number, ids, [one.value for one in kept])

    def owner(self, name: str) -> int:
        """The number of an owner, which is made if need be."""
        number = self.owners.get(name)
        if number is None:
            number = self.owners[name] = len(self.owners)
            self._ids.append({})
            for kept in (self.fine, *self.tiers):
                kept.present.reach(number + 1)
        return number

    def identify(self, owner: int, series: Iterable[tuple[Labels, Kind]]) -> list[int]:
        """Numbers of an owner's series, for `write`; -1 where there are too many."""
        return [self._identify(owner, labels, kind) for labels, kind in series]

    def write(
        self,
        owner: int,
        ids: Sequence[int],
        values: Sequence[float],
        *,
        whole: bool = True,
    ) -> None:
        """Take values of an owner's series at the newest tick.

        Args:
            owner: Its number.
            ids: Of `identify`.
            values: As many; `ABSENT` says that a series has ended.
            whole: The owner's other series have no sample then.
        """
        axis = self.fine.axis
        place = axis.place(axis.newest)
        self.fine.present.marks[owner, place] = True
        exact = np.array(values, np.float64).view(np.uint64).tolist()
        told: set[int] = set()
        for number, value, bits in zip(ids, values, exact, strict=True):
            if number < 0:
                self.dropped += 1
                continue
            told.add(number)
            entry = self._entries[number]
            if entry is not None:
                self._put(entry, value, bits, place)
        if whole and len(told) < len(self._ids[owner]):
            for number in self._ids[owner].values():
                if number not in told:
                    self._put(self.entry(number), ABSENT, _ABSENT_BITS, place)

    def forget(self, before_ms: int) -> int:
        """Forget series that were told last before `before_ms`; how many."""
        old = [
            (number, entry)
            for number, entry in enumerate(self._entries)
            if entry is not None and self._last_told(entry) < before_ms
        ]
        for number, entry in old:
            self._remove(number, entry)
        return len(old)

    # -- reading ---------------------------------------------------------------

    def select(
        self,
        matchers: Sequence[Matcher],
        start_ms: int,
        end_ms: int,
        *,
        fold: Fold = "avg",
        owner: str | None = None,
    ) -> list[Series]:
        """Series that meet `matchers`, each moment at the best resolution there is.

        A tick at which a series has no sample is marked as its end (`samples.is_stale`):
        what went is not taken for what is.

        Args:
            matchers: All must be met.
            start_ms: The first moment.
            end_ms: The last one.
            fold: What stands for a gauge where only a fold of it is kept.
            owner: Only what that one told. By default what anybody told, and what
                several told under the same labels is one series.
        """
        found: list[Series] = []
        for chosen in self._meeting(tuple(matchers), owner):
            times, values = self._read(chosen, start_ms, end_ms, fold)
            some = np.any(~is_stale(values), axis=1).tolist()
            found += [
                Series(entry.labels, times, row, entry.key)
                for entry, row, there in zip(chosen.entries, values, some, strict=True)
                if there
            ]
        return found if owner is not None else _united(found)

    def table(
        self,
        matchers: Sequence[Matcher],
        start_ms: int,
        end_ms: int,
        *,
        owner: str | None = None,
    ) -> Table | None:
        """What `select` gives, as one table; None if it is none, or is nothing now."""
        chosen = self._meeting(tuple(matchers), owner)
        if not chosen:
            return Table((), np.zeros(0, np.int64), np.zeros((0, 0)))
        if len(chosen) != 1 or (owner is None and chosen[0].twins):
            return None
        (one,) = chosen
        times, values = self._read(one, start_ms, end_ms, "avg")
        some = np.any(~is_stale(values), axis=1)
        if some.all():
            return Table(one.labels, times, values)
        kept = np.flatnonzero(some)
        labels = tuple(one.labels[at] for at in kept.tolist())
        return Table(labels, times, values[kept]) if labels else None

    def _read(
        self, chosen: Chosen, start_ms: int, end_ms: int, fold: Fold
    ) -> tuple[Times, Floats]:
        chosen.catch_up(self.moved)
        parts = [self.fine.read(chosen, start_ms, end_ms)]
        end_ms = min(end_ms, self.fine.axis.newest - 1)
        for tier in self.tiers:
            if len(parts[-1][0]):
                end_ms = int(parts[-1][0][0]) - 1  # the rest is older
            if end_ms >= start_ms and tier.has(start_ms, end_ms):
                parts.append(tier.read(chosen, start_ms, end_ms, fold))
        if len(parts) == 1:
            return parts[0]
        parts.reverse()
        times = np.concatenate([part[0] for part in parts])
        return times, np.concatenate([part[1] for part in parts], axis=1)

    def _meeting(
        self, matchers: tuple[Matcher, ...], owner: str | None
    ) -> tuple[Chosen, ...]:
        """The series that meet `matchers`, by kind and then by their labels."""
        name = next(
            (m.value for m in matchers if m.label == NAME and m.kind == "="), ""
        )
        version = self._changed.get(name, 0)
        known = self._met.get((owner, matchers))
        if known is not None and known[0] == version:
            return known[1]
        number = None if owner is None else self.owners.get(owner, -1)
        met = [
            entry
            for each in (
                self._named.get(name, ()) if name else range(len(self._entries))
            )
            if (entry := self._entries[each]) is not None
            and number in (None, entry.owner)
            and meets(entry.labels, matchers)
        ]
        met.sort(key=lambda entry: entry.key)
        by_kind: dict[Kind, list[Entry]] = {}
        for entry in met:
            by_kind.setdefault(entry.kind, []).append(entry)
        found = tuple(Chosen(kind, mine) for kind, mine in by_kind.items())
        if len(self._met) >= _CACHED:
            self._met.clear()
        self._met[owner, matchers] = version, found
        return found

    # -- series ----------------------------------------------------------------

    def entry(self, number: int) -> Entry:
        """A series by its number."""
        entry = self._entries[number]
        assert entry is not None
        return entry

    def _identify(self, owner: int, labels: Labels, kind: Kind) -> int:
        key = key_of(labels)
        mine = self._ids[owner]
        number = mine.get(key)
        if number is not None:
            return number
        if len(mine) >= self.limit and not self._make_room(owner):
            return -1
        shared = {intern(str(name)): intern(str(text)) for name, text in labels.items()}
        number = len(self._entries)  # no number is ever used again
        entry = Entry(owner, shared, key_of(shared), kind)
        self._entries.append(entry)
        mine[entry.key] = number
        self._named.setdefault(shared.get(NAME, ""), []).append(number)
        self._note_change(entry)
        return number

    def _make_room(self, owner: int) -> bool:
        """Forget the series of an owner that ended first, if any has ended."""
        ended = [
            (entry.seen, number)
            for number in self._ids[owner].values()
            if (entry := self.entry(number)).row >= 0
            and entry.seen < self.fine.axis.newest - TICK_MS
        ]
        if not ended:
            return False
        number = min(ended)[1]
        self._remove(number, self.entry(number))
        return True

    def _remove(self, number: int, entry: Entry) -> None:
        if entry.row >= 0:
            self.fine.rows.clear(row=entry.row)
            self._rows.give(entry.row)
            for tier in self.tiers:
                for rows in tier.rows_of(entry.kind):
                    rows.clear(row=entry.place)
            self._places[entry.kind].give(entry.place)
        del self._ids[entry.owner][entry.key]
        self._named[entry.labels.get(NAME, "")].remove(number)
        self._entries[number] = None
        self.forgotten.add(entry.owner)
        self._note_change(entry)

    def _note_change(self, entry: Entry) -> None:
        for name in {entry.labels.get(NAME, ""), ""}:
            self._changed[name] = self._changed.get(name, 0) + 1

    def _last_told(self, entry: Entry) -> int:
        if entry.row >= 0:
            return entry.seen
        marks = self.fine.present.marks[entry.owner]
        return int(np.where(marks, self.fine.axis.times, entry.since).max())

    def _put(self, entry: Entry, value: float, bits: int, place: int) -> None:
        newest = self.fine.axis.newest
        if entry.row < 0:
            if entry.since < 0 and bits != _ABSENT_BITS:
                entry.since, entry.rested = newest, value
                self.moved += 1
            if entry.since < 0 or bits == _bits(entry.rested):
                return
            self.wake(entry)
        self.fine.rows.values[entry.row, place] = value
        if bits != _ABSENT_BITS:
            entry.seen = newest

    def wake(self, entry: Entry) -> None:
        """Give a series that rested a row, with its past."""
        entry.row, entry.place = self._rows.take(), self._places[entry.kind].take()
        self.moved += 1
        self.fine.rows.reach(self._rows.size)
        for tier in self.tiers:
            for rows in tier.rows_of(entry.kind):
                rows.reach(self._places[entry.kind].size)
        if entry.since < 0:
            return
        times = self.fine.axis.times
        there = self.fine.present.marks[entry.owner] & (times >= entry.since)
        there &= times >= 0
        self.fine.rows.values[entry.row, there] = entry.rested
        entry.seen = int(times[there].max(initial=entry.since))
        for tier in self.tiers:
            tier.settle(entry)

    def _forget_after(self, at_ms: int) -> None:
        self.moved += 1
        for kept in (self.fine, *self.tiers):
            kept.axis.forget_after(at_ms)
        for entry in self.series():
            entry.since = min(entry.since, at_ms + 1)
            entry.seen = min(entry.seen, at_ms)


def _united(found: list[Series]) -> list[Series]:
    """One series of those that several owners tell under the same labels."""
    if len({one.key for one in found}) == len(found):
        return found
    places: dict[Key, int] = {}
    united: list[Series] = []
    for one in found:
        assert one.key is not None
        at = places.setdefault(one.key, len(united))
        if at == len(united):
            united.append(one)
            continue
        other = united[at]
        values = np.where(is_stale(other.values), one.values, other.values)
        united[at] = Series(other.labels, other.times, values, other.key)
    return united


def _bits(value: float) -> int:
    return int(np.array(value, np.float64).view(np.uint64))


_ABSENT_BITS = _bits(ABSENT)
