"""Claims: tasks that are in this node's hand, and the record of each as last known.

Every decision on a claimed task of this node is made here, one at a time for each task,
over the newest record, and stored by compare-and-set before anybody is answered.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from nexa_node.contract.errors import Conflict, NotFound
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Task
from nexa_node.core.flow import Credits
from nexa_node.core.tasks import Denied, Moved, Verdict
from nexa_node.ports import Delivery, Versioned
from nexa_node.services.sessions.live import AgentKey
from nexa_node.services.tasks.ledger import TRIES, Decide, Ledger


@dataclass(slots=True, eq=False)
class Held:
    """One task in hand."""

    id: TaskId
    delivery: Delivery | None = None
    """The queue's; None for a claim found in its record alone."""
    agent: AgentKey | None = None
    """Who has it, or is about to get it."""
    epoch: int = 0
    task: Task | None = None
    """The record, with what is not stored yet; None if it is to be read again."""
    revision: int = 0
    """Of what is stored, while `task` is set."""
    accepted_at: float | None = None
    """When the agent took it, monotonic."""
    adopted: bool = False
    """An earlier run of this node assigned it: whether its agent has it is
    unknown, until it says so. It may be a newer process than the one that took it."""
    elsewhere: bool = False
    """Its agent has its session on another node, which has the claim in hand, too: ours
    is the queue's message, and to look now and then whether that is still so."""
    dirty: bool = False
    """`task` holds progress that is not stored."""
    since: float = 0.0
    """When it was taken in hand, monotonic."""
    paid: Credits | None = None
    """Whose credit is spent on it, before its agent is told."""
    refused: set[AgentId] = field(default_factory=set[AgentId])
    """Who would not take it since it came from the queue."""
    moving: int = 0
    """Decisions under way: what they write is no news to us."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def learn(self, task: Task, revision: int) -> None:
        """Know the record as it is stored."""
        self.task, self.revision, self.dirty = task, revision, False

    def forget(self) -> None:
        """Know that the record may be another by now."""
        self.task, self.dirty = None, False


class Claims:
    """All that this node has in hand, by task and by agent."""

    def __init__(self, ledger: Ledger) -> None:
        """Start with empty hands."""
        self._ledger = ledger
        self._held: dict[TaskId, Held] = {}
        self._by_agent: dict[AgentKey, set[TaskId]] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        """All of them, as they are now."""
        return iter(list(self._held.values()))

    def get(self, task_id: TaskId) -> Held | None:
        """The one of this task."""
        return self._held.get(task_id)

    def add(self, held: Held) -> None:
        """Take a task in hand."""
        self._held[held.id] = held

    def drop(self, held: Held) -> None:
        """Have it in hand no more."""
        self.bind(held, None)
        if self._held.get(held.id) is held:
            del self._held[held.id]

    def has(self, held: Held) -> bool:
        """Whether it is still in hand."""
        return self._held.get(held.id) is held

    def bind(self, held: Held, agent: AgentKey | None) -> None:
        """Count it for `agent`, and for nobody else."""
        if held.agent is not None:
            mine = self._by_agent.get(held.agent, set())
            mine.discard(held.id)
            if not mine:
                self._by_agent.pop(held.agent, None)
        held.agent = agent
        if agent is not None:
            self._by_agent.setdefault(agent, set()).add(held.id)

    def here(self) -> int:
        """How many this node's own agents have, or are about to get."""
        return sum(not held.elsewhere for held in self._held.values())

    def of(self, agent: AgentKey) -> list[Held]:
        """All that `agent` has."""
        return [self._held[each] for each in self._by_agent.get(agent, ())]

    def count(self, agent: AgentKey) -> int:
        """How many `agent` has."""
        return len(self._by_agent.get(agent, ()))

    async def decide(self, held: Held, decide: Decide) -> Verdict:
        """Decide on the newest record and store it; again when somebody wrote first.

        Raises:
            NotFound: The record is gone.
            Conflict: Somebody wrote first, `TRIES` times.
            Unavailable: The store does not answer; whether it was stored is unknown.
        """
        held.moving += 1
        try:
            async with held.lock:
                return await self._decide(held, decide)
        finally:
            held.moving -= 1

    async def flush(self, held: Held) -> None:
        """Store progress, if it is not; forget it when somebody wrote first."""
        held.moving += 1
        try:
            async with held.lock:
                if held.task is None or not held.dirty:
                    return
                task = held.task
                revision = await self._ledger.save(task, revision=held.revision)
                held.revision = revision
                held.dirty = held.task is not task
        except Conflict:
            held.forget()
            raise
        finally:
            held.moving -= 1

    async def _decide(self, held: Held, decide: Decide) -> Verdict:
        for _ in range(TRIES):
            was_known = held.task is not None
            task = await self._known(held)
            verdict = decide(task)
            if isinstance(verdict, Denied) and was_known:
                held.forget()  # what we knew may be old: look again before refusing
                continue
            if not isinstance(verdict, Moved):
                return verdict
            if await self._store(held, verdict, before=task):
                return verdict
        raise Conflict(f"task {held.id} changes too fast: try again", retry_after_ms=50)

    async def _known(self, held: Held) -> Task:
        if held.task is None:
            seen = await self._ledger.get(held.id)
            if seen is None:
                raise NotFound(f"no task {held.id}")
            held.learn(seen.value, seen.revision)
            return seen.value
        return held.task

    async def _store(self, held: Held, moved: Moved, *, before: Task) -> bool:
        """Write; False when somebody wrote first.

        When the store does not answer we keep what we knew: if it was stored all the
        same, the next write from there conflicts, and the record is read again.
        """
        try:
            seen = Versioned(before, held.revision)
            revision = await self._ledger.write(moved, seen)
        except Conflict:
            held.forget()
            return False
        held.learn(moved.task, revision)
        return True
