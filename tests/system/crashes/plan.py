"""What is killed, and when: drawn from a seed, so that a trial can be made again."""

import random
from dataclasses import dataclass
from typing import Literal

Kind = Literal["agent", "node", "nats-server", "node+nats-server"]
KINDS: tuple[Kind, ...] = ("agent", "node", "nats-server", "node+nats-server")


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill -9."""

    after: int
    """So many tasks are known to be completed."""
    kind: Kind
    agent: int = 0
    """Which one, if it is an agent."""


def plan(seed: int, *, tasks: int, kills: int, agents: int) -> list[Kill]:
    """Spread `kills` over a trial of so many tasks; of each kind as many, in any order.

    The moments are independent of each other: now and then two fall together, and what
    was just restarted is killed again.
    """
    chance = random.Random(seed)
    kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
    chance.shuffle(kinds)
    # Not in the last part: what is killed there meets nothing that is under way.
    moments = sorted(chance.randint(1, max(1, tasks * 9 // 10)) for _ in kinds)
    return [
        Kill(after, kind, chance.randrange(agents))
        for after, kind in zip(moments, kinds, strict=True)
    ]
