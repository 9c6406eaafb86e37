"""Logins that fail: counted by reason, limited by address and identity, told of."""

from nexa_node.contract.errors import NexaError, RateLimited, Unauthorized
from nexa_node.core.failures import FailureLimit
from nexa_node.ports import Clock
from nexa_node.services.api import Journal

FLOOD_AGAIN_S = 60.0
"""Of too many failed logins from one address, an event is noted once in so long."""
FLOODS_MAX = 1000


class Guesses:
    """What was refused, and who must wait."""

    def __init__(self, *, clock: Clock, journal: Journal) -> None:
        """Know of none."""
        self._clock = clock
        self._journal = journal
        self._limit = FailureLimit()
        self._floods: dict[str, float] = {}
        self.failures: dict[str, int] = dict.fromkeys(
            ("missing", "malformed", "unknown", "expired"), 0
        )
        """Refused attempts since the start, by reason."""
        self.limited = 0
        """Of them, how many were over the limit."""

    def refused(
        self, reason: str, message: str, *, address: str, token_id: str, remedy: str
    ) -> NexaError:
        """Count a failed login; the error that answers it.

        Args:
            reason: A key of `failures`.
            message: What is wrong, telling no secret.
            address: Where it came from.
            token_id: Whose it would have been; empty if that could not be read.
            remedy: How to get in.

        Returns:
            `Unauthorized`, or `RateLimited` after 20 in a minute from the address, or
            5 with the same id. Who can prove who he is never comes here.
        """
        self.failures[reason] += 1
        now = self._clock.monotonic()
        wait_s = self._limit.failed(address, token_id, now=now)
        if wait_s is None:
            return Unauthorized(message, remedy=remedy)
        self.limited += 1
        self._note_flood(address, token_id, now)
        return RateLimited(
            f"too many failed logins from {address}; the last: {message}",
            remedy=remedy,
            retry_after_ms=int(wait_s * 1000),
        )

    def _note_flood(self, address: str, token_id: str, now: float) -> None:
        if now - self._floods.get(address, now - FLOOD_AGAIN_S) < FLOOD_AGAIN_S:
            return
        if len(self._floods) >= FLOODS_MAX:
            self._floods.clear()
        self._floods[address] = now
        whose = f" as token:{token_id}" if token_id else ""
        self._journal.record(
            "access.login_flood",
            subject=f"address/{address}",
            message=f"too many failed logins from {address}{whose}: it is made to wait",
            severity="warning",
            data={"address": address, "token": token_id},
        )
