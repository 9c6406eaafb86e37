"""What nats-server and the connection to it have counted, for the metrics."""

import asyncio
from collections.abc import Callable

import structlog

from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.system import System, Varz
from nexa_node.contract.errors import NexaError
from nexa_node.ports import ServerFigures

EVERY_S = 10.0

_log = structlog.get_logger("nexa.store")


class NatsFigures:
    """Looks each ten seconds; `figures` tells what was seen last."""

    def __init__(self, system: System, name: Callable[[], str]) -> None:
        """Have seen nothing.

        Args:
            system: Asks the servers.
            name: Of our own server.
        """
        self._system = system
        self._name = name
        self._sessions = 0
        self._seen: Varz | None = None

    def attach(self, session: Session) -> None:
        """Count a new connection."""
        del session
        self._sessions += 1

    def figures(self) -> ServerFigures:
        """What was seen last."""
        seen = self._seen or Varz()
        return ServerFigures(
            storage_used=seen.jetstream.stats.storage,
            storage_limit=seen.jetstream.config.max_storage,
            slow_consumers=seen.slow_consumers,
            reconnects=max(0, self._sessions - 1),
        )

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            try:
                await self.look()
            except NexaError as error:
                _log.debug("nats-server was not asked", cause=error.message)
            except Exception as error:  # noqa: BLE001  nothing may end this loop
                _log.warning("nats-server was not asked", error=repr(error))
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Ask now.

        Raises:
            Unavailable: It does not answer.
        """
        told = await self._system.varz()
        mine = told.get(self._name())
        if mine is None and len(told) == 1:
            (mine,) = told.values()
        if mine is not None:
            self._seen = mine
