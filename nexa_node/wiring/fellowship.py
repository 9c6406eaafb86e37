"""This node among others: who they are, who is the controller, what is asked of whom."""

import secrets
from collections.abc import Callable

from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.adapters.nats.topology import SESSIONS, bucket_stream
from nexa_node.contract.cluster import Growth, NodeEntry
from nexa_node.contract.nodes import Cluster
from nexa_node.contract.version import VERSION
from nexa_node.core.agent_urls import agent_urls
from nexa_node.core.cluster_view import cluster_view
from nexa_node.core.health import Assessment
from nexa_node.services.cluster.controller import Controller
from nexa_node.services.cluster.growths import Growths
from nexa_node.services.cluster.members import Members, Myself
from nexa_node.services.cluster.quorum import Writable
from nexa_node.services.health.condition import Condition
from nexa_node.services.journal.journal import EventJournal
from nexa_node.wiring.place import Place

SESSIONS_STREAM = bucket_stream(SESSIONS)


class Fellowship:
    """Made before everything else, since all the rest asks it; `meet` ends the making."""

    condition: Condition
    way_out: Callable[[str], None]
    """Begins to drain this node: why."""
    tell: Callable[[Growth], None]
    """Told how far a change of the cluster's shape is."""

    def __init__(self, place: Place, store: NatsStore) -> None:
        """Know who this node is."""
        settings = place.loaded.settings
        self._place, self._store = place, store
        self._incarnation = secrets.token_hex(8)
        self.pin = ""
        """Of this node's certificate, once it has one."""
        self.clock = SystemClock()
        self.journal = EventJournal(
            events=store.events,
            clock=self.clock,
            node=place.identity.name,
            entropy=secrets.token_bytes,
        )
        self.growths = Growths(node=place.identity.name, clock=self.clock)
        self.members = Members(
            myself=Myself(
                entry=self._entry,
                started=place.started,
                state=lambda: self.condition.state,
                assess=self._assess,
                agents=self._agents,
                host=lambda: self.condition.sampler.newest,
                growths=self.growths,
            ),
            beats=store.beats,
            entries=store.nodes,
            shape=store.cluster.shape,
            clock=self.clock,
            journal=self.journal,
            policy=settings.cluster,
        )
        self.controller = Controller(
            leases=store.leases,
            field=self.members,
            clustered=lambda: store.cluster.shape().clustered,
            clock=self.clock,
            journal=self.journal,
            node=place.identity.name,
            policy=settings.cluster,
        )
        self.writable = Writable(self.has_quorum, node=place.identity.name)

    def told(self, growth: Growth) -> None:
        """Pass on how far a change is."""
        self.tell(growth)

    def has_quorum(self) -> bool:
        """Whether this node hears enough others to have anything stored."""
        return self.members.is_alone or not self.members.is_cut_off

    @property
    def cluster_name(self) -> str:
        """As the cluster has it; of a node that is alone, as its settings do."""
        member = self._store.member
        alone = self._place.loaded.settings.node.cluster
        return alone if member is None else member.cluster

    def picture(self) -> Cluster:
        """The cluster as this node sees it."""
        return cluster_view(
            name=self.cluster_name,
            nodes=self.members.view(),
            controller=self.controller.holder,
            shape=self._store.cluster.shape(),
            opinions=self.members.opinions(),
            disagreements=self.members.disagreements(),
            growth=self.growths.current(),
            is_cut_off=not self.has_quorum(),
        )

    def agent_urls(self) -> tuple[str, ...]:
        """Where agents may connect, this node first."""
        return agent_urls(
            self.members.view(),
            own=self._place.identity.name,
            living=self.members.living(),
        )

    def others(self) -> bool:
        """Whether there is another node to go to."""
        return bool(self.members.others())

    def others_may_work(self) -> bool:
        """Whether the nodes that are not heard could be a majority of their own."""
        nodes = self.members.view()
        heard = [node for node in nodes if self.members.is_heard(node.name)]
        return len(nodes) - len(heard) > len(nodes) // 2

    def is_whole(self) -> bool:
        """Whether every member's store is heard."""
        shape = self._store.cluster.shape()
        return shape.have == len(shape.peers) and shape.leader is not None

    def names(self) -> frozenset[str]:
        """Names of all members, this node included, heard or not."""
        return frozenset(node.name for node in self.members.view())

    def heard(self) -> frozenset[str]:
        """Names of all nodes that give signs of life, this one included."""
        names = (node.name for node in self.members.view())
        return frozenset(name for name in names if self.members.is_heard(name))

    def can_resume(self) -> bool:
        """Whether the stream of sessions has a leader that lives, as seen last."""
        living, shape = self.members.living(), self._store.cluster.shape()
        return all(
            stream.leader in living or (shape.attached and stream.leader is not None)
            for stream in shape.streams
            if stream.name == SESSIONS_STREAM
        )

    def id_of(self, name: str) -> str | None:
        """A node's id by its name."""
        for node in self.members.view():
            if node.name == name:
                return node.id
        return None

    def _assess(self) -> Assessment:
        return self.condition.assess()

    def _agents(self) -> int:
        return self.condition.sessions.connected()

    def _entry(self) -> NodeEntry:
        return NodeEntry(
            name=self._place.identity.name,
            id=self._place.identity.id,
            url=self._place.url,
            route="" if self._store.member is None else self._store.member.route,
            version=VERSION,
            joined=self._place.started,
            incarnation=self._incarnation,
            pin=self.pin,
        )
