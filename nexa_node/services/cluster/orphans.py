"""Orphans: claims and agents that a dead node left behind.

The controller ends them; every write is a compare-and-set or is put right by whom it
wrongs, so two controllers for a moment do no harm, and one that dies half-way leaves
nothing that its successor does not find: a look takes in the whole directory, not what
was told.

A node counts as gone when it has not been among the living for the whole grace, so its
agents have as long to come back elsewhere as after a broken connection. An agent that
did keeps its claims: the node it is at has them in hand.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.tasks import Task
from nexa_node.core import tasks
from nexa_node.core.policies import LeasePolicy
from nexa_node.core.tasks import Kept, Moved, Verdict
from nexa_node.ports import AgentRecords, Clock, SessionRecords, TaskQueue
from nexa_node.services.api import Journal
from nexa_node.services.tasks.ledger import Ledger

EVERY_S = 1.0
"""How often the controller looks."""
AT_ONCE = 32
"""Store calls in parallel."""

T = TypeVar("T")


class Everywhere(Protocol):
    """Claims and agents of all nodes; `Directory`."""

    def claiming_nodes(self) -> Iterable[str]:
        """Every node whose agents have tasks."""
        ...

    def claims_at(self, node: str) -> Iterable[Task]:
        """All tasks that agents of a node have."""
        ...

    def agent(self, namespace: Namespace, agent_id: AgentId) -> Agent | None:
        """One agent, connected or not."""
        ...

    def all_agents(self) -> Iterable[Agent]:
        """All agents, connected or not."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Orphans:
    """Ends what dead nodes cannot end themselves."""

    everywhere: Everywhere
    """What all nodes have, as the store tells it."""
    ledger: Ledger
    """The records of tasks."""
    agents: AgentRecords
    """The registry."""
    sessions: SessionRecords
    """Which node has which session, before the registry tells it."""
    living: Callable[[], Collection[str]]
    """Names of all nodes that are not known to be dead, this one included."""
    id_of: Callable[[str], str | None]
    """A node's id by its name, as sessions name it; None if it is unknown."""
    queue: TaskQueue
    """Where they are put once more: the dead node has their messages in hand, and the
    store gives those to others only 12 s after it kept them last. A message too many does
    no harm, since the record decides."""
    clock: Clock
    """Counts the grace."""
    journal: Journal
    """Told what was ended."""
    rng: random.Random
    """Jitter of the back-off."""
    policy: LeasePolicy
    """The grace."""
    can_resume: Callable[[], bool] = lambda: True
    """Whether sessions can be taken up elsewhere now, from memory: while their stream
    elects a leader no agent can, however hard it tries, and no grace passes."""
    _missed: dict[str, float] = field(default_factory=dict[str, float], init=False)
    """Nodes that are not among the living, and since when that is known."""

    def node_dead(self, name: str) -> None:
        """Count a node's grace from now; a look would notice it, but later."""
        self._missed[name] = self.clock.monotonic()

    async def look(self) -> None:
        """End what is left of nodes that have been dead for the whole grace.

        A duty of the controller. What the store refuses is found by the next look.
        """
        for name in self._gone():
            ended = await self._end_claims(name)
            left = await self._mark_agents(name)
            if ended or left:
                self._note(name, ended, left)

    def _gone(self) -> list[str]:
        now = self.clock.monotonic()
        grace_s = self.policy.grace_ms / 1000
        named = {*self.everywhere.claiming_nodes()}
        named.update(
            each.node for each in self.everywhere.all_agents() if each.connected
        )
        missed = named.difference(self.living())
        if not self.can_resume():
            self._missed = dict.fromkeys(missed, now)
            return []
        self._missed = {name: self._missed.get(name, now) for name in missed}
        return [name for name, at in self._missed.items() if now - at >= grace_s]

    async def _end_claims(self, name: str) -> int:
        living = self.living()
        orphans = [
            task
            for task in self.everywhere.claims_at(name)
            if not self._is_in_hand(task, living)
        ]
        return await _count(lambda task: self._end(task, name), orphans)

    def _is_in_hand(self, task: Task, living: Collection[str]) -> bool:
        """Whether the agent went on to a node that is there."""
        if task.agent is None:
            return False
        agent = self.everywhere.agent(task.namespace, task.agent)
        return agent is not None and agent.connected and agent.node in living

    async def _went_on(self, task: Task) -> bool:
        """Whether the agent has its session on a living node, newer than the registry."""
        if task.agent is None:
            return False
        seen = await self.sessions.get(task.namespace, task.agent)
        if seen is None or not seen.value.token_sha256:
            return False
        return seen.value.node in {self.id_of(name) for name in self.living()}

    async def _end(self, orphan: Task, name: str) -> bool:
        if await self._went_on(orphan):
            return False

        def decide(task: Task) -> Verdict:
            if task.node != name or name in self.living():
                return Kept(task, "its node is there")
            return tasks.lose(
                task,
                orphan.claim_epoch,
                "node_lost",
                now=self.clock.now(),
                rng=self.rng,
            )

        verdict = await self.ledger.settle(orphan.id, decide)
        if not isinstance(verdict, Moved):
            return False
        if verdict.task.status == "pending":
            with suppress(NexaError):  # then it comes when the dead node's time is over
                await self.queue.put(verdict.task)
        return True

    async def _mark_agents(self, name: str) -> int:
        left = [
            agent
            for agent in self.everywhere.all_agents()
            if agent.connected and agent.node == name
        ]
        return await _count(self._mark, left)

    async def _mark(self, agent: Agent) -> bool:
        now = self.clock.now()
        gone = msgspec.structs.replace(
            agent, connected=False, state="offline", inflight=0, since=now
        )
        await self.agents.put(gone)
        return True

    def _note(self, name: str, ended: int, left: int) -> None:
        self.journal.record(
            "node.orphans",
            subject=f"node/{name}",
            message=(
                f"{name} is dead: {ended} tasks of its agents were given back, "
                f"{left} agents are offline"
            ),
            severity="warning",
            data={"tasks": ended, "agents": left},
        )


async def _count(do: Callable[[T], Awaitable[bool]], things: Sequence[T]) -> int:
    """Do it to all, `AT_ONCE` at a time; to how many it was done. A refusal is none."""

    async def tried(thing: T) -> bool:
        try:
            return await do(thing)
        except NexaError:
            return False  # it is another's by now, or the next look finds it again

    done = 0
    for start in range(0, len(things), AT_ONCE):
        some = things[start : start + AT_ONCE]
        done += sum(await asyncio.gather(*(tried(thing) for thing in some)))
    return done
