"""Lanes: for each capability, the agents of this node that have it and room for more."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.tasks import Priority, Task
from nexa_node.core.fairness import bucket_of
from nexa_node.core.strategies import Candidate, Strategy, Turns, least_loaded
from nexa_node.services.sessions.live import LiveAgent

LaneKey = tuple[Namespace, str]
Place = tuple[Priority, str]
"""A priority and a bucket of fairness keys."""


@dataclass(slots=True, eq=False)
class Lane:
    """One capability in one namespace."""

    namespace: Namespace
    capability: str
    strategy: Strategy = least_loaded
    """Which of the free agents gets a task."""
    candidates: dict[AgentId, Candidate] = field(
        default_factory=dict[AgentId, Candidate]
    )
    free: dict[AgentId, Candidate] = field(default_factory=dict[AgentId, Candidate])
    """Those with room."""
    placing: int = 0
    """Tasks that were taken and belong to no agent yet."""
    turns: Turns = field(default_factory=Turns)
    came: dict[Place, float] = field(default_factory=dict[Place, float])
    """When something came last, monotonic, by priority and bucket of fairness keys."""
    stir: asyncio.Event = field(default_factory=asyncio.Event)
    """There is room, or there are no candidates left."""

    @property
    def key(self) -> LaneKey:
        """What it is found by."""
        return self.namespace, self.capability

    def room(self, most: int) -> int:
        """How many tasks could be placed now, at most `most`."""
        total = -self.placing
        for candidate in self.free.values():
            total += candidate.seat.free
            if total >= most:
                return most
        return max(0, total)

    def heard(self, task: Task, now: float) -> None:
        """Note where a task came from."""
        self.came[task.priority, bucket_of(task.fairness_key)] = now

    def placed(self) -> None:
        """Note that a task that was taken belongs to an agent, or went back."""
        self.placing -= 1
        if self.free:
            self.stir.set()


class Lanes:
    """All lanes of this node."""

    def __init__(self) -> None:
        """Start without any."""
        self._lanes: dict[LaneKey, Lane] = {}
        self._turns = itertools.count(1)

    def __iter__(self) -> Iterator[Lane]:
        """All of them, as they are now."""
        return iter(list(self._lanes.values()))

    def add(self, agent: LiveAgent) -> list[Lane]:
        """Put an agent into the lanes of its capabilities; the lanes that are new."""
        new: list[Lane] = []
        for name, candidate in agent.candidates.items():
            key = (agent.namespace, name)
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane(agent.namespace, name)
                new.append(lane)
            old = lane.candidates.get(agent.id)
            if old is not None and old is not candidate:
                candidate.service_s, candidate.errors = old.service_s, old.errors
                candidate.turn, candidate.passed = old.turn, old.passed
            lane.candidates[agent.id] = candidate
        self.refresh(agent)
        return new

    def remove(self, agent: LiveAgent) -> None:
        """Take an agent out, wherever it still is the one that was put in."""
        for name, candidate in agent.candidates.items():
            lane = self._lanes.get((agent.namespace, name))
            if lane is None or lane.candidates.get(agent.id) is not candidate:
                continue
            del lane.candidates[agent.id]
            lane.free.pop(agent.id, None)
            if not lane.candidates:
                lane.stir.set()

    def refresh(self, agent: LiveAgent) -> None:
        """Note whether an agent has room now."""
        for name, candidate in agent.candidates.items():
            lane = self._lanes.get((agent.namespace, name))
            if lane is None or lane.candidates.get(agent.id) is not candidate:
                continue
            if candidate.seat.free > 0:
                lane.free[agent.id] = candidate
                lane.stir.set()
            else:
                lane.free.pop(agent.id, None)

    def clear(self) -> None:
        """Forget all lanes: those who took for them are gone."""
        self._lanes.clear()

    def close(self, lane: Lane) -> bool:
        """Drop a lane that has no candidates; False when it has some again."""
        if lane.candidates:
            return False
        if self._lanes.get(lane.key) is lane:
            del self._lanes[lane.key]
        return True

    def find(self, namespace: Namespace, capability: str) -> Lane | None:
        """The lane of a capability, if any agent here has it."""
        return self._lanes.get((namespace, capability))

    def chose(self, lane: Lane, candidate: Candidate, *, now: float) -> None:
        """Count the turn of the one that got a task."""
        lane.turns.count(candidate, next(self._turns), now=now)
