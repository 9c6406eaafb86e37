"""The reference of tasks: what a record may become, and what agents are answered.

It is told what was asked of the product before the product is, and every write of a record
as it happens. It chooses nothing itself (who gets a task and when is the product's affair)
but knows who may, and which end of a claim somebody has a right to.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from nexa_node.contract.tasks import FINISHED, Task
from tests.node.model.world import ACCEPT_S, GRACE_S, LEASE_S

SLACK_S = 0.001
CLAIMED = ("assigned", "running")
NEXT: dict[str, tuple[str, ...]] = {
    "pending": ("assigned", "cancelled", "expired"),
    "assigned": (
        "running",
        "pending",
        "completed",
        "failed",
        "dead_lettered",
        "cancelled",
        "expired",
    ),
    "dead_lettered": ("pending",),
}
NEXT["running"] = NEXT["assigned"]
SAME = (
    "id",
    "type",
    "data",
    "priority",
    "namespace",
    "submitted",
    "submitter",
    "deadline",
    "start_by",
    "retry",
    "idempotency_key",
)

Claim = tuple[str, int]
"""A task and an epoch."""


@dataclass
class Seat:
    """An agent, as the reference knows it."""

    node: str | None = None
    """Connected to it."""
    slots: int = 0
    lost_at: float = 0.0
    born_at: float = 0.0
    """When its process began: it knows of nothing earlier."""
    is_open: bool = True
    """For new work, as it reports itself."""


@dataclass
class Laws:
    """All that is known, and what was broken."""

    seats: dict[str, Seat] = field(default_factory=dict)
    stories: dict[str, list[Task]] = field(default_factory=dict)
    """Every record of each task, the oldest first."""
    asked: set[tuple[Any, ...]] = field(default_factory=set)
    """What somebody asked for: (kind, task, …)."""
    offered: set[Any] = field(default_factory=set)
    """The data of every submission; each has its own, and makes one task at most."""
    promised: set[str] = field(default_factory=set)
    """Tasks whose submission was answered."""
    purged: set[str] = field(default_factory=set)
    results: dict[Claim, list[Any]] = field(default_factory=dict)
    """What agents said the result is."""
    renewed: dict[Claim, float] = field(default_factory=dict)
    """When a lease began anew."""
    placed: dict[Claim, float] = field(default_factory=dict)
    """When the claim was stored."""
    broken: list[str] = field(default_factory=list)

    # -- what is known ---------------------------------------------------------

    def record(self, task_id: str) -> Task | None:
        story = self.stories.get(task_id)
        return story[-1] if story else None

    def records(self) -> list[Task]:
        return [story[-1] for story in self.stories.values() if story]

    def inflight(self, agent: str, node: str | None) -> int:
        """What an agent has of one node: nodes do not count for each other."""
        return sum(
            each.status in CLAIMED and (each.agent, each.node) == (agent, node)
            for each in self.records()
        )

    # -- what is written -------------------------------------------------------

    def written(self, task: Task, now: datetime, at: float) -> None:
        """Take in a record that is stored."""
        before = self.record(task.id)
        self.stories.setdefault(task.id, []).append(task)
        if before is None:
            self._created(task)
            return
        for name in SAME:
            if getattr(before, name) != getattr(task, name):
                self._broke(before, task, f"{name} is another")
        if task.status not in NEXT.get(before.status, ()):
            same = before.status == task.status == "running"
            self._must(same, before, task, "not a step of a task's life")
        self._must(
            (task.finished is not None) == (task.status in FINISHED),
            before,
            task,
            "its end is told without one, or not told",
        )
        if task.status == "assigned":
            self._assigned(before, task, now, at)
            return
        if before.status == "dead_lettered":
            self._redriven(before, task)
            return
        self._must(
            task.claim_epoch == before.claim_epoch, before, task, "claim epoch moved"
        )
        if task.status == "running":
            self._must(("work", task.id, task.claim_epoch) in self.asked, before, task)
        elif task.status == "cancelled":
            self._must(("cancel", task.id) in self.asked, before, task)
        elif task.status == "expired":
            self._must(is_late(before, now), before, task, "it was in time")
        else:
            self._ended(before, task, now, at)

    def removed(self, task_id: str) -> None:
        """Take in that a record is no more."""
        before = self.record(task_id)
        if before is None or before.status != "dead_lettered":
            self.broken.append(f"{task_id}: forgotten as {before}")
        if ("purge", task_id) not in self.asked:
            self.broken.append(f"{task_id}: forgotten, and nobody asked for it")
        self.stories[task_id] = []
        self.purged.add(task_id)

    def _created(self, task: Task) -> None:
        is_new = (task.status, task.claim_epoch, task.attempts) == ("pending", 0, 0)
        if not is_new or task.data not in self.offered or task.id in self.purged:
            self.broken.append(f"a record out of nothing: {task}")
        self.offered.discard(task.data)

    def _assigned(self, before: Task, task: Task, now: datetime, at: float) -> None:
        claim = (task.id, task.claim_epoch)
        self.placed[claim] = self.renewed[claim] = at
        self._must(task.claim_epoch == before.claim_epoch + 1, before, task, "epoch")
        self._must(task.attempts == before.attempts + 1, before, task, "attempts")
        self._must(not is_late(before, now), before, task, "it was too late")
        early = before.not_before is not None and now < before.not_before
        self._must(not early, before, task, "before its time")
        seat = self.seats.get(str(task.agent))
        if seat is None or seat.node != task.node:
            self._broke(before, task, f"its agent is not there: {seat}")
            return
        self._must(seat.is_open, before, task, "its agent takes nothing new")
        used = self.inflight(str(task.agent), task.node)
        self._must(used <= seat.slots, before, task, f"{used} of {seat.slots} slots")

    def _redriven(self, before: Task, task: Task) -> None:
        self._must(("redrive", task.id) in self.asked, before, task)
        anew = (task.attempts, task.redriven) == (0, before.redriven + 1)
        self._must(anew and task.claim_epoch >= before.claim_epoch, before, task)

    def _ended(self, before: Task, task: Task, now: datetime, at: float) -> None:
        """An attempt is over, by its agent or by time."""
        claim = (task.id, before.claim_epoch)
        if task.status == "completed":
            said = self.results.get(claim, [])
            self._must(task.result in said, before, task, f"a result of {said}")
            return
        outcome = task.history[-1].outcome
        counted = outcome not in ("released", "rejected")
        self._must(
            task.attempts == before.attempts - (not counted), before, task, "attempts"
        )
        self._must(
            self._may_end(before, claim, outcome, at), before, task, f"why {outcome}?"
        )
        used_up = task.attempts >= task.retry.max_attempts
        if task.status == "dead_lettered":
            self._must(counted and used_up, before, task, "it had attempts left")
        elif task.status == "failed":
            self._must(("final", *claim) in self.asked, before, task)
        else:
            self._must(not (counted and used_up), before, task, "attempts used up")
            late = task.not_before
            least = timedelta(milliseconds=task.retry.backoff_ms / 2 - 1)
            waits = late is not None and late - now >= least
            self._must(waits == counted, before, task, "its back-off")

    def _may_end(
        self, task: Task, claim: Claim, outcome: str | None, at: float
    ) -> bool:
        seat = self.seats[str(task.agent)]
        if outcome in ("failed", "released"):
            return (outcome, *claim) in self.asked
        if outcome == "rejected":
            silent = at >= self.placed[claim] + ACCEPT_S - SLACK_S
            return ("rejected", *claim) in self.asked or silent
        if outcome == "lease_expired":
            return at >= self.renewed[claim] + LEASE_S - SLACK_S
        if outcome == "agent_lost":
            gone = seat.node is None and at >= seat.lost_at + GRACE_S - SLACK_S
            return gone or seat.born_at >= self.placed[claim]
        return False

    def _must(self, holds: bool, before: Task, after: Task, why: str = "") -> None:
        if not holds:
            self._broke(before, after, why or "nobody asked for it")

    def _broke(self, before: Task, after: Task, why: str) -> None:
        self.broken.append(f"{why}: {_short(before)} → {_short(after)}")


def is_late(task: Task, now: datetime) -> bool:
    """Whether a task's time is over."""
    if task.deadline is not None and now >= task.deadline:
        return True
    first = task.attempts == 0 and task.redriven == 0 and task.status == "pending"
    return task.start_by is not None and first and now >= task.start_by


def fenced(task: Task | None, agent: str, epoch: int) -> str:
    """What an agent is answered that uses a claim: "ok", or the reason why not."""
    if task is None:
        return "not_found"
    mine = task.agent == agent and task.claim_epoch == epoch
    if mine and task.status in CLAIMED:
        return "ok"
    if mine and task.status == "cancelled":
        return "cancelled"
    if mine and task.status == "expired":
        return "deadline_exceeded"
    return "lease_lost"


def was(task: Task | None, agent: str, epoch: int, outcome: str) -> bool:
    """Whether the newest attempt is that claim's, and ended so."""
    if task is None or not task.history:
        return False
    last = task.history[-1]
    return (last.agent, last.claim_epoch, last.outcome) == (agent, epoch, outcome)


def _short(task: Task) -> str:
    last = task.history[-1] if task.history else None
    return (
        f"{task.id} {task.status} of {task.agent}@{task.node} epoch {task.claim_epoch}"
        f" attempts {task.attempts}/{task.retry.max_attempts} last {last}"
    )
