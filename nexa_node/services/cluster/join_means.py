"""What joining needs of the world: a record of tokens, credentials, a place, a door."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from nexa_node.core.admission import Joiner
from nexa_node.core.join_tokens import Admitted, JoinRecord, JoinRequest
from nexa_node.ports import Clock, NodeEntries, Versioned
from nexa_node.services.api import Journal
from nexa_node.services.parts import Spawn


class JoinRecords(Protocol):
    """Join tokens by id. Contested: compare-and-set makes them single use."""

    async def get(self, token_id: str) -> Versioned[JoinRecord] | None:
        """Read one, committed."""
        ...

    async def put(self, record: JoinRecord, *, revision: int) -> int:
        """Store it if it is still at `revision`, 0: if there is none; the new revision.

        Raises:
            Conflict: Somebody wrote first; read again.
        """
        ...

    async def delete(self, token_id: str) -> bool:
        """Revoke; False if there was none."""
        ...

    async def all(self) -> list[JoinRecord]:
        """Read all of them, committed."""
        ...


@dataclass(frozen=True, slots=True)
class Handover:
    """What a new member is given of the cluster's trust. All PEM."""

    certificate: str
    node_ca: str
    client_ca: str
    node_ca_key: str = field(repr=False)
    client_ca_key: str = field(repr=False)


class Credentials(Protocol):
    """The admitting node's authorities."""

    async def establish(self) -> bytes:
        """Make what is missing of authorities and of the node's own certificate.

        Returns:
            SHA-256 of the authority (DER) that signed the node's own certificate.
        """
        ...

    async def key_of(self, csr: str) -> str:
        """SHA-256 of the public key of a signing request, hexadecimal.

        Raises:
            Invalid: It is no request, or doesn't prove that the key is the asker's.
        """
        ...

    async def sign(self, csr: str, *, name: str, hosts: tuple[str, ...]) -> Handover:
        """Sign for a new member; of the request nothing but the public key is taken."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """This node's place in its cluster, or in the one it will form."""

    cluster: str
    cluster_id: str
    route: str
    """host:port of this node's store; kept."""
    route_password: str = field(repr=False)
    routes: tuple[str, ...] = ()
    """The other members' routes."""
    members: tuple[str, ...] = ()
    """The other members' names, as far as they are known."""
    pins: tuple[str, ...] = ()
    """Of all members' certificates, this node's included; empty: not all are known."""
    formed: bool
    """False of a node that is alone: admitting a first one forms the cluster."""


class Seat(Protocol):
    """Where the node's place is kept."""

    async def standing(self) -> Standing:
        """Read it; what a node that was always alone lacks is made and kept first."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer a joiner, and whom to tell whether it went out."""

    line: bytes = field(repr=False)
    """JSON without a line end."""
    sent: Callable[[bool], None]
    """Called once: True when it was handed to the connection whole."""


class JoinDesk(Protocol):
    """Who decides about those that come to the door."""

    async def answer(self, line: bytes, address: str) -> Reply:
        """Take one line from `address`; never raises for what is wrong with it."""
        ...

    def turned_away(self, reason: str, address: str) -> None:
        """Note one that did not get so far: no TLS, too slow, too long, too many."""
        ...


class JoinDoor(Protocol):
    """The port at which nodes join."""

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        ...

    async def open(self, desk: JoinDesk, *, prefer: int = 0) -> tuple[str, ...]:
        """Listen, or go on doing so; where, as host:port.

        Args:
            desk: Asked about each one that comes.
            prefer: A port to take if none is set and this one is free.

        Raises:
            Unavailable: The port is taken, or may not be listened at.
        """
        ...

    async def close(self) -> None:
        """Stop listening; whoever is inside is sent away. Idempotent."""
        ...


Hook = Callable[[Joiner], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinMeans:
    """What `Joining` is made of."""

    node: str
    """This node's name."""
    version: str
    records: JoinRecords
    members: NodeEntries
    credentials: Credentials
    seat: Seat
    door: JoinDoor
    clock: Clock
    journal: Journal
    entropy: Callable[[int], bytes]
    """That many random bytes, fit for secrets."""
    spawn: Spawn


# -- the joiner's side -----------------------------------------------------------


class Wallet(Protocol):
    """Where a node that joins keeps its key and what it is given."""

    async def request(self) -> str:
        """Write a signing request, PEM; asked again, for the same key."""
        ...

    async def keep(self, admitted: Admitted, *, ca_sha256: bytes) -> None:
        """Write what it was given, durably.

        Raises:
            Invalid: The parts don't belong together; nothing was written.
        """
        ...


Exchange = Callable[[str, bytes, JoinRequest], Awaitable[Admitted]]
"""Ask at host:port, which must prove by the authority with that SHA-256 who it is before
anything is said. Raises the `NexaError` that it was answered; `Stranger` if it could not
prove it, `Unavailable` if nobody is there."""
