"""A node that is a recording: for scenes, screenshots, tests and bug reports.

It answers what it was given and remembers what it was asked, and nothing moves.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime

from nexa_node.contract.checks import CheckResult
from nexa_node.contract.cluster import ClusterChange, JoinToken
from nexa_node.contract.errors import NexaError, NotFound
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Explanation, NewTask, Submitted, Task
from nexa_tui.client.api import FeedNews
from nexa_tui.client.discovery import Target

RECORDED_TOKEN = "nxj1.recorded.recorded.recorded"  # noqa: S105  no node knows it
_NEVER = datetime(2100, 1, 1, tzinfo=UTC)


class Replay:
    """See `api.NodeClient`."""

    def __init__(
        self,
        target: Target,
        *,
        news: Iterable[FeedNews] = (),
        checks: Iterable[CheckResult] = (),
        tasks: Mapping[TaskId, Task] | None = None,
        refusal: NexaError | None = None,
    ) -> None:
        """Keep the recording.

        Args:
            target: The node it pretends to be.
            news: Told by the feed, in order; after that it says nothing.
            checks: Told by each self-test.
            tasks: What `task` finds.
            refusal: Raised by everything that would change something.
        """
        self._target = target
        self._queue: asyncio.Queue[FeedNews] | None = None
        self._news = list(news)
        self._checks = list(checks)
        self._tasks = dict(tasks or {})
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
        for check in self._checks:
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

    async def close(self) -> None:
        """Remember that it was let go."""
        self.closed = True

    def _change(self, verb: str, subject: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((verb, subject))
