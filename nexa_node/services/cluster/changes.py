"""Changing what the cluster is made of: `parts.ClusterDesk`.

What a change would do is said by `core.blast`; here it is asked for, noted and done.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from nexa_node.contract.access import Identity
from nexa_node.contract.cluster import ClusterChange, Growth, JoinToken
from nexa_node.contract.errors import Conflict, Invalid, NexaError, Unavailable
from nexa_node.contract.nodes import Cluster
from nexa_node.core import blast
from nexa_node.ports import StoreCluster
from nexa_node.services.api import Journal
from nexa_node.services.parts import Spawn

SHORTEST_S, LONGEST_S = 60, 7 * 24 * 3600
"""How long a join token may be good for."""


@dataclass(slots=True, kw_only=True, eq=False)
class Changes:
    """`parts.ClusterDesk` of one node."""

    node: str
    """This node's name."""
    cluster: Callable[[], Cluster]
    """As it is seen now."""
    store: StoreCluster
    is_alive: Callable[[str], bool]
    issue: Callable[[int, Identity], Awaitable[JoinToken]]
    """Makes a join token: seconds, by whom."""
    forget: Callable[[str], Awaitable[None]]
    """Takes a member off the record."""
    ask_drain: Callable[[str, str], Awaitable[None]]
    """Asks a node to stop: its name, by whom."""
    ask_maintain: Callable[[str, bool, str], Awaitable[None]]
    depart: Callable[[str], Awaitable[None]]
    """Has this node go for good, once its data is elsewhere: by whom."""
    renew_keys: Callable[[str], Awaitable[None]]
    """Gives all members new authorities and a new password: by whom."""
    journal: Journal
    spawn: Spawn
    on_growth: Callable[[Growth], object] = lambda _: None
    """Told how far a change is, each time that it is news."""
    _growth: Growth | None = field(default=None, init=False)
    _busy: bool = field(default=False, init=False)

    async def join_token(self, *, expires_s: int, by: Identity) -> JoinToken:
        """Issue a token by which one node may join."""
        if not SHORTEST_S <= expires_s <= LONGEST_S:
            raise Invalid(
                f"a join token can't be good for {expires_s} s",
                remedy="give 1 minute to 7 days",
                details={"field": "expires_s"},
            )
        self._supervised(
            "needs no join token: nodes that are attached to one NATS with the same [node] cluster are one cluster"
        )
        return await self.issue(expires_s, by)

    async def leave(self, *, by: str, dry_run: bool) -> ClusterChange:
        """Have this node leave in order."""
        effects = _allowed(blast.departure(self.cluster(), self.node))
        if dry_run:
            what = f"{self.node} would leave"
            return ClusterChange(done=False, what=what, effects=effects)
        self._note("cluster.leaving", f"{self.node} leaves the cluster: {by}")
        await self.depart(by)
        what = f"{self.node} leaves the cluster"
        return ClusterChange(done=True, what=what, effects=effects)

    async def remove(self, name: str, *, by: str, dry_run: bool) -> ClusterChange:
        """Strike a dead node off."""
        shape = self.store.shape()
        effects = _allowed(
            blast.removal(
                self.cluster(),
                name,
                alive=self.is_alive(name),
                peers=(peer.node for peer in shape.peers),
                heard=shape.have,
            )
        )
        if dry_run:
            what = f"{name} would be struck off"
            return ClusterChange(done=False, what=what, effects=effects)
        self.tell(Growth(action="remove", phase="begun", detail=name))
        try:
            await self.store.remove_peer(name)
            await self.forget(name)
        except NexaError as error:
            self.tell(_failed("remove", error))
            raise
        self.tell(Growth(action="remove", phase="done", detail=name))
        self._note("cluster.removed", f"{name} was struck off the cluster: {by}")
        return ClusterChange(done=True, what=f"{name} was struck off", effects=effects)

    async def rotate(self, *, by: str, dry_run: bool) -> ClusterChange:
        """Give all members new authorities and a new password for the routes."""
        self._supervised(
            "has no routes or authorities of nexa's: its operators change its keys"
        )
        cluster = self.cluster()
        if cluster.quorum.have < cluster.quorum.need:
            raise Unavailable("too few nodes are heard", remedy="nexa cluster status")
        if len(cluster.nodes) == 1:
            raise Conflict(
                f"{self.node} is alone: it has no routes",
                remedy="nexa cluster join-token",
            )
        effects = (
            f"{len(cluster.nodes)} nodes trust new authorities, one step after the other",
            "no connection ends and no call fails; join tokens that are open are void",
            "who was struck off, and has a copy of the old keys, is shut out for good",
        )
        what = "new authorities and a new password for the routes"
        if dry_run:
            return ClusterChange(done=False, what=what, effects=effects)
        self._note("cluster.rotating", f"{what}: {by}")
        await self.renew_keys(by)
        return ClusterChange(done=True, what=what, effects=effects)

    async def set_replicas(
        self, copies: int, *, by: str, dry_run: bool
    ) -> ClusterChange:
        """Keep so many copies of everything; begun when answered."""
        effects = _allowed(blast.copying(self.cluster(), copies), kind=Invalid)
        what = f"{copies} copies of everything"
        if dry_run or copies == self.cluster().replicas:
            return ClusterChange(done=not dry_run, what=what, effects=effects)
        if self._busy:
            raise Conflict(
                "the number of copies is being changed already",
                remedy="wait for it: nexa cluster status",
            )
        self._note("cluster.copies", f"{what} are wanted: {by}")
        self.tell(Growth(action="replicas", phase="begun"))
        self._busy = True
        self.spawn("replicas", self._copy(copies))
        return ClusterChange(done=True, what=what, effects=effects, growth=self._growth)

    def growth(self) -> Growth | None:
        """How far the newest change of the cluster's shape is."""
        return self._growth

    def tell(self, growth: Growth) -> None:
        """Note how far a change is, and pass it on."""
        self._growth = growth
        self.on_growth(growth)

    async def drain(self, name: str, *, by: str) -> None:
        """Ask a node to stop gracefully."""
        await self.ask_drain(name, by)

    async def maintain(self, name: str, *, on: bool, by: str) -> None:
        """Have a node take nothing new, or take it again."""
        await self.ask_maintain(name, on, by)

    def _supervised(self, why_not: str) -> None:
        if self.cluster().store == "attached":
            raise Conflict(
                f"the store of {self.node} is attached and {why_not}",
                remedy="docs/attach.md tells how nodes are added and keys changed",
            )

    async def _copy(self, copies: int) -> None:
        try:
            async for growth in self.store.set_replicas(copies):
                self.tell(growth)
        except NexaError as error:
            self.tell(_failed("replicas", error))
            self._note("cluster.copies_failed", error.message, severity="error")
        else:
            self._note("cluster.copied", f"there are {copies} copies of everything")
        finally:
            self._busy = False

    def _note(self, kind: str, message: str, *, severity: str = "warning") -> None:
        subject = f"node/{self.node}"
        self.journal.record(kind, subject=subject, message=message, severity=severity)


def _failed(action: Literal["remove", "replicas"], error: NexaError) -> Growth:
    return Growth(
        action=action, phase="failed", error=error.message, remedy=error.remedy
    )


def _allowed(
    said: tuple[str, ...] | blast.Refused, *, kind: type[NexaError] = Conflict
) -> tuple[str, ...]:
    if isinstance(said, blast.Refused):
        raise kind(said.reason, remedy=said.remedy)
    return said
