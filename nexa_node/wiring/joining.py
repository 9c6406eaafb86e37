"""Letting nodes in, and going: the node's place among others, its trust, its join port."""

import asyncio
import ipaddress
import secrets
import socket
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.adapters.files import membership
from nexa_node.adapters.files.membership import ClusterFile
from nexa_node.adapters.host.addresses import addresses
from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.nats.config import TOGETHER, Member
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.adapters.tls.credentials import NodeCredentials
from nexa_node.adapters.tls.folder import Bearer, TlsFolder
from nexa_node.adapters.tls.join_client import exchange
from nexa_node.adapters.tls.join_records import FileJoinRecords
from nexa_node.adapters.tls.join_server import JoinServer
from nexa_node.contract.access import Identity
from nexa_node.contract.cluster import Growth, JoinToken
from nexa_node.contract.errors import Conflict
from nexa_node.contract.version import VERSION
from nexa_node.core.admission import Joiner
from nexa_node.core.encryption import is_encrypted
from nexa_node.core.policies import ClusterPolicy
from nexa_node.services.cluster.join_means import JoinMeans, Standing
from nexa_node.services.cluster.joiner import Newcomer, join
from nexa_node.services.cluster.joining import Joining
from nexa_node.services.cluster.renewal import Renewal
from nexa_node.services.cluster.rotation import Asked, Successor
from nexa_node.services.parts import Spawn
from nexa_node.wiring.fellowship import Fellowship
from nexa_node.wiring.place import Place
from nexa_node.wiring.routes import KeptRoutes, own_pins

JOINED_S = 120.0
"""For a node that was admitted to be a member that is heard."""
LOOK_S = 0.25
PASSWORD_BYTES = 24
ALL_S = 1.0
"""For all nodes to have heard of a new password, before the first one uses it."""
ANSWER_S = 0.2
"""For an answer to be out before this node's routes are made anew."""


def host_of(place: Place) -> str:
    """Where other nodes reach this one."""
    settings = place.loaded.settings
    return settings.cluster.host or settings.node.host


def hosts_of(place: Place) -> tuple[str, ...]:
    """Names and addresses the node's certificate is for: routes, and the port if it is."""
    settings = place.loaded.settings
    if not is_encrypted(settings.tls, settings.node.host):
        return (host_of(place),)
    told = (host_of(place), settings.node.host, *settings.http.names)
    return tuple(dict.fromkeys(one for host in told for one in _single(host)))


def _single(host: str) -> tuple[str, ...]:
    """A host; all addresses of this machine for one that stands for them."""
    try:
        if not ipaddress.ip_address(host).is_unspecified:
            return (host,)
    except ValueError:
        return (host,)
    return addresses()


def own_route(policy: ClusterPolicy, host: str) -> str:
    """An address for the store's routes: the set port, else a free one, kept from then on."""
    if policy.route_port:
        return _at(host, policy.route_port)
    with socket.socket() as probe:
        probe.bind(("", 0))
        return _at(host, int(probe.getsockname()[1]))


def credentials_of(place: Place, cluster: str) -> NodeCredentials:
    """The node's authorities and its certificate, in `tls/` of its folder."""
    bearer = Bearer(cluster=cluster, name=place.identity.name, hosts=hosts_of(place))
    clock = SystemClock()
    life = timedelta(hours=place.loaded.settings.cluster.certificate_hours)
    folder = TlsFolder(place.folder.path / "tls", life)
    return NodeCredentials(folder, bearer=lambda: bearer, now=clock.now)


async def join_cluster(place: Place, token: str) -> ClusterFile:
    """Have this node admitted by the cluster that made `token`.

    Raises:
        Conflict: It is in a cluster already, or has data of its own.
        NexaError: The cluster does not let it in; says why.
    """
    folder = place.folder.path
    there = await asyncio.to_thread(membership.read, folder)
    if there is not None and there.formed:
        raise Conflict(
            f"{place.identity.name} is in the cluster {there.cluster} already",
            remedy="start it without --join",
        )
    route = there.route if there else _route_for(place)
    admitted = await join(
        token,
        newcomer=Newcomer(
            name=place.identity.name,
            id=place.identity.id,
            route=route,
            url=place.url,
            version=VERSION,
            has_data=has_data(folder),
        ),
        wallet=credentials_of(place, "nexa"),
        exchange=exchange,
        clock=SystemClock(),
    )
    made = ClusterFile(
        cluster=admitted.cluster,
        cluster_id=admitted.cluster_id,
        route=route,
        route_password=admitted.route_password,
        store=TOGETHER,
        routes=admitted.routes,
        formed=True,
        pins=admitted.pins,
    )
    await asyncio.to_thread(membership.write, folder, made)
    return made


def member_of(there: ClusterFile, place: Place) -> Member:
    """A node's place as its store is told it."""
    return Member(
        name=place.identity.name,
        cluster=there.cluster,
        cluster_id=there.cluster_id,
        route=there.route,
        password=there.route_password,
        routes=there.routes,
        tls=place.folder.path / "tls",
        store=there.store,
        founder=there.founder,
        replicas=there.replicas,
        pins=there.pins,
    )


def member_now(place: Place) -> Member | None:
    """The node's place among others by `cluster.json`; None if it is alone."""
    there = membership.read(place.folder.path)
    return member_of(there, place) if there is not None and there.formed else None


class FileSeat:
    """`services.join_means.Seat` over `cluster.json`."""

    def __init__(
        self, place: Place, fellowship: Fellowship, credentials: NodeCredentials
    ) -> None:
        """Read nothing yet."""
        self._place = place
        self._fellowship = fellowship
        self._credentials = credentials

    async def standing(self) -> Standing:
        """Read the place; what a node that was always alone lacks is made and kept."""
        folder = self._place.folder.path
        there = await asyncio.to_thread(membership.read, folder)
        if there is None:
            there = ClusterFile(
                cluster=self._place.loaded.settings.node.cluster,
                cluster_id=secrets.token_hex(8),
                route=_route_for(self._place),
                route_password=secrets.token_hex(PASSWORD_BYTES),
            )
            await asyncio.to_thread(membership.write, folder, there)
        pins = there.pins if there.formed else await own_pins(self._credentials)
        return Standing(
            cluster=there.cluster,
            cluster_id=there.cluster_id,
            route=there.route,
            route_password=there.route_password,
            routes=there.routes,
            members=tuple(sorted(self._fellowship.members.others())),
            pins=pins,
            formed=there.formed,
        )


class Keyring:
    """`services.cluster.rotation.Trust` over `tls/`, `cluster.json` and the store."""

    def __init__(
        self,
        place: Place,
        store: NatsStore,
        credentials: NodeCredentials,
        *,
        spawn: Spawn,
    ) -> None:
        """Touch nothing yet."""
        self._spawn = spawn
        self._folder = place.folder.path
        self._store = store
        self._credentials = credentials

    async def successors(self) -> tuple[Successor, ...]:
        """Make new authorities; nobody trusts them yet."""
        return await self._credentials.successors()

    async def password(self) -> str:
        """Draw a new password."""
        return secrets.token_hex(PASSWORD_BYTES)

    async def take(self, asked: Asked) -> None:
        """Do a step, durably, and have the store use it soon, after this was answered."""
        if asked.step != "password":
            await self._credentials.change(asked)
            self._soon(self._store.read_anew())
            return
        there = await asyncio.to_thread(membership.read, self._folder)
        if there is None or not asked.password:
            raise Conflict("this node is in no cluster")
        kept = msgspec.structs.replace(there, route_password=asked.password)
        await asyncio.to_thread(membership.write, self._folder, kept)
        self._soon(self._store.use_password(asked.password), ALL_S)

    def _soon(self, work: Coroutine[Any, Any, None], seconds: float = ANSWER_S) -> None:
        """Routes are made anew for it: the answer is to be out before."""

        async def later() -> None:
            await asyncio.sleep(seconds)
            await work

        self._spawn("keys", later())


class Admission:
    """What the cluster's changes need of joining."""

    def __init__(
        self, place: Place, store: NatsStore, fellowship: Fellowship, *, spawn: Spawn
    ) -> None:
        """Join the parts; the port opens with the first token."""
        self._place, self._store, self._fellowship = place, store, fellowship
        self._spawn = spawn
        settings = place.loaded.settings
        credentials = credentials_of(place, settings.node.cluster)
        host = host_of(place)
        self.joining = Joining(
            JoinMeans(
                node=place.identity.name,
                version=VERSION,
                records=FileJoinRecords(place.folder.path / "tls" / "join-tokens.json"),
                members=store.nodes,
                credentials=credentials,
                seat=FileSeat(place, fellowship, credentials),
                door=JoinServer(
                    bind=host,
                    port=settings.cluster.join_port,
                    hosts=(host,),
                    present=credentials.presented,
                ),
                clock=fellowship.clock,
                journal=fellowship.journal,
                entropy=secrets.token_bytes,
                spawn=spawn,
            ),
            on_first=self._form,
            on_admitted=self._admitted,
        )
        self.run = self.joining.run
        self.keep_routes = KeptRoutes(place, store, fellowship, credentials).run
        self._credentials = credentials
        self.keyring = Keyring(place, store, credentials, spawn=spawn)
        self.renewal = Renewal(
            credentials,
            clock=fellowship.clock,
            journal=fellowship.journal,
            node=place.identity.name,
            on_renewed=store.read_anew,
        )

    async def issue(self, expires_s: int, by: Identity) -> JoinToken:
        """Make a join token."""
        return await self.joining.issue(expires_s=expires_s, by=by)

    async def depart(self, by: str) -> None:
        """Go for good: marked as left, drained, and alone from the next start on."""
        entries, name = self._store.nodes, self._place.identity.name
        seen = await entries.get(name)
        if seen is not None:
            left = msgspec.structs.replace(seen.value, left=True)
            await entries.put(left, revision=seen.revision)
        await asyncio.to_thread(_leave, self._place.folder.path)
        self._fellowship.way_out(f"it leaves the cluster: {by}")

    async def _admitted(self, joiner: Joiner) -> None:
        self._spawn("joining", self._follow(joiner))

    async def _follow(self, joiner: Joiner) -> None:
        """Tell how far a node is that was admitted, until it is heard and has its vote."""
        fellowship, name = self._fellowship, joiner.name
        fellowship.told(Growth(action="join", phase="admitted", detail=name))
        clock = fellowship.clock
        end = clock.monotonic() + JOINED_S
        phase = "admitted"
        while phase != "done" and clock.monotonic() < end:
            await clock.sleep(LOOK_S)
            now = self._phase_of(name)
            if now != phase:
                phase = now
                fellowship.told(Growth(action="join", phase=phase, detail=name))
        if phase != "done":
            told = f"{name} was admitted and is not a member after {JOINED_S:.0f} s"
            remedy = f"nexa logs, on {name}: it must reach the others' routes"
            failed = Growth(
                action="join", phase="failed", detail=name, error=told, remedy=remedy
            )
            fellowship.told(failed)

    def _phase_of(self, name: str) -> str:
        """Whether a joiner's store has a vote, and the node itself is heard."""
        peers = self._store.cluster.shape().peers
        votes = any(peer.node == name and peer.current for peer in peers)
        if not votes:
            return "admitted"
        return "done" if self._fellowship.members.is_heard(name) else "votes"

    async def _form(self, joiner: Joiner) -> None:
        """Become a cluster with the first node that joins."""
        folder = self._place.folder.path
        there = await asyncio.to_thread(membership.read, folder)
        assert there is not None, "a standing was asked for before"
        pins = {*await own_pins(self._credentials), joiner.pin}
        formed = msgspec.structs.replace(
            there,
            store=TOGETHER,
            routes=(str(joiner.route),),
            formed=True,
            founder=True,
            pins=tuple(sorted(pins)),
        )

        async def commit(_: Member) -> None:
            await asyncio.to_thread(membership.write, folder, formed)

        member = member_of(formed, self._place)
        async for growth in self._store.forming(member, commit):
            self._fellowship.tell(growth)


def _route_for(place: Place) -> str:
    return own_route(place.loaded.settings.cluster, host_of(place))


def has_data(folder: Path) -> bool:
    """Whether a store was ever used here."""
    return any((folder / "jetstream" / "jetstream").glob("*/streams/*"))


def _leave(folder: Path) -> None:
    """Be alone from the next start on; what was the cluster's is kept beside."""
    membership.forget(folder)
    (folder / "left").mkdir(mode=0o700, exist_ok=True)
    for name in ("tls",):
        if (folder / name).exists():
            (folder / name).rename(folder / "left" / f"{name}-{secrets.token_hex(4)}")


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
