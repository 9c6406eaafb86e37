"""Until when each claim of this node holds, by the monotonic clock.

A lease ends when nobody renews it, when its agent stays away longer than the grace, or
at the task's deadline, whichever comes first. Being fenced, a lease that ends too early
costs work and never correctness.
"""

import heapq
from dataclasses import dataclass

from nexa_node.contract.ids import TaskId


@dataclass(slots=True)
class Lease:
    """One claim's time."""

    until: float
    """Renewed until then."""
    latest: float | None
    """The task's deadline: no renewal reaches beyond it."""
    away_until: float | None = None
    """While the agent is disconnected: when its grace is over."""

    @property
    def ends(self) -> float:
        """The moment it is over."""
        bounds = (self.until, self.latest, self.away_until)
        return min(bound for bound in bounds if bound is not None)


@dataclass(frozen=True, slots=True)
class Ended:
    """A lease that is over, and for which reason."""

    task: TaskId
    agent_lost: bool


class Leases:
    """All leases of this node."""

    def __init__(self, *, lease_s: float, grace_s: float) -> None:
        """Start without any.

        Args:
            lease_s: How long one renewal lasts.
            grace_s: How long a disconnected agent's claim waits for it.
        """
        self._lease_s = lease_s
        self._grace_s = grace_s
        self._leases: dict[TaskId, Lease] = {}
        self._ends: list[tuple[float, TaskId]] = []

    def __len__(self) -> int:
        """How many there are."""
        return len(self._leases)

    def hold(
        self,
        task: TaskId,
        now: float,
        *,
        latest: float | None = None,
        lease_s: float | None = None,
        absent: bool = False,
    ) -> None:
        """Begin a lease, or begin it anew.

        Args:
            task: Whose.
            now: Monotonic.
            latest: The task's deadline, on the same clock.
            lease_s: For this once, instead of the usual time.
            absent: Its agent is gone, and that is why it ends.
        """
        span_s = self._lease_s if lease_s is None else lease_s
        away_until = now + span_s if absent else None
        lease = self._leases[task] = Lease(now + span_s, latest, away_until)
        self._note(task, lease)

    def renew(self, task: TaskId, now: float) -> float | None:
        """Extend a lease; seconds until it ends now, None if there is none."""
        lease = self._leases.get(task)
        if lease is None:
            return None
        lease.until = now + self._lease_s
        lease.away_until = None
        return max(0.0, lease.ends - now)

    def away(self, task: TaskId, now: float) -> None:
        """Note that the agent is disconnected: the grace begins."""
        lease = self._leases.get(task)
        if lease is not None and lease.away_until is None:
            lease.away_until = now + self._grace_s
            self._note(task, lease)

    def back(self, task: TaskId, now: float) -> None:
        """Note that the agent is back; it starts with a whole lease."""
        self.renew(task, now)

    def drop(self, task: TaskId) -> None:
        """Forget a lease: its claim is over."""
        self._leases.pop(task, None)

    def ended(self, now: float) -> list[Ended]:
        """Take out the leases that are over, earliest first."""
        over: list[Ended] = []
        while self._ends and self._ends[0][0] <= now:
            _, task = heapq.heappop(self._ends)
            lease = self._leases.get(task)
            if lease is None:
                continue
            if lease.ends > now:
                self._note(task, lease)
                continue
            del self._leases[task]
            over.append(Ended(task, _by_absence(lease)))
        return over

    def _note(self, task: TaskId, lease: Lease) -> None:
        """Look at it when it would end; a renewal only moves the next look."""
        heapq.heappush(self._ends, (lease.ends, task))


def _by_absence(lease: Lease) -> bool:
    return lease.away_until is not None and lease.away_until <= lease.ends
