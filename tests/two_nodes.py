"""Several nodes' services over one store, any of which may be killed or cut off.

    async with Town("alpha", "beta") as town:
        agent = await town["alpha"].agent()
        await town.kill("alpha")            # nobody knows yet
        await town.bury("alpha")            # the others do: membership has decided
        await town.move(agent, "beta")      # it connects and resumes

A node that is cut off (`town.cut`) reaches no store, and no other node; its agents it has
still. `town.heal` lets it hear all that it missed.
"""

import asyncio
import inspect
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, cast

from nexa_node.contract.cluster import NodeEntry
from nexa_node.contract.errors import Conflict, NotFound, Unavailable
from nexa_node.contract.nodes import NodeState
from nexa_node.core.policies import LeasePolicy
from nexa_node.ports import CpuProfile, Handler, StoreHealth, Versioned
from nexa_node.services.cluster.caretaking import Caretaker, Duty
from nexa_node.services.cluster.isolation import Isolation
from nexa_node.services.cluster.maintenance import Maintenance
from nexa_node.services.cluster.orphans import EVERY_S, Orphans
from nexa_node.services.cluster.relay import Relay
from nexa_node.services.health.draining import Drain
from tests.fakes import MemoryStore, settle
from tests.rig import FakeAgent, Rig

LEASES = LeasePolicy(lease_ms=10_000, grace_ms=1000, accept_timeout_ms=2000)
GRACE_S = 1.0
BURIED_S = GRACE_S + 2 * EVERY_S
"""After a node was buried, what it left is cleared."""


class Wire:
    """What a node reaches all else by."""

    def __init__(self) -> None:
        self._whole = asyncio.Event()
        self._whole.set()

    @property
    def is_whole(self) -> bool:
        return self._whole.is_set()

    def cut(self) -> None:
        self._whole.clear()

    def heal(self) -> None:
        self._whole.set()

    def check(self) -> None:
        if not self.is_whole:
            raise Unavailable("the node is cut off")

    async def whole(self) -> None:
        await self._whole.wait()


class Far:
    """A port behind a wire: what it tells waits while that is cut, or is lost."""

    def __init__(self, port: Any, wire: Wire, *, lossy: bool = False) -> None:
        self._port = port
        self._wire = wire
        self._lossy = lossy

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if not inspect.ismethod(value):
            return value
        if name == "take_answers":
            return self._take_answers

        def call(*args: Any, **named: Any) -> Any:
            result = value(*args, **named)
            if inspect.iscoroutine(result):
                return self._call(result)
            if isinstance(result, AsyncIterator):
                return self._follow(cast("AsyncIterator[Any]", result))
            return result

        return call

    async def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            self._wire.check()
        except Unavailable:
            work.close()
            raise
        result = await work
        self._wire.check()
        if isinstance(result, list):
            return [self._thing(each) for each in cast("list[Any]", result)]
        return result

    def _thing(self, thing: Any) -> Any:
        return FarDelivery(thing, self._wire) if hasattr(thing, "give_back") else thing

    async def _follow(self, told: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for item in told:
            if self._lossy and not self._wire.is_whole:
                continue
            await self._wire.whole()
            yield item

    async def _take_answers(self, tag: str, take: Any) -> None:
        self._wire.check()

        def taken(*args: Any) -> bool:
            return self._wire.is_whole and take(*args)

        await self._port.take_answers(tag, taken)


class FarDelivery(Far):
    """A delivery whose acknowledgement gets lost while the wire is cut."""

    def ack(self) -> None:
        if self._wire.is_whole:
            self._port.ack()


class FarStore:
    """A store as one node reaches it."""

    def __init__(self, store: MemoryStore, wire: Wire) -> None:
        self.near = store
        self.wire = wire
        self.clock, self.retention, self.door = store.clock, store.retention, store.door
        for name in [
            "tasks",
            "queue",
            "agents",
            "sessions",
            "inboxes",
            "signals",
            "partials",
            "objects",
            "events",
            "tokens",
        ]:
            lossy = name in ("signals", "partials")
            setattr(self, name, Far(getattr(store, name), wire, lossy=lossy))

    def health(self) -> StoreHealth:
        near = self.near.health()
        return near if self.wire.is_whole else _cut_off(near)


def _cut_off(near: StoreHealth) -> StoreHealth:
    return StoreHealth(
        connected=False, detail="cut off", pid=near.pid, restarts=near.restarts
    )


class MemoryNodeCalls:
    """`ports.NodeCalls` over wires."""

    def __init__(self) -> None:
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.wires: dict[str, Wire] = {}
        self.asked: list[tuple[str, str]] = []

    def serve(self, node: str, what: str, handler: Handler) -> None:
        self.handlers[node, what] = handler

    async def ask(
        self, node: str, what: str, payload: bytes, *, timeout_s: float
    ) -> bytes:
        self.asked.append((node, what))
        await asyncio.sleep(0)
        handler = self.handlers.get((node, what))
        wire = self.wires.get(node)
        if handler is None or wire is None or not wire.is_whole:
            raise Unavailable(f"{node} does not answer", retry_after_ms=int(timeout_s))
        return await handler(payload)


class MemoryEntries:
    """`ports.NodeEntries`, as far as services here need it."""

    def __init__(self) -> None:
        self.kept: dict[str, Versioned[NodeEntry]] = {}
        self.busy = 0
        """So many writes to come lose against another's."""

    async def get(self, name: str) -> Versioned[NodeEntry] | None:
        return self.kept.get(name)

    async def put(self, entry: NodeEntry, *, revision: int | None = None) -> int:
        known = self.kept.get(entry.name)
        now = 0 if known is None else known.revision
        if self.busy or revision not in (None, now):
            self.busy = max(0, self.busy - 1)
            raise Conflict("somebody wrote first")
        self.kept[entry.name] = Versioned(entry, now + 1)
        return now + 1

    async def delete(self, name: str) -> None:
        self.kept.pop(name, None)

    def watch(self) -> AsyncIterator[Any]:
        raise NotFound("nobody here watches them")


class Standing:
    """What a node is at, as `Condition` would tell."""

    def __init__(self) -> None:
        self.state: NodeState = "running"

    def enter(self, state: NodeState) -> None:
        self.state = state


class Busy:
    """A profiler that finds one function at work."""

    async def cpu(self, seconds: float) -> CpuProfile:
        return CpuProfile(seconds, seconds / 2, 10, ((("a:main", "b:work"), 10),))


class NoFeed:
    """Consoles, of which there are none."""

    def end_all(self, error: Any) -> None:
        del error


class Member(Rig):
    """One node of the town."""

    def __init__(self, town: "Town", name: str, **how: Any) -> None:
        self.town = town
        self.wire = Wire()
        self.stepped_down = 0
        store = FarStore(town.store, self.wire)
        super().__init__(
            store=cast("MemoryStore", store),
            name=name,
            is_controller=lambda: town.controller == name,
            has_quorum=lambda: self.wire.is_whole,
            urls=lambda: town.urls(without=name if self.way_out.begun else None),
            **{"leases": LEASES, **how},
        )
        self.state = Standing()
        self.orphans = Orphans(
            everywhere=self.directory,
            ledger=self.ledger,
            agents=store.agents,
            sessions=store.sessions,
            queue=store.queue,
            living=lambda: town.living,
            id_of=lambda each: f"id-{each}",
            clock=self.clock,
            journal=self.journal,
            rng=random.Random(len(name)),
            policy=how.get("leases", LEASES),
            can_resume=lambda: town.can_resume,
        )
        self.caretaker = Caretaker(
            Duty("orphans", EVERY_S, self.orphans.look),
            Duty("retention", 60.0, self.retirement.retire, at_once=False),
            is_controller=lambda: town.controller == name,
            clock=self.clock,
            journal=self.journal,
        )
        self.way_out = Drain(
            sessions=self.sessions,
            dispatch=self.dispatch,
            tasks=self.tasks,
            feed=cast("Any", NoFeed()),
            condition=cast("Any", self),
            clock=self.clock,
            journal=self.journal,
            spawn=lambda _name, work: self.spawn(work),
            others=lambda: bool(town.living - {name}),
            step_down=self._step_down,
        )
        self.maintenance = Maintenance(
            entries=town.entries,
            sessions=self.sessions,
            dispatch=self.dispatch,
            condition=self.state,
            others=lambda: bool(town.living - {name}),
            journal=self.journal,
            node=name,
        )
        self.relay = Relay(
            calls=town.calls,
            node=name,
            living=lambda: town.living,
            sessions=self.sessions,
            way_out=self.way_out,
            turn=self.maintenance.turn,
            known=self.directory,
            facts=self.dispatch.facts,
            profiler=Busy(),
        )
        self.relay.serve()
        self.isolation = Isolation(
            has_quorum=lambda: self.wire.is_whole,
            others_may_work=lambda: len(town.nodes) > 2,
            sessions=self.sessions,
            clock=self.clock,
            journal=self.journal,
            node=name,
        )
        town.calls.wires[name] = self.wire

    @property
    def card(self) -> Any:
        """As much of a `Condition` as a drain asks for: its card has a name."""
        return self

    def enter(self, state: NodeState) -> None:
        self.state.enter(state)

    async def __aenter__(self) -> "Member":
        await super().__aenter__()
        self.spawn(self.caretaker.run())
        self.spawn(self.isolation.run())
        self.spawn(self._again(self.canary.run))
        await settle()
        return self

    async def _step_down(self) -> None:
        """Give leaderships away."""
        self.stepped_down += 1
        self.wire.check()

    async def _again(self, run: Callable[[], Awaitable[None]]) -> None:
        """As the supervisor does with a loop that the store did not answer."""
        while True:
            try:
                await run()
            except Unavailable:
                await self.clock.sleep(0.5)

    def kinds(self) -> Counter[str]:
        return Counter(self.journal.kinds())


class Town:
    """The nodes, what they stand on, and who is believed to live."""

    def __init__(
        self, *names: str, store: MemoryStore | None = None, **how: Any
    ) -> None:
        self.store = store or MemoryStore(keep_every_s=2.0)
        self.clock = self.store.clock
        self.calls = MemoryNodeCalls()
        self.entries = MemoryEntries()
        self.living = set(names)
        self.controller = names[0]
        self.can_resume = True
        """Whether the stream of sessions has a leader."""
        self.nodes: dict[str, Member] = {}
        self._names = names
        self._how = how
        self._stack = AsyncExitStack()
        for name in names:
            entry = NodeEntry(
                name=name,
                id=f"id-{name}",
                url=f"http://{name}:6392",
                route=f"{name}:6394",
                version="1",
                joined=datetime(2026, 3, 1, tzinfo=UTC),
            )
            self.entries.kept[name] = Versioned(entry, 1)

    async def __aenter__(self) -> "Town":
        for name in self._names:
            await self.start(name)
        return self

    async def __aexit__(self, *error: Any) -> None:
        for node in self.nodes.values():
            await node.crash()

    def __getitem__(self, name: str) -> Member:
        return self.nodes[name]

    async def start(self, name: str) -> Member:
        """Start a node, for the first time or again."""
        self.nodes[name] = Member(self, name, **self._how)
        self.living.add(name)
        await self.nodes[name].__aenter__()
        return self.nodes[name]

    def urls(self, *, without: str | None = None) -> tuple[str, ...]:
        return tuple(
            f"ws://{name}:6392/v1/agent"
            for name in sorted(self.living)
            if name != without
        )

    async def kill(self, name: str) -> None:
        """Kill a node; what it held of the queue comes again by itself."""
        await self.nodes[name].crash()
        self.calls.wires[name].cut()

    async def bury(self, name: str) -> None:
        """Have membership say that a node is dead, and another one be the controller."""
        self.living.discard(name)
        if self.controller == name:
            self.controller = min(self.living)
        for other in self.living:
            self.nodes[other].orphans.node_dead(name)
        await settle()

    async def cut(self, name: str) -> None:
        """Cut a node off; the others bury it."""
        self.nodes[name].wire.cut()
        self.store.queue.changed()
        await self.bury(name)

    async def heal(self, name: str) -> None:
        """Let it be one of them again."""
        self.nodes[name].wire.heal()
        self.living.add(name)
        await settle()

    async def move(self, agent: FakeAgent, name: str, **hello: Any) -> dict[str, Any]:
        """An agent whose connection is gone resumes on another node."""
        agent.rig = self.nodes[name]
        answer = await agent.resume(**hello)
        await settle()
        return answer

    def events(self) -> Counter[str]:
        """What all nodes noted, by kind."""
        return sum((node.kinds() for node in self.nodes.values()), Counter())
