"""Refusals: agents that would not take a task, and tasks that nobody would take.

One that is busy, or says nothing, gets nothing new for a moment. One that is unable is
not asked again for that task as long as it is connected. A task that nobody here can
take stays away for a while that doubles, so it does not go round and round.
"""

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import Any, cast

from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Task
from nexa_node.core.retries import backoff_s
from nexa_node.ports import Clock
from nexa_node.services.sessions.live import LiveAgent

REST_S = 1.0
"""How long an agent that said it is busy gets nothing new, unless it says longer."""
REST_MAX_S = 30.0
NO_SLOT_S = (0.05, 1.0)
"""How long a task stays away whose agents are all taken while others are free."""
REMEMBERED_MAX = 10_000
"""Tasks whose refusals are remembered."""


@dataclass(slots=True)
class _Refused:
    """What became of one task so far."""

    rounds: int = 0
    """How often it went away again."""
    unable: dict[AgentId, LiveAgent] = field(default_factory=dict[AgentId, LiveAgent])


class Refusals:
    """What this node remembers of them."""

    def __init__(self, *, clock: Clock, rng: random.Random) -> None:
        """Remember nothing yet."""
        self._clock = clock
        self._rng = rng
        self._tasks: dict[TaskId, _Refused] = {}
        self._resting: list[tuple[float, int, LiveAgent]] = []
        self._until: dict[LiveAgent, float] = {}
        self._order = itertools.count()

    # -- agents ----------------------------------------------------------------

    def rest(self, agent: LiveAgent, error: NexaError | None) -> None:
        """Give an agent that is busy, or silent, nothing new for a moment."""
        rest_s = REST_S
        if error is not None and error.retry_after_ms is not None:
            rest_s = min(error.retry_after_ms / 1000, REST_MAX_S)
        due = self._clock.monotonic() + rest_s
        agent.seat.resting = True
        self._until[agent] = max(due, self._until.get(agent, due))
        heapq.heappush(self._resting, (due, next(self._order), agent))

    def rested(self) -> list[LiveAgent]:
        """Those that have rested enough."""
        now = self._clock.monotonic()
        awake: list[LiveAgent] = []
        while self._resting and self._resting[0][0] <= now:
            agent = heapq.heappop(self._resting)[2]
            if self._until.get(agent, now) <= now and agent.seat.resting:
                self._until.pop(agent, None)
                agent.seat.resting = False
                awake.append(agent)
        return awake

    def rests_s(self, agent: LiveAgent) -> float | None:
        """How long an agent rests yet; None if it does not."""
        until = self._until.get(agent)
        return None if until is None else max(0.0, until - self._clock.monotonic())

    # -- tasks -----------------------------------------------------------------

    def unable(self, task_id: TaskId, agent: LiveAgent) -> None:
        """Note that an agent can't do a task at all."""
        self._of(task_id).unable[agent.id] = agent

    def unable_for(self, task_id: TaskId) -> dict[AgentId, LiveAgent]:
        """Who said so, in which session."""
        refused = self._tasks.get(task_id)
        return {} if refused is None else refused.unable

    def away_s(self, task: Task) -> float:
        """How long a task that all refused, or none could ever take, stays away."""
        refused = self._of(task.id)
        refused.rounds += 1
        return backoff_s(task.retry, refused.rounds, self._rng)

    def aside_s(self, task: Task) -> float:
        """How long a task stays away that has to wait for some agents of many."""
        refused = self._of(task.id)
        refused.rounds += 1
        shortest, longest = NO_SLOT_S
        grown = shortest * 2.0 ** min(refused.rounds - 1, 16)
        return min(grown, longest) * self._rng.uniform(0.5, 1.0)

    def taken(self, task_id: TaskId) -> None:
        """Note that somebody got the task: it need not stay away so long any more."""
        refused = self._tasks.get(task_id)
        if refused is not None:
            refused.rounds = 0
            if not refused.unable:
                del self._tasks[task_id]

    def _of(self, task_id: TaskId) -> _Refused:
        known = self._tasks.get(task_id)
        if known is None:
            if len(self._tasks) >= REMEMBERED_MAX:
                del self._tasks[next(iter(self._tasks))]
            known = self._tasks[task_id] = _Refused()
        return known


def is_unable(error: NexaError | None) -> bool:
    """Say whether a refusal is for good: `rejected` with `details.reason` `unable`."""
    details = None if error is None else error.details
    if not isinstance(details, dict):
        return False
    return cast("dict[str, Any]", details).get("reason") == "unable"
