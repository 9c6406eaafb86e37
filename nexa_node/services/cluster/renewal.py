"""The node's certificate, made anew in time: at two thirds of its life."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from nexa_node.contract.errors import NexaError
from nexa_node.core.certificates import Life
from nexa_node.ports import Clock
from nexa_node.services.api import Journal

LOOK_S = 3600.0
RETRY_S = 60.0
NONE_S = 5.0
"""Between two looks while there is no certificate: a cluster may be formed any moment."""
SOONEST_S = 0.5
"""Between two looks, however short a certificate lives."""

Renewed = Callable[[], Awaitable[None]]


class Renewable(Protocol):
    """A certificate that can be made anew."""

    async def renew_own(self) -> bool:
        """Make it anew if there is one that is due; whether it is another one now."""
        ...

    async def life(self) -> Life | None:
        """From when until when it is valid; None if there is none."""
        ...


class Renewal:
    """Looks every hour, or sooner where certificates live less. A service's loop."""

    def __init__(
        self,
        certificate: Renewable,
        *,
        clock: Clock,
        journal: Journal,
        node: str,
        on_renewed: Renewed,
    ) -> None:
        """Begin; nothing is looked at before `run`.

        Args:
            certificate: Which.
            clock: For the pauses.
            journal: Told of each renewal, and of one that failed.
            node: This node's name.
            on_renewed: Has what uses the certificate read it anew.
        """
        self._certificate = certificate
        self._clock = clock
        self._journal = journal
        self._node = node
        self._on_renewed = on_renewed
        self._is_unread = False
        self._due: datetime | None = None
        self.ends: datetime | None = None
        """When the certificate ends, as of the last look."""

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self._clock.sleep(self._pause_s(done=await self.look()))

    def _pause_s(self, *, done: bool) -> float:
        """Until the next look: an hour, or until it is due if that is sooner."""
        longest = LOOK_S if done else RETRY_S
        if self._due is None:
            return min(longest, NONE_S)
        left = (self._due - self._clock.now()).total_seconds()
        return min(longest, max(left, SOONEST_S))

    async def look(self) -> bool:
        """Renew if it is due; False if that failed and is to be tried soon."""
        try:
            self._is_unread |= await self._certificate.renew_own()
            life = await self._certificate.life()
            self.ends = None if life is None else life.ends
            self._due = None if life is None else life.renewal
            is_new = self._is_unread
            if is_new:
                await self._on_renewed()
            self._is_unread = False
        except NexaError as error:
            self._tell("failed", f"was not renewed: {error.message}", "warning")
            return False
        if is_new:
            until = f", until {self.ends:%Y-%m-%d}" if self.ends else ""
            self._tell("renewed", f"was renewed{until}", "info")
        return True

    def _tell(self, what: str, message: str, severity: str) -> None:
        self._journal.record(
            f"certificate.{what}",
            subject=f"node/{self._node}",
            message=f"the certificate of {self._node} {message}",
            severity=severity,
            data={"ends": self.ends},
        )
