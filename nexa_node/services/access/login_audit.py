"""What is written down of logins: each one that opens something, and those that don't.

A stranger can knock as often as he likes, and must not push older records out of the
audit by it: once an address is over the limit for failed logins, it is written down once
a minute, with how many there were since.
"""

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Forbidden, NexaError, RateLimited, Unauthorized
from nexa_node.ports import Clock
from nexa_node.services.audit_api import Auditor

AGAIN_S = 60.0
ADDRESSES_MAX = 1000


class LoginAudit:
    """Notes logins."""

    def __init__(self, auditor: Auditor, clock: Clock) -> None:
        """Note them with `auditor`."""
        self._auditor = auditor
        self._clock = clock
        self._limited: dict[str, tuple[float, int]] = {}
        """When an address over the limit was noted last, and how often it knocked since."""

    def accepted(
        self, identity: Identity, *, address: str, resource: str, request: str = ""
    ) -> None:
        """Somebody logged in and stays: an agent, a console, a short-lived token."""
        self._auditor.note(
            event="authn_login_success",
            actor=identity.id,
            name=identity.name,
            role=identity.role,
            address=address,
            request=request,
            resource=resource,
            outcome="done",
        )

    def refused(
        self,
        error: NexaError,
        *,
        address: str,
        resource: str,
        request: str = "",
        identity: Identity | None = None,
    ) -> None:
        """Somebody did not get in. What is no question of who he is is not noted."""
        if not isinstance(error, Unauthorized | RateLimited | Forbidden):
            return
        told = error.message
        if isinstance(error, RateLimited):
            more = self._over_limit(address)
            if more is None:
                return
            told = (
                f"{told}; {more} more like it since the last record" if more else told
            )
        self._auditor.note(
            event=(
                "authz_fail" if isinstance(error, Forbidden) else "authn_login_fail"
            ),
            actor="" if identity is None else identity.id,
            name="" if identity is None else identity.name,
            role="" if identity is None else identity.role,
            address=address,
            request=request,
            resource=resource,
            outcome="denied",
            reason=told,
        )

    def _over_limit(self, address: str) -> int | None:
        now = self._clock.monotonic()
        at, count = self._limited.get(address, (now - AGAIN_S, 0))
        if now - at < AGAIN_S:
            self._limited[address] = (at, count + 1)
            return None
        if len(self._limited) >= ADDRESSES_MAX:
            self._limited.clear()
        self._limited[address] = (now, 0)
        return count
