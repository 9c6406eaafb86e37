"""The roll: agents that have a session with this node, from hello to farewell.

What stays true: one entry per agent, its newest session; an entry without a connection
is in its grace; the audience is told of every change once, in order.
"""

from nexa_node.contract import errors
from nexa_node.contract.access import Identity
from nexa_node.contract.frames import METHODS, Hello, Report
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.core.authorization import authorize
from nexa_node.core.strategies import Candidate, Seat
from nexa_node.ports import Clock
from nexa_node.services.api import Journal
from nexa_node.services.sessions.connection import Connection
from nexa_node.services.sessions.door import Admission
from nexa_node.services.sessions.graces import Graces
from nexa_node.services.sessions.live import AgentKey, Audience, LiveAgent

INCARNATION_SHOWN = 64
"""Characters: a close frame's reason has room for little more."""


class Roll:
    """Keeps the roll and tells the audience."""

    def __init__(self, *, clock: Clock, journal: Journal, grace_s: float) -> None:
        """Know nobody yet."""
        self._clock = clock
        self._journal = journal
        self._graces = Graces(clock=clock, grace_s=grace_s)
        self._audience: list[Audience] = []
        self._live: dict[AgentKey, LiveAgent] = {}

    def listen(self, audience: Audience) -> None:
        """Tell `audience` what becomes of sessions."""
        self._audience.append(audience)

    def find(self, namespace: Namespace, agent_id: AgentId) -> LiveAgent | None:
        """An agent with a session here; also in its grace."""
        return self._live.get((namespace, agent_id))

    def connected(self) -> int:
        """How many agents are connected."""
        return sum(live.connection is not None for live in self._live.values())

    def everybody(self) -> tuple[LiveAgent, ...]:
        """All agents with a session here."""
        return tuple(self._live.values())

    def join(
        self, connection: Connection, hello: Hello, admission: Admission
    ) -> LiveAgent | None:
        """Enter an agent, fencing its older connection; None if this one is the older.

        Then this connection is closed. The audience is not told yet: see `announce`.
        """
        old = self._live.get(admission.key)
        if old is not None and old.revision > admission.revision:
            connection.close(errors.CLOSE_TAKEN_OVER, taken_over_by(old.incarnation))
            return None
        live = self._entry(connection, hello, admission)
        if old is not None:
            live.completed, live.failed = old.completed, old.failed
            live.seat.drained |= old.seat.drained and not admission.restarted
            self._fence(old, live)
        connection.owner = live
        self._live[admission.key] = live
        return live

    def announce(self, live: LiveAgent, admission: Admission) -> None:
        """Say that it is here: what the audience does comes after its welcome."""
        if admission.resumed:
            self.note("agent.resumed", live, "is back on its session")
        else:
            capabilities = ", ".join(live.candidates) or "nothing"
            self.note("agent.joined", live, f"joined; it can do {capabilities}")
        for audience in self._audience:
            audience.joined(live, restarted=admission.restarted)

    def report(self, live: LiveAgent, report: Report) -> None:
        """Take what an agent says of itself."""
        seat = live.seat
        seat.state = report.state or seat.state
        seat.slots = seat.slots if report.slots is None else report.slots
        live.load = live.load if report.load is None else report.load
        live.metrics = report.metrics or live.metrics
        self.changed(live)

    def drain(self, live: LiveAgent, *, on: bool) -> None:
        """Have it get nothing new, or get tasks again."""
        live.seat.drained = on
        self.changed(live)

    def changed(self, live: LiveAgent) -> None:
        """Have the audience look at it again."""
        for audience in self._audience:
            audience.changed(live)

    def away(self, live: LiveAgent) -> None:
        """Its connection is lost: the grace begins."""
        live.connection = None
        live.seat.connected = False
        live.last_seen = self._clock.now()
        self._graces.begin(live)
        for audience in self._audience:
            audience.away(live)

    def leave(self, live: LiveAgent, *, in_order: bool) -> None:
        """Strike it off."""
        live.connection = None
        live.seat.connected = False
        if self._live.get(live.key) is not live:
            return
        del self._live[live.key]
        live.since = live.last_seen = self._clock.now()
        how = "said bye" if in_order else "is gone and did not come back"
        self.note("agent.left", live, how, "info" if in_order else "warning")
        for audience in self._audience:
            audience.left(live, in_order=in_order)

    def moved(self, live: LiveAgent, *, to: str, incarnation: str | None) -> None:
        """Strike off one whose session goes on at another node, fencing what is here."""
        connection, live.connection = live.connection, None
        live.seat.connected = False
        if connection is not None:
            connection.close(errors.CLOSE_TAKEN_OVER, taken_over_by(incarnation))
        if self._live.get(live.key) is not live:
            return
        del self._live[live.key]
        self.note("agent.moved", live, f"goes on at {to}")
        for audience in self._audience:
            audience.left(live, in_order=False)

    def tick(self) -> None:
        """Strike off those whose grace is over."""
        for live in self._graces.over():
            self.leave(live, in_order=False)

    def note(
        self, kind: str, live: LiveAgent, how: str, severity: str = "info"
    ) -> None:
        """Write into the journal what an agent did."""
        self._journal.record(
            kind,
            subject=f"agent/{live.id}",
            message=f"{live.id} {how}",
            severity=severity,
            data={"namespace": live.namespace, "identity": live.identity.id},
        )

    def _entry(
        self, connection: Connection, hello: Hello, admission: Admission
    ) -> LiveAgent:
        namespace, agent_id = admission.key
        seat = Seat(
            agent=agent_id,
            slots=hello.slots,
            since=self._clock.monotonic(),
            drained=admission.drained,
        )
        return LiveAgent(
            namespace=namespace,
            id=agent_id,
            name=hello.agent.name or agent_id,
            version=hello.agent.version,
            identity=admission.identity,
            session=admission.session,
            revision=admission.revision,
            seat=seat,
            candidates={
                each.name: Candidate(seat, each) for each in hello.capabilities
            },
            connection=connection,
            methods=methods_of(admission.identity),
            since=self._clock.now(),
            last_seen=self._clock.now(),
            incarnation=admission.incarnation,
            read_upto=admission.read_upto,
        )

    def _fence(self, old: LiveAgent, new: LiveAgent) -> None:
        connection, old.connection = old.connection, None
        if connection is None:
            return
        connection.close(errors.CLOSE_TAKEN_OVER, taken_over_by(new.incarnation))
        self.note("agent.taken_over", old, "a newer connection took its place")


def methods_of(identity: Identity) -> frozenset[str]:
    """What an identity may call."""
    return frozenset(
        method for method in METHODS if authorize(identity, method).allowed
    )


def taken_over_by(incarnation: str | None) -> str:
    """The reason of a 4409: it names the newer process, if that has a name to show.

    An agent that reads of an older process than itself is the one to come back.
    """
    if not incarnation or len(incarnation) > INCARNATION_SHOWN:
        return "taken_over"
    if not incarnation.isascii() or not incarnation.isprintable():
        return "taken_over"
    return f"taken_over:{incarnation}"
