"""Everything that is known of a run, for the checkers."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexa_node.contract.tasks import Task
from tests.system.chaos.controllers import Reign
from tests.system.chaos.history import Executed, Op, Received, Told


@dataclass(frozen=True)
class Evidence:
    """Histories of all clients, records, and what nodes count when all is over."""

    ops: Sequence[Op] = ()
    received: Sequence[Received] = ()
    executed: Sequence[Executed] = ()
    told: Sequence[Told] = ()
    records: Mapping[str, Task | None] = field(default_factory=dict)
    """By id; None of one that was acknowledged, and is not there."""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By node: how many tasks are in each state, as it counts."""
    inflight: Mapping[str, int] = field(default_factory=dict)
    """By agent, when all is done."""
    audits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Any])
    """By node: its verdict on its audit; none of a node that keeps none."""
    reigns: Sequence[Reign] = ()
    """Who took itself for the controller, and when; by their beginnings."""
    lease_s: float = 0.0
    """How long a lock is had after each renewal."""
    healed: float = math.inf
    """From then on all is well: nobody may read what was overwritten."""

    def of(self, kind: str) -> list[Op]:
        return [op for op in self.ops if op.kind == kind]


def by_key(ops: Iterable[Op]) -> dict[str, list[Op]]:
    found: dict[str, list[Op]] = defaultdict(list)
    for op in ops:
        found[op.key].append(op)
    return found
