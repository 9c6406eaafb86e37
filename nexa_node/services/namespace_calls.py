"""A node's calls about namespaces: who is in them, and what they may use."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from nexa_node.contract.access import Identity, NamespaceView
from nexa_node.contract.ids import Namespace
from nexa_node.contract.quotas import Quota
from nexa_node.contract.rest import Page
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.access.view import View
from nexa_node.services.directory.directory import Directory
from nexa_node.services.quotas import Quotas


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a further base of `Node`
class NamespaceCalls:
    """`services.namespace_api.NamespaceApi`."""

    permissions: Permissions
    directory: Directory
    quotas: Quotas
    writable: Callable[[], None]

    def namespaces(self, identity: Identity) -> Page[NamespaceView]:
        """List the namespaces in which there is something, or that have limits."""
        self.permissions.allow(identity, "namespaces")
        view = View(identity, self.directory)
        agents = Counter(
            each.namespace for each in self.directory.all_agents() if view.agent(each)
        )
        tasks = Counter(
            namespace
            for namespace, kind, _ in self.directory.task_places()
            if view.whole or view.may("tasks:read", namespace, kind)
        )
        quotas = self.quotas.all()
        within = identity.scope.namespaces
        limited = {name for name in quotas if view.whole or name in within}
        return Page(
            items=tuple(
                NamespaceView(
                    name=name,
                    agents=agents[Namespace(name)],
                    tasks=tasks[name],
                    quota=quotas[name] if name in limited else None,
                    budget=self.quotas.budget(name) if name in limited else None,
                )
                for name in sorted(agents.keys() | tasks.keys() | limited)
            )
        )

    async def set_namespace(self, identity: Identity, wanted: Quota) -> Quota:
        """Set what a namespace may use."""
        self.permissions.allow(identity, "set_namespace")
        self.writable()
        return await self.quotas.put(wanted, by=identity)

    async def delete_namespace(self, identity: Identity, name: str) -> None:
        """Forget what a namespace may use: it is without limits."""
        self.permissions.allow(identity, "delete_namespace")
        self.writable()
        await self.quotas.delete(name, by=identity)
