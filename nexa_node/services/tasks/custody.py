"""Custody: the tasks in this node's hand, from their claim to its end.

What stays true, wherever the node, the store or the agent stops:

- a message of the queue is acknowledged only when its record is finished; any other
  ending gives it back, or leaves it to come again;
- a claim ends by its agent, by its lease or by a newer record, and counts for its agent
  as long as it lasts: an agent's room is derived from the claims, never kept by hand;
- what an earlier run of this node had is taken in hand again, for one lease;
- a claim goes with its agent's session: the node it came to takes it in hand, the node it
  left keeps no more than the queue's message, and neither ends what the other minds.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from nexa_node.contract.errors import Conflict, NexaError, NotFound
from nexa_node.contract.frames import CancelledNotice
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import FINISHED, Task
from nexa_node.core import tasks
from nexa_node.core.leases import Ended, Leases
from nexa_node.core.policies import LeasePolicy
from nexa_node.core.tasks import Claim, Moved
from nexa_node.ports import Clock, Delivery
from nexa_node.services.directory.sight import Sight
from nexa_node.services.sessions.live import AgentKey, LiveAgent
from nexa_node.services.tasks.claims import Claims, Held
from nexa_node.services.tasks.ledger import Ledger

RETRY_S = 0.5
"""Before the store is asked again that did not answer."""
AT_ONCE = 32
"""Store calls of one beat in parallel."""
STORE_AFTER_S = 1.0
"""How long progress waits to be stored: short tasks end before."""


class Custody:
    """All claims of this node."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        sight: Sight,
        clock: Clock,
        node: str,
        policy: LeasePolicy,
        rng: random.Random,
    ) -> None:
        """Start with empty hands.

        Args:
            ledger: The records.
            sight: Tells of records that others write, and of an earlier run's claims.
            clock: Leases are counted by its monotonic time.
            node: This node's name, as records hold it.
            policy: Leases and grace.
            rng: Jitter of the back-off.
        """
        self.claims = Claims(ledger)
        self.agents: dict[AgentKey, LiveAgent] = {}
        """Agents with a session here, as dispatch knows them."""
        self.leases = Leases(
            lease_s=policy.lease_ms / 1000, grace_s=policy.grace_ms / 1000
        )
        self.ledger = ledger
        self.sight = sight
        self.clock = clock
        self.node = node
        self._rng = rng
        self._dirty: dict[Held, float] = {}
        """Whose progress is not stored, and since when; the oldest first."""
        self._group: asyncio.TaskGroup | None = None
        self._counted: list[Callable[[LiveAgent], None]] = []
        self._minds_others = True
        """Whether the messages of claims are kept that other nodes have in hand."""
        ledger.on_write(self.seen)
        sight.on_task(self.seen)

    def on_count(self, listener: Callable[[LiveAgent], None]) -> None:
        """Have `listener` told of each agent whose number of tasks changes."""
        self._counted.append(listener)

    async def begin(self, group: asyncio.TaskGroup, *, keep_every_s: float) -> None:
        """Take an earlier run's claims in hand, and keep what is in hand from now on."""
        await self.sight.caught_up()
        self._group = group
        for held in self.claims:
            if held.epoch == 0:
                self.drop(held)  # whoever routed it is gone; it comes again
        for task in self.sight.unfinished():
            mine = tasks.is_claimed(task) and task.node == self.node
            if mine and self.claims.get(task.id) is None:
                self.adopt(Held(task.id), task)
        group.create_task(self._keep(keep_every_s))

    def halt(self) -> None:
        """Start nothing any more: the group is ending."""
        self._group = None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have `work` done soon; not at all when the node is ending."""
        if self._group is None:
            work.close()
            return
        self._group.create_task(self._guarded(work))

    async def do_all(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Do them all, `AT_ONCE` at a time; one alone needs no task."""
        left = list(works)
        while left:
            some, left = left[:AT_ONCE], left[AT_ONCE:]
            if len(some) == 1:
                await self._guarded(some[0])
                continue
            async with asyncio.TaskGroup() as group:
                for work in some:
                    group.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a fault of ours end the work on one task, and nothing else."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - noted, and the lease ends the claim
            self.ledger.note_fault("dispatch", error)

    # -- counting --------------------------------------------------------------

    def bind(self, held: Held, key: AgentKey | None) -> None:
        """Count a claim for an agent, and for nobody else."""
        before = held.agent
        if before == key:
            return
        self.claims.bind(held, key)
        self._count(before)
        self._count(key)

    def drop(self, held: Held) -> None:
        """Have a task in hand no more."""
        key = held.agent
        self.leases.drop(held.id)
        self._dirty.pop(held, None)
        self.claims.drop(held)
        self._count(key)

    def begin_work(self, held: Held) -> None:
        """Note that its agent is at it: the lease is renewed."""
        now = self.clock.monotonic()
        held.adopted = held.elsewhere = False
        if held.accepted_at is None:
            held.accepted_at = now
        self.leases.renew(held.id, now)

    def change(self, held: Held, task: Task) -> None:
        """Note progress, and tell of it; it is stored soon, unless the task ends first."""
        held.task, held.dirty = task, True
        self._dirty.setdefault(held, self.clock.monotonic())
        self.ledger.note(task)

    def lease(self, held: Held, task: Task) -> None:
        """Begin a claim's lease; it ends at the task's deadline at the latest."""
        now = self.clock.monotonic()
        latest = None
        if task.deadline is not None:
            latest = now + (task.deadline - self.clock.now()).total_seconds()
        self.leases.hold(held.id, now, latest=latest)

    def adopt(self, held: Held, task: Task) -> None:
        """Give a claim that its record tells of a lease to be taken up in."""
        held.epoch = task.claim_epoch
        held.accepted_at = self.clock.monotonic()
        held.adopted = True
        self.claims.add(held)
        if task.agent is not None:
            self.bind(held, (task.namespace, task.agent))
        held.elsewhere = self._is_elsewhere(held)
        self.lease(held, task)

    def inherit(self, key: AgentKey) -> None:
        """Take in hand what an agent with a session here has by another node's doing."""
        for task in self.sight.claims_of(*key):
            held = self.claims.get(task.id)
            if held is None:
                self.adopt(Held(task.id), task)
            elif held.agent == key:
                held.elsewhere = False

    def let_go(self, key: AgentKey) -> None:
        """Leave an agent's claims to the node that it went on to."""
        for held in self.claims.of(key):
            self._leave(held)

    # -- ends ------------------------------------------------------------------

    def seen(self, task: Task) -> None:
        """Take in a record, whoever wrote it: our claim may be over by it."""
        held = self.claims.get(task.id)
        if held is None or held.moving or held.epoch == 0:
            return
        newer = task.claim_epoch > held.epoch
        over = task.claim_epoch == held.epoch and not tasks.is_claimed(task)
        if newer or over:
            self.spawn(self._over(held, task))

    async def end(self, held: Held, moved: Moved) -> None:
        """Let a claim go whose end is stored, and tell the queue."""
        self.drop(held)
        if moved.task.status in FINISHED:
            self.ack(held)
        else:
            await self.give_back(held, moved.delay_s)

    async def lose(self, held: Held, loss: tasks.Loss) -> None:
        """End a claim whose lease is over or whose agent is gone; the attempt counts."""
        epoch, key = held.epoch, held.agent
        if self._is_elsewhere(held):
            self._leave(held)
            return
        try:
            verdict = await self.claims.decide(
                held,
                lambda task: tasks.lose(
                    task, epoch, loss, now=self.clock.now(), rng=self._rng
                ),
            )
        except NotFound:
            self.drop(held)
            self.ack(held)
            return
        except NexaError:
            if self.claims.has(held):
                now = self.clock.monotonic()
                gone = loss == "agent_lost"
                self.leases.hold(held.id, now, lease_s=RETRY_S, absent=gone)
            return
        if not self.claims.has(held):
            return
        if isinstance(verdict, Moved):
            self.tell_cancelled(key, held.id, epoch)
            await self.end(held, verdict)
        elif held.task is not None:
            await self._over(held, held.task)

    async def take_back(self, held: Held) -> None:
        """Return what an agent that said bye still had: no attempt is counted."""
        if held.agent is None:
            return
        claim = Claim(held.agent[1], held.epoch)
        try:
            verdict = await self.claims.decide(
                held, lambda task: tasks.release(task, claim, now=self.clock.now())
            )
        except NexaError:
            return  # the lease will end it
        if isinstance(verdict, Moved) and self.claims.has(held):
            await self.end(held, verdict)

    def tell_cancelled(self, key: AgentKey | None, task: TaskId, epoch: int) -> None:
        """Tell an agent to stop working on a claim."""
        agent = None if key is None else self.agents.get(key)
        if agent is not None:
            notice = CancelledNotice(id=task, claim_epoch=epoch)
            agent.tell("task.cancelled", notice)

    def ack(self, held: Held) -> None:
        """Have the queue forget it. If that fails it comes again and is dropped."""
        if held.delivery is not None:
            held.delivery.ack()

    async def give_back(self, held: Held, delay_s: float) -> None:
        """Have it handed out again. If that fails it is, but later."""
        if held.delivery is not None:
            with suppress(NexaError):
                await held.delivery.give_back(delay_s=delay_s)

    def mind_others(self, minds: bool) -> None:
        """Keep the messages of claims that other nodes have, or give all of them back."""
        self._minds_others = minds
        for held in self.claims:
            if held.elsewhere:
                self._leave(held)

    def _is_elsewhere(self, held: Held) -> bool:
        """Whether another node has the session of a claim's agent, as far as is known."""
        if held.agent is None:
            return False
        here = self.agents.get(held.agent)
        if here is not None and here.connection is not None:
            return False
        agent = self.sight.agent(*held.agent)
        return agent is not None and agent.connected and agent.node != self.node

    def _leave(self, held: Held) -> None:
        """Keep of a claim the queue's message at most, for as long as it is elsewhere."""
        if held.delivery is None or not self._minds_others:
            self.drop(held)
            self.spawn(self.give_back(held, 0.0))
            return
        held.elsewhere = held.adopted = True
        held.forget()
        self._dirty.pop(held, None)
        self.leases.hold(held.id, self.clock.monotonic())

    async def _over(self, held: Held, task: Task) -> None:
        """Let a claim go that a newer record ended; its agent should stop."""
        if not self.claims.has(held):
            return
        self.tell_cancelled(held.agent, held.id, held.epoch)
        self.drop(held)
        if task.status in FINISHED:
            self.ack(held)
        elif task.status == "pending":
            await self.give_back(held, 0.0)

    # -- time ------------------------------------------------------------------

    async def beat(self) -> None:
        """End the leases that are over, store what changed."""
        now = self.clock.monotonic()
        await self.do_all(self._lease_ended(ended) for ended in self.leases.ended(now))
        due: list[Held] = []
        for held, since in self._dirty.items():
            if now - since < STORE_AFTER_S:
                break
            due.append(held)
        for held in due:
            del self._dirty[held]
        await self.do_all(self._flush(held) for held in due if self.claims.has(held))

    async def _lease_ended(self, ended: Ended) -> None:
        held = self.claims.get(ended.task)
        if held is not None:
            await self.lose(held, "agent_lost" if ended.agent_lost else "lease_expired")

    async def _flush(self, held: Held) -> None:
        try:
            await self.claims.flush(held)
        except Conflict:
            with suppress(NexaError):
                seen = await self.ledger.get(held.id)
                if seen is not None:
                    self.seen(seen.value)
        except NexaError:
            self._dirty.setdefault(held, self.clock.monotonic())  # tried again

    async def _keep(self, every_s: float) -> None:
        """Say to the queue what is still in hand."""
        while True:
            await self.clock.sleep(every_s)
            for agent in list(self.agents.values()):
                if agent.connection is not None:
                    self.inherit(agent.key)
            before = self.clock.monotonic() - every_s
            await self.do_all(
                _kept(held.delivery)
                for held in self.claims
                if held.delivery and held.since <= before
            )

    def _count(self, key: AgentKey | None) -> None:
        """Derive an agent's tasks from its claims."""
        agent = None if key is None else self.agents.get(key)
        if agent is None:
            return
        agent.seat.inflight = self.claims.count(agent.key)
        for counted in self._counted:
            counted(agent)


async def _kept(delivery: Delivery) -> None:
    with suppress(NexaError):
        await delivery.keep()
