"""How many may be connected, and who makes room when it is too many. Counting only.

Whoever came without a token is a stranger until hello says who it is. Strangers have
places of their own, so that no number of sockets that never say hello keeps out those
that bring a token, and the oldest stranger makes room for a newer one, so that they do
not keep out each other. An agent's place is taken at hello, where it is known whose it
is: who comes back for a place that is still its own is let in, however full it is.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Generic, TypeVar

from nexa_node.contract.errors import NexaError, RateLimited, Unavailable
from nexa_node.core.policies import SessionPolicy

W = TypeVar("W")

PATIENCE_S = 1.0
"""How long a stranger is left alone even when too many wait."""
RETRY_MS = 1000
RETRY_FULL_MS = 5000

LIMITS = (
    "connections",
    "connections_per_identity",
    "connections_per_address",
    "waiting",
    "waiting_per_address",
)
"""The settings by which connections are refused."""


@dataclass(slots=True, eq=False)
class Guest:
    """What is counted of one connection."""

    address: str
    since: float
    identity: str | None
    is_seated: bool = False
    """It is an agent's: hello was said."""


class Crowd(Generic[W]):
    """The connections of one node."""

    def __init__(self, policy: SessionPolicy) -> None:
        """Begin with nobody; `policy` has the limits."""
        self._policy = policy
        self._guests: dict[W, Guest] = {}
        self._strangers: dict[W, None] = {}
        """The oldest first."""
        self._strangers_of: dict[str, dict[W, None]] = {}
        self._by_identity: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()
        self.seated = 0
        """Agents' connections."""
        self.refused: Counter[str] = Counter(dict.fromkeys(LIMITS, 0))
        """Refusals and dismissals since the start, by the setting that caused them. All
        are there from the start: a rule is blind to a counter that does not exist yet."""

    @property
    def strangers(self) -> int:
        """How many have not said who they are."""
        return len(self._strangers)

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._guests)

    def enter(
        self, who: W, *, address: str, identity: str | None, now: float
    ) -> W | None:
        """Let a new connection in.

        Args:
            who: The connection.
            address: Where it comes from.
            identity: Whose token it brought; None for a stranger.
            now: Monotonic.

        Returns:
            A stranger that must go for it.

        Raises:
            RateLimited: Too many of this identity, or from this address.
            Unavailable: Too many at all.
        """
        gone = None
        if identity is None:
            gone = self._make_room(address, now)
        else:
            self._check_shares(identity, address, older=None)
            limit = self._policy.connections + self._policy.waiting
            if len(self._guests) - self.strangers >= limit:
                raise self._full()
        guest = self._guests[who] = Guest(address, now, None)
        if identity is None:
            self._strangers[who] = None
            self._strangers_of.setdefault(address, {})[who] = None
        else:
            self._count(guest, identity)
        return gone

    def seat(self, who: W, identity: str, *, instead_of: W | None = None) -> None:
        """Give an agent its place: hello was said, by `identity`.

        Args:
            who: A connection that is in; one that has left is none of our business.
            identity: Who it turned out to be.
            instead_of: The agent's older connection, which will leave for this one.

        Raises:
            RateLimited: Too many of this identity, or from this address.
            Unavailable: As many agents as may be are here.
        """
        guest = self._guests.get(who)
        if guest is None:
            return
        older = None if instead_of is None else self._guests.get(instead_of)
        if guest.identity != identity:
            self._check_shares(identity, guest.address, older=older)
        spare = older is not None and older.is_seated
        if not guest.is_seated and self.seated - spare >= self._policy.connections:
            raise self._full()
        self._rename(who, guest, identity)
        self.seated += not guest.is_seated
        guest.is_seated = True

    def leave(self, who: W) -> None:
        """A connection is over. Idempotent."""
        guest = self._guests.pop(who, None)
        if guest is None:
            return
        self.seated -= guest.is_seated
        if guest.identity is None:
            self._admit(who, guest)
        else:
            self._uncount(guest, guest.identity)

    # -- strangers -------------------------------------------------------------

    def _make_room(self, address: str, now: float) -> W | None:
        policy = self._policy
        near = self._strangers_of.get(address, {})
        if len(near) >= policy.waiting_per_address:
            what = f"{len(near):,} connections from {address}"
            return self._dismiss(near, "waiting_per_address", what, RateLimited, now)
        if self.strangers >= policy.waiting:
            what = f"{self.strangers:,} connections"
            return self._dismiss(self._strangers, "waiting", what, Unavailable, now)
        return None

    def _dismiss(
        self,
        among: dict[W, None],
        setting: str,
        what: str,
        kind: type[NexaError],
        now: float,
    ) -> W:
        self.refused[setting] += 1
        oldest = next(iter(among), None)
        if oldest is None or now - self._guests[oldest].since < PATIENCE_S:
            raise kind(
                f"{what} came without a token and have not said session.hello yet: "
                "no more are taken",
                remedy=f"bring the token on the upgrade, or raise sessions.{setting}",
                retry_after_ms=RETRY_MS,
                details={"limit": f"sessions.{setting}"},
            )
        return oldest

    def _admit(self, who: W, guest: Guest) -> None:
        """`who` is no stranger any more."""
        self._strangers.pop(who, None)
        near = self._strangers_of.get(guest.address, {})
        near.pop(who, None)
        if not near:
            self._strangers_of.pop(guest.address, None)

    # -- those who are known ---------------------------------------------------

    def _check_shares(
        self, identity: str, address: str, *, older: Guest | None
    ) -> None:
        """`older` will leave for it."""
        shares = (
            ("connections_per_identity", identity, self._by_identity, "identity"),
            ("connections_per_address", address, self._by_address, "address"),
        )
        for setting, whose, counter, member in shares:
            spare = older is not None and getattr(older, member) == whose
            if counter[whose] - spare >= getattr(self._policy, setting):
                self.refused[setting] += 1
                raise RateLimited(
                    f"{whose} has {counter[whose]:,} connections to this node already",
                    remedy=f"connect to another node, or raise sessions.{setting}",
                    retry_after_ms=RETRY_FULL_MS,
                    details={"limit": f"sessions.{setting}"},
                )

    def _full(self) -> Unavailable:
        self.refused["connections"] += 1
        return Unavailable(
            f"this node serves {self.seated:,} agents already",
            remedy="connect to another node, or raise sessions.connections",
            retry_after_ms=RETRY_FULL_MS,
            details={"limit": "sessions.connections"},
        )

    def _rename(self, who: W, guest: Guest, identity: str) -> None:
        if guest.identity == identity:
            return
        if guest.identity is None:
            self._admit(who, guest)
        else:
            self._uncount(guest, guest.identity)
        self._count(guest, identity)

    def _count(self, guest: Guest, identity: str) -> None:
        guest.identity = identity
        self._by_identity[identity] += 1
        self._by_address[guest.address] += 1

    def _uncount(self, guest: Guest, identity: str) -> None:
        """Counters forget whom they counted down to nothing, or they would grow."""
        for counter, key in (
            (self._by_identity, identity),
            (self._by_address, guest.address),
        ):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]
