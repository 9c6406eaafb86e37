"""Which of two records of one task is the newer.

Records come to a node by two roads, its own writes and the store's watch, and the slower
road tells again what the faster one told. A record does not carry its revision, but its
life has a direction: claims count up, and within a claim it is assigned, runs, and ends.
"""

from typing import NamedTuple

from nexa_node.contract.tasks import FINISHED, Task, Usage

Stage = tuple[int, int, int]
"""Redriven so often, at that claim, so far; grows with everything but progress."""

_CLAIMED = {"assigned": 0, "running": 1}
_PENDING, _FINISHED = 2, 3


class Mark(NamedTuple):
    """What is remembered of a record, to know a newer one by."""

    stage: Stage
    pct: float | None
    note: str | None
    usage: Usage | None = None


def stage(task: Task) -> Stage:
    """Say how far a task has come in its life."""
    if task.status in FINISHED:
        return task.redriven, task.claim_epoch, _FINISHED
    return task.redriven, task.claim_epoch, _CLAIMED.get(task.status, _PENDING)


def mark(task: Task) -> Mark:
    """Say what to remember of a record."""
    return Mark(stage(task), task.pct, task.note, task.usage)


def is_news(known: Mark | None, told: Mark, *, echo: bool) -> bool:
    """Say whether a record tells more than the one that is known.

    Args:
        known: Of what was told last; None if nothing was.
        told: Of the record in question, of the same task.
        echo: It came by the slower road, from which progress of our own claims comes
            late: then only what is further in its life is news.
    """
    if known is None or told.stage > known.stage:
        return True
    return told.stage == known.stage and not echo and told != known
