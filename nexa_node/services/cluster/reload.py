"""Files of certificates, read anew when they change."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from nexa_node.contract.errors import NexaError
from nexa_node.ports import Clock
from nexa_node.services.api import Journal

LOOK_S = 1.0


class Reloadable(Protocol):
    """Something made of files."""

    def look(self) -> bool:
        """Read them anew if they changed; whether they did. May block, may raise."""
        ...


class Reload:
    """Looks every second. A service's loop."""

    def __init__(
        self,
        files: Reloadable,
        *,
        clock: Clock,
        journal: Journal,
        node: str,
        ends: Callable[[], datetime],
    ) -> None:
        """Begin; nothing is looked at before `run`.

        Args:
            files: Which.
            clock: For the pauses.
            journal: Told of each change, and of one that can't be used.
            node: This node's name.
            ends: When the certificate ends that is used now.
        """
        self._files = files
        self._clock = clock
        self._journal = journal
        self._node = node
        self._ends = ends

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self._clock.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look once; what can't be used is told, and what was there before is used."""
        try:
            if await asyncio.to_thread(self._files.look):
                told = f"shows another certificate now, until {self._ends():%Y-%m-%d}"
                self._tell("shown", told, "info")
        except NexaError as error:
            remedy = f" ({error.remedy})" if error.remedy else ""
            told = f"shows the certificate before on: {error.message}{remedy}"
            self._tell("failed", told, "warning")

    def _tell(self, what: str, message: str, severity: str) -> None:
        self._journal.record(
            f"certificate.{what}",
            subject=f"node/{self._node}",
            message=f"the port of {self._node} {message}",
            severity=severity,
            data={"ends": self._ends()},
        )
