"""The engine: evaluates rules at each tick, and has the board kept as they say.

The cluster's rules are the controller's: one that takes over goes on from the board as
the store has it at that moment, so no `for` begins anew and nothing fires twice. Each
node evaluates its own rules besides (`nexa_local`), with or without the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import Alert
from nexa_node.contract.errors import NexaError
from nexa_node.core.alerting.keeping import Origin
from nexa_node.core.alerting.life import Active
from nexa_node.core.alerting.resuming import resumed
from nexa_node.ports import Clock, ForeignRules
from nexa_node.services.alerting import faulting
from nexa_node.services.alerting.board import Board, of_node
from nexa_node.services.alerting.evaluating import Evaluator, Figures, Status
from nexa_node.services.alerting.foreign import origin as foreign_origin, taken_over
from nexa_node.services.alerting.keeper import Keeper
from nexa_node.services.alerting.rulebook import Rulebook

if TYPE_CHECKING:
    from nexa_node.core.alerting.ruling import Part
    from nexa_node.services.metrics.samples import Samples

TICK_MS = 10_000
MIND_S = 1.0
"""How soon a new silence, an acknowledgement, or another node's word takes effect."""
SETTLE_S = 10.0
"""How soon time alone does: an acknowledgement that ends, an escalation."""

log: Any = structlog.get_logger("nexa_node.alerting")

Tell = Callable[[Sequence[Alert]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What this node is at the moment; asked often."""

    node: str
    is_controller: Callable[[], bool]
    """Whether what is the cluster's is this node's to do."""
    living: Callable[[], Collection[str]]
    """Names of all nodes that are not known to be dead."""


class Engine:
    """Evaluates the cluster's rules or only its own, as its role is."""

    def __init__(
        self,
        *,
        rulebook: Rulebook,
        samples: "Samples",
        board: Board,
        keeper: Keeper,
        role: Role,
        clock: Clock,
        foreign: ForeignRules | None = None,
    ) -> None:
        """Do nothing before `run`.

        With `foreign`, that evaluates the cluster's rules.
        """
        self._foreign = foreign
        self._rulebook = rulebook
        self._samples = samples
        self._board = board
        self._keeper = keeper
        self._role = role
        self._clock = clock
        self.figures = Figures()
        self._own = Evaluator(clock=clock, node=role.node, figures=self.figures)
        self._cluster = Evaluator(clock=clock, node=role.node, figures=self.figures)
        self._own_restored = self._cluster_restored = self._remembered = False
        self._recorded: dict[str, bool] = {}
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._stirred = False
        self._settled_at = clock.monotonic()
        self._on_board: list[Tell] = []
        self._on_own: list[Tell] = []
        samples.on_tick(self._tick)
        rulebook.on_load(self._loaded)

    # -- what others ask -------------------------------------------------------

    @property
    def evaluates(self) -> bool:
        """Whether the cluster's rules are evaluated here."""
        return self._cluster_restored and self._role.is_controller()

    def statuses(self, *, local: bool) -> Mapping[str, Status]:
        """What the last evaluations here said, by the rule's name."""
        return (self._own if local else self._cluster).statuses

    def on_board(self, tell: Tell) -> None:
        """Have `tell` told of the cluster's alerts after each look, on the controller."""
        self._on_board.append(tell)

    def on_own(self, tell: Tell) -> None:
        """Have `tell` told of this node's own alerts after each look."""
        self._on_own.append(tell)

    def escalated(self, fingerprint: str, at: datetime) -> None:
        """Mark an alert: somebody else was told, since nobody acknowledged it."""
        self._keeper.mark_escalated(fingerprint, at)
        self.stir()

    def stir(self) -> None:
        """Look soon: a person or another node did something."""
        self._stirred = True

    # -- loops -----------------------------------------------------------------

    async def run(self) -> None:
        """Evaluate at each tick, for ever. A service's loop."""
        while True:
            await self._news.wait()
            self._news.clear()
            at_ms = self._samples.newest_ms
            if at_ms is not None and self._rulebook.book.files:
                await self._safely(self.evaluate(at_ms))

    async def mind(self) -> None:
        """Take people and time in between the ticks, for ever. A service's loop."""
        while True:
            await self._clock.sleep(MIND_S)
            await self._board.save()
            idle_s = self._clock.monotonic() - self._settled_at
            if self._stirred or idle_s >= SETTLE_S:
                await self._safely(self._look())

    async def evaluate(self, at_ms: int) -> None:
        """Evaluate what is due at a tick, and tell who is to hear of it."""
        async with self._turn:
            await self._take_role(at_ms)
            self._end_recorded(at_ms)
            for part in self._rulebook.book.parts:
                if part.local:
                    await self._evaluate(part, self._own, at_ms)
                elif self.evaluates and self._foreign is None:
                    await self._evaluate(part, self._cluster, at_ms)
            if self.evaluates and self._foreign is not None:
                await self._take_over(self._foreign, at_ms / 1000)
            await self._tell_faults(at_ms / 1000)
            await self._finish()

    async def _look(self) -> None:
        async with self._turn:
            await self._finish()

    async def _safely(self, work: Awaitable[None]) -> None:
        """Do it; a fault of ours ends this one look, and not the node."""
        try:
            await work
        except Exception:  # told; the next tick tries again
            log.exception("alerting_failed")
            self.figures.faults += 1

    def _tick(self, _at_ms: int) -> None:
        self._news.set()

    def _loaded(self) -> None:
        """Other rules are in force: what is on goes on under the same names."""
        self._own_restored = self._cluster_restored = False
        self._news.set()

    # -- taking over -----------------------------------------------------------

    async def _take_role(self, at_ms: int) -> None:
        """Know what is on the board before anything is said of it."""
        if not self._role.is_controller():
            if self._cluster_restored:
                self._cluster.clear()
                self._board.forget_unsaved(lambda record: not record.node)
            self._cluster_restored = False
        elif not self._cluster_restored:
            try:
                records = await self._board.reread()
            except NexaError:
                pass  # the next tick tries again; until then nothing is said
            else:
                await self._restore(records, self._cluster, node="")
                self._cluster_restored = True
        if not self._own_restored:
            mine = self._board.records()
            node = self._role.node
            await self._restore(mine, self._own, node=node)
            self._own_restored = self._board.caught_up
            if not self._own_restored and not self._remembered:
                await self._remember(at_ms / 1000)
            self._remembered = True

    async def _restore(
        self,
        records: Sequence[AlertRecord],
        evaluator: Evaluator,
        *,
        node: str,
    ) -> None:
        mine = of_node(records, node)
        # Not the tick: after a start the newest one may be of before the outage.
        now = self._clock.now().timestamp()
        spans = {
            key: (rule.for_s, part.group.interval_s)
            for part in self._rulebook.book.parts
            if part.local is bool(node)
            for rule, key in zip(part.group.rules, part.keys, strict=True)
        }
        known = {*spans, faulting.RULE} if node else {*spans}

        def resume(record: AlertRecord, active: Active) -> Active | None:
            for_s, every_s = spans.get(record.rule, (0.0, 0.0))
            return resumed(
                active, for_s=for_s, interval_s=every_s, seen=record.seen, now=now
            )

        for record in evaluator.restore(mine, resume):
            await self._keeper.end(record)
        if self._foreign is not None and not node:
            return
        evaluator.keep(known)
        for record in mine:
            if record.rule not in known:
                await self._keeper.end(record)

    async def _remember(self, newest: float) -> None:
        """Without a store, samples say since when this node's own alerts are on."""
        parts = [part for part in self._rulebook.book.parts if part.local]
        now = self._clock.now().timestamp()

        def find() -> Mapping[str, Mapping[str, Active]]:
            from nexa_node.core.alerting.remembering import remembered

            return remembered(parts, self._samples.local, newest=newest, now=now)

        self._own.take(await asyncio.to_thread(find))

    def _end_recorded(self, at_ms: int) -> None:
        """Say no more what is another's to say, or of rules that are no more."""
        known = {part.name: part.local for part in self._rulebook.book.parts}
        for name, local in list(self._recorded.items()):
            if name not in known or not (local or self.evaluates):
                self._samples.record(name, (), at_ms=at_ms)
                del self._recorded[name]

    # -- one evaluation --------------------------------------------------------

    async def _evaluate(self, part: "Part", evaluator: Evaluator, at_ms: int) -> None:
        from nexa_node.core.alerting.ruling import origin_of

        if not evaluator.is_due(part, at_ms, TICK_MS):
            return
        source = self._samples.local if part.local else self._samples.cluster
        outcome = await evaluator.evaluate(part, source, at_ms)
        if not part.local and not self._role.is_controller():
            return  # control was lost meanwhile: it is another's to say
        evaluator.take(outcome.active)
        self._samples.record(part.name, outcome.samples, at_ms=at_ms)
        self._recorded[part.name] = part.local
        places = {key: place for place, key in enumerate(part.keys)}

        def origin(rule: str, active: Active) -> Origin:
            severity = active.labels.get("severity", "")
            return origin_of(
                part, places[rule], severity=severity, node=self._role.node
            )

        await self._keeper.apply(outcome.before, outcome.active, outcome.over, origin)

    async def _take_over(self, foreign: ForeignRules, now: float) -> None:
        """Have the board say what the Prometheus says."""
        try:
            alerts = await foreign.alerts()
        except NexaError:
            return  # what it said last stays: an answer that is missing ends nothing
        before = self._cluster.all()
        active, over = taken_over(alerts, before, now=now)
        self._cluster.take(active)
        await self._keeper.apply(
            before, active, over, lambda rule, _active: foreign_origin(rule)
        )

    async def _tell_faults(self, now: float) -> None:
        """Rules that fail, and files that are refused, are this node's own alerts."""
        statuses = {**self._own.statuses, **self._cluster.statuses}
        failed = [(name, one.error) for name, one in statuses.items() if one.error]
        refused = self._rulebook.book.faults
        before = self._own.active(faulting.RULE)
        if not (failed or refused or before):
            return
        node = self._role.node
        on, over = faulting.faults(failed, refused, before, node=node, now=now)
        on = faulting.with_reasons(on, failed, refused)
        self._own.take({faulting.RULE: on})
        await self._keeper.apply(
            {faulting.RULE: before},
            {faulting.RULE: on},
            {faulting.RULE: over},
            lambda _rule, _active: faulting.origin(node),
        )

    # -- afterwards ------------------------------------------------------------

    async def _finish(self) -> None:
        """Settle what is this node's to settle, and tell."""
        self._stirred = False
        self._settled_at = self._clock.monotonic()
        await self._end_orphans()
        await self._keeper.settle(self._is_mine)
        records = self._board.records()
        own = {one.alert.fingerprint for one in of_node(records, self._role.node)}
        theirs = {one.alert.fingerprint for one in of_node(records, "")}
        alerts = self._board.alerts()
        for tell in self._on_own:
            await tell([one for one in alerts if one.fingerprint in own])
        if self.evaluates:
            for tell in self._on_board:
                await tell([one for one in alerts if one.fingerprint in theirs])

    async def _end_orphans(self) -> None:
        """End what a node that is gone said of itself: nobody else will."""
        if not self.evaluates:
            return
        living = {self._role.node, *self._role.living()}
        for record in self._board.records():
            on = record.alert.state != "resolved"
            if on and record.node and record.node not in living:
                await self._keeper.end(record)

    def _is_mine(self, record: AlertRecord) -> bool:
        if record.node == self._role.node:
            return True
        if not self.evaluates:
            return False
        return not record.node or record.node not in self._role.living()
