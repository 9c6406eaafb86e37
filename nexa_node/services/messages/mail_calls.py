"""A node's calls about what is kept in topics and inboxes: counted, and looked into."""

from dataclasses import dataclass

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Forbidden
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.messages import Posted, Shelf
from nexa_node.contract.rest import Page
from nexa_node.core.authorization import authorize
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.messages.shelves import Shelves


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a further base of `Node`
class MailCalls:
    """`services.mail_api.MailApi`."""

    permissions: Permissions
    shelves: Shelves
    """What is kept."""

    async def list_topics(
        self, identity: Identity, namespace: Namespace
    ) -> Page[Shelf]:
        """List the topics that keep something and that the caller may read."""
        return await self._listed(identity, namespace, "topic")

    async def list_inboxes(
        self, identity: Identity, namespace: Namespace
    ) -> Page[Shelf]:
        """List the inboxes in which something waits and that the caller may read."""
        return await self._listed(identity, namespace, "agent")

    async def peek(
        self,
        identity: Identity,
        namespace: Namespace,
        agent: AgentId,
        *,
        after: int,
        limit: int,
    ) -> Page[Posted]:
        """Look into an inbox; nothing in it is delivered or dropped by that."""
        self.permissions.allow(identity, "peek")
        self.permissions.allow(identity, "peek", f"{namespace}.agent.{agent}")
        return await self.shelves.peek(namespace, agent, after=after, limit=limit)

    async def _listed(
        self, identity: Identity, namespace: Namespace, kind: str
    ) -> Page[Shelf]:
        action = "list_topics" if kind == "topic" else "list_inboxes"
        self.permissions.allow(identity, action)
        found = await self.shelves.listed(namespace, topics=kind == "topic")
        seen = tuple(
            one
            for one in found
            if authorize(identity, action, f"{namespace}.{kind}.{one.name}").allowed
        )
        within = identity.scope.namespaces
        if within and namespace not in within:
            raise Forbidden(f"{identity.id} sees nothing of the namespace {namespace}")
        return Page(items=seen)
