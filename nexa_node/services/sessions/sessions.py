"""Sessions of agents with this node: connections, hello, resuming, calls and farewell.

What stays true: one connection per agent, the newest; a session can be resumed on any
node, since what it needs is in the store; no crowd of connections keeps out those whose
place it is (`core/crowding.py`). Nothing here waits for an agent. Who is here, away and
gone is kept by the roll (`services/sessions/roll.py`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Protocol

import msgspec

from nexa_node.contract import errors
from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Draining, NexaError, NotFound, Unavailable
from nexa_node.contract.frames import Empty, GoAway, NodeRef, Refresh, Report
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.core.authorization import demand
from nexa_node.core.codec import JSON, MSGPACK
from nexa_node.core.policies import LeasePolicy, SessionPolicy
from nexa_node.core.session import Call, Greeted, Session
from nexa_node.ports import Clock
from nexa_node.services.access.login_audit import LoginAudit
from nexa_node.services.api import Journal
from nexa_node.services.sessions.connection import UNMEASURED, Connection, Meter
from nexa_node.services.sessions.door import Door
from nexa_node.services.sessions.live import Audience, LiveAgent
from nexa_node.services.sessions.reception import House, Reception
from nexa_node.services.sessions.roll import Roll

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
    """The desk of this node's connections."""

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
            policy: Limits of a connection, and of connections.
            leases: The grace, and the lease that is advertised.
        """
        self._door = door
        self._clock = clock
        self._journal = journal
        self._node = node
        self._urls = urls
        self._policy = policy
        self._calls: Calls | None = None
        self._roll = Roll(clock=clock, journal=journal, grace_s=leases.grace_ms / 1000)
        self._reception = Reception(
            door,
            self._roll,
            House(node, urls, policy, leases),
            clock=clock,
            journal=journal,
        )
        self._connections: set[Connection] = set()
        self._group: asyncio.TaskGroup | None = None
        self._meter: Meter = UNMEASURED
        self.crowd = self._reception.crowd
        """Counts connections; tells how many were refused."""

    def serve(self, calls: Calls) -> None:
        """Let `calls` do what the methods ask for."""
        self._calls = calls

    def measure(self, meter: Meter) -> None:
        """Have `meter` count what connections carry, from now on."""
        self._meter = meter

    def audit(self, logins: LoginAudit) -> None:
        """Have `logins` told of every agent that comes, or does not get in."""
        self._reception.logins = logins

    def listen(self, audience: Audience) -> None:
        """Tell `audience` what becomes of sessions."""
        self._roll.listen(audience)

    async def run(self) -> None:
        """Serve, for ever: time-outs and graces. Connections are taken meanwhile."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._reception.is_serving = True
            try:
                while True:
                    await self._clock.sleep(TICK_S)
                    self._tick()
            finally:
                self._group = None
                self._reception.is_serving = False

    # -- for the node ----------------------------------------------------------

    def connect(
        self, identity: Identity | None, *, text: bool, address: str
    ) -> Connection:
        """Begin a connection.

        Raises:
            Forbidden: The identity may not have a session.
            Draining: The node is on its way out.
            RateLimited: The identity or the address has as many as it may.
            Unavailable: The node has as many as it may, or serves nobody yet.
        """
        if identity is not None:
            demand(identity, "session.hello")
        self._reception.check_open()
        machine = Session(
            JSON if text else MSGPACK,
            self._policy,
            now=self._clock.monotonic(),
            authenticated=identity is not None,
        )
        connection = Connection(
            machine,
            self,
            clock=self._clock,
            identity=identity,
            address=address,
            meter=self._meter,
        )
        self._reception.enter(connection)
        self._connections.add(connection)
        return connection

    def find(self, namespace: Namespace, agent_id: AgentId) -> LiveAgent | None:
        """An agent with a session here; also in its grace."""
        return self._roll.find(namespace, agent_id)

    def identity_of(self, namespace: Namespace, agent_id: AgentId) -> Identity | None:
        """Whose an agent is that has a session here; None if there is none."""
        live = self.find(namespace, agent_id)
        return None if live is None else live.identity

    def connected(self) -> int:
        """How many agents are connected."""
        return self._roll.connected()

    def everybody(self) -> tuple[LiveAgent, ...]:
        """All agents with a session here."""
        return self._roll.everybody()

    def disconnect(self, namespace: Namespace, agent_id: AgentId) -> None:
        """Close an agent's connection. It may come back.

        Raises:
            NotFound: It is not connected to this node.
        """
        live = self.find(namespace, agent_id)
        if live is None or live.connection is None:
            raise NotFound(f"agent {agent_id} is not connected to {self._node.name}")
        live.connection.close(errors.CLOSE_GOING_AWAY, "disconnected by an operator")

    def drain(self, namespace: Namespace, agent_id: AgentId, *, on: bool) -> None:
        """Have an agent get no new tasks, or get them again; its messages go on.

        Raises:
            NotFound: It is not connected to this node.
        """
        live = self.find(namespace, agent_id)
        if live is None or live.connection is None:
            raise NotFound(f"agent {agent_id} is not connected to {self._node.name}")
        self._roll.drain(live, on=on)

    def revoked(self, identity_id: str, why: str) -> None:
        """End every connection of an identity that is no more: revoked, or expired."""
        self._door.revoked(identity_id)
        now = self._clock.now()
        for connection in list(self._connections):
            identity = connection.identity
            if identity is not None and identity_id in (identity.id, identity.session):
                connection.close(_end_of(identity, now), why)

    def changed(self, identity: Identity) -> None:
        """Go by what an identity may from now on, in all its sessions here."""
        for connection in list(self._connections):
            known = connection.identity
            if known is None or known.id != identity.id:
                continue
            connection.identity = now = msgspec.structs.replace(
                identity,
                generation=known.generation,
                session=known.session,
                expires=known.expires,
            )
            live = self._owner(connection)
            if live is not None:
                self._reception.rule(live, now)

    def retired(self, identity_id: str, generation: int, why: str) -> None:
        """End connections by a secret older than that generation of its token."""
        for connection in list(self._connections):
            known = connection.identity
            if (
                known is not None
                and known.id == identity_id
                and known.generation < generation
            ):
                connection.close(errors.CLOSE_REVOKED, why)

    def moved(self, live: LiveAgent, *, to: str, incarnation: str | None) -> None:
        """Let an agent go whose session goes on at the node `to`; closes with 4409."""
        self._roll.moved(live, to=to, incarnation=incarnation)

    def go_away(self, reason: str) -> None:
        """Ask all agents to move, and take no new ones."""
        self.take_nobody()
        self.ask_to_move(reason)

    def ask_to_move(self, reason: str) -> None:
        """Ask all agents to go to another node; who stays is served as before."""
        everybody = self.everybody()
        spread = GO_AWAY_SPREAD_MS / max(1, len(everybody))
        for number, live in enumerate(everybody):
            told = GoAway(
                reason=reason,
                reconnect_after_ms=round(number * spread),
                cluster=self._urls(),
            )
            live.tell("session.go_away", told)

    def take_nobody(self) -> None:
        """Take no new agents; those that are here stay."""
        self._reception.is_draining = True

    def open_again(self) -> None:
        """Take new agents again."""
        self._reception.is_draining = False

    def close_all(self, reason: str) -> None:
        """End all connections; the agents may go elsewhere."""
        self._reception.is_draining = True
        for connection in list(self._connections):
            connection.close(errors.CLOSE_GOING_AWAY, reason)

    # -- the desk of the connections -------------------------------------------

    async def greet(self, connection: Connection, greeted: Greeted) -> None:
        """Answer hello."""
        await self._reception.greet(connection, greeted)

    def challenged(self, connection: Connection, call: Call) -> None:
        """Give a challenge to somebody who has not said hello."""
        try:
            connection.tell(call, self._door.challenge(call.params))
        except NexaError as error:
            connection.decline(call, error)

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
            return
        bye = call.method == "session.bye"
        answering = self._bye if bye else self._later
        if not self._spawn(answering(live, connection, call)):
            connection.refuse(call, Draining("the node is stopping"))

    def notified(self, connection: Connection, method: str, params: Any) -> None:
        """Take a notification."""
        live = self._owner(connection)
        if live is None or method not in live.methods:
            return
        if isinstance(params, Report):
            self._roll.report(live, params)
        elif self._calls is not None:
            self._calls.notified(live, method, params)

    def ended(self, connection: Connection) -> None:
        """A connection is over: the grace begins."""
        self._connections.discard(connection)
        self.crowd.leave(connection)
        live = self._owner(connection)
        if live is not None and live.connection is connection:
            self._roll.away(live)

    def roomy(self, connection: Connection) -> None:
        """A slow connection caught up: what waits in the store may go on."""
        live = self._owner(connection)
        if live is not None:
            self._roll.changed(live)

    # -- calls of an open session ----------------------------------------------

    def _now(self, live: LiveAgent, call: Call) -> Any | None:
        live.last_seen = self._clock.now()
        if call.method not in live.methods:
            demand(live.identity, call.method)
        if isinstance(call.params, Report):
            self._roll.report(live, call.params)
            return Empty()
        if call.method in ("session.bye", "session.refresh") or self._calls is None:
            return None
        return self._calls.now(live, call)

    async def _later(self, live: LiveAgent, connection: Connection, call: Call) -> None:
        try:
            if isinstance(call.params, Refresh):
                await self._reception.renew(live, connection, call.params)
                result = Empty()
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

    async def _bye(self, live: LiveAgent, connection: Connection, call: Call) -> None:
        """End a session in order, answered when nobody can resume it any more."""
        live.seat.connected = False  # no more work
        with contextlib.suppress(NexaError):  # then it can be resumed: no harm
            await self._door.end(live.key, live.session)
        connection.answer(call, Empty())
        self._roll.leave(live, in_order=True)
        connection.close(CLOSE_NORMAL, "bye")

    # -- helpers ---------------------------------------------------------------

    def _tick(self) -> None:
        for connection in [each for each in self._connections if each.needs_ticks]:
            connection.tick()
        self._roll.tick()

    def _owner(self, connection: Connection) -> LiveAgent | None:
        owner = connection.owner
        return owner if isinstance(owner, LiveAgent) else None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> bool:
        if self._group is None:
            work.close()
            return False
        self._group.create_task(work)
        return True

    def _note_fault(self, live: LiveAgent, call: Call, error: Exception) -> None:
        self._journal.record(
            "node.fault",
            subject=f"agent/{live.id}",
            message=f"{call.method} of {live.id} failed: {type(error).__name__}: {error}",
            severity="critical",
        )


def _end_of(identity: Identity, now: datetime) -> int:
    """The close code for one that may no longer call."""
    if identity.expires is not None and identity.expires <= now:
        return errors.CLOSE_UNAUTHORIZED
    return errors.CLOSE_REVOKED
