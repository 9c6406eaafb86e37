"""Which faults, when and at whom: drawn from a seed, so that a run can be made again.

Times are seconds from the start and do not depend on how the run goes. At most one fault
is there at a time (a storm is one fault), so that a window can be told to be its own.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_S = 5.0
"""Before the first fault: what is normal has to be seen, too."""
REST_S = (8.0, 12.0)
"""From a fault's healing to the next fault: an election takes 4 to 9 s."""
HELD_S = (2.0, 10.0)
"""How long a fault lasts that does not end by itself."""
LAST_S = 5.0
"""Before the end there is no new fault."""
LONG = {
    "stop-node",
    "stop-store",
    "cut",
    "cut-one-way",
    "flap",
    "disk-full",
    "fsync-error",
}
LONG_S = (6.0, 15.0)
STORM_S = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """One fault of a plan."""

    at: float
    kind: str
    whom: int
    """Which node (or agent, or client), modulo how many there are."""
    held_s: float
    """How long, before it is healed."""
    chance: int
    """A seed for what the fault itself draws."""


def plan(
    seed: int, *, seconds: float, kinds: Sequence[str], quick: bool = False
) -> list[Step]:
    """Draw a plan: each kind as often as the others, in any order.

    Args:
        seed: The same one draws the same plan.
        seconds: How long the run is.
        kinds: What may happen.
        quick: Shorter faults and rests, for a run of less than a minute.
    """
    chance = random.Random(seed)
    at, found, waiting = FIRST_S / (2 if quick else 1), [], list[str]()
    while kinds:
        if not waiting:
            waiting = list(kinds)
            chance.shuffle(waiting)
        kind = waiting.pop()
        held = chance.uniform(*(LONG_S if kind in LONG else HELD_S))
        if quick:
            held /= 4
        if kind == "storm":
            held = min(STORM_S, seconds / 3)
        if at + held + LAST_S > seconds:
            break
        step = Step(
            round(at, 3), kind, chance.randrange(1000), round(held, 3),
            chance.randrange(2**31),
        )  # fmt: skip
        found.append(step)
        rest = chance.uniform(*REST_S) / (2 if quick else 1)
        at += held + rest
    return found


@dataclass(frozen=True, slots=True)
class Blow:
    """One kill of a storm."""

    at: float
    """Seconds since the storm began."""
    node: int
    back_s: float
    """How long after it the node is started again."""


def storm(seed: int, *, seconds: float, nodes: int) -> list[Blow]:
    """Draw a storm: every 0.1 to 1 s a node is killed, and comes back after 0.5 to 2 s.

    One that is down already is left alone by whoever plays this.
    """
    chance = random.Random(seed)
    at, found = 0.0, []
    while (at := at + chance.uniform(0.1, 1.0)) < seconds:
        found.append(Blow(at, chance.randrange(nodes), chance.uniform(0.5, 2.0)))
    return found
