"""The driving side of plans: a part of `api.NodeApi`, in a file of its own."""

from typing import Protocol

from nexa_node.contract.access import Identity
from nexa_node.contract.plans import Plan
from nexa_node.core.plans import Deed


class PlanApi(Protocol):
    """What a node answers about what it has not done yet."""

    async def plan(
        self, identity: Identity, deed: Deed, *, agreed: str | None = None
    ) -> Plan:
        """Say what a dangerous operation would do now; with `agreed`, only if it holds.

        Raises:
            Forbidden: The caller may not do it.
            Conflict: It can't be done; or it is not as it was in the plan `agreed`.
            Invalid: `agreed` is no plan.
        """
        ...
