"""The driving side of topics and inboxes: a part of `api.NodeApi`, in its own file."""

from typing import Protocol

from nexa_node.contract.access import Identity
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.messages import Posted, Shelf
from nexa_node.contract.rest import Page


class MailApi(Protocol):
    """What a node answers about what is kept in topics and inboxes."""

    async def list_topics(
        self, identity: Identity, namespace: Namespace
    ) -> Page[Shelf]:
        """List topics that keep something, the fullest first."""
        ...

    async def list_inboxes(
        self, identity: Identity, namespace: Namespace
    ) -> Page[Shelf]:
        """List inboxes in which something waits, the fullest first."""
        ...

    async def peek(
        self,
        identity: Identity,
        namespace: Namespace,
        agent: AgentId,
        *,
        after: int,
        limit: int,
    ) -> Page[Posted]:
        """Look into an inbox; nothing is delivered or dropped by that."""
        ...
