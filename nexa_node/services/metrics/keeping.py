"""What is kept of all nodes' figures, behind a lock: written by the loop, read by threads.

Loads numpy; imported by the recorder's first tick and by the first query.
"""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from nexa_node.core.exposition import Family
from nexa_node.core.history import ABSENT, TICK_MS, History, Sample
from nexa_node.core.history_bytes import copied, opened, sealed, take
from nexa_node.core.history_tiers import Kind
from nexa_node.core.promql.samples import Floats, Labels, Matcher, Series, Table
from nexa_node.core.promql.vectors import Key, key_of
from nexa_node.core.sampling import samples_of, up
from nexa_node.ports import Tick

VIEW = ""
"""Owns what this node found out about others: `up`."""
CARRIED_MS = 300_000
"""So long what was recorded is taken to go on (Prometheus' lookback)."""
KEPT_MS = 24 * 3600 * 1000
SKEW_MS = 15_000
"""A node whose clock differs by more is told to have measured when its word came."""
OWNERS_MAX = 1000
SPARE = 500
"""Numbers of series that ended may be so many, and as many as those in use."""


class View:
    """One owner's series, or all: a `promql.samples.Source`."""

    def __init__(self, keeper: "Keeper", owner: str | None) -> None:
        """Look at what `keeper` has."""
        self._keeper = keeper
        self._owner = owner

    def select(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int
    ) -> list[Series]:
        """As `History.select`; what it gives is a copy."""
        return self._keeper.select(matchers, start_ms, end_ms, owner=self._owner)

    def table(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int
    ) -> Table | None:
        """As `History.table`; a copy, too."""
        return self._keeper.table(matchers, start_ms, end_ms, owner=self._owner)

    def labels(self) -> tuple[Labels, ...]:
        """The labels of every series."""
        return self._keeper.labels(self._owner)


class Snapshot(msgspec.Struct, frozen=True):
    """All that a node has measured, for one that knows nothing of it."""

    run: str
    series: tuple[tuple[str, dict[str, str]], ...]
    """By number."""
    history: bytes


@dataclass(slots=True)
class _Peer:
    run: str
    owner: int
    ids: list[int] = field(default_factory=list[int])
    slot: int = -1
    values: Floats | None = None
    """What it told for `slot`, until that is written."""


@dataclass(slots=True)
class _Recorded:
    at_ms: int
    samples: tuple[Sample, ...]


class Keeper:
    """The history of all nodes, and what this one tells the others of its own."""

    def __init__(self, node: str, run: str) -> None:
        """Know nothing yet; `run` names this run of the process."""
        self.node = node
        self.history = History()
        self.local, self.cluster = View(self, node), View(self, None)
        self._lock = threading.Lock()
        self._own = self.history.owner(node)
        self._peers: dict[str, _Peer] = {}
        self._recorded: dict[str, _Recorded] = {}
        self._process = run
        self._turn = 0
        self._layout: list[tuple[Kind, Labels]] = []
        self._numbers: dict[Key, int] = {}
        self._told = 0

    # -- reading ---------------------------------------------------------------

    def select(
        self,
        matchers: Sequence[Matcher],
        start_ms: int,
        end_ms: int,
        *,
        owner: str | None,
    ) -> list[Series]:
        """As `History.select`."""
        with self._lock:
            return self.history.select(matchers, start_ms, end_ms, owner=owner)

    def table(
        self,
        matchers: Sequence[Matcher],
        start_ms: int,
        end_ms: int,
        *,
        owner: str | None,
    ) -> Table | None:
        """As `History.table`."""
        with self._lock:
            return self.history.table(matchers, start_ms, end_ms, owner=owner)

    def labels(self, owner: str | None) -> tuple[Labels, ...]:
        """As `History.labels`."""
        with self._lock:
            return self.history.labels(owner)

    @property
    def own_series(self) -> int:
        """How many series this node tells."""
        return len(self.history.series(self.node))

    # -- one tick --------------------------------------------------------------

    def measured(self, families: Iterable[Family], at_ms: int) -> list[Sample]:
        """This node's samples of a tick: its figures and what it recorded."""
        found = list(samples_of(families, self.node))
        for source, one in list(self._recorded.items()):
            if at_ms - one.at_ms > CARRIED_MS:
                del self._recorded[source]
            else:
                found += one.samples
        return found

    def tick(self, at_ms: int, samples: Sequence[Sample]) -> Tick:
        """What others are told of it."""
        keys = [key_of(one.labels) for one in samples]
        if len(self._layout) > 2 * len(samples) + SPARE:
            self._begin_run()
        first = self._told
        for key, one in zip(keys, samples, strict=True):
            if key not in self._numbers:
                self._numbers[key] = len(self._layout)
                self._layout.append((one.kind, one.labels))
        values = np.full(len(self._layout), ABSENT, "<f8")
        numbers = [self._numbers[key] for key in keys]
        values[numbers] = [one.value for one in samples]
        self._told = len(self._layout)
        return Tick(
            node=self.node,
            run=self._run,
            at_ms=at_ms,
            first=first,
            added=tuple((k, dict(labels)) for k, labels in self._layout[first:]),
            values=values.tobytes(),
        )

    def commit(
        self, at_ms: int, samples: Sequence[Sample], members: Collection[str]
    ) -> bool:
        """Write a tick: this node's samples, and what the others told of that moment.

        Returns:
            False: there is such a tick already, or a newer one.
        """
        with self._lock:
            if not self.history.open(at_ms):
                return False
            self._write(self._own, samples)
            came = {
                name
                for name, peer in self._peers.items()
                if self._write_peer(peer, at_ms // TICK_MS)
            }
            others = [up(n, alive=n in came) for n in members if n != self.node]
            self.history.fill(others, owner=VIEW)
            return True

    def waits_for(self, at_ms: int, living: Collection[str]) -> bool:
        """Whether some living node has not told what it measured at that moment."""
        slot = at_ms // TICK_MS
        return any(
            (peer := self._peers.get(name)) is None or peer.slot < slot
            for name in living
            if name != self.node
        )

    def record(self, source: str, samples: Sequence[Sample], at_ms: int) -> None:
        """Take what was computed; see `samples.Samples.record`."""
        before = self._recorded.get(source)
        self._recorded[source] = _Recorded(at_ms, tuple(samples))
        with self._lock:
            if at_ms != self.history.newest_ms:
                return
            said = {key_of(one.labels) for one in samples}
            ended = [
                Sample(one.labels, ABSENT, one.kind)
                for one in (before.samples if before is not None else ())
                if key_of(one.labels) not in said
            ]
            self._write(self._own, [*samples, *ended], whole=False)

    def forget(self, now_ms: int) -> None:
        """Forget series that ended a day ago."""
        with self._lock:
            self.history.forget(now_ms - KEPT_MS)

    # -- other nodes -----------------------------------------------------------

    def hear(self, tick: Tick, now_ms: int) -> bool:
        """Take what another node told.

        Returns:
            False: its numbers are unknown here; ask it for its `Snapshot`.
        """
        peer = self._peers.get(tick.node)
        if peer is not None and peer.owner in self.history.forgotten:
            self.history.forgotten.discard(peer.owner)
            peer.run = ""
        if peer is None or peer.run != tick.run:
            if tick.first or len(self._peers) >= OWNERS_MAX:
                return len(self._peers) >= OWNERS_MAX
            peer = self._new_peer(tick.node, tick.run)
        if tick.first > len(peer.ids):
            return False
        fresh = tick.added[len(peer.ids) - tick.first :]
        with self._lock:
            peer.ids += self.history.identify(peer.owner, _kinds(fresh))
            if len(tick.values) != 8 * len(peer.ids):
                return False
            skewed = abs(tick.at_ms - now_ms) > SKEW_MS
            peer.slot = (now_ms if skewed else tick.at_ms) // TICK_MS
            peer.values = np.frombuffer(tick.values, "<f8")
            newest = self.history.newest_ms
            if newest is not None and newest // TICK_MS == peer.slot:
                self._write_peer(peer, peer.slot)  # late, and better than never
                view = self.history.owner(VIEW)
                self._write(view, [up(tick.node, alive=True)], whole=False)
        return True

    def packed(self) -> bytes:
        """This node's own history, for its file."""
        with self._lock:
            told = copied(self.history, self.node)
        return sealed(told)

    def load(self, packed: bytes) -> int:
        """Take this node's own history of before; how many series.

        Raises:
            HistoryDamaged: It can't be read.
        """
        return self._absorb(self.node, packed)

    def snapshot(self) -> Snapshot:
        """All that others need to understand this node's next tick."""
        layout = self._layout[: self._told]
        return Snapshot(
            self._run, tuple((k, dict(labels)) for k, labels in layout), self.packed()
        )

    def understand(self, node: str, snapshot: Snapshot) -> None:
        """Know another node's numbers and its past.

        Raises:
            HistoryDamaged: It can't be read.
        """
        self._absorb(node, snapshot.history)
        known = self._peers.get(node)
        if (
            known is not None
            and known.run == snapshot.run
            and len(known.ids) >= len(snapshot.series)
        ):
            return  # its numbers are known, and newer ones, too
        peer = self._new_peer(node, snapshot.run)
        with self._lock:
            peer.ids = self.history.identify(peer.owner, _kinds(snapshot.series))

    # -- parts -----------------------------------------------------------------

    @property
    def _run(self) -> str:
        return f"{self._process}.{self._turn}"

    def _begin_run(self) -> None:
        self._turn += 1
        self._told = 0
        self._layout.clear()
        self._numbers.clear()

    def _absorb(self, node: str, packed: bytes) -> int:
        told = opened(packed)
        with self._lock:
            return take(self.history, node, told)

    def _new_peer(self, node: str, run: str) -> _Peer:
        with self._lock:
            peer = self._peers[node] = _Peer(run, self.history.owner(node))
        return peer

    def _write(
        self, owner: int, samples: Sequence[Sample], *, whole: bool = True
    ) -> None:
        pairs: list[tuple[Labels, Kind]] = [(one.labels, one.kind) for one in samples]
        ids = self.history.identify(owner, pairs)
        values = [one.value for one in samples]
        self.history.write(owner, ids, values, whole=whole)

    def _write_peer(self, peer: _Peer, slot: int) -> bool:
        values = peer.values
        if values is None or peer.slot != slot:
            return False
        peer.values = None
        self.history.write(peer.owner, peer.ids, values.tolist())
        return True


def _kinds(
    series: Iterable[tuple[str, Mapping[str, str]]],
) -> list[tuple[Labels, Kind]]:
    found: list[tuple[Labels, Kind]] = []
    for kind, labels in series:
        found.append((labels, "counter" if kind == "counter" else "gauge"))
    return found
