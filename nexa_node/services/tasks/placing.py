"""Placing: from a delivery of the queue to an agent that has accepted it.

The record is written before the agent hears of a task. A message that comes again finds
its record: finished ones are dropped, ours are attached to their claim, orphans are given
a lease to be taken up in. What has to wait goes back to the queue, for as long as it has
to: nothing waits in here.
"""

import random
from collections.abc import Sequence
from typing import Any, Protocol

from nexa_node.contract.errors import (
    Conflict,
    DeadlineExceeded,
    NexaError,
    Unavailable,
)
from nexa_node.contract.frames import Accepted, Assign
from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import FINISHED, Task
from nexa_node.core import tasks
from nexa_node.core.policies import LeasePolicy
from nexa_node.core.routing import choose, why_nobody
from nexa_node.core.strategies import Candidate
from nexa_node.core.tasks import Claim, Moved, Verdict
from nexa_node.ports import Delivery, Versioned
from nexa_node.services.sessions.live import LiveAgent
from nexa_node.services.tasks.claims import Held
from nexa_node.services.tasks.custody import RETRY_S, Custody
from nexa_node.services.tasks.lanes import Lane, Lanes
from nexa_node.services.tasks.refusals import Refusals, is_unable

PUT_OFF_MAX_S = 3600.0
"""A task whose time is further away comes again after so long, and goes back again."""


class Purse(Protocol):
    """What is asked of budgets; see `services.quotas`."""

    def held_s(self, task: Task) -> float:
        """For how long nobody is to get a task."""
        ...

    def out(self, namespace: str) -> Sequence[str]:
        """Agents that are to get nothing."""
        ...

    def why_held(self, namespace: str) -> str | None:
        """Say why nobody gets tasks of a namespace, if so."""
        ...


class NoQuotas:
    """No limits."""

    def held_s(self, task: Task) -> float:
        """Not at all."""
        del task
        return 0.0

    def out(self, namespace: str) -> Sequence[str]:
        """Nobody."""
        del namespace
        return ()

    def why_held(self, namespace: str) -> str | None:
        """For no reason."""
        del namespace
        return None


class Placing:
    """Hands tasks that were taken from the queue to agents."""

    def __init__(
        self,
        *,
        custody: Custody,
        lanes: Lanes,
        refusals: Refusals,
        policy: LeasePolicy,
        rng: random.Random,
    ) -> None:
        """Place nothing yet.

        Args:
            custody: What becomes of tasks once they are in hand, and their records.
            lanes: Who has which capability, and room.
            refusals: Who would not take what.
            policy: The lease that agents are told, and how long they may take to answer.
            rng: Ties.
        """
        self.closed = False
        """Nothing new is given to agents: the node drains."""
        self._custody = custody
        self._claims = custody.claims
        self._ledger = custody.ledger
        self._clock = custody.clock
        self._lanes = lanes
        self._refusals = refusals
        self._policy = policy
        self._rng = rng
        self._unplaced: dict[Held, Lane] = {}
        self.quotas: Purse = NoQuotas()
        """Whose budget is spent."""

    def place(self, lane: Lane, delivery: Delivery) -> None:
        """Do with a delivery what its record asks for."""
        task = delivery.task
        held = self._claims.get(task.id)
        now = self._clock.monotonic()
        if held is not None:
            held.delivery, held.since = delivery, now
            return
        put_off_s = self._put_off_s(task)
        if put_off_s > 0:
            self._custody.spawn(self._put_off(delivery, put_off_s))
            return
        held = Held(task.id, delivery, since=now)
        self._claims.add(held)
        self._unplaced[held] = lane
        lane.placing += 1
        self._custody.spawn(self._begin(held, task))

    def send(self, held: Held, agent: LiveAgent, task: Task) -> bool:
        """Ask an agent to take a task that is its own by the record."""
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

    # -- from the queue to a claim ---------------------------------------------

    async def _begin(self, held: Held, task: Task) -> None:
        try:
            await self._route(held, task, self._ledger.new(task))
        except BaseException:
            self._custody.drop(held)  # nobody keeps it, so it comes again
            raise
        finally:
            self._refund(held)
            self._placed(held)

    async def _put_off(self, delivery: Delivery, delay_s: float) -> None:
        try:
            await delivery.give_back(delay_s=delay_s)
        except Unavailable:
            return  # it comes again by itself, and is put off again

    async def _route(
        self, held: Held, submitted: Task, seen: Versioned[Task] | None
    ) -> None:
        """Give it to an agent, or back; asks a silent store again and again.

        Whether a compare-and-set that was not answered was stored is found out by
        reading again: nobody else writes our claim.
        """
        intent: Task | None = None
        while self._claims.has(held):
            try:
                if seen is None:
                    seen = await self._record(held, submitted)
                if intent is not None and _is_same_claim(seen.value, intent):
                    self._assigned(held, seen)
                    return
                self._refund(held)
                self._custody.bind(held, None)
                verdict = self._next(held, seen.value)
                if not isinstance(verdict, Moved):
                    await self._leave(held, seen)
                    return
                intent = verdict.task
                revision = await self._ledger.write(verdict, seen)
            except Conflict:
                seen = None
            except Unavailable:
                # It may be the agent's: it counts for it until that is known.
                seen = None
                await self._clock.sleep(RETRY_S)
            else:
                self._written(held, Versioned(verdict.task, revision))
                return

    async def _record(self, held: Held, submitted: Task) -> Versioned[Task]:
        """Know the record; a submission that got no further is finished here."""
        await self._ledger.made(held.id)
        while True:
            seen = self._ledger.new(submitted) or await self._ledger.get(held.id)
            if seen is not None:
                return seen
            revision = await self._ledger.create(submitted)
            if revision is not None:
                return Versioned(submitted, revision)

    def _next(self, held: Held, task: Task) -> Verdict | None:
        """What to write: an assignment or an end; None if neither can be now."""
        now = self._clock.now()
        if task.status != "pending":
            return None
        if tasks.overdue(task, now) is not None:
            return tasks.expire(task, now=now)
        lane = self._lanes.find(task.namespace, task.type)
        if lane is None or not lane.free or self.closed or self._put_off_s(task) > 0:
            return None
        candidate = self._choose(lane, held, task)
        if candidate is None:
            return None
        purse = candidate.seat.credits
        if purse.left is not None and purse.spend():
            held.paid = purse  # before the store answers: others are placed meanwhile
        self._custody.bind(held, (task.namespace, candidate.seat.agent))
        self._placed(held)
        self._lanes.chose(lane, candidate, now=self._clock.monotonic())
        return tasks.assign(
            task, agent=candidate.seat.agent, node=self._custody.node, now=now
        )

    def _choose(self, lane: Lane, held: Held, task: Task) -> Candidate | None:
        return choose(
            task,
            list(lane.free.values()),
            excluded=self._excluded(held, task),
            now=self._clock.monotonic(),
            rng=self._rng,
            strategy=lane.strategy,
        )

    def _excluded(self, held: Held, task: Task) -> frozenset[AgentId]:
        """Who is not to be asked: refused just now, said it never can, or spent all."""
        unable = self._refusals.unable_for(held.id)
        out = self.quotas.out(task.namespace)
        if not unable and not held.refused and not out:
            return frozenset()
        still = (
            agent.id
            for agent in unable.values()
            if self._custody.agents.get(agent.key) is agent
        )
        return frozenset((*held.refused, *still, *map(AgentId, out)))

    def _refund(self, held: Held) -> None:
        """Give the credit back that was spent on a claim that is not stored."""
        if held.paid is not None:
            held.paid.refund()
            held.paid = None

    def _written(self, held: Held, seen: Versioned[Task]) -> None:
        if seen.value.status == "assigned":
            self._assigned(held, seen)
        else:
            self._custody.drop(held)
            self._custody.ack(held)

    def _assigned(self, held: Held, seen: Versioned[Task]) -> None:
        """The claim is stored: count it, and tell the agent."""
        task = seen.value
        held.learn(task, seen.revision)
        held.epoch = task.claim_epoch
        held.accepted_at = None
        assert task.agent is not None
        key = (task.namespace, task.agent)
        self._refusals.taken(task.id)
        self._custody.bind(held, key)
        self._custody.lease(held, task)
        agent = self._custody.agents.get(key)
        if agent is not None and self.send(held, agent, task):
            if held.paid is not agent.seat.credits:
                agent.seat.credits.spend()  # it was chosen without limit, or rejoined
            held.paid = None
            if agent.seat.credits.left is not None:
                self._lanes.refresh(agent)
        else:
            self._custody.leases.away(task.id, self._clock.monotonic())

    async def _leave(self, held: Held, seen: Versioned[Task]) -> None:
        """Do with a delivery what its record asks for when nobody is to get it."""
        task = seen.value
        if tasks.is_claimed(task):
            held.learn(task, seen.revision)
            self._custody.adopt(held, task)
            return
        wait_s = self._wait_s(held, task)
        self._custody.drop(held)
        if task.status in FINISHED:
            self._custody.ack(held)
        else:
            await self._custody.give_back(held, wait_s)

    def _put_off_s(self, task: Task) -> float:
        """How long a task is not to be handed out yet; asked again within the hour."""
        held_s = self.quotas.held_s(task) if task.status == "pending" else 0.0
        if task.not_before is None:
            return held_s
        left_s = (task.not_before - self._clock.now()).total_seconds()
        return min(max(left_s, held_s), PUT_OFF_MAX_S)

    def _wait_s(self, held: Held, task: Task) -> float:
        """How long a task that nobody here can take stays away, in seconds."""
        put_off_s = self._put_off_s(task)
        if put_off_s > 0 or task.status in FINISHED:
            return max(0.0, put_off_s)
        lane = self._lanes.find(task.namespace, task.type)
        if lane is None or self.closed:
            return 0.0
        everybody = list(lane.candidates.values())
        if why_nobody(task, everybody, excluded=self._excluded(held, task)).hopeless:
            return self._refusals.away_s(task)
        return self._refusals.aside_s(task) if lane.free else 0.0

    def _placed(self, held: Held) -> None:
        lane = self._unplaced.pop(held, None)
        if lane is not None:
            lane.placed()

    # -- the agent's answer ----------------------------------------------------

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
        now = self._clock.now()
        verdict = tasks.start(held.task, claim, now=now, node=self._custody.node)
        if isinstance(verdict, Moved):
            self._custody.change(held, verdict.task)

    async def _rejected(self, held: Held, epoch: int, error: NexaError | None) -> None:
        """Take a task back from an agent that will not do it, and route it again."""
        key = held.agent
        if key is None:
            return
        agent = self._custody.agents.get(key)
        if agent is not None and not is_unable(error):
            self._refusals.rest(agent, error)
            self._lanes.refresh(agent)
        try:
            verdict = await self._claims.decide(
                held,
                lambda task: tasks.reject(
                    task,
                    Claim(key[1], epoch),
                    now=self._clock.now(),
                    error=_said(error),
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
        if agent is not None and is_unable(error):
            self._refusals.unable(held.id, agent)
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
        await self._route(held, task, Versioned(task, held.revision))


def _said(error: NexaError | None) -> dict[str, str] | None:
    """What of a refusal is kept in the task's history."""
    if error is None:
        return None
    said = {"message": error.message[:256]}
    return {**said, "reason": "unable"} if is_unable(error) else said


def _is_same_claim(task: Task, intent: Task) -> bool:
    return (
        task.status == "assigned"
        and task.claim_epoch == intent.claim_epoch
        and task.agent == intent.agent
        and task.node == intent.node
    )
