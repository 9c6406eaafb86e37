"""One owner's part of a history as bytes: for the disk, and for other nodes.

Written: `nexa-history`, the format, the SHA-256 of what follows, and that compressed: a
head in JSON, then the arrays it tells of. What is damaged, cut off or of another format
is refused as a whole.
"""

import hashlib
import zlib
from typing import Any

import msgspec
import numpy as np

from nexa_node.core.history import History
from nexa_node.core.history_tiers import FOLDS, KINDS, Entry, Fine, Kind, Tier
from nexa_node.core.promql.samples import Floats, Labels, Mask, Times, is_stale
from nexa_node.core.rings import Axis, Presence, Rows

MAGIC = b"nexa-history"
FORMAT = 1
BYTES_MAX = 256 * 1024**2
"""Unpacked; more is no history of one node."""
_HASH = 32


class HistoryDamaged(ValueError):
    """These bytes are no history, or not all of one; says why."""


class _One(msgspec.Struct, array_like=True, frozen=True):
    kind: Kind
    labels: dict[str, str]
    since: int
    row: int
    """Among the rows of its kind; -1: it rests."""


class _Head(msgspec.Struct, frozen=True):
    series: tuple[_One, ...]
    slots: tuple[int, ...]
    """Columns of each ring, the finest first."""


def pack(history: History, owner: str) -> bytes:
    """Write all that is kept of an owner's series."""
    return sealed(copied(history, owner))


def sealed(told: bytes) -> bytes:
    """Compress what `copied` gave, and seal it; takes its time."""
    body = zlib.compress(told, 1)
    return MAGIC + bytes([FORMAT]) + hashlib.sha256(body).digest() + body


def copied(history: History, owner: str) -> bytes:
    """Copy all that is kept of an owner's series; quickly, while nobody writes."""
    entries = history.series(owner)
    moving = {
        kind: [one for one in entries if one.kind == kind and one.row >= 0]
        for kind in KINDS
    }
    place = {id(one): at for mine in moving.values() for at, one in enumerate(mine)}
    number = history.owner(owner)
    rings: tuple[Fine | Tier, ...] = (history.fine, *history.tiers)
    columns = [ring.axis.columns(0, 2**62) for ring in rings]
    head = _Head(
        tuple(
            _One(one.kind, dict(one.labels), one.since, place.get(id(one), -1))
            for one in entries
        ),
        tuple(map(len, columns)),
    )
    parts: list[Any] = [np.array([one.rested for one in entries], np.float64)]
    for ring, mine in zip(rings, columns, strict=True):
        parts += [ring.axis.times[mine], ring.present.marks[number][mine]]
        for kind, rows in _rows_of(ring):
            index = np.array([_index(ring, one) for one in moving[kind]], np.int64)
            parts.append(rows.values[index[:, None], mine[None, :]])
    told = msgspec.json.encode(head)
    return len(told).to_bytes(8, "big") + told + b"".join(p.tobytes() for p in parts)


def absorb(history: History, owner: str, packed: bytes) -> int:
    """Put what `pack` wrote into a history; how many series it was.

    Ticks that are there already are kept; what is too old for the rings is not taken.

    Raises:
        HistoryDamaged: It is none, or not whole; nothing was taken.
    """
    return take(history, owner, opened(packed))


def take(history: History, owner: str, told: bytes) -> int:
    """Put what `opened` gave into a history; quickly, while nobody reads.

    Raises:
        HistoryDamaged: It tells of itself wrongly; nothing was taken.
    """
    reader = _Reader(told)
    head = reader.head
    rested = reader.take(np.float64, len(head.series))
    found: list[tuple[Times, Mask, list[tuple[Kind, Floats]]]] = []
    size = {
        kind: sum(one.kind == kind and one.row >= 0 for one in head.series)
        for kind in KINDS
    }
    rings: tuple[Fine | Tier, ...] = (history.fine, *history.tiers)
    for ring, slots in zip(rings, head.slots, strict=True):
        if slots > ring.axis.resolution.slots:
            raise HistoryDamaged("it has more columns than there are")
        times, there = reader.take(np.int64, slots), reader.take(np.bool_, slots)
        tables: list[tuple[Kind, Floats]] = [
            (kind, reader.table(rows.values.dtype, size[kind], slots))
            for kind, rows in _rows_of(ring)
        ]
        found.append((times, there, tables))
    reader.end()
    _Absorbing(history, owner, head, rested).take(found)
    return len(head.series)


class _Absorbing:
    def __init__(
        self, history: History, owner: str, head: _Head, rested: Floats
    ) -> None:
        self._history = history
        self._number = history.owner(owner)
        self._head = head
        self._rested = rested.tolist()

    def take(self, found: list[tuple[Times, Mask, list[tuple[Kind, Floats]]]]) -> None:
        history = self._history
        pairs = self._known()
        rings: tuple[Fine | Tier, ...] = (history.fine, *history.tiers)
        for ring, (times, there, tables) in zip(rings, found, strict=True):
            fresh = _columns(ring.axis, _tables(ring), ring.present, times)
            mine = ring.present.marks[self._number]
            # What came by itself stands; the rest of the columns is taken.
            wanted = np.flatnonzero((fresh >= 0) & there & ~mine[fresh])
            mine[fresh[wanted]] = True
            for (kind, table), (_, rows) in zip(tables, _rows_of(ring), strict=True):
                self._fill(ring, kind, rows, table, fresh, wanted, pairs)
        for entry, one, _ in pairs:
            if entry.row >= 0:
                row = history.fine.rows.values[entry.row]
                told = ~is_stale(row)
                entry.seen = int(
                    np.where(told, history.fine.axis.times, entry.since).max()
                )
            entry.since = min(entry.since, one.since) if entry.since >= 0 else one.since
        history.moved += 1

    def _known(self) -> list[tuple[Entry, _One, float]]:
        """The series here that are those; awake if they moved here or there."""
        history = self._history
        told: list[tuple[Labels, Kind]] = [
            (one.labels, one.kind) for one in self._head.series
        ]
        ids = history.identify(self._number, told)
        pairs: list[tuple[Entry, _One, float]] = []
        for number, one, value in zip(
            ids, self._head.series, self._rested, strict=True
        ):
            if number < 0:
                continue
            entry = history.entry(number)
            if entry.row < 0:
                if one.row < 0 and entry.since < 0:
                    entry.rested, entry.since = value, one.since
                elif one.row >= 0 or not _same(entry.rested, value):
                    history.wake(entry)
            pairs.append((entry, one, value))
        return pairs

    def _fill(
        self,
        ring: Fine | Tier,
        kind: Kind,
        rows: Rows,
        table: Floats,
        fresh: Times,
        wanted: Times,
        pairs: list[tuple[Entry, _One, float]],
    ) -> None:
        times = ring.axis.times
        for entry, one, value in pairs:
            if entry.row < 0 or entry.kind != kind:
                continue
            row = rows.values[_index(ring, entry)]
            if one.row >= 0 and one.kind == kind:
                row[fresh[wanted]] = table[one.row, wanted]
            elif one.row < 0:
                places = fresh[wanted]
                row[places[times[places] >= one.since]] = value


def _columns(
    axis: Axis, tables: tuple[Rows, ...], present: Presence, times: Times
) -> Times:
    """Where each of the moments lies, begun if need be; -1 where it is too old."""
    found = np.full(len(times), -1, np.int64)
    newest = max(axis.newest, int(times.max(initial=-1)))
    for at, moment in enumerate(times.tolist()):
        if moment < 0 or moment <= newest - axis.resolution.span_ms:
            continue
        place = axis.place(moment)
        if axis.times[place] > moment:
            continue
        if axis.times[place] < moment:
            axis.open(moment)
            present.marks[:, place] = False
            for rows in tables:
                rows.clear(column=place)
        found[at] = place
    return found


def _rows_of(ring: Fine | Tier) -> list[tuple[Kind, Rows]]:
    if isinstance(ring, Fine):
        return [(kind, ring.rows) for kind in KINDS]
    return [
        ("counter", ring.newest),
        *(("gauge", ring.folds[fold]) for fold in FOLDS),
    ]


def _tables(ring: Fine | Tier) -> tuple[Rows, ...]:
    if isinstance(ring, Fine):
        return (ring.rows,)
    return (ring.newest, *ring.folds.values())


def _index(ring: Fine | Tier, entry: Entry) -> int:
    return entry.row if isinstance(ring, Fine) else entry.place


def _same(one: float, other: float) -> bool:
    return np.float64(one).tobytes() == np.float64(other).tobytes()


def opened(packed: bytes) -> bytes:
    """Take the seal off, and unpack; takes its time.

    Raises:
        HistoryDamaged: It is none, or not whole.
    """
    begin = len(MAGIC) + 1
    if packed[: len(MAGIC)] != MAGIC:
        raise HistoryDamaged("it is no history")
    if packed[begin - 1 : begin] != bytes([FORMAT]):
        raise HistoryDamaged(f"it is of another format than {FORMAT}")
    body = packed[begin + _HASH :]
    if hashlib.sha256(body).digest() != packed[begin : begin + _HASH]:
        raise HistoryDamaged("its check sum is wrong")
    unpacking = zlib.decompressobj()
    try:
        told = unpacking.decompress(body, BYTES_MAX)
    except zlib.error as error:
        raise HistoryDamaged(f"it can't be unpacked: {error}") from error
    if unpacking.unconsumed_tail:
        raise HistoryDamaged(f"it is larger than {BYTES_MAX} bytes")
    return told


class _Reader:
    """Takes one thing after another."""

    def __init__(self, told: bytes) -> None:
        size = int.from_bytes(told[:8], "big")
        try:
            self.head = msgspec.json.decode(told[8 : 8 + size], type=_Head)
        except msgspec.MsgspecError as error:
            raise HistoryDamaged(f"its head can't be read: {error}") from error
        rows = dict.fromkeys(KINDS, 0)
        for one in self.head.series:
            if one.row >= 0:
                if one.row != rows[one.kind]:
                    raise HistoryDamaged("its rows are not in order")
                rows[one.kind] += 1
        if len(self.head.slots) != 3 or min(self.head.slots) < 0:
            raise HistoryDamaged("it has other rings")
        self._told, self._at = told, 8 + size

    def take(self, dtype: Any, count: int) -> Any:
        size = np.dtype(dtype).itemsize * count
        if self._at + size > len(self._told):
            raise HistoryDamaged("it is cut off")
        part = np.frombuffer(self._told, dtype, count, self._at)
        self._at += size
        return part

    def table(self, dtype: Any, rows: int, columns: int) -> Floats:
        return self.take(dtype, rows * columns).reshape(rows, columns)

    def end(self) -> None:
        if self._at != len(self._told):
            raise HistoryDamaged("there is more than it tells of")
