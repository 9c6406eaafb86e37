"""Dispatch: from the queue to an agent of this node.

Late binding: a lane takes from the queue no more than its agents have room for, so
nothing waits behind a slow agent. The record is written before the agent hears of a
task. A message that comes again finds its record: finished ones are dropped, ours are
attached to their claim, orphans are given a lease to be taken up in.
"""

import asyncio
import heapq
import itertools
import random
from typing import Any

from nexa_node.contract.errors import (
    Conflict,
    DeadlineExceeded,
    NexaError,
    Unavailable,
)
from nexa_node.contract.frames import Accepted, Assign
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import FINISHED, Task
from nexa_node.core import tasks
from nexa_node.core.policies import LeasePolicy
from nexa_node.core.retries import backoff_s
from nexa_node.core.routing import choose, why_nobody
from nexa_node.core.strategies import Candidate, Strategy, least_loaded
from nexa_node.core.tasks import Claim, Moved, Verdict
from nexa_node.ports import Clock, Delivery, TaskQueue, Versioned
from nexa_node.services.claims import Held
from nexa_node.services.custody import RETRY_S, Custody
from nexa_node.services.lanes import Lane, Lanes
from nexa_node.services.ledger import Ledger
from nexa_node.services.live import LiveAgent

TAKE_LIMIT = 64
"""Tasks taken from the queue at once."""
TAKE_WAIT_S = 5.0
BEAT_S = 0.2
"""How often leases are looked at and progress is stored."""
REST_S = 1.0
"""How long an agent that said it is busy gets nothing new, unless it says longer."""
REST_MAX_S = 30.0
REFUSALS_MAX = 10_000
"""Tasks nobody here would take whose waits are remembered."""


class Dispatch:
    """Hands tasks to this node's agents. An `Audience` of the sessions."""

    def __init__(
        self,
        *,
        queue: TaskQueue,
        ledger: Ledger,
        custody: Custody,
        clock: Clock,
        node: str,
        policy: LeasePolicy,
        rng: random.Random,
    ) -> None:
        """Wait for agents.

        Args:
            queue: Where tasks wait.
            ledger: Their records.
            custody: What becomes of them once they are in hand.
            clock: Time-outs.
            node: This node's name, as records hold it.
            policy: The lease that agents are told, and how long they may take to answer.
            rng: Ties and jitter.
        """
        self.strategy: Strategy = least_loaded
        """Which of the free agents gets a task."""
        self._queue = queue
        self._ledger = ledger
        self._custody = custody
        self._claims = custody.claims
        self._clock = clock
        self._node = node
        self._policy = policy
        self._rng = rng
        self._lanes = Lanes()
        self._refusals: dict[TaskId, int] = {}
        self._resting: list[tuple[float, int, LiveAgent]] = []
        self._order = itertools.count()
        self._running = False
        self._taking = True
        custody.on_count(self._lanes.refresh)

    async def run(self) -> None:
        """Hand out tasks, for ever."""
        async with asyncio.TaskGroup() as group:
            await self._custody.begin(group, keep_every_s=self._queue.keep_every_s)
            self._running = True
            self._lanes.clear()
            for agent in list(self._custody.agents.values()):
                self._seat(agent)
            try:
                while True:
                    await self._clock.sleep(BEAT_S)
                    self._wake_rested()
                    await self._custody.beat()
            finally:
                self._running = False
                self._custody.halt()

    def stop_taking(self) -> None:
        """Take nothing more from the queue: the node drains."""
        self._taking = False

    def in_hand(self) -> int:
        """How many tasks this node's agents have."""
        return len(self._claims)

    # -- what sessions tell ----------------------------------------------------

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """Let an agent work; what it still has is its own again, or is lost."""
        old = self._custody.agents.get(agent.key)
        self._custody.agents[agent.key] = agent
        if self._running:
            self._seat(agent)
        if old is not None:
            self._lanes.remove(old)
        now = self._clock.monotonic()
        for held in self._claims.of(agent.key):
            if restarted and held.accepted_at is not None:
                self._custody.spawn(self._custody.lose(held, "agent_lost"))
                continue
            self._custody.leases.back(held.id, now)
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
            self._custody.leases.away(held.id, now)

    def left(self, agent: LiveAgent, *, in_order: bool) -> None:
        """Take back what an agent has; if it said bye, no attempt is counted."""
        self._lanes.remove(agent)
        if self._custody.agents.get(agent.key) is agent:
            del self._custody.agents[agent.key]
        for held in self._claims.of(agent.key):
            if in_order:
                self._custody.spawn(self._custody.take_back(held))
            else:
                self._custody.spawn(self._custody.lose(held, "agent_lost"))

    def grant(self, agent: LiveAgent, number: int) -> None:
        """Take in credits for tasks."""
        agent.seat.credits.grant(number)
        self._lanes.refresh(agent)

    def _seat(self, agent: LiveAgent) -> None:
        agent.seat.inflight = self._claims.count(agent.key)
        for lane in self._lanes.add(agent):
            self._custody.spawn(self._take(lane))

    # -- taking and placing ----------------------------------------------------

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
            await self._custody.do_all(self._place(delivery) for delivery in deliveries)

    async def _place(self, delivery: Delivery) -> None:
        """Find the record of what was handed out, and do what it asks for."""
        task = delivery.task
        held = self._claims.get(task.id)
        if held is not None:
            held.delivery = delivery
            return
        held = Held(task.id, delivery)
        self._claims.add(held)
        try:
            await self._route(held, task, excluded=frozenset())
        except BaseException:
            self._custody.drop(held)  # nobody keeps it, so it comes again
            raise

    async def _route(
        self, held: Held, submitted: Task, *, excluded: frozenset[AgentId]
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
                verdict = self._next(held, seen.value, excluded)
                if not isinstance(verdict, Moved):
                    await self._leave(held, seen, excluded)
                    return
                intent = verdict.task
                revision = await self._ledger.write(verdict, revision=seen.revision)
            except Conflict:
                self._custody.bind(held, None)
            except Unavailable:
                self._custody.bind(held, None)
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

    def _next(
        self, held: Held, task: Task, excluded: frozenset[AgentId]
    ) -> Verdict | None:
        """What to write: an assignment or an end; None if neither can be now."""
        now = self._clock.now()
        if task.status != "pending":
            return None
        if tasks.overdue(task, now) is not None:
            return tasks.expire(task, now=now)
        candidate = self._choose(task, excluded)
        if candidate is None:
            return None
        self._custody.bind(held, (task.namespace, candidate.seat.agent))
        candidate.turn = self._lanes.turn()
        return tasks.assign(task, agent=candidate.seat.agent, node=self._node, now=now)

    def _choose(self, task: Task, excluded: frozenset[AgentId]) -> Candidate | None:
        lane = self._lanes.find(task.namespace, task.type)
        if lane is None or not lane.free or not self._taking:
            return None
        return choose(
            task,
            list(lane.free.values()),
            excluded=excluded,
            now=self._clock.monotonic(),
            rng=self._rng,
            strategy=self.strategy,
        )

    async def _written(self, held: Held, seen: Versioned[Task]) -> None:
        if seen.value.status == "assigned":
            self._assigned(held, seen)
        else:
            self._custody.drop(held)
            await self._custody.ack(held)

    def _assigned(self, held: Held, seen: Versioned[Task]) -> None:
        """The claim is stored: count it, and tell the agent."""
        task = seen.value
        held.learn(task, seen.revision)
        held.epoch = task.claim_epoch
        held.accepted_at = None
        assert task.agent is not None
        key = (task.namespace, task.agent)
        self._refusals.pop(task.id, None)
        self._custody.bind(held, key)
        self._custody.lease(held, task)
        agent = self._custody.agents.get(key)
        if agent is not None and self._send(held, agent, task):
            agent.seat.credits.spend()
            self._lanes.refresh(agent)
        else:
            self._custody.leases.away(task.id, self._clock.monotonic())

    async def _leave(
        self, held: Held, seen: Versioned[Task], excluded: frozenset[AgentId]
    ) -> None:
        """Do with a delivery what its record asks for when nobody is to get it."""
        task = seen.value
        if tasks.is_claimed(task):
            held.learn(task, seen.revision)
            self._custody.adopt(held, task)
            return
        self._custody.drop(held)
        if task.status in FINISHED:
            await self._custody.ack(held)
        else:
            await self._custody.give_back(held, self._wait_for(task, excluded))

    def _wait_for(self, task: Task, excluded: frozenset[AgentId]) -> float:
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
            Assign(
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
        if result is None and error is None:
            return  # the connection ended: the lease waits for the agent
        if not self._claims.has(held) or held.epoch != epoch:
            return
        if isinstance(result, Accepted) and result.accepted:
            self._accept(held)
        elif held.accepted_at is None:
            self._custody.spawn(self._rejected(held, epoch, error))

    def _accept(self, held: Held) -> None:
        self._custody.begin_work(held)
        if held.task is None or held.agent is None:
            return
        claim = Claim(held.agent[1], held.epoch)
        verdict = tasks.start(held.task, claim, now=self._clock.now())
        if isinstance(verdict, Moved):
            self._custody.change(held, verdict.task)

    async def _rejected(self, held: Held, epoch: int, error: NexaError | None) -> None:
        """Take a task back from an agent that will not do it, and route it again."""
        key = held.agent
        if key is None:
            return
        self._rest(self._custody.agents.get(key), error)
        claim = Claim(key[1], epoch)
        said = None if error is None else {"message": error.message[:256]}
        try:
            verdict = await self._claims.decide(
                held,
                lambda task: tasks.reject(
                    task, claim, now=self._clock.now(), error=said
                ),
            )
        except NexaError:
            return  # the lease will end it
        if not self._claims.has(held):
            return
        if not isinstance(verdict, Moved):
            if held.task is not None:
                self._custody.seen(held.task)
            return
        if isinstance(error, DeadlineExceeded):
            self._custody.tell_cancelled(key, held.id, epoch)
        await self._route_again(held, verdict.task)

    async def _route_again(self, held: Held, task: Task) -> None:
        """Look for an agent that has not refused this attempt."""
        if held.agent is not None:
            held.refused.add(held.agent[1])
        self._custody.leases.drop(held.id)
        self._custody.bind(held, None)
        held.epoch = 0
        if held.delivery is None:
            self._custody.drop(held)  # the queue's message comes again by itself
            return
        await self._route(held, task, excluded=frozenset(held.refused))

    def _rest(self, agent: LiveAgent | None, error: NexaError | None) -> None:
        """Give an agent that is busy, or silent, nothing new for a moment."""
        if agent is None:
            return
        rest_s = REST_S
        if error is not None and error.retry_after_ms is not None:
            rest_s = min(error.retry_after_ms / 1000, REST_MAX_S)
        agent.seat.resting = True
        due = self._clock.monotonic() + rest_s
        heapq.heappush(self._resting, (due, next(self._order), agent))
        self._lanes.refresh(agent)

    def _wake_rested(self) -> None:
        now = self._clock.monotonic()
        while self._resting and self._resting[0][0] <= now:
            agent = heapq.heappop(self._resting)[2]
            agent.seat.resting = False
            self._lanes.refresh(agent)


def _is_same_claim(task: Task, intent: Task) -> bool:
    return (
        task.status == "assigned"
        and task.claim_epoch == intent.claim_epoch
        and task.agent == intent.agent
        and task.node == intent.node
    )
