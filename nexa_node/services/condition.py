"""How this node is: its state, health, status and place in the cluster, from memory.

On every beat it looks whether the verdict or the self-test changed, and tells who
listens: the console's feed.
"""

from collections.abc import Callable

from nexa_node.contract.access import Identity
from nexa_node.contract.checks import SelfTest
from nexa_node.contract.events import (
    Change,
    ClusterChanged,
    Sampled,
    SelfTested,
    Snapshot,
)
from nexa_node.contract.nodes import (
    Cluster,
    HostSample,
    Node,
    NodeState,
    NodeStatus,
    Quorum,
)
from nexa_node.contract.version import CONSOLE_PROTOCOL, VERSION
from nexa_node.core.health import Assessment, Facts, assess, assess_cluster
from nexa_node.core.policies import SelfTestPolicy
from nexa_node.ports import Clock, StoreHealth
from nexa_node.services.api import Journal
from nexa_node.services.directory import Directory
from nexa_node.services.parts import NodeCard, SelfTestDesk, SessionDesk
from nexa_node.services.sampler import Sampler

SNAPSHOT_TASKS = 500
SNAPSHOT_EVENTS = 200
_SEVERITY = {
    "healthy": "info",
    "unknown": "info",
    "degraded": "warning",
    "unhealthy": "critical",
}


class Condition:
    """This node, as it is now."""

    def __init__(
        self,
        *,
        card: NodeCard,
        url: Callable[[], str],
        clock: Clock,
        store_health: Callable[[], StoreHealth],
        directory: Directory,
        sampler: Sampler,
        sessions: SessionDesk,
        selftest: SelfTestDesk,
        limits: SelfTestPolicy,
        journal: Journal,
    ) -> None:
        """Begin in the state `starting`; listens to the beat of `sampler`.

        Args:
            card: Who it is.
            url: Where it answers; asked each time, since port 0 is known late.
            clock: Stamps what is told.
            store_health: How the store is, from memory.
            directory: What there is.
            sampler: The machine's figures.
            sessions: Counts connected agents.
            selftest: The self-test's latest outcome.
            limits: From which free disk on a node is unwell.
            journal: Told when the verdict changes.
        """
        self.card = card
        self._url = url
        self._clock = clock
        self._store_health = store_health
        self._directory = directory
        self._sampler = sampler
        self._sessions = sessions
        self._selftest = selftest
        self._limits = limits
        self._journal = journal
        self._state: NodeState = "starting"
        self._told: tuple[NodeState, Assessment] | None = None
        self._told_selftest: SelfTest | None = None
        self._listeners: list[Callable[[Change], None]] = []
        sampler.on_sample(self._beat)

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
        store = self._store_health()
        facts = Facts(
            state=self._state,
            store_connected=store.connected,
            store_detail=store.detail,
            caught_up=self._directory.is_caught_up,
            selftest=self._selftest.latest(),
            required_failures=self._selftest.required_failures(),
            host=self._sampler.newest,
        )
        return assess(facts, limits=self._limits)

    def status(self, identity: Identity) -> NodeStatus:
        """This node, as `identity` is told."""
        found = self.assess()
        return NodeStatus(
            id=self.card.id,
            name=self.card.name,
            state=self._state,
            url=self._url(),
            pid=self.card.pid,
            version=VERSION,
            started=self.card.started,
            cluster=self.card.cluster,
            health=found.health,
            reasons=found.reasons,
            console_protocol=CONSOLE_PROTOCOL,
            whoami=identity.id,
            role=identity.role,
            tasks=self._directory.counts(),
            agents=self._sessions.connected(),
            host=self._sampler.newest,
        )

    def cluster(self) -> Cluster:
        """The cluster: this node alone, for now."""
        return self._cluster(self.assess())

    def snapshot(self, identity: Identity) -> Snapshot:
        """All a console needs to draw its first complete frame."""
        return Snapshot(
            seq=0,
            time=self._clock.now(),
            node=self.status(identity),
            cluster=self.cluster(),
            agents=self._directory.all_agents(),
            tasks=self._directory.newest_tasks(SNAPSHOT_TASKS),
            counts=self._directory.counts(),
            events=self._directory.newest_events(SNAPSHOT_EVENTS),
            history=self._sampler.history(),
            selftest=self._selftest.latest(),
        )

    def look(self) -> None:
        """Tell what changed since the last look."""
        found = self.assess()
        if self._told != (self._state, found):
            before = self._told[1].health if self._told else None
            self._told = self._state, found
            if found.health != before:
                self._note(found)
            now = self._clock.now()
            cluster = self._cluster(found)
            self._tell(ClusterChanged(seq=0, time=now, cluster=cluster))
        latest = self._selftest.latest()
        if latest is not None and latest is not self._told_selftest:
            self._told_selftest = latest
            now = self._clock.now()
            self._tell(SelfTested(seq=0, time=now, selftest=latest))

    def _beat(self, sample: HostSample) -> None:
        counts = self._directory.counts()
        self._tell(Sampled(seq=0, time=sample.time, sample=sample, counts=counts))
        self.look()

    def _cluster(self, found: Assessment) -> Cluster:
        node = Node(
            id=self.card.id,
            name=self.card.name,
            url=self._url(),
            state=self._state,
            health=found.health,
            role="single",
            agents=self._sessions.connected(),
            version=VERSION,
            reasons=found.reasons,
            started=self.card.started,
            host=self._sampler.newest,
        )
        quorum = Quorum(have=1, need=1)
        verdict = assess_cluster((node,), quorum)
        return Cluster(
            name=self.card.cluster,
            verdict=verdict.health,
            reasons=verdict.reasons,
            controller=self.card.name,
            quorum=quorum,
            nodes=(node,),
        )

    def _note(self, found: Assessment) -> None:
        told = "; ".join(found.reasons) or "nothing is wrong"
        self._journal.record(
            f"node.{found.health}",
            subject=f"node/{self.card.name}",
            message=f"{self.card.name} is {found.health}: {told}",
            severity=_SEVERITY[found.health],
        )

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)
