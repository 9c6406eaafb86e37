"""The tasks in hand: which offers to take, which leases to renew, which have ended.

Decisions only: the time is an argument and nothing is sent from here. One thread (the
link's) owns a `Claims`; the `cancellation` of a claim may be read from any.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from nexa_node.contract.frames import Assign
from nexa_node.contract.tasks import Json, Task, Usage

EndReason = Literal[
    "cancelled", "lease_lost", "deadline_exceeded", "budget_exceeded", "stopping"
]
"""Why a job should stop: somebody called it off; the task belongs to somebody else by
now; its time is over; its budget is; the agent is stopping and gives it back."""

RENEW_AT = 1 / 3
"""Of a lease: two renewals may be lost before it ends."""


class Cancellation:
    """Whether a job should stop. Set once, from any thread."""

    def __init__(self) -> None:
        """Nothing is called off yet."""
        self._event = threading.Event()
        self.reason: EndReason | None = None

    def set(self, reason: EndReason) -> None:
        """Call the job off; the first reason stays."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    def is_set(self) -> bool:
        """Say whether the job is called off."""
        return self._event.is_set()

    def wait(self, timeout: float | None) -> bool:
        """Block this thread until it is, or `timeout` seconds passed."""
        return self._event.wait(timeout)


@dataclass(frozen=True, slots=True)
class News:
    """Progress that was not told yet."""

    pct: float | None = None
    note: str | None = None
    partial: Json = None

    def joined(self, newer: "News") -> "News | None":
        """Both in one; None if that would lose a partial result."""
        if self.partial is not None:
            return None
        return News(
            pct=self.pct if newer.pct is None else newer.pct,
            note=self.note if newer.note is None else newer.note,
            partial=newer.partial,
        )


NEWS_MAX = 1000
"""Partial results that wait to be told; of more, the oldest is lost."""


@dataclass(slots=True, eq=False)
class Claim:
    """One task in hand, under one `claim_epoch`."""

    task: Task
    epoch: int
    attempt: int
    lease_s: float
    lease_ends: float
    """Monotonic; after it the task may be somebody else's."""
    deadline: float | None
    """Monotonic; the lease is never renewed past it."""
    renew_at: float
    renewing: bool = False
    news: deque[News] = field(default_factory=lambda: deque[News](maxlen=NEWS_MAX))
    settling: bool = False
    """The handler is done and the node is being told."""
    credited: bool = False
    """The node was granted a credit in its place."""
    cancellation: Cancellation = field(default_factory=Cancellation)
    usage: Usage | None = None
    """What the handler has spent so far; any thread sets it, each renewal tells it."""

    def tell(self, newer: News) -> None:
        """Have `newer` told: with what waits already, or after it."""
        joined = self.news[-1].joined(newer) if self.news else None
        if joined is None:
            self.news.append(newer)
        else:
            self.news[-1] = joined

    @property
    def owned(self) -> bool:
        """Whether the task is still ours, as far as we know."""
        lost = ("cancelled", "lease_lost", "budget_exceeded")
        return self.cancellation.reason not in lost


@dataclass(frozen=True, slots=True)
class Taken:
    """A new claim: start working."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Again:
    """The same assignment told twice: accept it, start nothing."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Refused:
    """Not now (`busy`) or not by this agent (`unable`)."""

    reason: Literal["busy", "unable"]
    message: str


Offer = Taken | Again | Refused


class Claims:
    """All tasks in hand; at most `slots` of them with a handler."""

    def __init__(self, *, slots: int, types: frozenset[str]) -> None:
        """Start with none.

        Args:
            slots: How many to take at once.
            types: The capabilities that have a handler.
        """
        self.slots = slots
        self.types = types
        self.draining = False
        self._claims: dict[tuple[str, int], Claim] = {}

    def __len__(self) -> int:
        """How many are in hand."""
        return len(self._claims)

    @property
    def working(self) -> int:
        """How many have a handler that runs."""
        return sum(not claim.settling for claim in self._claims.values())

    @property
    def free(self) -> int:
        """How many more would be taken.

        A slot is free when its handler is done, but results that no node accepts yet
        do not pile up beyond the number of slots.
        """
        if self.draining:
            return 0
        room = 2 * self.slots - len(self._claims)
        return max(0, min(self.slots - self.working, room))

    def all(self) -> list[Claim]:
        """All that are in hand."""
        return list(self._claims.values())

    def find(self, task_id: str, epoch: int) -> Claim | None:
        """The claim with exactly this epoch."""
        return self._claims.get((task_id, epoch))

    def offer(self, assign: Assign, *, now: float, ahead: timedelta | None) -> Offer:
        """Decide on an assignment.

        Args:
            assign: What the node offers.
            now: Monotonic.
            ahead: How long until the task's deadline; None if it has none.
        """
        same = self.find(assign.task.id, assign.claim_epoch)
        if same is not None:
            return Again(same)
        if assign.task.type not in self.types:
            return Refused("unable", f"no handler for {assign.task.type!r}")
        held = [claim for claim in self.all() if claim.task.id == assign.task.id]
        if any(claim.epoch > assign.claim_epoch for claim in held):
            return Refused("unable", "a newer claim of the same task is in hand")
        for claim in held:
            claim.cancellation.set("lease_lost")
        if self.draining:
            return Refused("busy", "stopping; nothing new is taken")
        if not self.free:
            return Refused("busy", f"all {self.slots} slots are taken")
        return Taken(self._take(assign, now=now, ahead=ahead))

    def _take(self, assign: Assign, *, now: float, ahead: timedelta | None) -> Claim:
        lease_s = max(assign.lease_ms, 1) / 1000
        claim = Claim(
            task=assign.task,
            epoch=assign.claim_epoch,
            attempt=assign.attempt,
            lease_s=lease_s,
            lease_ends=now + lease_s,
            deadline=None if ahead is None else now + ahead.total_seconds(),
            renew_at=now + lease_s * RENEW_AT,
        )
        self._claims[assign.task.id, assign.claim_epoch] = claim
        return claim

    def drop(self, claim: Claim) -> None:
        """Forget a claim: its slot is free."""
        self._claims.pop((claim.task.id, claim.epoch), None)

    def renewed(self, claim: Claim, *, asked: float) -> None:
        """The node renewed the lease, as of the moment it was asked."""
        claim.lease_ends = asked + claim.lease_s
        claim.renew_at = asked + claim.lease_s * RENEW_AT

    def reconnected(self, now: float) -> None:
        """Renew everything at once: the new connection tells what is still ours."""
        for claim in self.all():
            claim.renewing = False
            claim.renew_at = now

    def due(self, now: float) -> list[Claim]:
        """The claims to renew now."""
        return [
            claim
            for claim in self.all()
            if claim.owned and not claim.renewing and self._wants(claim, now)
        ]

    def ended(self, now: float) -> list[tuple[Claim, EndReason]]:
        """The claims whose lease or deadline passed, and which of the two.

        A claim that only waits for its result to be accepted is kept: the fencing token
        decides whose it is.
        """
        over: list[tuple[Claim, EndReason]] = []
        for claim in self.all():
            if claim.settling or claim.cancellation.is_set():
                continue
            if claim.deadline is not None and now >= claim.deadline:
                over.append((claim, "deadline_exceeded"))
            elif now >= claim.lease_ends:
                over.append((claim, "lease_lost"))
        return over

    def next_look(self, now: float, *, connected: bool) -> float | None:
        """Seconds until `due` (which needs a connection) or `ended` may have something.

        None when nothing will happen by the passing of time.
        """
        moments: list[float] = []
        for claim in self.all():
            if not claim.settling and not claim.cancellation.is_set():
                moments.append(claim.lease_ends)
                if claim.deadline is not None:
                    moments.append(claim.deadline)
            renewable = claim.owned and not _past_deadline(claim, now)
            if connected and renewable and not claim.renewing:
                moments.append(claim.renew_at)
        return max(0.0, min(moments) - now) if moments else None

    @staticmethod
    def _wants(claim: Claim, now: float) -> bool:
        if _past_deadline(claim, now):
            return False
        return bool(claim.news) or now >= claim.renew_at


def _past_deadline(claim: Claim, now: float) -> bool:
    return claim.deadline is not None and now >= claim.deadline
