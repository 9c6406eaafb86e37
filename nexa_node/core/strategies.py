"""Which of the eligible agents gets the next task.

Pure functions over `Candidate`s, all of which are eligible; the first of equals wins,
so a caller that wants chance shuffles. Times in seconds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Literal, Protocol

from nexa_node.contract.agents import AgentState, Capability
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.tasks import Task
from nexa_node.core.flow import Credits
from nexa_node.core.policies import QueuePolicy

SLOW_START_S = 30.0
SLOW_START_LEAST = 0.1
"""A newcomer counts for a tenth of its weight, then more until the slow start ends."""
SERVICE_GAIN = 0.2
"""How much the newest service time counts in the average."""
ERROR_GAIN = 0.1
ERROR_PENALTY = 4.0
"""An agent that always fails scores as if it were five times as slow."""

COST_LABEL = "cost"
"""The label of a capability that says what a task costs there; none is dearest."""

StrategyName = Literal[
    "least_loaded", "round_robin", "weighted", "latency", "sticky", "cost"
]


@dataclass(slots=True)
class Seat:
    """One agent's room for work, shared by all its capabilities."""

    agent: AgentId
    slots: int
    since: float
    """When it connected, monotonic."""
    inflight: int = 0
    connected: bool = True
    state: AgentState | None = None
    """As it reports itself; None if it never did."""
    credits: Credits = field(default_factory=Credits)
    resting: bool = False
    """It said that it is busy, and is left alone for a moment."""
    drained: bool = False
    """An operator wants it to take nothing new, whatever it reports."""

    @property
    def free(self) -> int:
        """Slots without a task, none while it takes nothing new."""
        if not self.connected or self.resting or self.drained:
            return 0
        if self.state in CLOSED_STATES:
            return 0
        return self.credits.may(max(0, self.slots - self.inflight))


CLOSED_STATES: frozenset[AgentState | None] = frozenset(
    ("draining", "maintenance", "error", "offline")
)
"""An agent that reports one of these gets nothing new."""


@dataclass(slots=True)
class Candidate:
    """One agent in one of its capabilities."""

    seat: Seat
    capability: Capability
    service_s: float | None = None
    """A moving average of how long it takes; None before the first."""
    errors: float = 0.0
    """A moving average of how often it fails, 0 to 1."""
    turn: int = 0
    """The number of its last assignment, for round robin."""
    passed: float = 0.0
    """How far it has come in weighted turns: each takes it 1 / weight further."""

    def learn(self, *, service_s: float, failed: bool) -> None:
        """Take in how one task went."""
        self.errors += ERROR_GAIN * (float(failed) - self.errors)
        if failed:
            return
        if self.service_s is None:
            self.service_s = service_s
        else:
            self.service_s += SERVICE_GAIN * (service_s - self.service_s)


class Strategy(Protocol):
    """Choose one for a task; None only if there is none."""

    def __call__(
        self, candidates: Sequence[Candidate], task: Task, *, now: float
    ) -> Candidate | None:
        """Choose."""
        ...


StrategyOf = Callable[[Namespace, str], Strategy]
"""The strategy of a queue: of a namespace and a capability."""


@dataclass(slots=True)
class Turns:
    """Whose turn it was in one queue."""

    passed: float = 0.0
    """How far the one has come that had the newest turn."""

    def count(self, candidate: Candidate, turn: int, *, now: float) -> None:
        """Note that `candidate` got a task.

        One that was away, or is new, has no turns to catch up with.
        """
        candidate.turn = turn
        self.passed = max(self.passed, candidate.passed)
        candidate.passed = self.passed + 1.0 / _weight(candidate, now)


def score(
    candidate: Candidate, *, typical_s: float, now: float, cost: float = 1.0
) -> float:
    """How long a task would take there, roughly; the lowest is best."""
    seat = candidate.seat
    weight = _weight(candidate, now)
    service_s = typical_s if candidate.service_s is None else candidate.service_s
    share = (seat.inflight + cost) / (weight * max(1, seat.slots))
    return share * max(service_s, 1e-6) * (1.0 + ERROR_PENALTY * candidate.errors)


def least_loaded(
    candidates: Sequence[Candidate], task: Task, *, now: float
) -> Candidate | None:
    """Lowest (inflight + cost) / (weight · slots) × service time × (1 + penalty)."""
    del task
    typical_s = _typical(candidates)
    return min(
        candidates,
        key=lambda candidate: score(candidate, typical_s=typical_s, now=now),
        default=None,
    )


def round_robin(
    candidates: Sequence[Candidate], task: Task, *, now: float
) -> Candidate | None:
    """The one whose last turn is longest ago."""
    del task, now
    return min(candidates, key=lambda candidate: candidate.turn, default=None)


def weighted(
    candidates: Sequence[Candidate], task: Task, *, now: float
) -> Candidate | None:
    """Turns in proportion to the weights, whatever the load; see `Turns`."""
    del task, now
    return min(candidates, key=lambda candidate: candidate.passed, default=None)


def latency(
    candidates: Sequence[Candidate], task: Task, *, now: float
) -> Candidate | None:
    """The one that takes the shortest time and fails least, however busy it is.

    One that has done nothing yet counts as the fastest, so that it is tried.
    """
    del task
    known = [each.service_s for each in candidates if each.service_s is not None]
    fastest = min(known, default=1.0)

    def key(candidate: Candidate) -> tuple[float, float]:
        service_s = fastest if candidate.service_s is None else candidate.service_s
        slowed = service_s * (1.0 + ERROR_PENALTY * candidate.errors)
        return slowed, score(candidate, typical_s=fastest, now=now)

    return min(candidates, key=key, default=None)


def sticky(
    candidates: Sequence[Candidate], task: Task, *, now: float
) -> Candidate | None:
    """The same fairness key, or else the same labels, to the same agent while it is free.

    By rendezvous hashing, so an agent that comes or goes moves only its own share of
    the keys. Weights count. A task with neither goes to the least loaded.
    """
    key = _sticky_key(task)
    if key is None:
        return least_loaded(candidates, task, now=now)
    return max(candidates, key=lambda each: _affinity(key, each), default=None)


def cost(
    candidates: Sequence[Candidate], task: Task, *, now: float
) -> Candidate | None:
    """The cheapest by its label `cost`, among equals the least loaded."""
    cheapest = min((_cost(each) for each in candidates), default=0.0)
    return least_loaded(
        [each for each in candidates if _cost(each) == cheapest], task, now=now
    )


STRATEGIES: dict[StrategyName, Strategy] = {
    "least_loaded": least_loaded,
    "round_robin": round_robin,
    "weighted": weighted,
    "latency": latency,
    "sticky": sticky,
    "cost": cost,
}
COMPARING: frozenset[Strategy] = frozenset((least_loaded, latency))
"""For these the best of a few is nearly the best; the others need all candidates."""


def of_queues(queues: Sequence[QueuePolicy]) -> StrategyOf:
    """Look up each queue's strategy; `least_loaded` where nothing is set."""
    chosen = {
        (queue.namespace, queue.name): STRATEGIES[queue.strategy] for queue in queues
    }

    def strategy_of(namespace: Namespace, capability: str) -> Strategy:
        return chosen.get((namespace, capability), least_loaded)

    return strategy_of


def _weight(candidate: Candidate, now: float) -> float:
    """Its weight, less in its first seconds."""
    return candidate.capability.weight * ramp(now - candidate.seat.since)


def _sticky_key(task: Task) -> str | None:
    if task.fairness_key is not None:
        return f"key\0{task.fairness_key}"
    if not task.labels:
        return None
    return "labels\0" + "\0".join(
        f"{name}={value}" for name, value in sorted(task.labels.items())
    )


def _affinity(key: str, candidate: Candidate) -> float:
    """How much an agent draws a key: as often the most as its weight says."""
    text = f"{key}\0{candidate.seat.agent}".encode("utf-8", "surrogatepass")
    digest = blake2s(text, digest_size=8).digest()
    share = (int.from_bytes(digest) + 1) / (2**64 + 1)
    return candidate.capability.weight / -math.log(share)


def _cost(candidate: Candidate) -> float:
    try:
        said = float(candidate.capability.labels.get(COST_LABEL, ""))
    except ValueError:
        return math.inf
    return said if said >= 0 else math.inf


def ramp(age_s: float) -> float:
    """What part of its weight a newcomer counts for, by how long it is connected."""
    return min(1.0, max(SLOW_START_LEAST, age_s / SLOW_START_S))


def _typical(candidates: Sequence[Candidate]) -> float:
    """What a newcomer is expected to take: as long as the others on average."""
    known = [each.service_s for each in candidates if each.service_s is not None]
    return sum(known) / len(known) if known else 1.0
