"""A node's calls about logs: may the caller, and whom to ask."""

from dataclasses import dataclass

from nexa_node.contract.access import Identity
from nexa_node.contract.logs import LogLine
from nexa_node.contract.rest import Page
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.journal.logbook import LogBook
from nexa_node.services.log_api import LogFilter


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a further base of `Node`
class LogCalls:
    """`services.log_api.LogApi`."""

    permissions: Permissions
    logbook: LogBook
    """What nodes logged."""

    async def logs(self, identity: Identity, query: LogFilter) -> Page[LogLine]:
        """Tell what nodes logged, the oldest first."""
        self.permissions.allow(identity, "logs")
        return await self.logbook.page(query)
