"""What a cluster is made of and how it holds together: facts of `Cluster`, made readable.

Pure: what the nodes told comes in; who leads, who lags, whom others doubt, which way is
slow and where nodes disagree comes out. Nothing is guessed: without opinions nobody is
doubted, without routes none is missing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import msgspec

from nexa_node.contract.nodes import (
    Cluster,
    Node,
    Opinion,
    Replica,
    StreamPlace,
    Suspicion,
)

SLOW_MS = 10.0
"""Faster than that no way between two nodes is called slow."""
SLOW_TIMES = 4.0
"""So many times slower than the others is."""
FAR_MS = 100.0
"""Slow whatever the others are: each acknowledgement waits for it."""
BACKED_UP_BYTES = 1024 * 1024
"""Waiting to be sent on one route."""
_DOWN = frozenset(("stopped", "error"))
_WORST: Mapping[str, int] = {"alive": 0, "left": 1, "suspect": 2, "dead": 3}

Pair = tuple[str, str]
"""Two nodes' names, in their order."""


class Seen(msgspec.Struct, frozen=True):
    """What the others think of a node."""

    word: Suspicion | None
    """What most of those who can be asked think; None if nobody says anything."""
    doubts: tuple[Opinion, ...] = ()
    """Those who think worse of it than `alive`."""
    trusts: tuple[Opinion, ...] = ()
    """Those to whom it is alive."""

    @property
    def disputed(self) -> bool:
        """Whether some hear it and others don't."""
        return bool(self.doubts) and bool(self.trusts)


class Way(msgspec.Struct, frozen=True):
    """The connection between two nodes, both directions taken together."""

    pair: Pair
    rtt_ms: float | None
    pending_bytes: int = 0
    slow: bool = False


class Part(msgspec.Struct, frozen=True):
    """One node, and what it is in the cluster."""

    node: Node
    seen: Seen
    controller: bool = False
    """The cluster's duties are its own; of a single node that says nothing."""
    leads: tuple[str, ...] = ()
    """Streams."""
    copies: int = 0
    """Streams of which it has a copy."""
    behind: tuple[str, ...] = ()
    """Streams of which its copy has not all."""
    lag: int = 0
    """Operations, over all streams."""
    rtt_ms: float | None = None
    """Of its slowest way."""
    slow: tuple[str, ...] = ()
    """Nodes to which its way is slow."""

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def down(self) -> bool:
        """Whether it is gone, as far as anybody can tell."""
        return self.seen.word in {"dead", "left"} or self.node.state in _DOWN

    @property
    def wrong(self) -> bool:
        """Whether somebody should look at it."""
        return (
            self.node.health != "healthy"
            or self.node.state != "running"
            or bool(self.seen.doubts or self.behind or self.slow)
        )


class Topology(msgspec.Struct, frozen=True):
    """A whole cluster."""

    cluster: Cluster
    parts: tuple[Part, ...] = ()
    """By name."""
    ways: Mapping[Pair, Way] = msgspec.field(default_factory=dict[Pair, Way])
    missing: frozenset[Pair] = frozenset()
    """Two living nodes without a route between them, where routes are known."""
    opinions: Mapping[Pair, Opinion] = msgspec.field(
        default_factory=dict[Pair, Opinion]
    )
    """By who thinks it and of whom: not in the order of their names."""
    islands: tuple[tuple[str, ...], ...] = ()
    """Groups of living nodes that hear each other, the largest first."""
    usual_ms: float | None = None
    """The round trip that is usual here."""

    @property
    def attached(self) -> bool:
        """Whether the store is a NATS of somebody else's: nobody here votes in it."""
        return self.cluster.store == "attached"

    @property
    def margin(self) -> int:
        """How many voters more than needed there are; negative without a quorum."""
        return self.cluster.quorum.have - self.cluster.quorum.need

    @property
    def members(self) -> int:
        """How many can vote when all are there: a quorum is more than half of them."""
        known = sum(part.seen.word != "left" for part in self.parts)
        return max(known, self.cluster.quorum.have)

    def part(self, name: str) -> Part | None:
        """Find a node by its name or its id."""
        for part in self.parts:
            if name in {part.node.name, part.node.id}:
                return part
        return None

    def opinion(self, by: str, of: str) -> Opinion | None:
        """What one node thinks of another."""
        return self.opinions.get((by, of))


def topology(cluster: Cluster) -> Topology:
    """Read a cluster."""
    seen = _seen(cluster)
    ways, usual = _ways(cluster)
    slow, worst = _slow_peers(ways.values()), _worst(ways.values())
    copies = _copies(cluster)
    parts = tuple(
        _part(
            node,
            cluster,
            seen[node.name],
            copies=copies.get(node.name, ()),
            rtt_ms=worst.get(node.name, node.rtt_ms),
            slow=tuple(slow.get(node.name, ())),
        )
        for node in sorted(cluster.nodes, key=lambda one: one.name)
    )
    living = [part.name for part in parts if not part.down]
    return Topology(
        cluster=cluster,
        parts=parts,
        ways=ways,
        missing=_missing(cluster, living),
        opinions={(one.by, one.of): one for one in cluster.opinions},
        islands=_islands(cluster, living),
        usual_ms=usual,
    )


def troubled(streams: Iterable[StreamPlace]) -> list[StreamPlace]:
    """Streams without a leader first, then those with a copy that is not whole."""
    wrong = [one for one in streams if one.leader is None or behind(one)]
    return sorted(wrong, key=lambda one: (one.leader is not None, -lag(one), one.name))


def behind(stream: StreamPlace) -> tuple[Replica, ...]:
    """The copies of a stream that have not all."""
    return tuple(one for one in stream.replicas if one.offline or not one.current)


def lag(stream: StreamPlace) -> int:
    """How far the copy that is furthest behind is behind."""
    return max((one.lag for one in stream.replicas), default=0)


def pair(one: str, other: str) -> Pair:
    """Two names in their order."""
    return (one, other) if one <= other else (other, one)


def versions(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """Which nodes run which version, the most common first."""
    by: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes:
        by[node.version].append(node.name)
    return dict(sorted(by.items(), key=lambda item: (-len(item[1]), item[0])))


def _seen(cluster: Cluster) -> dict[str, Seen]:
    """Ask everybody about everybody; who is dead to most others is not asked."""
    of: defaultdict[str, list[Opinion]] = defaultdict(list)
    for one in cluster.opinions:
        if one.by != one.of:
            of[one.of].append(one)
    first = {node.name: _most(of[node.name]) for node in cluster.nodes}
    gone = {name for name, word in first.items() if word in {"dead", "left"}}
    gone |= {node.name for node in cluster.nodes if node.state in _DOWN}
    found: dict[str, Seen] = {}
    for name in first:
        asked = [one for one in of[name] if one.by not in gone]
        doubts = tuple(one for one in asked if one.suspicion != "alive")
        trusts = tuple(one for one in asked if one.suspicion == "alive")
        found[name] = Seen(_most(asked), doubts, trusts)
    return found


def _most(opinions: Sequence[Opinion]) -> Suspicion | None:
    """What most think; of two that are as common the worse."""
    counts: Counter[Suspicion] = Counter(one.suspicion for one in opinions)
    if not counts:
        return None
    return max(counts, key=lambda word: (counts[word], _WORST[word]))


def _ways(cluster: Cluster) -> tuple[dict[Pair, Way], float | None]:
    rtts: defaultdict[Pair, list[float]] = defaultdict(list)
    pending: Counter[Pair] = Counter()
    known: set[Pair] = set()
    for route in cluster.routes:
        key = pair(route.node, route.peer)
        known.add(key)
        pending[key] += route.pending_bytes
        if route.rtt_ms is not None:
            rtts[key].append(route.rtt_ms)
    for one in cluster.opinions:
        key = pair(one.by, one.of)
        told = one.rtt_ms is not None and one.suspicion == "alive" and not rtts[key]
        if told and not cluster.routes and one.rtt_ms is not None:
            known.add(key)
            rtts[key].append(one.rtt_ms)
    slowest = {key: max(found) for key, found in rtts.items() if found}
    usual = median(slowest.values()) if slowest else None
    made = {
        key: Way(
            key,
            slowest.get(key),
            pending[key],
            slow=_is_slow(slowest.get(key), usual, others=len(slowest) - 1)
            or pending[key] >= BACKED_UP_BYTES,
        )
        for key in sorted(known)
    }
    return made, usual


def _is_slow(rtt_ms: float | None, usual: float | None, *, others: int) -> bool:
    if rtt_ms is None or usual is None:
        return False
    if others < 1:
        return rtt_ms >= FAR_MS
    return rtt_ms >= max(SLOW_MS, SLOW_TIMES * usual) or (
        rtt_ms >= FAR_MS and usual < FAR_MS
    )


def _slow_peers(ways: Iterable[Way]) -> dict[str, list[str]]:
    slow: defaultdict[str, list[str]] = defaultdict(list)
    for way in ways:
        if way.slow:
            one, other = way.pair
            slow[one].append(other)
            slow[other].append(one)
    return slow


def _worst(ways: Iterable[Way]) -> dict[str, float]:
    """Per node the round trip of its slowest way."""
    worst: dict[str, float] = {}
    for way in ways:
        if way.rtt_ms is not None:
            for name in way.pair:
                worst[name] = max(worst.get(name, 0.0), way.rtt_ms)
    return worst


def _copies(cluster: Cluster) -> dict[str, list[tuple[str, Replica]]]:
    """Per node the streams of which it has a copy."""
    held: defaultdict[str, list[tuple[str, Replica]]] = defaultdict(list)
    for stream in cluster.streams:
        for copy in stream.replicas:
            held[copy.node].append((stream.name, copy))
    return held


def _part(
    node: Node,
    cluster: Cluster,
    seen: Seen,
    *,
    copies: Sequence[tuple[str, Replica]],
    rtt_ms: float | None,
    slow: tuple[str, ...],
) -> Part:
    return Part(
        node=node,
        seen=seen,
        controller=cluster.controller == node.name and len(cluster.nodes) > 1,
        leads=tuple(one.name for one in cluster.streams if one.leader == node.name),
        copies=len(copies),
        behind=tuple(s for s, copy in copies if copy.offline or not copy.current),
        lag=sum(copy.lag for _, copy in copies),
        rtt_ms=rtt_ms,
        slow=slow,
    )


def _missing(cluster: Cluster, living: Sequence[str]) -> frozenset[Pair]:
    if not cluster.routes:
        return frozenset()
    there = {pair(route.node, route.peer) for route in cluster.routes}
    return frozenset(
        (one, other)
        for index, one in enumerate(living)
        for other in living[index + 1 :]
        if pair(one, other) not in there
    )


def _islands(cluster: Cluster, living: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Two nodes hear each other unless one of them says it does not."""
    if not cluster.opinions:
        return (tuple(living),) if living else ()
    deaf = {pair(one.by, one.of) for one in cluster.opinions if one.suspicion == "dead"}
    left = set(living)
    found: list[tuple[str, ...]] = []
    while left:
        group = {min(left)}
        edge = set(group)
        while edge:
            edge = {
                other
                for other in left - group
                if any(pair(one, other) not in deaf for one in edge)
            }
            group |= edge
        left -= group
        found.append(tuple(sorted(group)))
    return tuple(sorted(found, key=lambda group: (-len(group), group)))
