"""The members of the cluster: this node's signs of life, and its ear for the others'.

Feeds `core.membership` with beats, pings and the entries on record, and tells what comes
of it: into the journal, each thing by one node only, and to listeners. A node without a
cluster sends nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from nexa_node.contract.cluster import Beat, NodeEntry
from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import NodeId
from nexa_node.contract.nodes import (
    Health,
    HostSample,
    Node,
    NodeState,
    Opinion,
    Role,
    Suspicion,
)
from nexa_node.core.election import Candidate
from nexa_node.core.member import Kind, Member, MemberEvent
from nexa_node.core.membership import Membership
from nexa_node.core.opinions import Disagreement
from nexa_node.core.policies import ClusterPolicy
from nexa_node.ports import Beats, Caught, Clock, NodeEntries, Removed, StoreShape
from nexa_node.services.api import Journal
from nexa_node.services.cluster.myself import Myself
from nexa_node.services.cluster.own_entry import OwnEntry
from nexa_node.services.cluster.pins import TOLD_EACH, Pins

LEASES_STREAM = "KV_nx_leases"
"""As the store names it."""
_EVENTS: dict[Kind, tuple[str, str]] = {
    "joined": ("node.joined", "info"),
    "suspect": ("node.suspect", "warning"),
    "dead": ("node.dead", "critical"),
    "back": ("node.back", "info"),
    "left": ("node.left", "info"),
    "flapping": ("node.flapping", "warning"),
    "impostor": ("node.impostor", "critical"),
    "disagree": ("nodes.disagree", "warning"),
}

OnDead = Callable[[str], object]
OnEvent = Callable[[MemberEvent], object]


class Members:
    """All nodes, as this one knows them."""

    def __init__(
        self,
        *,
        myself: Myself,
        beats: Beats,
        entries: NodeEntries,
        shape: Callable[[], StoreShape],
        clock: Clock,
        journal: Journal,
        policy: ClusterPolicy,
    ) -> None:
        """Know nobody before `run`.

        Args:
            myself: This node.
            beats: Signs of life.
            entries: Who is a member, on record.
            shape: How the store lies, from memory. Its `clustered` is so by this node's
                own files, whatever answers.
            clock: Counts silence.
            journal: Told what became of whom.
            policy: When silence is suspicious.
        """
        self._myself = myself
        self._beats = beats
        self._entries = entries
        self._shape = shape
        self._clock = clock
        self._journal = journal
        self._policy = policy
        mine = myself.entry()
        self.name = mine.name
        self._machine = Membership(
            name=mine.name,
            node_id=mine.id,
            incarnation=mine.incarnation,
            policy=policy,
            has_referee=shape().attached,
        )
        self._own = OwnEntry(
            entries=entries,
            entry=myself.entry,
            has_namesake=self._machine.has_namesake,
            clock=clock,
            policy=policy,
        )
        self._known: dict[str, NodeEntry] = {}
        self._caught_up = False
        self._seq = 0
        self._told_host: HostSample | None = None
        self._turn = 0
        self._pins = Pins()
        self._on_dead: list[OnDead] = []
        self._on_event: list[OnEvent] = []

    # -- what others ask -------------------------------------------------------

    @property
    def is_alone(self) -> bool:
        """Whether this node has no cluster."""
        return not self._shape().clustered

    @property
    def is_cut_off(self) -> bool:
        """Whether this node hears too few members: it may be the one that is lost."""
        return not self.is_alone and self._machine.is_cut_off

    def living(self) -> frozenset[str]:
        """Names of all nodes that are not known to be dead, this one included."""
        return frozenset((self.name,)) if self.is_alone else self._machine.living()

    def is_alive(self, name: str) -> bool:
        """Whether a node is not known to be dead; a suspected one is not."""
        return name in self.living()

    def is_heard(self, name: str) -> bool:
        """Whether a node gives signs of life, beyond suspicion."""
        return name == self.name or self._machine.suspicion(name) == "alive"

    def suspicion(self, name: str) -> Suspicion:
        """What this node thinks of another, or of itself."""
        found = None if name == self.name else self._machine.suspicion(name)
        return "alive" if name == self.name else found or "left"

    def others(self) -> frozenset[str]:
        """Names of all living nodes but this one."""
        return self.living() - {self.name}

    def resting(self) -> frozenset[str]:
        """Names of the nodes that were taken out of service: they are in maintenance."""
        told = {entry.name for entry in self._known.values() if entry.maintenance}
        mine = self._myself.state() == "maintenance"
        return frozenset(told | {self.name} if mine else told)

    def opinions(self) -> tuple[Opinion, ...]:
        """What all nodes that are heard think of each other."""
        if self.is_alone:
            return ()
        return self._machine.all_opinions(self._clock.monotonic())

    def disagreements(self) -> tuple[Disagreement, ...]:
        """Where they differ, for longer than a moment."""
        if self.is_alone:
            return ()
        return self._machine.disagreements(self._clock.monotonic())

    def view(self) -> tuple[Node, ...]:
        """All nodes, this one included, by name."""
        mine = self._view_of_self()
        if self.is_alone:
            return (mine,)
        others = [self._view_of(member) for member in self._machine.members]
        return tuple(sorted((mine, *others), key=lambda node: node.name))

    def routes(self) -> tuple[str, ...]:
        """Where the stores of all other members are reached, as far as it is on record."""
        return tuple(
            sorted(
                entry.route
                for entry in self._known.values()
                if entry.route and not entry.left and entry.name != self.name
            )
        )

    def pins(self) -> tuple[str, ...] | None:
        """Of all members' certificates; see `Pins.all`. None: it is not known yet.

        A record without this node is older than its place in the cluster, or it was
        struck off: nobody is shut out for that.
        """
        mine, found = self._myself.entry(), self._known.get(self.name)
        if not self._caught_up or not mine.pin or found is None or found.id != mine.id:
            return None
        others = (one for one in self._known.values() if one.name != self.name)
        return self._pins.all(mine.pin, others)

    def told_pins(self) -> frozenset[str]:
        """Pins that others tell, while the record can't be read."""
        shape = self._shape()
        return self._pins.told(has_quorum=shape.have >= shape.need)

    def candidates(self) -> tuple[Candidate, ...]:
        """Who could be the controller: all that are heard, this node included."""
        leader = self._lease_leader()
        state, health = self._myself.state(), self._myself.assess().health
        began = self._myself.started
        found = [_candidate(self.name, state, health, leader, began)]
        for member in self._machine.members:
            beat = member.beat
            if member.suspicion == "alive" and member.recorded and beat is not None:
                node = member.name, beat.state, beat.health, leader, beat.started
                found.append(_candidate(*node))
        return tuple(found)

    def on_dead(self, listener: OnDead) -> None:
        """Have `listener` told the name of each node that is dead."""
        self._on_dead.append(listener)

    def on_event(self, listener: OnEvent) -> None:
        """Have `listener` told whatever becomes of any node."""
        self._on_event.append(listener)

    # -- the loops -------------------------------------------------------------

    async def run(self) -> None:
        """Beat, listen, ping and keep the entry, for ever. A service's loop."""
        arrivals = self._beats.arrivals()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(arrivals))
            group.create_task(self._follow_entries())
            group.create_task(self._own.run())
            group.create_task(self._ping())
            group.create_task(self._beat())

    async def stop(self) -> None:
        """Say goodbye, so that nobody need find out."""
        if not self.is_alone:
            await self._send("stopped")

    async def _beat(self) -> None:
        while True:
            if not self.is_alone:
                await self._send(self._myself.state())
                if self._may_judge():
                    self._machine.tick(self._clock.monotonic())
                self._tell()
            await self._clock.sleep(self._policy.beat_ms / 1000)

    def _may_judge(self) -> bool:
        """Whether silence says anything: not without the attached store itself."""
        shape = self._shape()
        return not shape.attached or shape.have >= shape.need

    async def _send(self, state: NodeState) -> None:
        mine, found = self._myself.entry(), self._myself.assess()
        host, growths = self._myself.host(), self._myself.growths
        self._seq += 1
        beat = Beat(
            node=mine.name,
            id=mine.id,
            incarnation=mine.incarnation,
            seq=self._seq,
            url=mine.url,
            version=mine.version,
            state=state,
            health=found.health,
            reasons=found.reasons,
            agents=self._myself.agents(),
            started=self._myself.started,
            opinions=self._machine.opinions(self._clock.monotonic()),
            host=None if host is self._told_host else host,
            growth=None if growths is None else growths.to_send(),
            pins=(self.pins() or ()) if self._seq % TOLD_EACH == 1 else (),
        )
        try:
            await self._beats.send(beat)
        except NexaError:
            return  # the others notice; the store's own trouble is told elsewhere
        self._told_host = host

    async def _listen(self, arrivals: AsyncIterator[Beat]) -> None:
        async for beat in arrivals:
            self._machine.receive(beat, self._clock.monotonic())
            self._pins.hear(beat.node, beat.pins)
            self._hear_growth(beat)
            self._tell()

    def _hear_growth(self, beat: Beat) -> None:
        growths = self._myself.growths
        if growths and beat.growth is not None and beat.node != self.name:
            growths.hear(beat.node, beat.growth)

    async def _ping(self) -> None:
        """One node on each beat, in turn."""
        while True:
            await self._clock.sleep(self._policy.beat_ms / 1000)
            names = sorted(self.others())
            if names:
                self._turn = (self._turn + 1) % len(names)
                name, patience_s = names[self._turn], self._policy.suspect_ms / 1000
                took = await self._beats.ping(name, timeout_s=patience_s)
                self._machine.pinged(name, None if took is None else round(took, 3))

    # -- entries ---------------------------------------------------------------

    async def _follow_entries(self) -> None:
        async for told in self._entries.watch():
            if isinstance(told, Caught):
                self._caught_up = True
                self._own.caught_up()
            elif isinstance(told, Removed):
                self._known.pop(told.key, None)
                self._own.learn(told.key, None)
                self._machine.leave(told.key)
            else:
                self._learn(told.value)
            self._tell()

    def _learn(self, entry: NodeEntry) -> None:
        self._known[entry.name] = entry
        self._own.learn(entry.name, entry)
        if entry.left:
            self._machine.leave(entry.name)
        elif entry.incarnation:  # else its name is kept for it, and it never ran
            now = self._clock.monotonic()
            self._machine.expect(entry.name, entry.id, now, new=self._caught_up)

    # -- telling ---------------------------------------------------------------

    def _tell(self) -> None:
        for event in self._machine.take_events():
            if event.kind == "dead":
                for listener in self._on_dead:
                    listener(event.node)
            for told in self._on_event:
                told(event)
            if not event.quiet and self._is_teller(event.node):
                self._note(event)

    def _is_teller(self, about: str) -> bool:
        """Whether it is this node that writes it down: the first by name that is heard.

        What a node knows of itself it writes down itself.
        """
        if about == self.name:
            return True
        if self._machine.is_cut_off:
            return False
        heard = [
            member.name
            for member in self._machine.members
            if member.recorded and member.suspicion == "alive" and member.name != about
        ]
        return all(self.name < name for name in heard)

    def _note(self, event: MemberEvent) -> None:
        kind, severity = _EVENTS[event.kind]
        told = event.reason
        self._journal.record(
            kind,
            subject=f"node/{event.node}",
            message=told if event.kind == "disagree" else f"{event.node}: {told}",
            severity=severity,
            data={"node": event.node, "seen_by": self.name},
        )

    # -- views -----------------------------------------------------------------

    def _view_of_self(self) -> Node:
        mine, found = self._myself.entry(), self._myself.assess()
        reasons = found.reasons
        health = found.health
        if self.is_cut_off:
            health = "degraded" if health == "healthy" else health
            reasons = (*reasons, "it hears too few others: it may be the one cut off")
        return Node(
            id=NodeId(mine.id),
            name=mine.name,
            url=mine.url,
            state=self._myself.state(),
            health=health,
            role=self._role(mine.name),
            agents=self._myself.agents(),
            version=mine.version,
            reasons=reasons,
            started=self._myself.started,
            host=self._myself.host(),
        )

    def _view_of(self, member: Member) -> Node:
        now = self._clock.monotonic()
        health, reasons = self._machine.health(member.name, now)
        beat, entry = member.beat, self._known.get(member.name)
        return Node(
            id=NodeId(member.id),
            name=member.name,
            url=beat.url if beat else entry.url if entry else "",
            state=_state(member),
            health=health,
            role=self._role(member.name),
            agents=beat.agents if beat and member.suspicion != "left" else 0,
            version=beat.version if beat else entry.version if entry else "",
            reasons=reasons,
            rtt_ms=member.rtt_ms,
            started=beat.started if beat else None,
            host=member.host if member.suspicion in ("alive", "suspect") else None,
        )

    def _role(self, name: str) -> Role:
        shape = self._shape()
        if shape.attached:
            return "attached"
        if not shape.clustered:
            return "single"
        return "leader" if shape.leader == name else "follower"

    def _lease_leader(self) -> str | None:
        """Whose store leads the stream that the controller's lease is in."""
        for stream in self._shape().streams:
            if stream.name == LEASES_STREAM:
                return stream.leader
        return None


def _state(member: Member) -> NodeState:
    if member.suspicion == "dead":
        return "error"
    if member.beat is None:
        return "stopped"
    return member.beat.state


def _candidate(
    name: str,
    state: NodeState,
    health: Health,
    leader: str | None,
    began: datetime | None,
) -> Candidate:
    return Candidate(
        name=name,
        fit=state == "running" and health in ("healthy", "degraded"),
        leaving=state in ("stopping", "stopped", "error"),
        near_store=name == leader,
        started=0.0 if began is None else began.timestamp(),
    )
