"""The system account: what every server of the cluster tells of itself, and commands.

A second session, with the system's user, made when it is needed and made again when it
was lost. All servers that have a route to ours answer a ping; nobody says how many those
are, so answers are collected until everybody answered that did before, or time is over.
"""

import asyncio
from typing import Protocol, TypeVar

import msgspec

from nexa_node.adapters.nats import wire
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.contract.errors import Unavailable

COLLECT_S = 0.5
"""A server that does not answer a ping for so long is left out this time."""
COMMAND_S = 5.0

A = TypeVar("A", bound=wire.Answer)


class Upstream(Protocol):
    """Whom we connect to: the supervised server."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    @property
    def system_seed(self) -> str:
        """What the system's user proves itself with."""
        ...


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a Raft group, as the group's leader has it."""

    name: str = ""
    current: bool = False
    offline: bool = False
    active: int = 0
    """Since it was heard, in nanoseconds."""
    lag: int = 0


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A Raft group; only its leader tells of the others."""

    leader: str = ""
    replicas: tuple[Copy, ...] | None = None
    cluster_size: int = 0


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """What a server has of a stream."""

    messages: int = 0
    bytes: int = 0


class StreamDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A stream, as one server has it."""

    name: str = ""
    state: StreamState = StreamState()
    cluster: Group = Group()


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    stream_detail: tuple[StreamDetail, ...] | None = None


class Jsz(msgspec.Struct, frozen=True, kw_only=True):
    """A server's part of JetStream."""

    meta_cluster: Group | None = None
    account_details: tuple[_Account, ...] | None = None

    @property
    def streams(self) -> tuple[StreamDetail, ...]:
        """All that are on this server."""
        accounts = self.account_details or ()
        return tuple(one for each in accounts for one in each.stream_detail or ())


class RouteDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of a route; there are several to each server."""

    remote_name: str = ""
    rtt: str = ""
    pending_size: int = 0


class Routez(msgspec.Struct, frozen=True, kw_only=True):
    """A server's routes."""

    routes: tuple[RouteDetail, ...] | None = None


class JetStreamConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a server's JetStream may have."""

    max_storage: int = 0


class JetStreamStats(msgspec.Struct, frozen=True, kw_only=True):
    """What it has."""

    storage: int = 0


class JetStreamVarz(msgspec.Struct, frozen=True, kw_only=True):
    """A server's JetStream."""

    config: JetStreamConfig = JetStreamConfig()
    stats: JetStreamStats = JetStreamStats()


class Varz(msgspec.Struct, frozen=True, kw_only=True):
    """What a server has counted."""

    slow_consumers: int = 0
    jetstream: JetStreamVarz = JetStreamVarz()


D = TypeVar("D")


class _About(msgspec.Struct, frozen=True, kw_only=True):
    name: str = ""


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    server: _About = _About()
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _AskJsz(msgspec.Struct, frozen=True, kw_only=True):
    streams: bool = True
    accounts: bool = True
    limit: int = 1024


class _Peer(msgspec.Struct, frozen=True, kw_only=True):
    peer: str


class System:
    """The system account's session."""

    def __init__(self, upstream: Upstream) -> None:
        """Connect to nobody yet."""
        self._upstream = upstream
        self._session: Session | None = None
        self._expected: dict[str, int] = {}

    async def jsz(self) -> dict[str, Jsz]:
        """Ask every server what it has of JetStream, by its name.

        Raises:
            Unavailable: Our own server does not answer.
        """
        return await self._collect("JSZ", msgspec.json.encode(_AskJsz()), Jsz)

    async def routez(self) -> dict[str, Routez]:
        """Ask every server for its routes, by its name.

        Raises:
            Unavailable: Our own server does not answer.
        """
        return await self._collect("ROUTEZ", b"", Routez)

    async def varz(self) -> dict[str, Varz]:
        """Ask every server what it has counted, by its name.

        Raises:
            Unavailable: Our own server does not answer.
        """
        return await self._collect("VARZ", b"", Varz)

    async def remove(self, node: str) -> wire.ApiError | None:
        """Strike a server off the meta group; why not, if it was refused.

        Raises:
            Unavailable: No leader answered.
        """
        body = msgspec.json.encode(_Peer(peer=node))
        return await self._command("$JS.API.SERVER.REMOVE", body)

    async def step_down(self) -> wire.ApiError | None:
        """Have the meta group elect another leader; why not, if it was refused.

        Raises:
            Unavailable: No leader answered.
        """
        return await self._command("$JS.API.META.LEADER.STEPDOWN", b"")

    async def close(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _command(self, subject: str, body: bytes) -> wire.ApiError | None:
        until = asyncio.get_running_loop().time() + COMMAND_S
        session = await self._live()
        try:
            answer = await session.request(subject, body, until=until)
        except (Lost, NoResponders, TimeoutError) as error:
            raise Unavailable(
                f"the store's cluster does not answer {subject}: it has no leader",
                remedy="nexa cluster status says which members are missing",
            ) from error
        return wire.read(answer.data, wire.Answer).error

    async def _collect(self, what: str, body: bytes, kind: type[D]) -> dict[str, D]:
        session = await self._live()
        found: dict[str, D] = {}
        try:
            inbox = await session.inbox()
            try:
                reply = f"{inbox.subject[:-1]}0"
                await session.publish(f"$SYS.REQ.SERVER.PING.{what}", body, reply=reply)
                async with asyncio.timeout(COLLECT_S):
                    while len(found) < self._expected.get(what, 99):
                        message = await inbox.get()
                        if message.data:
                            told = msgspec.json.decode(message.data, type=_Told)
                            found[told.server.name] = msgspec.json.decode(
                                told.data, type=kind
                            )
            except TimeoutError:
                pass
            finally:
                await inbox.close()
        except (Lost, msgspec.DecodeError) as error:
            raise _silent(repr(error)) from error
        # One more than answered now: somebody may have come back.
        self._expected[what] = len(found) + 1
        if not found:
            raise _silent("no answer to a ping")
        return found

    async def _live(self) -> Session:
        if self._session is None or self._session.is_lost:
            try:
                self._session = await Session.open(
                    self._upstream.url, self._upstream.system_seed
                )
            except (OSError, TimeoutError) as error:
                raise _silent(repr(error)) from error
        return self._session


def _silent(why: str) -> Unavailable:
    return Unavailable(f"nats-server does not tell of the cluster ({why})")
