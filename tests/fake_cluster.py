"""The ports of a cluster in memory: one network, one store, any number of nodes.

    net = FakeNet(clock)
    alpha, beta = net.node("alpha"), net.node("beta")
    net.cut("alpha", "beta")         # both ways; one_way=True: alpha's words are lost
    net.cut_store("alpha")           # every call of it answers Unavailable
    net.heal()

A lease ends by the clock that the test moves. A shape is what the test says it is.
"""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from nexa_node.contract.cluster import Beat, NodeEntry
from nexa_node.contract.errors import (
    Conflict,
    NexaError,
    Unavailable,
    from_problem,
    problem,
)
from nexa_node.contract.nodes import Replica, StreamPlace
from nexa_node.ports import (
    Caught,
    Handler,
    Lease,
    Removed,
    StorePeer,
    StoreShape,
    Versioned,
)
from tests.fakes import Bucket, Door, FakeClock, Hub

ROUND_TRIP_MS = 0.5


@dataclass
class Held:
    """A lease as the store has it."""

    holder: str
    tag: str
    token: int
    revision: int
    until: float


class FakeNet:
    """All that nodes have in common."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.nodes: dict[str, FakeNode] = {}
        self.entries: Bucket[NodeEntry] = Bucket(Door(), "nodes")
        self.held: dict[str, Held] = {}
        self.revisions = itertools.count(1)
        self._cut: set[tuple[str, str]] = set()
        self._no_store: set[str] = set()

    def node(self, name: str) -> "FakeNode":
        """The ports as one node has them."""
        return self.nodes.setdefault(name, FakeNode(self, name))

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """What `one` says does not reach `other`, nor the other way round."""
        self._cut.add((one, other))
        if not one_way:
            self._cut.add((other, one))

    def cut_store(self, *names: str) -> None:
        """These nodes do not reach the store."""
        self._no_store.update(names)

    def part(self, *sides: set[str]) -> None:
        """Only within a side anybody hears anybody; the smaller lose the store."""
        everybody = set().union(*sides)
        for side in sides:
            for one in side:
                for other in everybody - side:
                    self.cut(one, other, one_way=True)
            if 2 * len(side) <= len(everybody):
                self.cut_store(*side)

    def heal(self) -> None:
        """All is as it was."""
        self._cut.clear()
        self._no_store.clear()

    def reaches(self, one: str, other: str) -> bool:
        return (one, other) not in self._cut

    def check(self, name: str) -> None:
        if name in self._no_store:
            raise Unavailable(f"{name} does not reach the store")


class FakeNode:
    """The ports of one node."""

    def __init__(self, net: FakeNet, name: str) -> None:
        self.name = name
        self.beats = MemoryBeats(net, name)
        self.calls = MemoryNodeCalls(net, name)
        self.entries = MemoryNodeEntries(net, name)
        self.leases = MemoryLeases(net, name)
        self.alive = True
        """False: it answers nothing and tells nothing, as one that was killed."""


class MemoryBeats:
    """`ports.Beats`."""

    def __init__(self, net: FakeNet, name: str) -> None:
        self._net = net
        self._name = name
        self.hub: Hub[Beat] = Hub()
        self.sent: list[Beat] = []

    async def send(self, beat: Beat) -> None:
        if not self._net.nodes[self._name].alive:
            return
        self.sent.append(beat)
        for node in self._net.nodes.values():
            if self._net.reaches(self._name, node.name):
                node.beats.hub.publish(beat)

    def arrivals(self) -> AsyncIterator[Beat]:
        return self.hub.subscribe()

    async def ping(self, node: str, *, timeout_s: float) -> float | None:
        there = self._net.nodes.get(node)
        if there is None or not there.alive:
            return None
        reaches = self._net.reaches
        if not (reaches(self._name, node) and reaches(node, self._name)):
            await self._net.clock.sleep(timeout_s)
            return None
        return ROUND_TRIP_MS


class MemoryNodeCalls:
    """`ports.NodeCalls`."""

    def __init__(self, net: FakeNet, name: str) -> None:
        self._net = net
        self._name = name
        self.handlers: dict[tuple[str, str], Handler] = {}

    async def ask(
        self, node: str, what: str, payload: bytes, *, timeout_s: float
    ) -> bytes:
        there = self._net.nodes.get(node)
        handler = there.calls.handlers.get((node, what)) if there else None
        if there is None or not there.alive or handler is None:
            raise Unavailable(f"{node} did not answer {what}: nobody is heard")
        if not self._net.reaches(self._name, node):
            await self._net.clock.sleep(timeout_s)
            raise Unavailable(f"{node} did not answer {what} in time")
        try:
            answer = await handler(payload)
        except NexaError as error:
            answer = error
        except Exception as error:  # noqa: BLE001
            answer = NexaError(f"{what} failed: {type(error).__name__}")
        if not self._net.reaches(node, self._name):
            await self._net.clock.sleep(timeout_s)
            raise Unavailable(f"{node} did not answer {what} in time")
        if isinstance(answer, NexaError):
            raise from_problem(problem(answer))
        return answer

    def serve(self, node: str, what: str, handler: Handler) -> None:
        self.handlers[(node, what)] = handler


class MemoryNodeEntries:
    """`ports.NodeEntries`."""

    def __init__(self, net: FakeNet, name: str) -> None:
        self._net = net
        self._name = name

    async def get(self, name: str) -> Versioned[NodeEntry] | None:
        self._net.check(self._name)
        return await self._net.entries.read(name)

    async def put(self, entry: NodeEntry, *, revision: int | None = None) -> int:
        self._net.check(self._name)
        if revision is None:
            return await self._net.entries.write(entry.name, entry)
        if revision:
            return await self._net.entries.swap(entry.name, entry, revision)
        created = await self._net.entries.create(entry.name, entry)
        if created is None:
            raise Conflict(f"there is an entry of {entry.name} already")
        return created

    async def delete(self, name: str) -> None:
        self._net.check(self._name)
        await self._net.entries.remove(name)

    def watch(self) -> AsyncIterator[Versioned[NodeEntry] | Removed | Caught]:
        return self._net.entries.watch()


class MemoryLeases:
    """`ports.LeaseTable`."""

    def __init__(self, net: FakeNet, name: str) -> None:
        self._net = net
        self._name = name
        self.lose_answers = False
        """A write happens and its caller is told Unavailable."""
        self.slow_s = 0.0
        """How long each call takes."""

    async def acquire(self, name: str, holder: str, *, ttl_s: int) -> Lease | None:
        await self._enter()
        held = self._now(name)
        if held is not None and held.tag != self._name:
            return None
        revision = next(self._net.revisions)
        until = self._net.clock.monotonic() + ttl_s
        self._net.held[name] = Held(holder, self._name, revision, revision, until)
        self._leave()
        return Lease(name, holder, revision, revision)

    async def renew(self, lease: Lease, *, ttl_s: int) -> Lease:
        await self._enter()
        held = self._mine(lease)
        if held is None:
            raise Conflict(f"the lease {lease.name} is over, or somebody else's")
        held.revision = next(self._net.revisions)
        held.until = self._net.clock.monotonic() + ttl_s
        self._leave()
        return replace(lease, revision=held.revision)

    async def release(self, lease: Lease) -> None:
        await self._enter()
        if self._mine(lease) is not None:
            del self._net.held[lease.name]
        self._leave()

    async def holder(self, name: str) -> Lease | None:
        await self._enter()
        held = self._now(name)
        if held is None:
            return None
        return Lease(name, held.holder, held.token, held.revision)

    def _now(self, name: str) -> Held | None:
        held = self._net.held.get(name)
        if held is not None and held.until <= self._net.clock.monotonic():
            del self._net.held[name]
            return None
        return held

    def _mine(self, lease: Lease) -> Held | None:
        held = self._now(lease.name)
        is_mine = held is not None and (held.tag, held.token) == (
            self._name,
            lease.token,
        )
        return held if is_mine else None

    async def _enter(self) -> None:
        await self._net.clock.sleep(self.slow_s)
        self._net.check(self._name)

    def _leave(self) -> None:
        if self.lose_answers:
            raise Unavailable("no answer from the store")


def entry(name: str = "alpha", **overrides: Any) -> NodeEntry:
    fields: dict[str, Any] = {
        "name": name,
        "id": f"id-{name}",
        "url": f"https://{name}:6392",
        "route": f"{name}:6222",
        "version": "0.4.0",
        "joined": datetime(2026, 3, 1, tzinfo=UTC),
        "incarnation": f"run-{name}-1",
    }
    return NodeEntry(**{**fields, **overrides})


def place(name: str = "NX_INBOX", *nodes: str, **overrides: Any) -> StreamPlace:
    """A stream with a current copy on each node, led by the first."""
    fields: dict[str, Any] = {
        "name": name,
        "leader": nodes[0] if nodes else None,
        "replicas": tuple(Replica(node=node, current=True) for node in nodes),
    }
    return StreamPlace(**{**fields, **overrides})


def shape(*nodes: str, **overrides: Any) -> StoreShape:
    """A store that is as it should be; of one node it is not clustered."""
    copies = 3 if len(nodes) >= 3 else 1
    holders = nodes[:copies]
    fields: dict[str, Any] = {
        "clustered": len(nodes) > 1,
        "leader": nodes[0],
        "peers": tuple(peer(node) for node in nodes),
        "streams": tuple(
            place(name, *holders) for name in ("KV_nx_leases", "NX_INBOX")
        ),
        "routes": (),
        "replicas": copies,
        "have": len(nodes),
        "need": len(nodes) // 2 + 1,
    }
    return StoreShape(**{**fields, **overrides})


def peer(node: str, **overrides: Any) -> StorePeer:
    fields: dict[str, Any] = {
        "node": node,
        "current": True,
        "offline": False,
        "active_ms": 100.0,
    }
    return StorePeer(**{**fields, **overrides})


@dataclass
class FakeStoreCluster:
    """`StoreCluster.shape` that the test sets."""

    now: StoreShape = field(default_factory=lambda: shape("alpha"))

    def shape(self) -> StoreShape:
        return self.now
