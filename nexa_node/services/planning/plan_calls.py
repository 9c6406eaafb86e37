"""A node's call about plans: may the caller, and what would it be."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from nexa_node.contract.access import Identity
from nexa_node.contract.agents import Agent
from nexa_node.contract.cluster import Copies
from nexa_node.contract.errors import NotFound
from nexa_node.contract.ids import AgentId
from nexa_node.contract.plans import Plan
from nexa_node.contract.tasks import Redrive
from nexa_node.core import outlooks
from nexa_node.core.plans import Deed, Outlook
from nexa_node.services.access.access import Access
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.access.roles import RoleBook
from nexa_node.services.directory.directory import Directory
from nexa_node.services.health.condition import Condition
from nexa_node.services.parts import BackupDesk, SessionDesk
from nexa_node.services.planning.book import PlanBook

if TYPE_CHECKING:
    from nexa_node.services.api import NodeApi


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a further base of `Node`
class PlanCalls:
    """`services.plan_api.PlanApi`. What a call of the node can say dry, it is asked."""

    permissions: Permissions
    condition: Condition
    access: Access
    role_book: RoleBook
    directory: Directory
    sessions: SessionDesk
    archive: BackupDesk
    plans: PlanBook

    async def plan(
        self, identity: Identity, deed: Deed, *, agreed: str | None = None
    ) -> Plan:
        """Say what a dangerous operation would do; see `plan_api.PlanApi.plan`."""
        self.permissions.allow(identity, deed.action)
        outlook = await self._LOOKS[deed.action](self, identity, deed)
        if agreed is not None:
            self.plans.check(deed, outlook, agreed)
        return self.plans.make(deed, outlook)

    @property
    def _node(self) -> "NodeApi":
        """The whole of which this is a part."""
        return cast("NodeApi", self)

    async def _drain(self, identity: Identity, deed: Deed) -> Outlook:
        del identity
        cluster = self.condition.cluster()
        for node in cluster.nodes:
            if deed.target in (node.id, node.name):
                return outlooks.of_drain(cluster, node, self.directory.all_agents())
        raise NotFound(
            f"the cluster has no node {deed.target[:80]}",
            remedy="nexa cluster status lists them",
        )

    async def _change(self, identity: Identity, deed: Deed) -> Outlook:
        node, body = self._node, deed.body
        if deed.action == "leave":
            dry = await node.leave(identity, dry_run=True)
        elif deed.action == "rotate_keys":
            dry = await node.rotate_keys(identity, dry_run=True)
        elif isinstance(body, Copies):
            dry = await node.set_replicas(identity, body.copies, dry_run=True)
        else:
            dry = await node.remove_node(identity, deed.target, dry_run=True)
        return outlooks.of_change(self.condition.cluster(), dry)

    async def _dead_letters(self, identity: Identity, deed: Deed) -> Outlook:
        assert isinstance(deed.body, Redrive)
        call = self._node.purge if deed.action == "purge" else self._node.redrive
        dry = await call(identity, deed.body, dry_run=True)
        return outlooks.of_dead_letters(deed.action, dry)

    async def _token(self, identity: Identity, deed: Deed) -> Outlook:
        token = self.access.revocable(deed.target, by=identity)
        held = f"token:{token.id}"
        here = [self._holder(each) for each in self.directory.all_agents()]
        sessions = self.access.short_lived(token.id)
        return outlooks.of_token(token, agents=here.count(held), sessions=sessions)

    def _holder(self, agent: Agent) -> str | None:
        """By whose token an agent is connected to this node; None if it is not."""
        found = self.sessions.identity_of(agent.namespace, agent.id)
        return None if found is None else found.id

    async def _role(self, identity: Identity, deed: Deed) -> Outlook:
        del identity
        role = self.role_book.find(deed.target)
        return outlooks.of_role(role, self.access.holders(role.name))

    async def _disconnect(self, identity: Identity, deed: Deed) -> Outlook:
        agent = self._node.agent(identity, AgentId(deed.target))
        where = f"{agent.namespace}.{agent.id}"
        self.permissions.allow(identity, "disconnect", where)
        return outlooks.of_disconnect(agent)

    async def _restore(self, identity: Identity, deed: Deed) -> Outlook:
        del identity, deed
        held = await self.archive.target()
        return outlooks.of_restore(self.condition.card.name, held)

    _LOOKS: ClassVar[Mapping[str, Callable[..., Awaitable[Outlook]]]] = {
        "drain": _drain,
        "remove_node": _change,
        "leave": _change,
        "set_replicas": _change,
        "rotate_keys": _change,
        "restore": _restore,
        "redrive": _dead_letters,
        "purge": _dead_letters,
        "revoke_token": _token,
        "delete_role": _role,
        "disconnect": _disconnect,
    }
    """How each dangerous operation is looked at, by its action."""

    @classmethod
    def plannable(cls) -> frozenset[str]:
        """The actions that `plan` knows to look at."""
        return frozenset(cls._LOOKS)
