"""How this node is: its state, health, status and place in the cluster, from memory.

On every beat it looks whether the verdict or the self-test changed, and tells who
listens: the console's feed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.alerts import Alert
from nexa_node.contract.checks import SelfTest
from nexa_node.contract.events import (
    SNAPSHOT_EVENTS,
    SNAPSHOT_TASKS,
    Change,
    ClusterChanged,
    Sampled,
    SelfTested,
    Snapshot,
)
from nexa_node.contract.nodes import (
    Cluster,
    HostSample,
    NodeState,
    NodeStatus,
)
from nexa_node.contract.version import CONSOLE_PROTOCOL, VERSION
from nexa_node.core.health import Assessment, Facts, assess
from nexa_node.core.policies import SelfTestPolicy
from nexa_node.ports import Clock, StoreHealth
from nexa_node.services.api import Journal
from nexa_node.services.directory.directory import Directory
from nexa_node.services.health.sampler import Sampler
from nexa_node.services.parts import NodeCard, SelfTestDesk, SessionDesk

_SEVERITY = {
    "healthy": "info",
    "unknown": "info",
    "degraded": "warning",
    "unhealthy": "critical",
}


@dataclass(slots=True, kw_only=True, eq=False)
class Condition:
    """This node, as it is now; `starting` at first. Listens to the sampler's beat."""

    card: NodeCard
    """Who it is."""
    url: Callable[[], str]
    """Where it answers; asked each time, since port 0 is known late."""
    clock: Clock
    """Stamps what is told."""
    store_health: Callable[[], StoreHealth]
    """How the store is, from memory."""
    directory: Directory
    """What there is."""
    sampler: Sampler
    """The machine's figures."""
    sessions: SessionDesk
    """Counts connected agents."""
    selftest: SelfTestDesk
    """The self-test's latest outcome."""
    limits: SelfTestPolicy
    """From which free disk on a node is unwell."""
    journal: Journal
    """Told when the verdict changes."""
    picture: Callable[[], Cluster]
    """The cluster as this node sees it, itself included."""
    alerts: Callable[[], Sequence[Alert]] = tuple
    """What is on the board, in the order of triage."""
    _state: NodeState = field(default="starting", init=False)
    _told: "tuple[NodeState, Assessment] | None" = field(default=None, init=False)
    _told_cluster: Cluster | None = field(default=None, init=False)
    _told_selftest: SelfTest | None = field(default=None, init=False)
    _listeners: list[Callable[[Change], None]] = field(
        default_factory=list[Callable[[Change], None]], init=False
    )

    def __post_init__(self) -> None:
        """Listen."""
        self.sampler.on_sample(self._beat)

    @property
    def state(self) -> NodeState:
        """What the node is at."""
        return self._state

    def enter(self, state: NodeState) -> None:
        """Change the state, and tell it."""
        self._state = state
        self.look()

    def on_change(self, listener: Callable[[Change], None]) -> None:
        """Have `listener` told of each beat, and of changed verdicts and self-tests."""
        self._listeners.append(listener)

    def assess(self) -> Assessment:
        """Say how the node is."""
        store = self.store_health()
        facts = Facts(
            state=self._state,
            store_connected=store.connected,
            store_detail=store.detail,
            caught_up=self.directory.is_caught_up,
            selftest=self.selftest.latest(),
            required_failures=self.selftest.required_failures(),
            host=self.sampler.newest,
        )
        return assess(facts, limits=self.limits)

    def status(self, identity: Identity) -> NodeStatus:
        """This node, as `identity` is told."""
        found = self.assess()
        return NodeStatus(
            id=self.card.id,
            name=self.card.name,
            state=self._state,
            url=self.url(),
            pid=self.card.pid,
            version=VERSION,
            started=self.card.started,
            cluster=self.card.cluster,
            health=found.health,
            reasons=found.reasons,
            console_protocol=CONSOLE_PROTOCOL,
            whoami=identity.id,
            who=identity.name or None,
            role=identity.role,
            tasks=self.directory.counts(),
            agents=self.sessions.connected(),
            host=self.sampler.newest,
            store=self.store_health().detail,
        )

    def cluster(self) -> Cluster:
        """The cluster, as this node sees it."""
        return self.picture()

    def snapshot(self, identity: Identity) -> Snapshot:
        """All a console needs to draw its first complete frame."""
        return Snapshot(
            seq=0,
            time=self.clock.now(),
            node=self.status(identity),
            cluster=self.cluster(),
            agents=self.directory.all_agents(),
            tasks=self.directory.newest_tasks(SNAPSHOT_TASKS),
            counts=self.directory.counts(),
            events=self.directory.newest_events(SNAPSHOT_EVENTS),
            history=self.sampler.history(),
            selftest=self.selftest.latest(),
            alerts=tuple(self.alerts()),
        )

    def look(self) -> None:
        """Tell what changed since the last look."""
        found = self.assess()
        if self._told != (self._state, found):
            before = self._told[1].health if self._told else None
            self._told = self._state, found
            # A node that only starts is not news: `node.running` or worse follows.
            if found.health != before and self._state != "starting":
                self._note(found)
        cluster = self.picture()
        if _settled(cluster) != self._told_cluster:
            self._told_cluster = _settled(cluster)
            now = self.clock.now()
            self._tell(ClusterChanged(seq=0, time=now, cluster=cluster))
        latest = self.selftest.latest()
        if latest is not None and latest is not self._told_selftest:
            self._told_selftest = latest
            now = self.clock.now()
            self._tell(SelfTested(seq=0, time=now, selftest=latest))

    def _beat(self, sample: HostSample) -> None:
        counts = self.directory.counts()
        self._tell(Sampled(seq=0, time=sample.time, sample=sample, counts=counts))
        self.look()

    def _note(self, found: Assessment) -> None:
        told = "; ".join(found.reasons) or "nothing is wrong"
        self.journal.record(
            f"node.{found.health}",
            subject=f"node/{self.card.name}",
            message=f"{self.card.name} is {found.health}: {told}",
            severity=_SEVERITY[found.health],
        )

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def _settled(cluster: Cluster) -> Cluster:
    """The cluster without what is another on each beat: figures, and times of the wire."""
    change = msgspec.structs.replace
    return change(
        cluster,
        nodes=tuple(change(node, host=None, rtt_ms=None) for node in cluster.nodes),
        opinions=tuple(
            change(one, heard_ms=None, rtt_ms=None) for one in cluster.opinions
        ),
        streams=tuple(
            change(
                stream,
                messages=0,
                bytes=0,
                replicas=tuple(change(copy, lag=0) for copy in stream.replicas),
            )
            for stream in cluster.streams
        ),
        routes=tuple(
            change(route, rtt_ms=None, pending_bytes=0) for route in cluster.routes
        ),
    )
