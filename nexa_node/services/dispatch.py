"""Dispatch: from the queue to an agent of this node, and what becomes of it there.

Late binding: a lane takes from the queue no more than its agents have room for. What
stays true, wherever the node, the store or the agent stops:

- the record is written before anybody is answered, and before the queue forgets;
- a message of the queue is acknowledged only when its record is finished; any other
  ending leaves it there, or gives it back;
- a message that comes again finds its record: finished ones are dropped, ours are
  attached to their claim, orphans are given a lease to be taken up in;
- a claim ends by its agent, by its lease or by a newer record, and is counted as long
  as it lasts: an agent's room is derived from the claims, never counted by hand.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from nexa_node.contract import frames
from nexa_node.contract.errors import (
    Conflict,
    DeadlineExceeded,
    NexaError,
    NotFound,
    Unavailable,
)
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import FINISHED, Task
from nexa_node.core import tasks
from nexa_node.core.leases import Ended, Leases
from nexa_node.core.policies import LeasePolicy
from nexa_node.core.retries import backoff_s
from nexa_node.core.routing import choose, why_nobody
from nexa_node.core.strategies import Candidate, Strategy, least_loaded
from nexa_node.core.tasks import Claim, Denied, Moved, Verdict
from nexa_node.ports import Clock, Delivery, TaskQueue, Versioned
from nexa_node.services.claims import Claims, Held
from nexa_node.services.lanes import Lane, Lanes
from nexa_node.services.ledger import Ledger
from nexa_node.services.live import AgentKey, LiveAgent
from nexa_node.services.sight import Sight

TAKE_LIMIT = 64
"""Tasks taken from the queue at once."""
TAKE_WAIT_S = 5.0
BEAT_S = 0.2
"""How often leases are looked at and progress is stored."""
RETRY_S = 0.5
"""Before the store is asked again that did not answer."""
REST_S = 1.0
"""How long an agent that said it is busy gets nothing new, unless it says longer."""
REST_MAX_S = 30.0
AT_ONCE = 32
"""Store calls of one beat in parallel."""
REFUSALS_MAX = 10_000
"""Tasks nobody here would take whose waits are remembered."""


class Dispatch:
    """The tasks of this node's agents. An `Audience` of the sessions."""

    def __init__(
        self,
        *,
        queue: TaskQueue,
        ledger: Ledger,
        sight: Sight,
        clock: Clock,
        node: str,
        policy: LeasePolicy,
        rng: random.Random,
        strategy: Strategy = least_loaded,
    ) -> None:
        """Wait for agents.

        Args:
            queue: Where tasks wait.
            ledger: Their records.
            sight: Tells what an earlier run of this node had in hand.
            clock: Leases are counted by its monotonic time.
            node: This node's name, as records hold it.
            policy: Leases, grace, time-outs.
            rng: Ties and jitter.
            strategy: Which of the free agents gets a task.
        """
        self._queue = queue
        self._ledger = ledger
        self._sight = sight
        self._clock = clock
        self._node = node
        self._policy = policy
        self._rng = rng
        self._strategy = strategy
        self._claims = Claims(ledger)
        self._lanes = Lanes()
        self._agents: dict[AgentKey, LiveAgent] = {}
        self._leases = Leases(
            lease_s=policy.lease_ms / 1000, grace_s=policy.grace_ms / 1000
        )
        self._dirty: set[Held] = set()
        self._refusals: dict[TaskId, int] = {}
        self._resting: list[tuple[float, int, LiveAgent]] = []
        self._order = itertools.count()
        self._group: asyncio.TaskGroup | None = None
        self._taking = True
        self._changed: list[Callable[[LiveAgent], None]] = []
        ledger.on_write(self.seen)
        sight.on_task(self.seen)

    async def run(self) -> None:
        """Hand out tasks, for ever."""
        await self._sight.caught_up()
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                self._adopt_all()
                for agent in self._agents.values():
                    self._open_lanes(agent)
                group.create_task(self._keep())
                while True:
                    await self._clock.sleep(BEAT_S)
                    await self._beat()
            finally:
                self._group = None

    # -- for the node ----------------------------------------------------------

    def stop_taking(self) -> None:
        """Take nothing more from the queue: the node drains."""
        self._taking = False

    def in_hand(self) -> int:
        """How many tasks this node's agents have."""
        return len(self._claims)

    def on_change(self, listener: Callable[[LiveAgent], None]) -> None:
        """Have `listener` told of each agent whose number of tasks changes."""
        self._changed.append(listener)

    # -- what sessions tell ----------------------------------------------------

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """Let an agent work; what it still has is its own again, or is lost."""
        old = self._agents.get(agent.key)
        if old is not None:
            self._lanes_of_old(old, agent)
        self._agents[agent.key] = agent
        agent.seat.inflight = self._claims.count(agent.key)
        if self._group is not None:
            self._open_lanes(agent)
        now = self._clock.monotonic()
        for held in self._claims.of(agent.key):
            if restarted and held.accepted_at is not None:
                self._spawn(self._lose(held, "agent_lost"))
                continue
            self._leases.back(held.id, now)
            if held.accepted_at is None and held.task is not None:
                self._send(held, agent, held.task)

    def changed(self, agent: LiveAgent) -> None:
        """Note that an agent has more or less room."""
        self._lanes.refresh(agent)

    def away(self, agent: LiveAgent) -> None:
        """Give an agent nothing new; what it has waits for it."""
        self._lanes.refresh(agent)
        now = self._clock.monotonic()
        for held in self._claims.of(agent.key):
            self._leases.away(held.id, now)

    def left(self, agent: LiveAgent, *, in_order: bool) -> None:
        """Take back what an agent has; if it said bye, no attempt is counted."""
        self._lanes.remove(agent)
        if self._agents.get(agent.key) is agent:
            del self._agents[agent.key]
        for held in self._claims.of(agent.key):
            if in_order:
                self._spawn(self._take_back(held))
            else:
                self._spawn(self._lose(held, "agent_lost"))

    def grant(self, agent: LiveAgent, number: int) -> None:
        """Take in credits for tasks."""
        agent.seat.credits.grant(number)
        self._lanes.refresh(agent)

    # -- what agents say of their tasks ----------------------------------------

    def progress(self, agent: LiveAgent, said: frames.Progress) -> frames.Leased | None:
        """Renew a lease; None if the claim is not in hand and must be looked up.

        Raises:
            LeaseLost: The claim is over.
        """
        held = self._claims.get(said.id)
        if held is None or held.task is None or held.agent != agent.key:
            return None
        verdict = self._progressed(held.task, agent, said)
        if isinstance(verdict, Denied):
            return None
        self._begin(held, agent)
        if isinstance(verdict, Moved):
            held.task, held.dirty = verdict.task, True
            self._dirty.add(held)
        return self._leased(held)

    async def progress_unknown(
        self, agent: LiveAgent, said: frames.Progress
    ) -> frames.Leased:
        """Renew the lease of a claim that only its record tells of: take it in hand.

        Raises:
            LeaseLost: The claim is over.
        """
        held = self._claims.get(said.id) or Held(said.id)
        verdict = await self._decide_for(
            held, agent, lambda task: self._progressed(task, agent, said)
        )
        if not self._claims.has(held) and held.task is not None:
            self._adopt(held, held.task)
        self._begin(held, agent)
        del verdict
        return self._leased(held)

    async def complete(self, agent: LiveAgent, said: frames.Complete) -> None:
        """Finish a task with success.

        Raises:
            LeaseLost: The claim is over, nothing was changed.
            Cancelled: The task was called off.
            DeadlineExceeded: Its time was over.
        """
        claim = Claim(agent.id, said.claim_epoch)
        held = self._claims.get(said.id) or Held(said.id)
        verdict = await self._decide_for(
            held,
            agent,
            lambda task: tasks.complete(
                task,
                claim,
                result=said.result,
                usage=said.usage,
                now=self._clock.now(),
            ),
        )
        if isinstance(verdict, Moved):
            agent.completed += 1
            self._learn(held, agent, failed=False)
            await self._end(held, verdict)

    async def fail(self, agent: LiveAgent, said: frames.Fail) -> None:
        """End an attempt without success; raises as `complete`."""
        claim = Claim(agent.id, said.claim_epoch)
        held = self._claims.get(said.id) or Held(said.id)
        verdict = await self._decide_for(
            held,
            agent,
            lambda task: tasks.fail(
                task,
                claim,
                error=said.error,
                retryable=said.retryable,
                now=self._clock.now(),
                rng=self._rng,
            ),
        )
        if isinstance(verdict, Moved):
            agent.failed += 1
            self._learn(held, agent, failed=True)
            await self._end(held, verdict)

    async def release(self, agent: LiveAgent, said: frames.Release) -> None:
        """Give a task back unharmed; raises as `complete`."""
        claim = Claim(agent.id, said.claim_epoch)
        held = self._claims.get(said.id) or Held(said.id)
        verdict = await self._decide_for(
            held, agent, lambda task: tasks.release(task, claim, now=self._clock.now())
        )
        if isinstance(verdict, Moved):
            await self._end(held, verdict)

    def seen(self, task: Task) -> None:
        """Take in a record, whoever wrote it: our claim may be over by it."""
        held = self._claims.get(task.id)
        if held is None or held.moving or held.epoch == 0:
            return
        newer = task.claim_epoch > held.epoch
        over = task.claim_epoch == held.epoch and not tasks.is_claimed(task)
        if newer or over:
            self._spawn(self._over(held, task))

    # -- taking and placing ----------------------------------------------------

    def _open_lanes(self, agent: LiveAgent) -> None:
        for lane in self._lanes.add(agent):
            self._spawn(self._take(lane))

    def _lanes_of_old(self, old: LiveAgent, new: LiveAgent) -> None:
        """Take an agent's older self out of the lanes its newer self is not in."""
        self._lanes.add(new) if self._group is None else None
        self._lanes.remove(old)

    async def _take(self, lane: Lane) -> None:
        """Take tasks as long as some agent has the capability."""
        while True:
            await lane.stir.wait()
            if self._lanes.close(lane):
                return
            limit = lane.room(TAKE_LIMIT) if self._taking else 0
            if limit == 0:
                lane.stir.clear()
                continue
            try:
                deliveries = await self._queue.take(
                    lane.namespace, lane.capability, limit=limit, wait_s=TAKE_WAIT_S
                )
            except Unavailable:
                await self._clock.sleep(RETRY_S)
                continue
            await _all(self._place(delivery) for delivery in deliveries)

    async def _place(self, delivery: Delivery) -> None:
        """Find the record of what was handed out, and do what it asks for."""
        task = delivery.task
        held = self._claims.get(task.id)
        if held is not None:
            held.delivery = delivery
            return
        held = Held(task.id, delivery)
        self._claims.add(held)
        await self._route(held, task, excluded=set())

    async def _route(
        self, held: Held, submitted: Task, *, excluded: set[AgentId]
    ) -> None:
        """Give it to an agent, or back; asks a silent store again and again.

        Whether a compare-and-set that was not answered was stored is found out by
        reading again: nobody else writes our claim.
        """
        intent: Task | None = None
        while self._claims.has(held):
            try:
                seen = await self._record(held, submitted)
                if intent is not None and _is_same_claim(seen.value, intent):
                    self._assigned(held, seen)
                    return
                self._bind(held, None)
                verdict = self._next(held, seen.value, excluded)
                if not isinstance(verdict, Moved):
                    await self._leave(held, seen, excluded)
                    return
                intent = verdict.task
                revision = await self._ledger.write(verdict, revision=seen.revision)
            except Conflict:
                intent = None
            except Unavailable:
                self._bind(held, None)
                await self._clock.sleep(RETRY_S)
            else:
                await self._written(held, Versioned(verdict.task, revision))
                return

    async def _record(self, held: Held, submitted: Task) -> Versioned[Task]:
        """Read the record; a submission that got no further is finished here."""
        while True:
            seen = await self._ledger.get(held.id)
            if seen is not None:
                return seen
            revision = await self._ledger.create(submitted)
            if revision is not None:
                return Versioned(submitted, revision)

    def _next(self, held: Held, task: Task, excluded: set[AgentId]) -> Verdict | None:
        """What to write: an assignment or an end; None if neither can be now."""
        now = self._clock.now()
        if task.status != "pending":
            return None
        if tasks.overdue(task, now) is not None:
            return tasks.expire(task, now=now)
        candidate = self._choose(task, excluded)
        if candidate is None:
            return None
        self._bind(held, (task.namespace, candidate.seat.agent))
        candidate.turn = self._lanes.turn()
        return tasks.assign(task, agent=candidate.seat.agent, node=self._node, now=now)

    def _choose(self, task: Task, excluded: set[AgentId]) -> Candidate | None:
        lane = self._lanes.find(task.namespace, task.type)
        if lane is None or not lane.free or not self._taking:
            return None
        return choose(
            task,
            list(lane.free.values()),
            excluded=excluded,
            now=self._clock.monotonic(),
            rng=self._rng,
            strategy=self._strategy,
        )

    async def _written(self, held: Held, seen: Versioned[Task]) -> None:
        if seen.value.status == "assigned":
            self._assigned(held, seen)
        else:
            self._drop(held)
            await self._ack(held)

    def _assigned(self, held: Held, seen: Versioned[Task]) -> None:
        """The claim is stored: count it, and tell the agent."""
        task = seen.value
        held.learn(task, seen.revision)
        held.epoch = task.claim_epoch
        held.accepted_at = None
        assert task.agent is not None
        self._refusals.pop(task.id, None)
        self._bind(held, (task.namespace, task.agent))
        self._leases.hold(task.id, self._clock.monotonic(), latest=self._latest(task))
        agent = self._agents.get((task.namespace, task.agent))
        if agent is None or not self._send(held, agent, task):
            self._leases.away(task.id, self._clock.monotonic())
        else:
            agent.seat.credits.spend()

    async def _leave(
        self, held: Held, seen: Versioned[Task], excluded: set[AgentId]
    ) -> None:
        """Do with a delivery what its record asks for when nobody is to get it."""
        task = seen.value
        if task.status in FINISHED:
            self._drop(held)
            await self._ack(held)
        elif tasks.is_claimed(task):
            held.learn(task, seen.revision)
            self._adopt(held, task)
        else:
            self._drop(held)
            await self._give_back(held, self._wait_for(task, excluded))

    def _wait_for(self, task: Task, excluded: set[AgentId]) -> float:
        """How long a task that nobody here can take stays away, in seconds."""
        lane = self._lanes.find(task.namespace, task.type)
        if lane is None or not self._taking:
            return 0.0
        everybody = list(lane.candidates.values())
        if not why_nobody(task, everybody, excluded=excluded).hopeless:
            return 0.0
        if len(self._refusals) >= REFUSALS_MAX:
            self._refusals.clear()
        refused = self._refusals[task.id] = self._refusals.get(task.id, 0) + 1
        return backoff_s(task.retry, refused, self._rng)

    # -- the agent's answer ----------------------------------------------------

    def _send(self, held: Held, agent: LiveAgent, task: Task) -> bool:
        if agent.connection is None:
            return False
        epoch = task.claim_epoch
        return agent.connection.request(
            "task.assign",
            frames.Assign(
                task=task,
                claim_epoch=epoch,
                lease_ms=self._policy.lease_ms,
                attempt=task.attempts,
            ),
            replies=lambda result, error: self._answered(held, epoch, result, error),
            timeout_s=self._policy.accept_timeout_ms / 1000,
        )

    def _answered(
        self, held: Held, epoch: int, result: Any, error: NexaError | None
    ) -> None:
        """The agent took the task, would not, or did not say."""
        if not self._claims.has(held) or held.epoch != epoch or held.agent is None:
            return
        if isinstance(error, Unavailable) and error.retry_after_ms is None:
            return  # the connection ended: the lease waits for the agent
        agent = self._agents.get(held.agent)
        accepted = isinstance(result, frames.Accepted) and result.accepted
        if error is None and accepted and agent is not None:
            self._accept(held, agent)
        elif held.accepted_at is None:
            self._spawn(self._rejected(held, epoch, error))

    def _accept(self, held: Held, agent: LiveAgent) -> None:
        self._begin(held, agent)
        if held.task is None:
            return
        claim = Claim(agent.id, held.epoch)
        verdict = tasks.start(held.task, claim, now=self._clock.now())
        if isinstance(verdict, Moved):
            held.task, held.dirty = verdict.task, True
            self._dirty.add(held)

    def _begin(self, held: Held, agent: LiveAgent) -> None:
        del agent
        now = self._clock.monotonic()
        if held.accepted_at is None:
            held.accepted_at = now
        self._leases.renew(held.id, now)

    async def _rejected(self, held: Held, epoch: int, error: NexaError | None) -> None:
        """Take the task back from an agent that will not do it, and route it again."""
        key = held.agent
        if key is None:
            return
        agent = self._agents.get(key)
        claim = Claim(key[1], epoch)
        said = None if error is None else {"message": error.message}
        try:
            verdict = await self._claims.decide(
                held,
                lambda task: tasks.reject(
                    task, claim, now=self._clock.now(), error=said
                ),
            )
        except NexaError:
            return  # the lease will end it
        if not isinstance(verdict, Moved) or not self._claims.has(held):
            return
        if agent is not None:
            self._let_rest(agent, error)
            if isinstance(error, DeadlineExceeded):
                agent.tell(
                    "task.cancelled",
                    frames.CancelledNotice(id=held.id, claim_epoch=epoch),
                )
        self._leases.drop(held.id)
        self._bind(held, None)
        await self._route_again(held, verdict.task, excluded=key[1])

    async def _route_again(self, held: Held, task: Task, *, excluded: AgentId) -> None:
        held.epoch = 0
        refused = {
            each.agent for each in task.history if each.outcome == "rejected"
        } | {excluded}
        if held.delivery is None:
            self._drop(held)  # the queue's message comes again by itself
            return
        await self._route(held, task, excluded=refused)

    def _let_rest(self, agent: LiveAgent, error: NexaError | None) -> None:
        """Give an agent that is busy, or silent, nothing new for a moment."""
        rest_s = REST_S
        if error is not None and error.retry_after_ms is not None:
            rest_s = min(error.retry_after_ms / 1000, REST_MAX_S)
        agent.seat.resting = True
        due = self._clock.monotonic() + rest_s
        heapq.heappush(self._resting, (due, next(self._order), agent))
        self._lanes.refresh(agent)

    # -- the end of a claim ----------------------------------------------------

    async def _decide_for(
        self, held: Held, agent: LiveAgent, decide: Callable[[Task], Verdict]
    ) -> Verdict:
        """Decide what an agent asks of a task; an agent sees its namespace only."""

        def decide_inside(task: Task) -> Verdict:
            if task.namespace != agent.namespace:
                return Denied(NotFound(f"no task {task.id}"))
            return decide(task)

        verdict = await self._claims.decide(held, decide_inside)
        if isinstance(verdict, Denied):
            if self._claims.has(held) and held.task is not None:
                self.seen(held.task)
            raise verdict.error
        return verdict

    async def _end(self, held: Held, moved: Moved) -> None:
        """Let a claim go whose end is stored, and tell the queue."""
        self._drop(held)
        if moved.task.status in FINISHED:
            await self._ack(held)
        else:
            await self._give_back(held, moved.delay_s)

    async def _lose(self, held: Held, loss: tasks.Loss) -> None:
        """End a claim whose lease is over or whose agent is gone."""
        epoch, key = held.epoch, held.agent
        try:
            verdict = await self._claims.decide(
                held,
                lambda task: tasks.lose(
                    task, epoch, loss, now=self._clock.now(), rng=self._rng
                ),
            )
        except NotFound:
            self._drop(held)
            await self._ack(held)
            return
        except NexaError:
            if self._claims.has(held):
                now = self._clock.monotonic()
                self._leases.hold(held.id, now, lease_s=RETRY_S)
            return
        if not self._claims.has(held):
            return
        if isinstance(verdict, Moved):
            self._tell_cancelled(key, held.id, epoch)
            await self._end(held, verdict)
        elif held.task is not None:
            await self._over(held, held.task)

    async def _take_back(self, held: Held) -> None:
        """Return what an agent that said bye still had."""
        if held.agent is None:
            return
        claim = Claim(held.agent[1], held.epoch)
        try:
            verdict = await self._claims.decide(
                held, lambda task: tasks.release(task, claim, now=self._clock.now())
            )
        except NexaError:
            return  # the lease will end it
        if isinstance(verdict, Moved) and self._claims.has(held):
            await self._end(held, verdict)

    async def _over(self, held: Held, task: Task) -> None:
        """Let a claim go that a newer record ended; the agent should stop."""
        if not self._claims.has(held):
            return
        self._tell_cancelled(held.agent, held.id, held.epoch)
        self._drop(held)
        if task.status in FINISHED:
            await self._ack(held)
        elif task.status == "pending":
            await self._give_back(held, 0.0)

    def _tell_cancelled(self, key: AgentKey | None, task: TaskId, epoch: int) -> None:
        agent = None if key is None else self._agents.get(key)
        if agent is not None:
            notice = frames.CancelledNotice(id=task, claim_epoch=epoch)
            agent.tell("task.cancelled", notice)

    def _drop(self, held: Held) -> None:
        key = held.agent
        self._leases.drop(held.id)
        self._dirty.discard(held)
        self._claims.drop(held)
        self._count(key)

    async def _ack(self, held: Held) -> None:
        """Have the queue forget it. If that fails it comes again and is dropped."""
        if held.delivery is not None:
            with suppress(NexaError):
                await held.delivery.ack()

    async def _give_back(self, held: Held, delay_s: float) -> None:
        """Have it handed out again. If that fails it is, but later."""
        if held.delivery is not None:
            with suppress(NexaError):
                await held.delivery.give_back(delay_s=delay_s)

    # -- adoption --------------------------------------------------------------

    def _adopt_all(self) -> None:
        """Take in hand what an earlier run of this node had: its agents come back."""
        for task in self._sight.unfinished():
            mine = tasks.is_claimed(task) and task.node == self._node
            if mine and self._claims.get(task.id) is None:
                self._adopt(Held(task.id), task)

    def _adopt(self, held: Held, task: Task) -> None:
        """Give a claim that its record tells of a lease to be taken up in."""
        held.epoch = task.claim_epoch
        held.accepted_at = self._clock.monotonic()
        self._claims.add(held)
        if task.agent is not None:
            self._bind(held, (task.namespace, task.agent))
        self._leases.hold(task.id, self._clock.monotonic(), latest=self._latest(task))

    # -- the beat --------------------------------------------------------------

    async def _beat(self) -> None:
        now = self._clock.monotonic()
        while self._resting and self._resting[0][0] <= now:
            agent = heapq.heappop(self._resting)[2]
            agent.seat.resting = False
            self._lanes.refresh(agent)
        await _all(self._lease_ended(ended) for ended in self._leases.ended(now))
        dirty, self._dirty = self._dirty, set()
        await _all(self._flush(held) for held in dirty if self._claims.has(held))

    async def _lease_ended(self, ended: Ended) -> None:
        held = self._claims.get(ended.task)
        if held is not None:
            loss = "agent_lost" if ended.agent_lost else "lease_expired"
            await self._lose(held, loss)

    async def _flush(self, held: Held) -> None:
        try:
            await self._claims.flush(held)
        except Conflict:
            with suppress(NexaError):
                seen = await self._ledger.get(held.id)
                if seen is not None:
                    self.seen(seen.value)
        except NexaError:
            pass  # the next decision reads the record again

    async def _keep(self) -> None:
        """Say to the queue what is still in hand."""
        while True:
            await self._clock.sleep(self._queue.keep_every_s)
            deliveries = [held.delivery for held in self._claims if held.delivery]
            await _all(_kept(delivery) for delivery in deliveries)

    # -- helpers ---------------------------------------------------------------

    def _progressed(
        self, task: Task, agent: LiveAgent, said: frames.Progress
    ) -> Verdict:
        return tasks.progress(
            task,
            Claim(agent.id, said.claim_epoch),
            pct=said.pct,
            note=said.note,
            now=self._clock.now(),
        )

    def _leased(self, held: Held) -> frames.Leased:
        now = self._clock.monotonic()
        left_s = self._leases.renew(held.id, now) or 0.0
        return frames.Leased(lease_until=self._clock.now() + timedelta(seconds=left_s))

    def _latest(self, task: Task) -> float | None:
        if task.deadline is None:
            return None
        left_s = (task.deadline - self._clock.now()).total_seconds()
        return self._clock.monotonic() + left_s

    def _bind(self, held: Held, key: AgentKey | None) -> None:
        before = held.agent
        if before == key:
            return
        self._claims.bind(held, key)
        self._count(before)
        self._count(key)

    def _count(self, key: AgentKey | None) -> None:
        """Derive an agent's tasks from its claims."""
        agent = None if key is None else self._agents.get(key)
        if agent is None:
            return
        agent.seat.inflight = self._claims.count(agent.key)
        self._lanes.refresh(agent)
        for changed in self._changed:
            changed(agent)

    def _learn(self, held: Held, agent: LiveAgent, *, failed: bool) -> None:
        """Take in how long it took, for the next choice."""
        task = held.task
        candidate = None if task is None else agent.candidates.get(task.type)
        if candidate is not None and held.accepted_at is not None:
            took_s = self._clock.monotonic() - held.accepted_at
            candidate.learn(service_s=took_s, failed=failed)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
            return
        self._group.create_task(work)


def _is_same_claim(task: Task, intent: Task) -> bool:
    return (
        task.status == "assigned"
        and task.claim_epoch == intent.claim_epoch
        and task.agent == intent.agent
        and task.node == intent.node
    )


async def _kept(delivery: Delivery) -> None:
    with suppress(NexaError):
        await delivery.keep()


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do them all, `AT_ONCE` at a time; one alone needs no task."""
    left = list(works)
    while left:
        some, left = left[:AT_ONCE], left[AT_ONCE:]
        if len(some) == 1:
            await some[0]
            continue
        async with asyncio.TaskGroup() as group:
            for work in some:
                group.create_task(work)
