"""Which of the eligible agents gets the next task.

Pure functions over `Candidate`s, all of which are eligible; the first of equals wins,
so a caller that wants chance shuffles. Times in seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from nexa_node.contract.agents import AgentState, Capability
from nexa_node.contract.ids import AgentId
from nexa_node.core.flow import Credits

SLOW_START_S = 30.0
SLOW_START_LEAST = 0.1
"""A newcomer counts for a tenth of its weight, then more until the slow start ends."""
SERVICE_GAIN = 0.2
"""How much the newest service time counts in the average."""
ERROR_GAIN = 0.1
ERROR_PENALTY = 4.0
"""An agent that always fails scores as if it were five times as slow."""

StrategyName = Literal["least_loaded", "round_robin"]


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

    @property
    def free(self) -> int:
        """Slots without a task, none while it takes nothing new."""
        if not self.connected or self.resting or self.state in CLOSED_STATES:
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
    """Choose one; None only if there is none."""

    def __call__(
        self, candidates: Sequence[Candidate], *, now: float
    ) -> Candidate | None:
        """Choose."""
        ...


def score(
    candidate: Candidate, *, typical_s: float, now: float, cost: float = 1.0
) -> float:
    """How long a task would take there, roughly; the lowest is best."""
    seat = candidate.seat
    weight = candidate.capability.weight * _ramp(now - seat.since)
    service_s = typical_s if candidate.service_s is None else candidate.service_s
    share = (seat.inflight + cost) / (weight * max(1, seat.slots))
    return share * max(service_s, 1e-6) * (1.0 + ERROR_PENALTY * candidate.errors)


def least_loaded(candidates: Sequence[Candidate], *, now: float) -> Candidate | None:
    """Lowest (inflight + cost) / (weight · slots) × service time × (1 + penalty)."""
    typical_s = _typical(candidates)
    return min(
        candidates,
        key=lambda candidate: score(candidate, typical_s=typical_s, now=now),
        default=None,
    )


def round_robin(
    candidates: Sequence[Candidate],
    *,
    now: float,
) -> Candidate | None:
    """The one whose last turn is longest ago."""
    return min(candidates, key=lambda candidate: candidate.turn, default=None)


STRATEGIES: dict[StrategyName, Strategy] = {
    "least_loaded": least_loaded,
    "round_robin": round_robin,
}


def _ramp(age_s: float) -> float:
    return min(1.0, max(SLOW_START_LEAST, age_s / SLOW_START_S))


def _typical(candidates: Sequence[Candidate]) -> float:
    """What a newcomer is expected to take: as long as the others on average."""
    known = [each.service_s for each in candidates if each.service_s is not None]
    return sum(known) / len(known) if known else 1.0
