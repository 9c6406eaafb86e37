"""How fast each sender may send."""

from nexa_node.contract.errors import RateLimited
from nexa_node.core.flow import Bucket
from nexa_node.core.policies import SessionPolicy
from nexa_node.ports import Clock

BUCKETS_MAX = 10_000
"""Senders whose pace is remembered; idle ones go first."""


class Pace:
    """Token buckets by sender."""

    def __init__(self, clock: Clock, policy: SessionPolicy) -> None:
        """Nobody has sent anything."""
        self._clock = clock
        self._policy = policy
        self._buckets: dict[str, Bucket] = {}
        self.refused = 0
        """Messages that were one too many, since the start."""

    def spend(self, sender: str) -> None:
        """Count one message.

        Raises:
            RateLimited: It is one too many; says when it is not.
        """
        now = self._clock.monotonic()
        bucket = self._buckets.get(sender)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
                self._forget_idle(now)
            burst = float(self._policy.messages_burst)
            bucket = Bucket(self._policy.messages_per_s, burst, burst, now)
            self._buckets[sender] = bucket
        wait_s = bucket.spend(now)
        if wait_s > 0:
            self.refused += 1
            raise RateLimited(
                f"more than {self._policy.messages_per_s:g} messages a second",
                remedy="send slower, or raise sessions.messages_per_s",
                retry_after_ms=int(wait_s * 1000) + 1,
            )

    def _forget_idle(self, now: float) -> None:
        idle = [name for name, bucket in self._buckets.items() if bucket.full(now)]
        for name in idle or list(self._buckets)[: BUCKETS_MAX // 2]:
            del self._buckets[name]
