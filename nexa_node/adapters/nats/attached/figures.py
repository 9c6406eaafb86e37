"""What an account tells of its storage, for the metrics; the servers tell nothing more."""

from nexa_node.adapters.nats.attached.checks import account_of
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.figures import NatsFigures
from nexa_node.adapters.nats.session import Lost, NoResponders
from nexa_node.adapters.nats.system import (
    JetStreamConfig,
    JetStreamStats,
    JetStreamVarz,
    System,
    Varz,
)
from nexa_node.adapters.nats.topology import NotReady
from nexa_node.contract.errors import Unavailable


class NoSystem(System):
    """There is no system account: nobody is asked."""

    def __init__(self) -> None:
        """Know nobody."""

    async def close(self) -> None:
        """Nothing is open."""


class AttachedFigures(NatsFigures):
    """`NatsFigures` by the account's own word."""

    def __init__(self) -> None:
        """Have seen nothing."""
        super().__init__(NoSystem(), lambda: "")
        self._connection: Connection | None = None

    def use(self, connection: Connection) -> None:
        """Ask over `connection`."""
        self._connection = connection

    async def look(self) -> None:
        """Ask now.

        Raises:
            Unavailable: It does not answer.
        """
        if self._connection is None or not self._connection.is_up:
            return
        session = await self._connection.session(self._connection.deadline())
        try:
            account = await account_of(session)
        except (Lost, NoResponders, NotReady, TimeoutError) as error:
            raise Unavailable(f"the account was not told ({error!r})") from error
        found = account.tier(1) if account.tiers is None else None
        self._seen = Varz(
            jetstream=JetStreamVarz(
                config=JetStreamConfig(
                    max_storage=max(0, found.limits.max_storage) if found else 0
                ),
                stats=JetStreamStats(storage=account.storage),
            )
        )
