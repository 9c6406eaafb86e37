"""Who is admitted to the cluster: the checks in their order, and what is handed out.

A token is marked used, by compare-and-set, before anything is handed out; what a joiner
can mend (its name, its version) is refused before that, so its token stays good. Who
does not hold the secret learns nothing, and nothing else of it is read.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import msgspec

from nexa_node.contract.cluster import NodeEntry
from nexa_node.contract.errors import (
    Conflict,
    NexaError,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from nexa_node.core.admission import (
    Joiner,
    check_joiner,
    check_place,
    may_replace,
    taken,
)
from nexa_node.core.join_tokens import (
    Admitted,
    Guesses,
    JoinRecord,
    JoinRequest,
    is_token_id,
    knows,
    over,
    refused,
)
from nexa_node.ports import Versioned
from nexa_node.services.cluster.join_means import Hook, JoinMeans

FORMING_RETRY_MS = 1000


class Admitting:
    """Admits nodes, one at a time; its caller sees to that."""

    def __init__(
        self, means: JoinMeans, *, on_first: Hook | None, on_admitted: Hook | None
    ) -> None:
        """Know nobody; see `Joining` for the hooks."""
        self._means = means
        self._on_first = on_first
        self._on_admitted = on_admitted
        self._guesses = Guesses()
        self._first: str | None = None
        self._is_forming = False

    async def admit(
        self, asked: JoinRequest, address: str
    ) -> tuple[Admitted, Callable[[bool], None]]:
        """Admit one, or raise the refusal.

        Args:
            asked: What it says.
            address: Where it comes from.

        Returns:
            What to give it, and whom to tell whether that went out whole.

        Raises:
            Unauthorized: It does not hold a token that is good for it.
            RateLimited: Too many wrong ones from this address.
            Invalid, UnsupportedVersion, Duplicate: It may not be what it says it is;
                the token stays good.
            Unavailable: Another one is just forming the cluster with this node.
        """
        means = self._means
        entry = await self._known(asked, address)
        key = await means.credentials.key_of(asked.csr)
        self._check_token(entry.value, name=asked.name, key=key)
        joiner = replace(check_joiner(asked, version=means.version), pin=key)
        standing = await means.seat.standing()
        check_place(
            joiner,
            members=(means.node, *standing.members),
            routes=(standing.route, *standing.routes),
        )
        is_first = not standing.formed
        self._check_turn(joiner, is_first=is_first)
        free = await self._look_up(joiner, again=entry.value.used is not None)
        revision = await self._use(entry, joiner, key)
        if free is not None:
            await self._reserve(joiner, free, entry.value, revision)
        given = await means.credentials.sign(
            asked.csr, name=joiner.name, hosts=joiner.hosts
        )
        if is_first:
            self._first = joiner.name
        self._note_admitted(joiner, entry.value.id, address)
        admitted = Admitted(
            cluster=standing.cluster,
            cluster_id=standing.cluster_id,
            name=joiner.name,
            by=means.node,
            routes=(standing.route, *standing.routes),
            route_password=standing.route_password,
            certificate=given.certificate,
            node_ca=given.node_ca,
            node_ca_key=given.node_ca_key,
            client_ca=given.client_ca,
            client_ca_key=given.client_ca_key,
            pins=tuple(sorted({*standing.pins, key})) if standing.pins else (),
        )
        return admitted, partial(self._sent, joiner, is_first)

    async def _known(self, asked: JoinRequest, address: str) -> Versioned[JoinRecord]:
        """Find the token, if the joiner has its secret."""
        now = self._means.clock.monotonic()
        wait_s = self._guesses.wait_s(address, asked.token, now=now)
        if wait_s > 0:
            raise refused(
                RateLimited,
                "too many wrong join tokens from this address",
                "limited",
                retry_after_ms=int(wait_s * 1000) + 1,
            )
        entry = None
        if is_token_id(asked.token):
            entry = await self._means.records.get(asked.token)
        if not knows(entry.value if entry else None, asked.secret) or entry is None:
            self._guesses.failed(address, asked.token, now=now)
            raise refused(
                Unauthorized,
                "the join token is not known here: revoked, or of another cluster",
                "unknown",
            )
        return entry

    def _check_token(self, record: JoinRecord, *, name: str, key: str) -> None:
        refusal = over(record, name=name, key=key, now=self._means.clock.now())
        if refusal is None:
            return
        told = {
            "expired": f"the join token expired at {record.expires:%H:%M} UTC",
            "used": "the join token was used: it is good for one node",
        }
        raise refused(Unauthorized, told[refusal], refusal)

    def _check_turn(self, joiner: Joiner, *, is_first: bool) -> None:
        """While a cluster is formed of two, a third one waits."""
        if is_first and self._first not in (None, joiner.name):
            raise refused(
                Unavailable,
                f"the cluster is being formed with {self._first}",
                "forming",
                remedy="try again in a moment",
                retry_after_ms=FORMING_RETRY_MS,
            )

    async def _look_up(self, joiner: Joiner, *, again: bool) -> int | None:
        """At which revision the name may be had; None if it is the joiner's already."""
        found = await self._means.members.get(joiner.name)
        if found is None:
            return 0
        if again and found.value.id == joiner.id and not found.value.left:
            return None
        if not may_replace(found.value, self._means.clock.now()):
            raise taken(joiner.name)
        return found.revision

    async def _use(self, entry: Versioned[JoinRecord], joiner: Joiner, key: str) -> int:
        """Mark the token used by this node; nobody else can have it then."""
        if entry.value.used is not None:
            return entry.revision
        used = msgspec.structs.replace(
            entry.value,
            used=self._means.clock.now(),
            used_by=joiner.name,
            used_key=key,
        )
        try:
            return await self._means.records.put(used, revision=entry.revision)
        except Conflict:
            raise refused(
                Unauthorized, "the join token was used or revoked a moment ago", "used"
            ) from None

    async def _reserve(
        self, joiner: Joiner, free: int, unused: JoinRecord, revision: int
    ) -> None:
        """Take the name; if somebody was faster, the token is good again."""
        entry = NodeEntry(
            name=joiner.name,
            id=joiner.id,
            url=joiner.url,
            route=str(joiner.route),
            version=joiner.version,
            joined=self._means.clock.now(),
            pin=joiner.pin,
        )
        try:
            await self._means.members.put(entry, revision=free)
        except Conflict:
            if unused.used is None:
                await self._means.records.put(unused, revision=revision)
            raise taken(joiner.name) from None

    # -- afterwards --------------------------------------------------------------

    def _sent(self, joiner: Joiner, is_first: bool, whole: bool) -> None:
        """The answer is out, or lost; in the second case the joiner asks once more."""
        if is_first and not self._is_forming:
            if not whole:
                self._first = None
                return
            self._is_forming = True
            self._means.spawn("forming", self._form(joiner))
        elif whole and not is_first:
            self._means.spawn("admitted", self._tell(joiner))

    async def _form(self, joiner: Joiner) -> None:
        try:
            if self._on_first is not None:
                await self._on_first(joiner)
            await self._tell(joiner)
        except NexaError as error:
            self._means.journal.record(
                "join.forming_failed",
                subject=f"node/{joiner.name}",
                message=f"no cluster was formed with {joiner.name}: {error.message}",
                severity="warning",
                data={"reason": error.reason, "remedy": error.remedy},
            )
            await self._let_go(joiner)
        finally:
            self._first, self._is_forming = None, False

    async def _tell(self, joiner: Joiner) -> None:
        if self._on_admitted is not None:
            await self._on_admitted(joiner)

    async def _let_go(self, joiner: Joiner) -> None:
        """Free the name of a node that never came."""
        found = await self._means.members.get(joiner.name)
        if found and found.value.id == joiner.id and not found.value.incarnation:
            await self._means.members.delete(joiner.name)

    def _note_admitted(self, joiner: Joiner, token_id: str, address: str) -> None:
        self._means.journal.record(
            "join.admitted",
            subject=f"node/{joiner.name}",
            message=f"{joiner.name} was admitted from {address}",
            data={
                "address": address,
                "token": token_id,
                "id": joiner.id,
                "route": str(joiner.route),
                "version": joiner.version,
            },
        )
