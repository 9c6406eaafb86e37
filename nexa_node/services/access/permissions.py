"""Asking whether a caller may, and noting the answer no."""

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Forbidden
from nexa_node.core.access import API_ACTIONS
from nexa_node.core.authorization import ANY, demand
from nexa_node.ports import Clock
from nexa_node.services.api import Journal

AGAIN_AFTER_S = 60.0
"""The same caller refused the same call is noted again after so long."""
NOTED_MAX = 1000


class Permissions:
    """`core.access.demand`, with a memory for refusals."""

    def __init__(self, *, journal: Journal, clock: Clock) -> None:
        """Know of no refusal."""
        self._journal = journal
        self._clock = clock
        self._noted: dict[tuple[str, str], float] = {}
        self.denied: dict[str, int] = dict.fromkeys(API_ACTIONS, 0)
        """Calls refused since the start, by action."""

    def allow(self, identity: Identity, action: str, resource: str = ANY) -> None:
        """Let an allowed call pass.

        Raises:
            Forbidden: It is not allowed; that is counted and journaled, though a caller
                that insists can't fill the journal with it.
        """
        try:
            demand(identity, action, resource)
        except Forbidden as error:
            self._note(identity, action, error)
            raise

    def _note(self, identity: Identity, action: str, error: Forbidden) -> None:
        self.denied[action] = self.denied.get(action, 0) + 1
        now = self._clock.monotonic()
        key = (identity.id, action)
        if now - self._noted.get(key, now - AGAIN_AFTER_S) < AGAIN_AFTER_S:
            return
        if len(self._noted) >= NOTED_MAX:
            self._noted.clear()
        self._noted[key] = now
        self._journal.record(
            "access.denied",
            subject=identity.id.replace(":", "/", 1),
            message=error.message,
            severity="warning",
            data={"action": action, "role": identity.role},
        )
