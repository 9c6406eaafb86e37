"""What agents say of the tasks they have: progress, success, failure, release.

Each is decided on the record and stored before it is answered. A claim that is not in
this node's hand (the agent came from another node, or this one started again) is as
good as one that is: the record decides.
"""

import random
from collections.abc import Callable
from datetime import timedelta

from nexa_node.contract.errors import NotFound
from nexa_node.contract.frames import Complete, Fail, Leased, Progress, Release
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import FINISHED, Json, Task
from nexa_node.core import tasks
from nexa_node.core.tasks import Claim, Denied, Kept, Moved, Verdict
from nexa_node.core.usage import overspent
from nexa_node.ports import Clock
from nexa_node.services.sessions.live import LiveAgent
from nexa_node.services.tasks.claims import Held
from nexa_node.services.tasks.custody import Custody

PartialSeen = Callable[[Task, Json], None]
"""Told a task as it is with a partial result, and that."""


class Work:
    """The task methods of agents that hold a claim.

    All raise `LeaseLost` when the claim is over, `Cancelled` when the task was called
    off, `DeadlineExceeded` when its time was over, `BudgetExceeded` when it went over
    its budget, `NotFound` when the agent's namespace
    has no such task; nothing has changed then. `Unavailable` means it is not known, and
    the same call may be made again.
    """

    def __init__(
        self,
        custody: Custody,
        *,
        partials: PartialSeen,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """Work on what `custody` has in hand.

        Args:
            custody: The claims.
            partials: Told every partial result, before the record that has it.
            clock: Leases and records.
            rng: Jitter of the back-off.
        """
        self._custody = custody
        self._partials = partials
        self._clock = clock
        self._rng = rng

    def progress_now(self, agent: LiveAgent, said: Progress) -> Leased | None:
        """Renew a lease from memory; None when the record must be asked."""
        held = self._custody.claims.get(said.id)
        if held is None or held.task is None or held.agent != agent.key:
            return None
        verdict = self._progressed(held.task, agent, said)
        if isinstance(verdict, Denied) or verdict.task.status in FINISHED:
            return None
        self._tell_partial(verdict.task, said)
        if isinstance(verdict, Moved):
            self._custody.change(held, verdict.task)
        return self._leased(held)

    async def progress(self, agent: LiveAgent, said: Progress) -> Leased:
        """Renew a lease by the record; a claim that is not in hand is taken in hand.

        Raises:
            BudgetExceeded: It used more than the task's budget, and the task is over.
        """
        held = self._held(said.id)
        verdict = await self._decide(
            held, agent, lambda task: self._progressed(task, agent, said)
        )
        self._tell_partial(verdict.task, said)
        over = overspent(verdict.task)
        if over is not None:
            await self._ended(held, agent, verdict, failed=True)
            raise over
        held = self._custody.claims.get(said.id) or held
        if not self._custody.claims.has(held) and held.task is not None:
            self._custody.adopt(held, held.task)
        return self._leased(held)

    async def complete(self, agent: LiveAgent, said: Complete) -> None:
        """Finish a task with success."""
        claim = Claim(agent.id, said.claim_epoch)

        def decide(task: Task) -> Verdict:
            now = self._clock.now()
            return tasks.complete(
                task, claim, result=said.result, usage=said.usage, now=now
            )

        held = self._held(said.id)
        if await self._end(held, agent, decide, failed=False):
            agent.completed += 1

    async def fail(self, agent: LiveAgent, said: Fail) -> None:
        """End an attempt without success."""
        claim = Claim(agent.id, said.claim_epoch)

        def decide(task: Task) -> Verdict:
            return tasks.fail(
                task,
                claim,
                error=said.error,
                retryable=said.retryable,
                now=self._clock.now(),
                rng=self._rng,
                usage=said.usage,
            )

        held = self._held(said.id)
        if await self._end(held, agent, decide, failed=True):
            agent.failed += 1

    async def release(self, agent: LiveAgent, said: Release) -> None:
        """Give a task back unharmed."""
        claim = Claim(agent.id, said.claim_epoch)
        await self._end(
            self._held(said.id),
            agent,
            lambda task: tasks.release(task, claim, now=self._clock.now()),
            failed=None,
        )

    def _held(self, task_id: TaskId) -> Held:
        return self._custody.claims.get(task_id) or Held(task_id)

    async def _end(
        self,
        held: Held,
        agent: LiveAgent,
        decide: Callable[[Task], Verdict],
        *,
        failed: bool | None,
    ) -> bool:
        """Decide an end and let the claim go; False if it was let go before."""
        verdict = await self._decide(held, agent, decide)
        return await self._ended(held, agent, verdict, failed=failed)

    async def _ended(
        self,
        held: Held,
        agent: LiveAgent,
        verdict: Moved | Kept,
        *,
        failed: bool | None,
    ) -> bool:
        if not isinstance(verdict, Moved):
            return False
        if failed is not None:
            self._learn(held, agent, verdict.task, failed=failed)
        await self._custody.end(held, verdict)
        return True

    async def _decide(
        self, held: Held, agent: LiveAgent, decide: Callable[[Task], Verdict]
    ) -> Moved | Kept:
        """Decide what an agent asks; it sees the tasks of its namespace only."""

        def decide_inside(task: Task) -> Verdict:
            if task.namespace != agent.namespace:
                return Denied(NotFound(f"no task {task.id}"))
            return decide(task)

        verdict = await self._custody.claims.decide(held, decide_inside)
        if isinstance(verdict, Denied):
            if held.task is not None:
                self._custody.seen(held.task)
            raise verdict.error
        return verdict

    def _progressed(self, task: Task, agent: LiveAgent, said: Progress) -> Verdict:
        return tasks.progress(
            task,
            Claim(agent.id, said.claim_epoch),
            pct=said.pct,
            note=said.note,
            partial=said.partial,
            usage=said.usage,
            now=self._clock.now(),
            node=self._custody.node,
        )

    def _tell_partial(self, task: Task, said: Progress) -> None:
        if said.partial is not None:
            self._partials(task, said.partial)

    def _leased(self, held: Held) -> Leased:
        self._custody.begin_work(held)
        left_s = self._custody.leases.renew(held.id, self._clock.monotonic()) or 0.0
        return Leased(lease_until=self._clock.now() + timedelta(seconds=left_s))

    def _learn(self, held: Held, agent: LiveAgent, task: Task, *, failed: bool) -> None:
        """Take in how long it took, for the next choice."""
        candidate = agent.candidates.get(task.type)
        if candidate is not None and held.accepted_at is not None:
            took_s = self._clock.monotonic() - held.accepted_at
            candidate.learn(service_s=took_s, failed=failed)
