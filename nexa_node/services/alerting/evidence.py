"""Evidence: what was the case when an alert fired, frozen then, completed once.

The node that wrote that it fires collects it in the background: series, events, lines of
the log and the top of a profile of the node it is about, tasks. A quarter of an hour
later whoever is the controller adds what came after. Without a store the node keeps it in
memory, shows it, and stores it once there is one again.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import structlog

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import Evidence, EvidenceLine, EvidenceSeries
from nexa_node.contract.errors import NexaError
from nexa_node.contract.events import Event
from nexa_node.contract.tasks import TaskSummary
from nexa_node.ports import Clock, EvidenceRecords, NodeCalls, Witness

if TYPE_CHECKING:
    from nexa_node.services.metrics.samples import Samples

AROUND = timedelta(minutes=15)
NEAR = timedelta(seconds=30)
LATE = timedelta(hours=2)
"""After that what came after is not looked for any more."""
TASKS, FAILED_S = 10, 300.0
LINES_MAX = 120
AT_ONCE = 4
WAITING_MAX = 20
"""Alerts whose evidence is being collected; further ones go without: there are too many
at once for anybody to look at."""
ASK_S = 3.0
WITNESS = "alert_witness"
EVENTS, RECENT = 500, 500
UNSAVED_MAX, SAVE_S = 50, 10.0
"""Evidence that could not be stored yet, in memory; and how often that is tried again."""

log = structlog.get_logger("nexa_node.alerting")


class Sight(Protocol):
    """What happened, from memory; `Directory`."""

    def newest_events(self, limit: int) -> tuple[Event, ...]:
        """The newest events, newest last."""
        ...

    def newest_tasks(self, limit: int) -> tuple[TaskSummary, ...]:
        """Unfinished tasks and the newest finished ones, newest first."""
        ...


class Question(msgspec.Struct, frozen=True):
    """What a node is asked of a moment."""

    since: datetime
    until: datetime
    profile: bool


class Statement(msgspec.Struct, frozen=True):
    """What a node says of a moment."""

    lines: tuple[EvidenceLine, ...] = ()
    profile: tuple[str, ...] = ()


class Evidences:
    """Collects evidence, keeps it, and finds it again."""

    def __init__(
        self,
        records: EvidenceRecords,
        *,
        samples: "Samples",
        sight: Sight,
        witness: Witness,
        calls: NodeCalls,
        clock: Clock,
        node: str,
    ) -> None:
        """Collect nothing before somebody fires."""
        self._records = records
        self._samples = samples
        self._sight = sight
        self._witness = witness
        self._calls = calls
        self._clock = clock
        self._node = node
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._complete: dict[str, datetime] = {}
        self._unsaved: dict[str, Evidence] = {}

    def serve(self) -> None:
        """Say what this node knows when another one asks."""

        async def answer(payload: bytes) -> bytes:
            asked = msgspec.json.decode(payload, type=Question)
            return msgspec.json.encode(await self._own(asked))

        self._calls.serve(self._node, WITNESS, answer)

    def wrote(
        self, spawn: Callable[[str, Coroutine[Any, Any, None]], object]
    ) -> Callable[[AlertRecord | None, AlertRecord | None, str], None]:
        """A listener of the board that has evidence collected of what fires anew."""

        def listen(
            before: AlertRecord | None, after: AlertRecord | None, by: str
        ) -> None:
            if by or after is None or after.alert.state != "firing":
                return
            if before is not None and before.alert.state in ("firing", "recovering"):
                return
            if after.alert.severity == "none" or self._waiting >= WAITING_MAX:
                return
            try:
                spawn("alert-evidence", self.collect(after))
            except NexaError:
                return  # the node stops

        return listen

    async def collect(self, record: AlertRecord) -> None:
        """Freeze what is the case now; what can't be had is left out."""
        self._waiting += 1
        try:
            async with self._slots:
                await self._freeze(record)
        except NexaError as error:
            log.warning("no evidence was kept", cause=error.message)
        finally:
            self._waiting -= 1

    async def run(self) -> None:
        """Store what could not be stored, for ever. A service's loop."""
        while True:
            await self._clock.sleep(SAVE_S)
            await self.save()

    async def save(self) -> None:
        """Store what could not be stored; of two of one alert the newer one stays."""
        for key, kept in list(self._unsaved.items()):
            try:
                there = await self._records.get(key)
                if there is None or there.at < kept.at:
                    await self._records.put(key, kept)
            except NexaError:
                return  # the store is away yet
            if self._unsaved.get(key) is kept:
                del self._unsaved[key]

    async def of(self, fingerprint: str) -> Evidence | None:
        """What is kept of an alert; None if there is nothing, or it can't be read."""
        if fingerprint in self._unsaved:
            return self._unsaved[fingerprint]
        try:
            return await self._records.get(fingerprint)
        except NexaError:
            return None

    async def complete(self, records: Iterable[AlertRecord]) -> None:
        """Add what came after to what was frozen a quarter of an hour ago."""
        now = self._clock.now()
        for record in records:
            key, fired = record.alert.fingerprint, record.alert.fired
            if fired is None or not AROUND <= now - fired <= LATE:
                continue
            if self._complete.get(key) == fired:
                continue
            kept = await self.of(key)
            if kept is not None and not kept.complete:
                await self._records.put(key, await self._completed(record, kept))
            self._complete[key] = fired
        if len(self._complete) > EVENTS:
            self._complete.clear()

    # -- collecting ------------------------------------------------------------

    async def _freeze(self, record: AlertRecord) -> None:
        alert = record.alert
        at = alert.fired or self._clock.now()
        series = await self._series(record, at - AROUND, at)
        asked = Question(at - NEAR, at + NEAR, profile=True)
        said = await self._ask(record, asked)
        kept = Evidence(
            at=at,
            expression=record.expression,
            series=series,
            lines=self._lines(said, at),
            tasks=self._tasks(),
            profile=said.profile,
        )
        await self._put(alert.fingerprint, kept)

    async def _put(self, key: str, kept: Evidence) -> None:
        self._unsaved.pop(key, None)
        try:
            await self._records.put(key, kept)
        except NexaError as error:
            if len(self._unsaved) >= UNSAVED_MAX:
                del self._unsaved[next(iter(self._unsaved))]
            self._unsaved[key] = kept
            log.warning("evidence is in memory only", cause=error.message)

    async def _completed(self, record: AlertRecord, kept: Evidence) -> Evidence:
        from nexa_node.core.alerting.exhibits import joined

        after = await self._series(record, kept.at, kept.at + AROUND)
        asked = Question(kept.at, kept.at + NEAR, profile=False)
        said = await self._ask(record, asked)
        lines = {*kept.lines, *self._lines(said, kept.at)}
        ordered = sorted(lines, key=lambda line: (line.time, line.text))
        return msgspec.structs.replace(
            kept,
            series=joined(kept.series, after),
            lines=tuple(ordered)[:LINES_MAX],
            complete=True,
        )

    async def _series(
        self, record: AlertRecord, since: datetime, until: datetime
    ) -> tuple[EvidenceSeries, ...]:
        if not record.expression:
            return ()
        own = record.node == self._node
        source = self._samples.local if own else self._samples.cluster
        start, end = (round(one.timestamp() * 1000) for one in (since, until))

        def find() -> tuple[EvidenceSeries, ...]:
            from nexa_node.core.alerting.exhibits import exhibits
            from nexa_node.core.promql.parsing import parse
            from nexa_node.core.promql.samples import QueryError

            try:
                expression = parse(record.expression)
                return exhibits(expression, record.alert.labels, source, start, end)
            except QueryError:
                return ()

        return await asyncio.to_thread(find)

    async def _ask(self, record: AlertRecord, asked: Question) -> Statement:
        """Ask the node that the alert is about; this one, if it names none that lives."""
        labels = record.alert.labels
        named = labels.get("node") or labels.get("instance") or self._node
        if named != self._node:
            try:
                payload = msgspec.json.encode(asked)
                said = await self._calls.ask(named, WITNESS, payload, timeout_s=ASK_S)
                return msgspec.json.decode(said, type=Statement)
            except (NexaError, msgspec.MsgspecError):
                return Statement()
        return await self._own(asked)

    async def _own(self, asked: Question) -> Statement:
        lines = await self._witness.log(asked.since, asked.until)
        profile = await self._witness.profile() if asked.profile else ()
        return Statement(lines, profile)

    def _lines(self, said: Statement, at: datetime) -> tuple[EvidenceLine, ...]:
        events = [
            EvidenceLine(
                time=event.time,
                severity=event.severity,
                node=event.node,
                text=f"{event.kind} {event.subject}: {event.message}",
            )
            for event in self._sight.newest_events(EVENTS)
            if abs(event.time - at) <= NEAR
        ]
        both = sorted({*events, *said.lines}, key=lambda line: (line.time, line.text))
        return tuple(both)[-LINES_MAX:]

    def _tasks(self) -> tuple[str, ...]:
        """Those that failed just now, then those that wait longest."""
        now = self._clock.now()
        tasks = self._sight.newest_tasks(RECENT)
        failed = [
            task.id
            for task in tasks
            if task.status in ("failed", "dead_lettered", "expired")
            and task.finished is not None
            and (now - task.finished).total_seconds() <= FAILED_S
        ]
        waiting = sorted(
            (task for task in tasks if task.status == "pending"),
            key=lambda task: task.submitted,
        )
        return (*failed[:TASKS], *(task.id for task in waiting[:TASKS]))
