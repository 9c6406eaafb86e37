"""A node that is a recording: for scenes, screenshots, tests and bug reports.

It answers what it was given and remembers what it was asked, and nothing moves.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import msgspec

from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    AlertDetail,
    Handover,
    NewAck,
    NewNote,
    NewSilence,
    Rule,
    Silence,
    SilencePreview,
    urgency,
)
from nexa_node.contract.audit import AuditRecord
from nexa_node.contract.checks import CheckResult
from nexa_node.contract.cluster import ClusterChange, JoinToken
from nexa_node.contract.errors import NexaError, NotFound
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Explanation, NewTask, Submitted, Task
from nexa_tui.client.api import FeedNews
from nexa_tui.client.discovery import Target
from nexa_tui.client.prometheus import Row

RECORDED_TOKEN = "nxj1.recorded.recorded.recorded"  # noqa: S105  no node knows it
_NEVER = datetime(2100, 1, 1, tzinfo=UTC)


class Recorded(msgspec.Struct, frozen=True):
    """What a recording answers."""

    checks: tuple[CheckResult, ...] = ()
    """Told by each self-test."""
    tasks: tuple[Task, ...] = ()
    alerts: tuple[AlertDetail, ...] = ()
    silences: tuple[Silence, ...] = ()
    rules: tuple[Rule, ...] = ()
    audit: tuple[AuditRecord, ...] = ()
    series: Mapping[str, Sequence[tuple[dict[str, str], Sequence[float]]]] = (
        msgspec.field(default_factory=lambda: MappingProxyType({}))
    )
    """What `query_range` answers, by expression: labels, and values that are spread over
    whatever time is asked for."""


class Replay:
    """See `api.NodeClient`."""

    def __init__(
        self,
        target: Target,
        *,
        news: Iterable[FeedNews] = (),
        recorded: Recorded | None = None,
        refusal: NexaError | None = None,
    ) -> None:
        """Keep the recording.

        Args:
            target: The node it pretends to be.
            news: Told by the feed, in order; after that it says nothing.
            recorded: What it answers.
            refusal: Raised by everything that would change something.
        """
        self._target = target
        self._queue: asyncio.Queue[FeedNews] | None = None
        self._news = list(news)
        self._recorded = told = recorded or Recorded()
        self._tasks = {task.id: task for task in told.tasks}
        self._alerts = {one.alert.fingerprint: one for one in told.alerts}
        self.refusal = refusal
        self.asked: list[tuple[str, str]] = []
        """What was asked of it that changes something: verb and id."""
        self.closed = False
        """Whether its connections would be closed by now."""

    @property
    def target(self) -> Target:
        """The node it pretends to be."""
        return self._target

    def tell(self, news: FeedNews) -> None:
        """Let the feed say one more thing."""
        self._news.append(news)
        if self._queue is not None:
            self._queue.put_nowait(news)

    async def feed(self) -> AsyncIterator[FeedNews]:
        """Tell what was recorded, then wait for what is told."""
        self._queue = asyncio.Queue()
        for news in self._news:
            self._queue.put_nowait(news)
        while True:
            yield await self._queue.get()

    async def selftest(self, *, only: str | None = None) -> AsyncIterator[CheckResult]:
        """Tell the recorded checks."""
        for check in self._recorded.checks:
            if only in {None, check.id}:
                yield check

    async def task(self, task_id: TaskId) -> Task:
        """Find a recorded task."""
        if task_id not in self._tasks:
            raise NotFound(f"no task {task_id}", remedy="nexa task list")
        return self._tasks[task_id]

    async def explain(self, task_id: TaskId) -> Explanation:
        """Say that a recording explains nothing."""
        task = await self.task(task_id)
        return Explanation(
            id=task.id,
            status=task.status,
            verdict="this is a recording",
            considered=(),
        )

    async def submit(self, task: NewTask) -> Submitted:
        """Remember a submission."""
        self._change("submit", task.type)
        task_id = task.id or TaskId("recorded")
        return Submitted(id=task_id, status="pending", duplicate=False)

    async def cancel(self, task_id: TaskId) -> Task:
        """Remember a cancellation."""
        self._change("cancel", task_id)
        return await self.task(task_id)

    async def disconnect(self, agent_id: AgentId) -> None:
        """Remember a disconnection."""
        self._change("disconnect", agent_id)

    async def drain(self, node_id: str) -> None:
        """Remember a drain."""
        self._change("drain", node_id)

    async def maintain(self, node_id: str, *, on: bool) -> None:
        """Remember a maintenance."""
        self._change("maintain" if on else "end maintenance", node_id)

    async def remove(self, node_id: str, *, dry_run: bool) -> ClusterChange:
        """Remember a removal; a dry run is answered alike and not remembered."""
        if not dry_run or self.refusal is not None:
            self._change("remove", node_id)
        return ClusterChange(
            done=not dry_run,
            what="it is struck off",
            effects=("11 streams get their copy on it made anew elsewhere",),
        )

    async def join_token(self) -> JoinToken:
        """Remember that one was issued; it is good for nothing."""
        self._change("join-token", "")
        return JoinToken(token=RECORDED_TOKEN, expires=_NEVER)

    async def alert(self, fingerprint: str) -> AlertDetail:
        """Find a recorded alert."""
        if fingerprint not in self._alerts:
            raise NotFound(f"no alert {fingerprint}", remedy="nexa alerts list")
        return self._alerts[fingerprint]

    async def acknowledge(self, fingerprint: str, ack: NewAck) -> Alert:
        """Remember an acknowledgement."""
        self._change("acknowledge", f"{fingerprint} {ack.note}".strip())
        return (await self.alert(fingerprint)).alert

    async def unacknowledge(self, fingerprint: str) -> Alert:
        """Remember that one was taken back."""
        self._change("unacknowledge", fingerprint)
        return (await self.alert(fingerprint)).alert

    async def note(self, fingerprint: str, note: NewNote) -> Alert:
        """Remember a note."""
        self._change("note", f"{fingerprint} {note.text}")
        return (await self.alert(fingerprint)).alert

    async def dismiss(self, fingerprint: str) -> Alert:
        """Remember a dismissal."""
        self._change("dismiss", fingerprint)
        return (await self.alert(fingerprint)).alert

    async def preview(self, silence: NewSilence) -> SilencePreview:
        """Say what of the recorded alerts has the labels that are asked for."""
        wanted = {one.name: one.value for one in silence.matchers if one.kind == "="}
        hidden = [
            one.alert
            for one in self._alerts.values()
            if wanted.items() <= one.alert.labels.items()
        ]
        return SilencePreview(
            now=tuple(one.fingerprint for one in hidden),
            last_day=len(hidden),
            names=tuple(sorted({one.name for one in hidden})),
        )

    async def silence(self, silence: NewSilence) -> Silence:
        """Remember a silence."""
        self._change("silence", silence.comment)
        begins = silence.starts or _NEVER
        return Silence(
            id="recorded",
            matchers=silence.matchers,
            starts=begins,
            ends=begins + timedelta(seconds=silence.duration_s),
            by="recorded",
            comment=silence.comment,
            created=begins,
        )

    async def handover(self, since_s: int) -> Handover:
        """Sum up what was recorded."""
        alerts = tuple(
            sorted((one.alert for one in self._alerts.values()), key=urgency)
        )
        return Handover(
            since=_NEVER - timedelta(seconds=since_s),
            until=_NEVER,
            open=tuple(one for one in alerts if one.ack is None),
            acknowledged=tuple(one for one in alerts if one.ack is not None),
            unseen=tuple(one for one in alerts if one.unseen),
            noisiest=(),
            silences=(),
            changes=(),
            text="\n".join(["# Handover", *(f"- {one.name}" for one in alerts)]),
        )

    async def alert_history(self) -> Sequence[AlertChange]:
        """List the recorded changes, the newest first."""
        self._look()
        found = [change for one in self._alerts.values() for change in one.history]
        return sorted(found, key=lambda change: change.time, reverse=True)

    async def silences(self) -> Sequence[Silence]:
        """List the recorded silences."""
        self._look()
        return self._recorded.silences

    async def expire(self, silence_id: str) -> None:
        """Remember that one was ended."""
        self._change("expire", silence_id)

    async def rules(self) -> Sequence[Rule]:
        """List the recorded rules."""
        self._look()
        return self._recorded.rules

    async def audit(self) -> Sequence[AuditRecord]:
        """List the recorded audit."""
        self._look()
        return self._recorded.audit

    def _look(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def query_range(
        self, expression: str, *, start: float, end: float, step: float
    ) -> Sequence[Row]:
        """Answer what was recorded for the expression, on the steps that are asked for."""
        if self.refusal is not None:
            raise self.refusal
        steps = int((end - start) / step) + 1
        return tuple(
            (
                labels,
                tuple(
                    (start + n * step, values[n * len(values) // steps])
                    for n in range(steps)
                ),
            )
            for labels, values in self._recorded.series.get(expression, ())
        )

    async def close(self) -> None:
        """Remember that it was let go."""
        self.closed = True

    def _change(self, verb: str, subject: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((verb, subject))
