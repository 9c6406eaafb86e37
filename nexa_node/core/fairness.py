"""Whose turn it is: deficit round robin over the fairness keys of one priority.

Keys are hashed into a few buckets, each a queue of its own, so a tenant with 10,000 tasks
waits behind itself. Tasks without a key share the bucket `PLAIN`. Two keys may share a
bucket; then they share its turns.

What stays true: while a bucket has something waiting, no other one gets more than two
quanta before it gets its own.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2s

from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import PRIORITIES, Task

BUCKETS = 32
PLAIN = "-"
"""The bucket of tasks without a fairness key."""
QUANTUM = 1
"""Tasks a bucket gets in its turn."""


def bucket_of(key: str | None) -> str:
    """Name the bucket of a fairness key."""
    if key is None:
        return PLAIN
    digest = blake2s(key.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return f"b{int.from_bytes(digest) % BUCKETS:02}"


def key_of(bucket: str) -> str | None:
    """Find a key that is in `bucket`; None for `PLAIN`, and for what is no bucket."""
    if bucket == PLAIN:
        return None
    return _keys().get(bucket)


@cache
def _keys() -> dict[str, str]:
    """A key for each bucket."""
    found: dict[str, str] = {}
    for number in itertools.count():
        key = f"key-{number}"
        found.setdefault(bucket_of(key), key)
        if len(found) == BUCKETS:
            break
    return found


@dataclass(slots=True)
class Rounds:
    """The turns of the buckets of one priority."""

    quantum: int = QUANTUM
    _ring: dict[str, int] = field(default_factory=dict[str, int])
    """What each bucket may still have of its turn, the next one first."""

    def plan(self, waiting: Mapping[str, int], room: int) -> dict[str, int]:
        """Say how many of each bucket come next, and count them as served.

        Args:
            waiting: How many there are in each bucket. One that is not named or has
                none loses what was left of its turn.
            room: How many are wanted at most.
        """
        left = {bucket: number for bucket, number in waiting.items() if number > 0}
        ring = {bucket: rest for bucket, rest in self._ring.items() if bucket in left}
        for bucket in left:
            ring.setdefault(bucket, 0)
        self._ring = ring
        served: dict[str, int] = {}
        while room > 0 and ring:
            bucket = next(iter(ring))
            rest = ring.pop(bucket) or self.quantum
            number = min(rest, left[bucket], room)
            served[bucket] = served.get(bucket, 0) + number
            left[bucket] -= number
            room -= number
            if left[bucket] == 0:
                continue
            if rest > number:
                self._ring = {bucket: rest - number, **ring}
                break
            ring[bucket] = 0
        return served


def position(task: Task, waiting: Iterable[Task]) -> int:
    """Say how many of `waiting` are handed out before `task`, if nothing else comes.

    All that are more urgent, and of the same priority what the rounds give to others
    before this one's turn comes. `task` itself may be among them.
    """
    rank = PRIORITIES.index(task.priority)
    ahead = 0
    queued: dict[str, list[tuple[float, TaskId]]] = {}
    for each in waiting:
        if (each.namespace, each.type) != (task.namespace, task.type):
            continue
        other = PRIORITIES.index(each.priority)
        if other < rank:
            ahead += 1
        elif other == rank and each.id != task.id:
            bucket = bucket_of(each.fairness_key)
            queued.setdefault(bucket, []).append((each.submitted.timestamp(), each.id))
    own = (task.submitted.timestamp(), task.id)
    before = sum(
        each < own
        for each in queued.pop(
            bucket_of(task.fairness_key), list[tuple[float, TaskId]]()
        )
    )
    return ahead + before + sum(min(len(each), before) for each in queued.values())
