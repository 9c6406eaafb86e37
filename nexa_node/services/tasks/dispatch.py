"""Dispatch: from the queue to the agents of this node.

Late binding: a lane takes from the queue no more than its agents have room for, so
nothing waits behind a slow agent. It asks for more while the last lot is being placed.
"""

import asyncio
import random
from collections.abc import Callable

from nexa_node.contract.errors import NexaError
from nexa_node.contract.tasks import Task
from nexa_node.core import fairness, tasks
from nexa_node.core.policies import LeasePolicy
from nexa_node.core.routing import Facts, Local
from nexa_node.core.strategies import StrategyOf, of_queues
from nexa_node.ports import Delivery, TaskQueue
from nexa_node.services.sessions.live import LiveAgent
from nexa_node.services.tasks.claims import Held
from nexa_node.services.tasks.custody import RETRY_S, Custody
from nexa_node.services.tasks.lanes import Lane, Lanes
from nexa_node.services.tasks.placing import Placing, Purse
from nexa_node.services.tasks.refusals import Refusals

TAKE_LIMIT = 64
"""Tasks taken from the queue at once."""
TAKE_WAIT_S = 5.0
BEAT_S = 0.2
"""How often leases are looked at and progress is stored."""
CANARY = "canary:"
"""Before a node's name: the submitter of a task that only proves that tasks come."""

CanarySeen = Callable[[Task], None]


class Dispatch:
    """Hands tasks to this node's agents. An `Audience` of the sessions."""

    def __init__(
        self,
        *,
        queue: TaskQueue,
        custody: Custody,
        policy: LeasePolicy,
        rng: random.Random,
        strategy_of: StrategyOf | None = None,
    ) -> None:
        """Wait for agents.

        Args:
            queue: Where tasks wait.
            custody: What becomes of them once they are in hand, and their records.
            policy: The lease that agents are told, and how long they may take to answer.
            rng: Ties and jitter.
            strategy_of: Which of the free agents gets a task, by queue.
        """
        self._queue = queue
        self._custody = custody
        self._claims = custody.claims
        self._clock = custody.clock
        self._strategy_of = strategy_of or of_queues(())
        self._lanes = Lanes()
        self._refusals = Refusals(clock=custody.clock, rng=rng)
        self._placing = Placing(
            custody=custody,
            lanes=self._lanes,
            refusals=self._refusals,
            policy=policy,
            rng=rng,
        )
        self._canary_seen: CanarySeen | None = None
        self._running = False
        self._taking = True
        custody.on_count(self._lanes.refresh)
        custody.sight.on_task(self._expect)

    async def run(self) -> None:
        """Hand out tasks, for ever."""
        async with asyncio.TaskGroup() as group:
            await self._custody.begin(group, keep_every_s=self._queue.keep_every_s)
            self._running = True
            self._lanes.clear()
            for agent in list(self._custody.agents.values()):
                self._custody.inherit(agent.key)
                self._seat(agent)
                self._ask_again(agent)
            try:
                while True:
                    await self._clock.sleep(BEAT_S)
                    for agent in self._refusals.rested():
                        self._lanes.refresh(agent)
                    await self._custody.beat()
            finally:
                self._running = False
                self._custody.halt()

    def stop_taking(self) -> None:
        """Take nothing more from the queue: the node drains, or is in maintenance."""
        self._taking = False
        self._placing.closed = True
        self._custody.mind_others(False)

    def take_again(self) -> None:
        """Take from the queue as before `stop_taking`."""
        self._taking = True
        self._placing.closed = False
        self._custody.mind_others(True)
        for agent in list(self._custody.agents.values()):
            self._lanes.refresh(agent)

    def in_hand(self) -> int:
        """How many tasks this node's agents have."""
        return self._claims.here()

    # -- what is asked of it ---------------------------------------------------

    def mind(self, quotas: Purse) -> None:
        """Hold back what a spent budget pays for."""
        self._placing.quotas = quotas

    def on_canary(self, seen: CanarySeen) -> None:
        """Have `seen` told of every canary that comes out of the queue."""
        self._canary_seen = seen

    def lanes(self) -> list[Lane]:
        """The capabilities of this node's agents; empty while it takes nothing."""
        return list(self._lanes) if self._taking and self._running else []

    def facts(self, task: Task) -> Facts:
        """What this node knows of its agents beyond the registry, for `explain`."""
        unable = self._refusals.unable_for(task.id)
        held = self._claims.get(task.id)
        local: dict[str, Local] = {}
        for agent in self._custody.agents.values():
            if agent.namespace == task.namespace:
                local[agent.id] = Local(
                    seat=agent.seat,
                    rests_s=self._refusals.rests_s(agent),
                    unable=unable.get(agent.id) is agent,
                    refused=held is not None and agent.id in held.refused,
                )
        return Facts(
            node=self._custody.node,
            now=self._clock.now(),
            monotonic=self._clock.monotonic(),
            local=local,
            ahead=self._ahead(task),
            draining=not self._taking,
            held=self._placing.quotas.why_held(task.namespace),
            spent=frozenset(self._placing.quotas.out(task.namespace)),
        )

    def _ahead(self, task: Task) -> int | None:
        if task.status != "pending":
            return None
        waiting = self._custody.sight.unfinished()
        return fairness.position(
            task, (each for each in waiting if each.status == "pending")
        )

    # -- what sessions tell ----------------------------------------------------

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """Let an agent work; what it still has is its own again, or is lost."""
        old = self._custody.agents.get(agent.key)
        self._custody.agents[agent.key] = agent
        self._custody.inherit(agent.key)
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
                self._placing.send(held, agent, held.task)
        if not restarted:
            self._ask_again(agent)

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
            elif not held.elsewhere:
                self._custody.spawn(self._custody.lose(held, "agent_lost"))

    def grant(self, agent: LiveAgent, number: int) -> None:
        """Take in credits for tasks."""
        agent.seat.credits.grant(number)
        self._lanes.refresh(agent)

    def _seat(self, agent: LiveAgent) -> None:
        agent.seat.inflight = self._claims.count(agent.key)
        for lane in self._lanes.add(agent):
            lane.strategy = self._strategy_of(lane.namespace, lane.capability)
            self._custody.spawn(self._take(lane))

    def _ask_again(self, agent: LiveAgent) -> None:
        """Assign once more what an earlier run did, and maybe had no time to say."""
        for held in self._claims.of(agent.key):
            if held.adopted:
                self._custody.spawn(self._assign_again(held, agent))

    async def _assign_again(self, held: Held, agent: LiveAgent) -> None:
        """Tell an agent of its claim; one that has it accepts, and begins nothing."""
        try:
            seen = await self._custody.ledger.get(held.id)
        except NexaError:
            return  # the lease will end it
        if seen is None or not self._claims.has(held) or not held.adopted:
            return
        task = seen.value
        if tasks.is_claimed(task) and task.claim_epoch == held.epoch:
            held.learn(task, seen.revision)
            held.adopted, held.accepted_at = False, None
            self._placing.send(held, agent, task)

    # -- taking ----------------------------------------------------------------

    def _expect(self, task: Task) -> None:
        """Look for a task where its fairness key puts it."""
        if task.fairness_key is not None and task.status == "pending":
            self._queue.expect(task)

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
            for delivery in await self._some(lane, limit):
                self._took(lane, delivery)

    async def _some(self, lane: Lane, limit: int) -> list[Delivery]:
        """Take some; none, after a pause, when it can't be done."""
        try:
            return await self._queue.take(
                lane.namespace, lane.capability, limit=limit, wait_s=TAKE_WAIT_S
            )
        except NexaError:
            await self._clock.sleep(RETRY_S)
        except Exception as error:  # noqa: BLE001 - noted; the lane must not go deaf
            self._custody.ledger.note_fault("dispatch", error)
            await self._clock.sleep(RETRY_S)
        return []

    def _took(self, lane: Lane, delivery: Delivery) -> None:
        task = delivery.task
        lane.heard(task, self._clock.monotonic())
        if not task.submitter.startswith(CANARY):
            self._placing.place(lane, delivery)
            return
        delivery.ack()
        if self._canary_seen is not None:
            self._canary_seen(task)
