"""A node that is a recording: for scenes, screenshots, tests and bug reports.

It answers what it was given and remembers what it was asked, and nothing moves.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TypeVar

import msgspec

from nexa_node.contract.access import (
    NamespaceView,
    NewToken,
    Role,
    TokenCreated,
    TokenView,
)
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
from nexa_node.contract.audit import AuditRecord, AuditVerdict
from nexa_node.contract.checks import CheckResult
from nexa_node.contract.cluster import ClusterChange, JoinToken
from nexa_node.contract.errors import NexaError, NotFound, Unavailable
from nexa_node.contract.events import Snapshot
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.logs import LogLine
from nexa_node.contract.messages import NewMessage, Posted, Sent, Shelf
from nexa_node.contract.plans import Plan
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    Explanation,
    NewTask,
    Redrive,
    Redriven,
    Submitted,
    Task,
    TaskSummary,
)
from nexa_tui.client.api import Deed, FeedNews, Glance, Received
from nexa_tui.client.discovery import Target
from nexa_tui.client.prometheus import Row

T = TypeVar("T")
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
    tokens: tuple[TokenView, ...] = ()
    roles: tuple[Role, ...] = ()
    namespaces: tuple[NamespaceView, ...] = ()
    logs: tuple[LogLine, ...] = ()
    posted: tuple[Posted, ...] = ()
    dead: tuple[TaskSummary, ...] = ()
    """Dead letters."""
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
        self.tailed: list[tuple[str, str]] = []
        """Namespace and topic of every look at messages."""
        self.log_news: asyncio.Queue[tuple[LogLine, ...]] = asyncio.Queue()
        self.message_news: asyncio.Queue[tuple[Posted, ...]] = asyncio.Queue()
        """What is told to who waits."""
        self.logs_before: tuple[LogLine, ...] = ()
        """What is told once of the time before."""
        self.message_end = 0
        """How far topics are, for who asks for no message."""
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

    async def plan(self, deed: Deed, key: str) -> Plan:
        """A plan of which the figures are made up; it is not remembered."""
        if self.refusal is not None:
            raise self.refusal
        return Plan(
            id=f"plan-{deed}",
            action=deed,
            target=key,
            what="",
            counts={"agents": 1, "tasks": 2},
            expires=_NEVER,
        )

    async def disconnect(self, agent_id: AgentId, *, plan: str | None = None) -> None:
        """Remember a disconnection."""
        self._change("disconnect", agent_id)

    async def drain_agent(self, agent_id: AgentId, *, on: bool) -> None:
        """Remember a drain of an agent."""
        self._change("drain agent" if on else "resume agent", agent_id)

    async def drain(self, node_id: str, *, plan: str | None = None) -> None:
        """Remember a drain."""
        self._change("drain", node_id)

    async def maintain(self, node_id: str, *, on: bool) -> None:
        """Remember a maintenance."""
        self._change("maintain" if on else "end maintenance", node_id)

    async def remove(
        self, node_id: str, *, dry_run: bool, plan: str | None = None
    ) -> ClusterChange:
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

    async def verify_audit(self) -> AuditVerdict:
        """Say that it is whole: it was recorded."""
        self._look()
        return AuditVerdict(status="ok", records=len(self._recorded.audit))

    async def tokens(self) -> Sequence[TokenView]:
        """List the recorded tokens."""
        self._look()
        return self._recorded.tokens

    async def roles(self) -> Sequence[Role]:
        """List the recorded roles."""
        self._look()
        return self._recorded.roles

    async def namespaces(self) -> Sequence[NamespaceView]:
        """List the recorded namespaces."""
        self._look()
        return self._recorded.namespaces

    async def create_token(self, wanted: NewToken) -> TokenCreated:
        """Remember that one was made."""
        self._change("create_token", wanted.role)
        return _made("made", wanted.role, wanted.name)

    async def rotate_token(self, token_id: str, *, overlap_s: int) -> TokenCreated:
        """Remember that one was rotated."""
        del overlap_s
        self._change("rotate_token", token_id)
        return _made(token_id, "operator", "")

    async def revoke_token(self, token_id: str, *, plan: str | None = None) -> None:
        """Remember that one was revoked."""
        self._change("revoke_token", token_id)

    async def logs(
        self, *, after: str | None, before: int | None = None, wait_s: float = 0.0
    ) -> Page[LogLine]:
        """Tell the recorded lines once; after that there is nothing new."""
        self._look()
        lines = self._recorded.logs
        if before is not None:
            lines, self.logs_before = self.logs_before, ()
        if after is not None:
            lines = await self._later(self.log_news, wait_s)
        return Page(items=lines, next_cursor="recorded:0")

    async def posted(
        self,
        topic: str,
        *,
        namespace: str,
        after: int = 0,
        last: int | None = None,
        wait_s: float = 0.0,
    ) -> Page[Posted]:
        """Tell the recorded messages once; after that there is nothing new."""
        self._look()
        self.tailed.append((namespace, topic))
        told = self._recorded.posted
        if last is None:
            told = await self._later(self.message_news, wait_s)
        if last == 0:
            return Page(items=(), next_cursor=str(max(after, self.message_end)))
        end = max((one.seq for one in told), default=after)
        return Page(items=told, next_cursor=str(end))

    async def topics(self, namespace: str) -> Sequence[Shelf]:
        """Count the recorded messages by topic."""
        self._look()
        found = Counter(one.topic for one in self._recorded.posted)
        return [Shelf(name=name, messages=number) for name, number in found.items()]

    async def inboxes(self, namespace: str) -> Sequence[Shelf]:
        """One inbox, with what was recorded."""
        self._look()
        waiting = len(self._recorded.posted)
        return [Shelf(name="wc-1", messages=waiting)] if waiting else []

    async def peek(self, namespace: str, agent: str) -> Page[Posted]:
        """What was recorded waits in every inbox."""
        self._look()
        return Page(items=self._recorded.posted)

    async def send(self, message: NewMessage) -> Sent:
        """Remember a message."""
        to = message.to.topic or message.to.agent or message.to.capability or "all"
        self._change("send", f"{to} {message.type}")
        return Sent(id="recorded", seq=1)

    async def dead_letters(self) -> Sequence[TaskSummary]:
        """List the recorded dead letters."""
        self._look()
        return self._recorded.dead

    async def redrive(self, wanted: Redrive) -> Redriven:
        """Remember a redrive."""
        self._change("redrive", ",".join(wanted.ids))
        return Redriven(done=wanted.ids, failed={})

    async def purge(self, wanted: Redrive) -> Redriven:
        """Remember a purge."""
        self._change("purge", ",".join(wanted.ids))
        return Redriven(done=wanted.ids, failed={})

    async def _later(
        self, news: "asyncio.Queue[tuple[T, ...]]", wait_s: float
    ) -> tuple[T, ...]:
        """What is told from now on, if it is waited for."""
        return await news.get() if wait_s > 0 or not news.empty() else ()

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

    async def glance(self) -> Glance:
        """Sum up the first picture of the recording."""
        self._look()
        for news in self._news:
            if isinstance(news, Received) and isinstance(news.frame, Snapshot):
                told = news.frame
                return Glance(told.node, told.cluster, told.alerts)
        raise Unavailable("nothing was recorded")

    async def close(self) -> None:
        """Remember that it was let go."""
        self.closed = True

    def _change(self, verb: str, subject: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((verb, subject))


def _made(token_id: str, role: str, name: str) -> TokenCreated:
    return TokenCreated(
        id=token_id,
        token="nxa_recorded",  # noqa: S106  # shown in a replay: no secret of anybody
        role=role,
        name=name,
        expires=None,  # none
    )
