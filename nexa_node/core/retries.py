"""When a task is tried again."""

import random

from nexa_node.contract.tasks import RetryPolicy

_DOUBLINGS_MAX = 32
"""More would only overflow: the longest back-off is reached long before."""


def backoff_s(policy: RetryPolicy, attempt: int, rng: random.Random) -> float:
    """Seconds to wait after attempt number `attempt` (1, 2, …) ended without success.

    Doubles from `backoff_ms` up to `max_backoff_ms`, of which a random half is taken
    away, so that tasks that failed together do not come back together.
    """
    doublings = min(max(attempt - 1, 0), _DOUBLINGS_MAX)
    longest = min(policy.backoff_ms * 2**doublings, policy.max_backoff_ms)
    return longest / 1000 * rng.uniform(0.5, 1.0)


def has_another(policy: RetryPolicy, attempts: int) -> bool:
    """Say whether a task that was tried `attempts` times may be tried once more."""
    return attempts < policy.max_attempts
