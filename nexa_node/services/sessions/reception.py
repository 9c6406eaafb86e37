"""The reception: who is let in, who is welcomed, and what is noted of those who aren't."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from nexa_node.contract import errors
from nexa_node.contract.access import Identity
from nexa_node.contract.errors import (
    Draining,
    Forbidden,
    NexaError,
    Unauthorized,
    Unavailable,
)
from nexa_node.contract.frames import Hello, Limits, NodeRef, Refresh, Welcome
from nexa_node.contract.version import PROTOCOL
from nexa_node.core.crowding import Crowd
from nexa_node.core.policies import LeasePolicy, SessionPolicy
from nexa_node.core.session import Greeted
from nexa_node.ports import Clock
from nexa_node.services.access.login_audit import LoginAudit
from nexa_node.services.api import Journal
from nexa_node.services.sessions.connection import Connection
from nexa_node.services.sessions.door import (
    Admission,
    Door,
    check_place,
    key_of,
    placed,
)
from nexa_node.services.sessions.live import LiveAgent
from nexa_node.services.sessions.once import Once
from nexa_node.services.sessions.roll import Roll, methods_of

FEATURES = ("batch", "credits", "resume")


@dataclass(frozen=True, slots=True)
class House:
    """What every agent is told of this node."""

    node: NodeRef
    urls: Callable[[], tuple[str, ...]]
    """Where agents may connect, in the cluster, asked at each welcome."""
    policy: SessionPolicy
    leases: LeasePolicy

    def welcome(self, hello: Hello, admission: Admission, now: datetime) -> Welcome:
        """Write the answer to hello."""
        return Welcome(
            protocol=PROTOCOL,
            session=admission.session,
            resume_token=admission.token,
            epoch=admission.epoch,
            resumed=admission.resumed,
            next_seq=admission.read_upto + 1,
            node=self.node,
            cluster=self.urls(),
            heartbeat_ms=self.policy.heartbeat_ms,
            lease_ms=self.leases.lease_ms,
            limits=Limits(
                frame=self.policy.frame_bytes,
                inflight=self.policy.inflight,
                outbound=self.policy.outbound_frames,
            ),
            server_time=now,
            features=tuple(each for each in hello.features if each in FEATURES),
            gap=admission.gap,
        )


class Reception:
    """Stands between a connection's first moment and its agent's place on the roll."""

    def __init__(
        self,
        door: Door,
        roll: Roll,
        house: House,
        *,
        clock: Clock,
        journal: Journal,
    ) -> None:
        """Let nobody in until `is_serving`.

        Args:
            door: Knows who is who.
            roll: Where those who are welcome are entered.
            house: What they are told.
            clock: Now.
            journal: Told of limits that are met, and of ids that others wanted.
        """
        self._door = door
        self._roll = roll
        self._house = house
        self._clock = clock
        self._journal = journal
        self._once = Once(clock)
        self.crowd: Crowd[Connection] = Crowd(house.policy)
        self.logins: LoginAudit | None = None
        """Told of who comes, and who does not get in."""
        self.is_serving = False
        self.is_draining = False

    def check_open(self) -> None:
        """Let pass while agents are taken.

        Raises:
            Draining: The node is on its way out.
            Unavailable: It serves nobody yet.
        """
        if self.is_draining:
            raise Draining(
                f"{self._house.node.name} takes no new sessions",
                remedy="connect to another node of the cluster",
                retry_after_ms=1000,
            )
        if not self.is_serving:
            raise Unavailable(
                f"{self._house.node.name} is starting", retry_after_ms=500
            )

    def enter(self, connection: Connection) -> None:
        """Count a new connection in, closing one that makes room for it.

        Raises:
            RateLimited: The identity or the address has as many as it may.
            Unavailable: The node has.
        """
        identity = connection.identity
        try:
            too_many = self.crowd.enter(
                connection,
                address=connection.address,
                identity=None if identity is None else identity.id,
                now=self._clock.monotonic(),
            )
        except NexaError as error:
            self._note_limit(error)
            raise
        if too_many is not None:
            why = "too many wait for session.hello: say it sooner, with a token"
            too_many.close(errors.CLOSE_GOING_AWAY, why)

    async def greet(self, connection: Connection, greeted: Greeted) -> None:
        """Answer hello, and close if it is answered with an error."""
        try:
            self.check_open()
            await self._admit(connection, greeted)
        except NexaError as error:
            self._note_limit(error)
            if self.logins is not None:
                self.logins.refused(
                    error,
                    address=connection.address,
                    resource=_resource(greeted.hello),
                    identity=connection.identity,
                )
            if isinstance(error, Forbidden):
                self._note_forbidden(connection, greeted.hello, error)
            connection.refuse(greeted.call, error)
            connection.close(_close_code(error), error.message)

    async def renew(
        self, live: LiveAgent, connection: Connection, refresh: Refresh
    ) -> None:
        """Go on with a session by another token.

        Raises:
            Unauthorized: Nobody has it.
            Forbidden: Who has it may not have a session.
            RateLimited: Who has it has as many connections as may be.
            Unavailable: The store does not answer.
        """
        identity = await self._door.identify(refresh.token, connection.address)
        check_place(identity, live.key, live.candidates)
        if identity.id != live.identity.id:
            self.crowd.seat(connection, identity.id)
            await self._door.hand_over(live.key, live.session, identity)
        connection.identity = identity
        self.rule(live, identity)

    def rule(self, live: LiveAgent, identity: Identity) -> None:
        """Go by what an identity may, from now on."""
        live.identity = identity
        live.methods = methods_of(identity)

    async def _admit(self, connection: Connection, greeted: Greeted) -> None:
        identity = await self._door.who(
            greeted.hello, connection.identity, connection.address
        )
        hello = placed(greeted.hello, identity)
        if connection.is_over:
            return
        here = self._roll.find(*key_of(hello))
        older = None if here is None else here.connection
        self.crowd.seat(connection, identity.id, instead_of=older)
        connection.identity = identity
        admission = await self._door.admit(
            hello,
            identity,
            now=self._clock.now(),
            hold_s=self._house.policy.hold_ms / 1000,
            is_here=here is not None,
        )
        if connection.is_over:
            return
        live = self._roll.join(connection, hello, admission)
        if live is not None:
            welcome = self._house.welcome(hello, admission, self._clock.now())
            connection.welcome(greeted.call, welcome)
            if self.logins is not None:
                self.logins.accepted(
                    identity, address=connection.address, resource=_resource(hello)
                )
            self._roll.announce(live, admission)

    def _note_forbidden(
        self, connection: Connection, hello: Hello, error: Forbidden
    ) -> None:
        identity = connection.identity
        who = connection.address if identity is None else identity.id
        if self._once.first((key_of(hello), who)):
            self._journal.record(
                "agent.refused",
                subject=f"agent/{hello.agent.id}",
                message=f"{who} was refused as {hello.agent.id}: {error.message}",
                severity="warning",
                data={"by": who, "address": connection.address},
            )

    def _note_limit(self, error: NexaError) -> None:
        if not isinstance(error.details, dict):
            return
        limit = cast("dict[str, Any]", error.details).get("limit")
        if limit is not None and self._once.first(limit):
            self._journal.record(
                "connections.refused",
                subject="node",
                message=f"{error.message}; {error.remedy}",
                severity="warning",
                data={"limit": limit},
            )


def _resource(hello: Hello) -> str:
    namespace, agent_id = key_of(hello)
    return f"agent/{namespace}.{agent_id}"


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
