"""From the link's thread to the author's event loop."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nexa_node.agent.claims import Claim
from nexa_node.agent.upward import Connected, Disconnected
from nexa_node.contract.errors import NexaError
from nexa_node.contract.frames import Deliver, Gap, TaskUpdate

_log = logging.getLogger("nexa.agent")


class Relay:
    """An `Upward` that runs what was registered on the author's loop, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Bring things to `loop`; nobody listens yet."""
        self._loop = loop
        self.on_connection: list[Callable[[Connected | Disconnected], None]] = []
        self.on_gap: list[Callable[[Gap], None]] = []
        self.on_assigned: list[Callable[[Claim], None]] = []
        self.on_revoked: list[Callable[[Claim], None]] = []
        self.on_delivered: list[Callable[[Deliver], None]] = []
        self.on_updated: list[Callable[[TaskUpdate], None]] = []
        self.on_ended: list[Callable[[NexaError | None], None]] = []

    def connection(self, change: Connected | Disconnected) -> None:
        """See `Upward`."""
        self._post(self.on_connection, change)

    def gap(self, gap: Gap) -> None:
        """See `Upward`."""
        _log.warning("messages %d to %d are gone: %s", gap.first, gap.last, gap.reason)
        self._post(self.on_gap, gap)

    def assigned(self, claim: Claim) -> None:
        """See `Upward`."""
        self._post(self.on_assigned, claim)

    def revoked(self, claim: Claim) -> None:
        """See `Upward`."""
        self._post(self.on_revoked, claim)

    def delivered(self, message: Deliver) -> None:
        """See `Upward`."""
        self._post(self.on_delivered, message)

    def updated(self, update: TaskUpdate) -> None:
        """See `Upward`."""
        self._post(self.on_updated, update)

    def ended(self, error: NexaError | None) -> None:
        """See `Upward`."""
        self._post(self.on_ended, error)

    def _post(self, listeners: list[Callable[[Any], None]], news: Any) -> None:
        with suppress(RuntimeError):  # the author's loop is closed: nobody listens
            self._loop.call_soon_threadsafe(self._run, listeners, news)

    def _run(self, listeners: list[Callable[[Any], None]], news: Any) -> None:
        for listener in listeners:
            try:
                listener(news)
            except Exception:  # noqa: BLE001  # one bad callback ends no agent
                _log.exception("a callback failed")
