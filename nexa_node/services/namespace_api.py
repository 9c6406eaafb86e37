"""The driving side of namespaces: a part of `api.NodeApi`, in a file of its own."""

from typing import Protocol

from nexa_node.contract.access import Identity, NamespaceView
from nexa_node.contract.quotas import Quota
from nexa_node.contract.rest import Page


class NamespaceApi(Protocol):
    """What a node answers about namespaces."""

    def namespaces(self, identity: Identity) -> Page[NamespaceView]:
        """List the namespaces in which there is something, or that have limits."""
        ...

    async def set_namespace(self, identity: Identity, wanted: Quota) -> Quota:
        """Set what a namespace may use, in place of what was set.

        Raises:
            Invalid: The name is none, or a limit makes no sense.
            Unavailable: The store did not take it.
        """
        ...

    async def delete_namespace(self, identity: Identity, name: str) -> None:
        """Forget what a namespace may use: it is without limits.

        Raises:
            NotFound: Nothing was set for it.
            Unavailable: The store did not take it.
        """
        ...
