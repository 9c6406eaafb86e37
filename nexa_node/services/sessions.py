"""Sessions of agents with this node: hello, resuming, taking over, grace and farewell.

What stays true: one connection per agent, the newest; a session can be resumed on any
node, since what it needs is in the store; an agent that is gone longer than the grace
is told to everybody as offline. Nothing here waits for an agent.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from nexa_node.contract import errors
from nexa_node.contract.access import Identity
from nexa_node.contract.errors import (
    Draining,
    Forbidden,
    NexaError,
    NotFound,
    Unauthorized,
    Unavailable,
)
from nexa_node.contract.frames import (
    METHODS,
    Empty,
    GoAway,
    Hello,
    Limits,
    NodeRef,
    Refresh,
    Report,
    Welcome,
)
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.version import PROTOCOL
from nexa_node.core.access import authorize, demand
from nexa_node.core.codec import JSON, MSGPACK
from nexa_node.core.policies import LeasePolicy, SessionPolicy
from nexa_node.core.session import Call, Greeted, Session
from nexa_node.core.strategies import Candidate, Seat
from nexa_node.ports import Clock
from nexa_node.services.api import Journal
from nexa_node.services.connection import Connection
from nexa_node.services.door import Admission, Door
from nexa_node.services.live import AgentKey, Audience, LiveAgent

FEATURES = ("batch", "credits", "resume")
TICK_S = 0.25
CLOSE_NORMAL = 1000
GO_AWAY_SPREAD_MS = 2000
"""Agents that are asked to move come back over so long a time, not all at once."""


class Calls(Protocol):
    """What an open session's methods do."""

    def now(self, agent: LiveAgent, call: Call) -> Any | None:
        """Answer from memory; None for a call that must wait. May raise NexaError."""
        ...

    async def later(self, agent: LiveAgent, call: Call) -> Any:
        """Answer with the store's help. May raise NexaError."""
        ...

    def notified(self, agent: LiveAgent, method: str, params: Any) -> None:
        """Take a notification."""
        ...


class Sessions:
    """The registry of this node's sessions; also the desk of its connections."""

    def __init__(
        self,
        door: Door,
        *,
        clock: Clock,
        journal: Journal,
        node: NodeRef,
        urls: Callable[[], tuple[str, ...]],
        policy: SessionPolicy,
        leases: LeasePolicy,
    ) -> None:
        """Know nobody yet; `serve` and `listen` come before the first connection.

        Args:
            door: Admits agents.
            clock: Time-outs and graces.
            journal: Told who joins and who leaves.
            node: Who answers.
            urls: Where agents may connect, in the cluster, asked at each welcome.
            policy: Limits of a connection.
            leases: The grace, and the lease that is advertised.
        """
        self._door = door
        self._clock = clock
        self._journal = journal
        self._node = node
        self._urls = urls
        self._policy = policy
        self._leases = leases
        self._calls: Calls | None = None
        self._audience: list[Audience] = []
        self._live: dict[AgentKey, LiveAgent] = {}
        self._connections: set[Connection] = set()
        self._graces: list[tuple[float, int, LiveAgent]] = []
        self._order = itertools.count()
        self._group: asyncio.TaskGroup | None = None
        self._draining = False

    def serve(self, calls: Calls) -> None:
        """Let `calls` do what the methods ask for."""
        self._calls = calls

    def listen(self, audience: Audience) -> None:
        """Tell `audience` what becomes of sessions."""
        self._audience.append(audience)

    async def run(self) -> None:
        """Serve, for ever: time-outs and graces. Connections are taken meanwhile."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                while True:
                    await self._clock.sleep(TICK_S)
                    self._tick()
            finally:
                self._group = None

    # -- for the node ----------------------------------------------------------

    def connect(
        self, identity: Identity | None, *, text: bool, address: str
    ) -> Connection:
        """Begin a connection.

        Raises:
            Forbidden: The identity may not have a session.
            Draining: The node is on its way out.
            Unavailable: It serves as many as it may, or not yet.
        """
        if identity is not None:
            demand(identity, "session.hello")
        self._check_open()
        if len(self._connections) >= self._policy.connections:
            raise Unavailable(
                f"this node serves {self._policy.connections} connections already",
                remedy="connect to another node, or raise sessions.connections",
                retry_after_ms=5000,
            )
        machine = Session(
            JSON if text else MSGPACK,
            self._policy,
            now=self._clock.monotonic(),
            authenticated=identity is not None,
        )
        connection = Connection(
            machine, self, clock=self._clock, identity=identity, address=address
        )
        self._connections.add(connection)
        return connection

    def find(self, namespace: Namespace, agent_id: AgentId) -> LiveAgent | None:
        """An agent with a session here; also in its grace."""
        return self._live.get((namespace, agent_id))

    def connected(self) -> int:
        """How many agents are connected."""
        return sum(live.connection is not None for live in self._live.values())

    def everybody(self) -> tuple[LiveAgent, ...]:
        """All agents with a session here."""
        return tuple(self._live.values())

    def disconnect(self, namespace: Namespace, agent_id: AgentId) -> None:
        """Close an agent's connection. It may come back.

        Raises:
            NotFound: It is not connected to this node.
        """
        live = self.find(namespace, agent_id)
        if live is None or live.connection is None:
            raise NotFound(f"agent {agent_id} is not connected to {self._node.name}")
        live.connection.close(errors.CLOSE_GOING_AWAY, "disconnected by an operator")

    def revoked(self, identity_id: str, why: str) -> None:
        """End every connection of an identity that is no more."""
        for connection in list(self._connections):
            identity = connection.identity
            if identity is not None and identity.id == identity_id:
                connection.close(errors.CLOSE_REVOKED, why)

    def go_away(self, reason: str) -> None:
        """Ask all agents to move, and take no new ones."""
        self._draining = True
        spread = GO_AWAY_SPREAD_MS / max(1, len(self._live))
        for number, live in enumerate(list(self._live.values())):
            after_ms = round(number * spread)
            told = GoAway(reason=reason, reconnect_after_ms=after_ms)
            live.tell("session.go_away", told)

    def close_all(self, reason: str) -> None:
        """End all connections; the agents may go elsewhere."""
        self._draining = True
        for connection in list(self._connections):
            connection.close(errors.CLOSE_GOING_AWAY, reason)

    # -- the desk of the connections -------------------------------------------

    async def greet(self, connection: Connection, greeted: Greeted) -> None:
        """Answer hello."""
        try:
            await self._admit(connection, greeted)
        except NexaError as error:
            connection.refuse(greeted.call, error)
            connection.close(_close_code(error), error.message)

    def call(self, connection: Connection, call: Call) -> None:
        """Answer a call: at once if that needs no waiting."""
        live = self._owner(connection)
        if live is None:
            connection.refuse(call, Unavailable("the session is over"))
            return
        try:
            result = self._now(live, call)
        except NexaError as error:
            connection.refuse(call, error)
            return
        if result is not None:
            connection.answer(call, result)
            if call.method == "session.bye":
                self._bye(live, connection)
        elif not self._spawn(self._later(live, connection, call)):
            connection.refuse(call, Draining("the node is stopping"))

    def notified(self, connection: Connection, method: str, params: Any) -> None:
        """Take a notification."""
        live = self._owner(connection)
        if live is None or method not in live.methods:
            return
        if isinstance(params, Report):
            self._report(live, params)
        elif self._calls is not None:
            self._calls.notified(live, method, params)

    def ended(self, connection: Connection) -> None:
        """A connection is over: the grace begins."""
        self._connections.discard(connection)
        live = self._owner(connection)
        if live is None or live.connection is not connection:
            return
        live.connection = None
        live.seat.connected = False
        live.last_seen = self._clock.now()
        due = self._clock.monotonic() + self._leases.grace_ms / 1000
        heapq.heappush(self._graces, (due, next(self._order), live))
        for audience in self._audience:
            audience.away(live)

    def roomy(self, connection: Connection) -> None:
        """A slow connection caught up: what waits in the store may go on."""
        live = self._owner(connection)
        if live is not None:
            for audience in self._audience:
                audience.changed(live)

    # -- hello -----------------------------------------------------------------

    async def _admit(self, connection: Connection, greeted: Greeted) -> None:
        hello = greeted.hello
        self._check_open()
        admission = await self._door.admit(
            hello, connection.identity, connection.address
        )
        connection.identity = admission.identity
        if connection.is_over:
            return
        live = self._seat(connection, hello, admission)
        if live is None:
            connection.close(errors.CLOSE_TAKEN_OVER, "a newer connection was faster")
            return
        connection.welcome(greeted.call, self._welcome(hello, admission))
        self._announce(live, admission)

    def _welcome(self, hello: Hello, admission: Admission) -> Welcome:
        return Welcome(
            protocol=PROTOCOL,
            session=admission.session,
            resume_token=admission.token,
            epoch=admission.epoch,
            resumed=admission.resumed,
            next_seq=admission.read_upto + 1,
            node=self._node,
            cluster=self._urls(),
            heartbeat_ms=self._policy.heartbeat_ms,
            lease_ms=self._leases.lease_ms,
            limits=Limits(
                frame=self._policy.frame_bytes,
                inflight=self._policy.inflight,
                outbound=self._policy.outbound_frames,
            ),
            server_time=self._clock.now(),
            features=tuple(each for each in hello.features if each in FEATURES),
            gap=admission.gap,
        )

    def _seat(
        self, connection: Connection, hello: Hello, admission: Admission
    ) -> LiveAgent | None:
        """Register the agent, fencing an older connection; None if ours is the older."""
        namespace, agent_id = admission.key
        old = self._live.get(admission.key)
        if old is not None and old.revision > admission.revision:
            return None
        seat = Seat(agent=agent_id, slots=hello.slots, since=self._clock.monotonic())
        live = LiveAgent(
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
            methods=_allowed(admission.identity),
            since=self._clock.now(),
            last_seen=self._clock.now(),
            incarnation=admission.incarnation,
            read_upto=admission.read_upto,
        )
        if old is not None:
            live.completed, live.failed = old.completed, old.failed
            self._take_over(old)
        connection.owner = live
        self._live[admission.key] = live
        return live

    def _take_over(self, old: LiveAgent) -> None:
        connection, old.connection = old.connection, None
        if connection is None:
            return
        connection.close(errors.CLOSE_TAKEN_OVER, "taken_over")
        self._note("agent.taken_over", old, "a newer connection took its place")

    def _announce(self, live: LiveAgent, admission: Admission) -> None:
        if admission.resumed:
            self._note("agent.resumed", live, "is back on its session")
        else:
            capabilities = ", ".join(live.candidates) or "nothing"
            self._note("agent.joined", live, f"joined; it can do {capabilities}")
        for audience in self._audience:
            audience.joined(live, restarted=admission.restarted)

    # -- calls of an open session ----------------------------------------------

    def _now(self, live: LiveAgent, call: Call) -> Any | None:
        live.last_seen = self._clock.now()
        if call.method not in live.methods:
            demand(live.identity, call.method)
        if isinstance(call.params, Report):
            self._report(live, call.params)
            return Empty()
        if call.method == "session.bye":
            return Empty()
        if isinstance(call.params, Refresh) or self._calls is None:
            return None
        return self._calls.now(live, call)

    async def _later(self, live: LiveAgent, connection: Connection, call: Call) -> None:
        try:
            if isinstance(call.params, Refresh):
                result = await self._refresh(live, connection, call.params)
            elif self._calls is None:
                raise Unavailable("the node is starting", retry_after_ms=500)
            else:
                result = await self._calls.later(live, call)
        except NexaError as error:
            connection.refuse(call, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one call only
            self._note_fault(live, call, error)
            connection.refuse(
                call, NexaError(f"{call.method} failed: see the node's log")
            )
        else:
            connection.answer(call, result)

    async def _refresh(
        self, live: LiveAgent, connection: Connection, refresh: Refresh
    ) -> Empty:
        identity = await self._door.identify(refresh.token, connection.address)
        connection.identity = live.identity = identity
        live.methods = _allowed(identity)
        return Empty()

    def _report(self, live: LiveAgent, report: Report) -> None:
        seat = live.seat
        seat.state = report.state or seat.state
        seat.slots = seat.slots if report.slots is None else report.slots
        live.load = live.load if report.load is None else report.load
        live.metrics = report.metrics or live.metrics
        for audience in self._audience:
            audience.changed(live)

    def _bye(self, live: LiveAgent, connection: Connection) -> None:
        live.connection = None
        live.seat.connected = False
        connection.close(CLOSE_NORMAL, "bye")
        self._leave(live, in_order=True)

    # -- time ------------------------------------------------------------------

    def _tick(self) -> None:
        for connection in [each for each in self._connections if each.needs_ticks]:
            connection.tick()
        now = self._clock.monotonic()
        while self._graces and self._graces[0][0] <= now:
            _, _, live = heapq.heappop(self._graces)
            if live.connection is None and self._live.get(live.key) is live:
                self._leave(live, in_order=False)

    def _leave(self, live: LiveAgent, *, in_order: bool) -> None:
        self._live.pop(live.key, None)
        live.since = live.last_seen = self._clock.now()
        how = "said bye" if in_order else "is gone and did not come back"
        self._note("agent.left", live, how, "info" if in_order else "warning")
        for audience in self._audience:
            audience.left(live, in_order=in_order)

    # -- helpers ---------------------------------------------------------------

    def _check_open(self) -> None:
        if self._draining:
            raise Draining(
                f"{self._node.name} takes no new sessions",
                remedy="connect to another node of the cluster",
                retry_after_ms=1000,
            )
        if self._group is None:
            raise Unavailable(f"{self._node.name} is starting", retry_after_ms=500)

    def _owner(self, connection: Connection) -> LiveAgent | None:
        owner = connection.owner
        return owner if isinstance(owner, LiveAgent) else None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> bool:
        if self._group is None:
            work.close()
            return False
        self._group.create_task(work)
        return True

    def _note(
        self, kind: str, live: LiveAgent, how: str, severity: str = "info"
    ) -> None:
        self._journal.record(
            kind,
            subject=f"agent/{live.id}",
            message=f"{live.id} {how}",
            severity=severity,
            data={"namespace": live.namespace, "identity": live.identity.id},
        )

    def _note_fault(self, live: LiveAgent, call: Call, error: Exception) -> None:
        self._journal.record(
            "node.fault",
            subject=f"agent/{live.id}",
            message=f"{call.method} of {live.id} failed: {type(error).__name__}: {error}",
            severity="critical",
        )


def _allowed(identity: Identity) -> frozenset[str]:
    return frozenset(
        method for method in METHODS if authorize(identity, method).allowed
    )


def _close_code(error: NexaError) -> int:
    match error:
        case Unauthorized():
            return errors.CLOSE_UNAUTHORIZED
        case Forbidden():
            return errors.CLOSE_FORBIDDEN
        case _ if error.retryable:
            return errors.CLOSE_GOING_AWAY
        case _:
            return errors.CLOSE_PROTOCOL_ERROR
