"""Nodes that evaluate rules over one store and one set of samples, all in memory.

town = AlertTown(RULES)
async with town.node("alpha") as alpha:
    town.series('queue{queue="wc"}', 7)
    await town.tick()
    alpha.alerts()
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from nexa_node.contract.alerts import Alert, EvidenceLine
from nexa_node.contract.events import AlertChanged, AlertGone, Change
from nexa_node.core.policies import InhibitPolicy
from nexa_node.core.promql.samples import Matcher, Series, meets
from nexa_node.ports import Handler, RuleFile
from nexa_node.services.alerting.answering import AlertDesk
from nexa_node.services.alerting.board import Board
from nexa_node.services.alerting.engine import Engine, Role
from nexa_node.services.alerting.evidence import Evidences
from nexa_node.services.alerting.history import History
from nexa_node.services.alerting.keeper import Keeper
from nexa_node.services.alerting.listing import RuleList
from nexa_node.services.alerting.minding import Minding
from nexa_node.services.alerting.people import People
from nexa_node.services.alerting.rulebook import Rulebook
from nexa_node.services.alerting.silencing import Silences
from tests.fake_cluster import FakeNet
from tests.fakes import (
    CountingEntropy,
    Door,
    MemoryAlerts,
    MemoryStore,
    RecordingJournal,
    settle,
)

TICK_S = 10.0
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Measured:
    """Samples that the test writes; `ports`' Source and the recorder's Samples."""

    def __init__(self, node: str, shared: "list[Series]") -> None:
        self.node = node
        self.shared = shared
        self.newest_ms: int | None = None
        self.recorded: dict[str, list[Any]] = {}
        self._listeners: list[Any] = []

    @property
    def local(self) -> "Measured":
        return self

    @property
    def cluster(self) -> "Measured":
        return self

    def on_tick(self, listener: Any) -> None:
        self._listeners.append(listener)

    def record(self, source: str, samples: Sequence[Any], *, at_ms: int) -> None:
        self.recorded[source] = [(sample.labels, sample.value) for sample in samples]

    def tick(self, at_ms: int) -> None:
        self.newest_ms = at_ms
        for listener in self._listeners:
            listener(at_ms)

    def select(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
    ) -> Iterable[Series]:
        at = np.array([self.newest_ms or 0], np.int64)
        computed = [
            Series(dict(labels), at, np.array([value]))
            for points in self.recorded.values()
            for labels, value in points
        ]
        for series in (*self.shared, *computed):
            if meets(series.labels, matchers):
                wanted = (series.times >= start_ms) & (series.times <= end_ms)
                yield Series(series.labels, series.times[wanted], series.values[wanted])


class Files:
    """Rule files that the test writes."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.version = 0

    def write(self, name: str, text: str) -> None:
        self.files[name] = text
        self.version += 1

    def remove(self, name: str) -> None:
        del self.files[name]
        self.version += 1

    def stamp(self) -> object:
        return self.version

    def read(self) -> tuple[RuleFile, ...]:
        return tuple(RuleFile(name, text) for name, text in sorted(self.files.items()))


class Witness:
    """Says what the test says."""

    def __init__(self) -> None:
        self.lines: tuple[EvidenceLine, ...] = ()

    async def log(self, since: Any, until: Any) -> tuple[EvidenceLine, ...]:
        return tuple(line for line in self.lines if since <= line.time <= until)

    async def profile(self) -> tuple[str, ...]:
        return ("idle 100 %",)


class Sight:
    """Nothing happened, unless the test says so."""

    def __init__(self) -> None:
        self.events: tuple[Any, ...] = ()
        self.tasks: tuple[Any, ...] = ()

    def newest_events(self, limit: int) -> tuple[Any, ...]:
        return self.events[-limit:]

    def newest_tasks(self, limit: int) -> tuple[Any, ...]:
        return self.tasks[:limit]


class Calls:
    """`ports.NodeCalls` among the nodes of a town."""

    def __init__(self, handlers: dict[tuple[str, str], Handler]) -> None:
        self._handlers = handlers

    async def ask(
        self, node: str, what: str, payload: bytes, *, timeout_s: float
    ) -> bytes:
        from nexa_node.contract.errors import Unavailable

        handler = self._handlers.get((node, what))
        if handler is None:
            raise Unavailable(f"{node} does not answer")
        return await handler(payload)

    def serve(self, node: str, what: str, handler: Handler) -> None:
        self._handlers[node, what] = handler


class AlertNode:
    """One node's alerting."""

    def __init__(self, town: "AlertTown", name: str) -> None:
        self.town, self.name = town, name
        store, clock = town.store, town.clock
        self.journal = RecordingJournal()
        self.feed: list[Change] = []
        self.told_board: list[list[Alert]] = []
        self.told_own: list[list[Alert]] = []
        self.door = Door()
        self.records = _Through(store.alerts, self.door)
        self.board = Board(
            self.records,
            clock=clock,
            tell=self.feed.append,
            writable=lambda: self.door.available,
        )
        entropy = town.entropy
        self.silences = Silences(
            store.silences, clock=clock, journal=self.journal, entropy=entropy
        )
        self.history = History(
            store.alert_log, clock=clock, journal=self.journal, entropy=entropy
        )
        self.files = town.files
        self.rulebook = Rulebook(
            self.files,
            builtin=lambda: town.builtin,
            clock=clock,
            journal=self.journal,
            node=name,
        )
        self.samples = Measured(name, town.shared)
        role = Role(
            node=name,
            is_controller=lambda: town.controller == name and self.door.available,
            living=lambda: set(town.nodes),
        )
        minding = Minding(self.silences, town.inhibits, resting=lambda: town.resting)
        self.engine = Engine(
            rulebook=self.rulebook,
            samples=self.samples,
            board=self.board,
            keeper=Keeper(self.board, minding, clock=clock),
            role=role,
            clock=clock,
            foreign=town.foreign,
        )
        self.sight, self.witness = Sight(), Witness()
        self.evidences = Evidences(
            store.evidence,
            samples=self.samples,
            sight=self.sight,
            witness=self.witness,
            calls=Calls(town.handlers),
            clock=clock,
            node=name,
        )
        rules = RuleList(
            self.rulebook,
            self.engine,
            role=role,
            holder=lambda: town.controller,
            calls=Calls(town.handlers),
        )
        self.people = People(self.board, clock=clock, node=name)
        self.desk = AlertDesk(
            board=self.board,
            people=self.people,
            silences=self.silences,
            history=self.history,
            evidences=self.evidences,
            rules=rules,
            runbook=lambda name: f"# {name}\n",
            clock=clock,
        )
        self.board.on_write(self.history.wrote)
        self.board.on_write(self.evidences.wrote(self._spawn))
        self.board.on_change(self.engine.stir)
        self.silences.on_change(self.engine.stir)
        self.engine.on_board(self._hear_board)
        self.engine.on_own(self._hear_own)
        self.evidences.serve()
        rules.serve()
        self._group: asyncio.TaskGroup | None = None

    async def _hear_board(self, alerts: Sequence[Alert]) -> None:
        self.told_board.append(list(alerts))

    async def _hear_own(self, alerts: Sequence[Alert]) -> None:
        self.told_own.append(list(alerts))

    def _spawn(self, name: str, work: Any) -> object:
        assert self._group is not None
        return self._group.create_task(work, name=name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["AlertNode"]:
        loops = (
            self.history.run,
            self.board.watch,
            self.silences.watch,
            self.rulebook.run,
            self.engine.run,
            self.engine.mind,
            self.evidences.run,
        )
        async with asyncio.TaskGroup() as group:
            self._group = group
            tasks = [group.create_task(loop()) for loop in loops]
            try:
                await self.town.rest(self)
                yield self
            finally:
                self.town.nodes.pop(self.name, None)
                for task in tasks:
                    task.cancel()

    # -- looking ---------------------------------------------------------------

    def alerts(self) -> list[Alert]:
        return self.board.alerts()

    def alert(self, name: str) -> Alert:
        (found,) = [one for one in self.alerts() if one.name == name]
        return found

    def states(self) -> dict[str, str]:
        return {one.name: one.state for one in self.alerts()}

    def changed(self) -> list[tuple[str, str]]:
        """What the feed was told: names and states; `gone` for those that left."""
        return [
            (one.alert.name, one.alert.state)
            if isinstance(one, AlertChanged)
            else (one.fingerprint, "gone")
            for one in self.feed
            if isinstance(one, AlertChanged | AlertGone)
        ]


class _Through:
    """The store's alerts through a node's own door."""

    def __init__(self, records: MemoryAlerts, door: Door) -> None:
        self._records, self._door = records, door

    async def get(self, fingerprint: str) -> Any:
        await self._door.enter("get")
        return await self._records.get(fingerprint)

    async def create(self, record: Any) -> Any:
        await self._door.enter("create")
        return await self._records.create(record)

    async def update(self, record: Any, *, revision: int) -> int:
        await self._door.enter("update")
        return await self._records.update(record, revision=revision)

    async def delete(self, fingerprint: str, *, revision: int) -> None:
        await self._door.enter("delete")
        await self._records.delete(fingerprint, revision=revision)

    async def watch(self) -> AsyncIterator[Any]:
        async for told in self._records.watch():
            while not self._door.available:
                await asyncio.sleep(0.001)
            yield told


class AlertTown:
    """Nodes of one cluster; the test says who is the controller."""

    def __init__(
        self,
        builtin: str = "groups: []",
        *,
        inhibits: tuple[InhibitPolicy, ...] = (),
        foreign: Any = None,
        store: MemoryStore | None = None,
    ) -> None:
        self.store = store or MemoryStore()
        self.clock = self.store.clock
        self.net = FakeNet(self.clock)
        self.builtin = builtin
        self.inhibits = inhibits
        self.foreign = foreign
        self.files = Files()
        self.shared: list[Series] = []
        self.nodes: dict[str, AlertNode] = {}
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.entropy = CountingEntropy()
        self.controller: str | None = None
        self.resting: set[str] = set()
        """Nodes in maintenance."""

    def node(self, name: str) -> Any:
        """A node that runs while its context is open; the first is the controller."""
        made = self.nodes[name] = AlertNode(self, name)
        self.controller = self.controller or name
        return made.running()

    @property
    def now_ms(self) -> int:
        return round(self.clock.now().timestamp() * 1000)

    def series(self, text: str, *values: float) -> None:
        """Write a series, one value for each tick up to now, the last one now."""
        name, _, rest = text.partition("{")
        labels = {"__name__": name, **dict(_LABEL.findall(rest))}
        self.shared[:] = [one for one in self.shared if dict(one.labels) != labels]
        if values:
            last, step = self.now_ms, int(TICK_S * 1000)
            times = [last - step * back for back in range(len(values))][::-1]
            self.shared.append(
                Series(labels, np.array(times, np.int64), np.array(values))
            )

    async def tick(self, times: int = 1, **values: float) -> None:
        """Let ten seconds pass, as often as said, and all nodes evaluate each time.

        `values` are series without labels that have this value from the first tick on.
        """
        for _ in range(times):
            await self.pass_time(TICK_S)
            for name, value in values.items():
                self.series(name, value)
            for node in list(self.nodes.values()):
                node.samples.tick(self.now_ms)
            await self.rest()

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        await self.rest()

    async def rest(self, *nodes: AlertNode) -> None:
        """Wait until nobody computes anything any more."""
        quiet = 0
        while quiet < 3:
            await asyncio.sleep(0.002)
            await settle()
            busy = any(
                node.engine._turn.locked() or not node.rulebook.book.files
                for node in (nodes or self.nodes.values())
            )
            quiet = 0 if busy else quiet + 1
