"""How the store lies in a cluster, judged: what is wrong with it, and what it survives."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol

from nexa_node.contract.nodes import Health, Route, StreamPlace

NAMED_MAX = 3
"""Streams that a reason names; more are counted."""
UNHEARD_MS = 5000.0
"""A store that its leader has not heard for so long is out of the group, for now."""


class Peer(Protocol):
    """A member of the store's meta group; `ports.StorePeer`."""

    @property
    def node(self) -> str:
        """Its name."""
        ...

    @property
    def current(self) -> bool:
        """Whether it has all that was decided."""
        ...

    @property
    def offline(self) -> bool:
        """Whether it is known to be away."""
        ...

    @property
    def active_ms(self) -> float:
        """When it was heard last."""
        ...


class Shape(Protocol):
    """`ports.StoreShape`, which the core must not know."""

    @property
    def clustered(self) -> bool:
        """Whether there is more than one server to be."""
        ...

    @property
    def leader(self) -> str | None:
        """Of the meta group."""
        ...

    @property
    def peers(self) -> Sequence[Peer]:
        """All members of it."""
        ...

    @property
    def streams(self) -> tuple[StreamPlace, ...]:
        """Where everything is."""
        ...

    @property
    def routes(self) -> tuple[Route, ...]:
        """Who is connected to whom."""
        ...

    @property
    def replicas(self) -> int:
        """Copies wanted."""
        ...

    @property
    def have(self) -> int:
        """Members that are heard."""
        ...

    @property
    def need(self) -> int:
        """Members that must be."""
        ...

    @property
    def attached(self) -> bool:
        """Whether it is somebody else's, so that members and routes are not known."""
        ...


def tolerates(shape: Shape) -> int:
    """How many nodes may die at once without a loss or a standstill.

    The least of what the meta group and each stream can do without.
    """
    if not shape.clustered:
        return 0
    margins = [shape.have - shape.need, *(_margin(one) for one in shape.streams)]
    if not shape.streams:
        margins.append((shape.replicas - 1) // 2)
    return max(0, min(margins))


def store_reasons(shape: Shape) -> Iterator[tuple[Health, str]]:
    """Say what is wrong with a clustered store, each with its weight."""
    if not shape.clustered:
        return
    if shape.attached:
        yield from _leaderless(shape)
        yield from _copies(shape)
        return
    if shape.have >= shape.need and shape.leader is None:
        yield (
            "degraded",
            "the store elects its leader: no stream can be made or changed until then",
        )
    yield from _leaderless(shape)
    yield from _copies(shape)
    yield from _peers(shape)
    if len(shape.peers) == 2 and shape.have >= shape.need:
        told = (
            "two nodes tolerate no loss: if either dies, nothing can be stored until it"
            " is back"
        )
        yield "degraded", told


def _margin(stream: StreamPlace) -> int:
    copies = len(stream.replicas)
    current = sum(copy.current and not copy.offline for copy in stream.replicas)
    return current - (copies // 2 + 1)


def _leaderless(shape: Shape) -> Iterator[tuple[Health, str]]:
    if shape.have < shape.need:
        return  # none has one then; that is told as what it is
    names = [stream.name for stream in shape.streams if stream.leader is None]
    if names:
        has = "has" if len(names) == 1 else "have"
        told = (
            f"{_some(names)} {has} no leader: nothing can be written there until then"
        )
        yield "unhealthy", told


def _copies(shape: Shape) -> Iterator[tuple[Health, str]]:
    offline: dict[str, list[str]] = defaultdict(list)
    behind: dict[str, list[tuple[str, int]]] = defaultdict(list)
    few: list[str] = []
    for stream in shape.streams:
        members = shape.replicas if shape.attached else len(shape.peers)
        if len(stream.replicas) < min(shape.replicas, members):
            few.append(stream.name)
        for copy in stream.replicas:
            if copy.offline:
                offline[copy.node].append(stream.name)
            elif not copy.current:
                behind[copy.node].append((stream.name, copy.lag))
    for node, names in sorted(offline.items()):
        yield "degraded", f"{node} is away with its copies of {_some(names)}"
    for node, lags in sorted(behind.items()):
        worst = max(lag for _, lag in lags)
        names = [name for name, _ in lags]
        told = f", by up to {worst} operations" if worst else ""
        yield "degraded", f"{node}'s copies of {_some(names)} are behind{told}"
    if few:
        has = "has" if len(few) == 1 else "have"
        told = f"{_some(few)} {has} fewer copies than the {shape.replicas} wanted"
        yield "degraded", f"{told}; nexa cluster replicas {shape.replicas} makes them"


def _peers(shape: Shape) -> Iterator[tuple[Health, str]]:
    for peer in shape.peers:
        if peer.offline or peer.active_ms > UNHEARD_MS:
            since = f" for {peer.active_ms / 1000:.0f} s" if peer.active_ms else ""
            yield "degraded", f"the store of {peer.node} is not heard{since}"
        elif not peer.current:
            yield "degraded", f"the store of {peer.node} is still catching up"


def _some(names: Sequence[str]) -> str:
    if len(names) <= NAMED_MAX:
        return ", ".join(names)
    left = len(names) - NAMED_MAX + 1
    return f"{', '.join(names[: NAMED_MAX - 1])} and {left} more streams"
