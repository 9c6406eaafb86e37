"""How long to wait before trying again."""

import random

FIRST_S = 0.5
LONGEST_S = 10.0
_DOUBLINGS_MAX = 16


def full_jitter(attempt: int, rng: random.Random) -> float:
    """Choose a pause, in seconds: anything up to a bound that doubles with each attempt.

    Args:
        attempt: How often it failed in a row, 1 and up.
        rng: Chance, so that consoles of one node don't come back in step.
    """
    bound = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt - 1, _DOUBLINGS_MAX))
    return rng.uniform(min(FIRST_S, bound) / 5, bound)
