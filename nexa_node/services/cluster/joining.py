"""Letting nodes into the cluster: join tokens, and the port that is open for them.

A token admits one node. The port is open while a token of this node lives, and no
longer; what is said there is read by `Admitting`, and each refusal is journaled.
"""

import asyncio
from collections import Counter
from datetime import timedelta

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.cluster import JoinToken
from nexa_node.contract.errors import (
    Invalid,
    NexaError,
    NotFound,
    Unavailable,
    problem,
)
from nexa_node.core.addresses import parse_address
from nexa_node.core.authorization import demand
from nexa_node.core.flow import Bucket
from nexa_node.core.join_tokens import (
    ENTROPY,
    EXPIRY_MAX_S,
    JoinAnswer,
    JoinRecord,
    JoinRequest,
    JoinTokenView,
    hash_secret,
    is_token_id,
    make,
    refused,
    view,
    why_refused,
)
from nexa_node.services.cluster.admitting import Admitting
from nexa_node.services.cluster.join_means import Hook, JoinMeans, Reply

TEND_S = 1.0
ANSWER_S = 10.0
"""For the store to answer while a node is admitted."""
KEPT = timedelta(days=1)
"""How long tokens that are over stay in the list."""
_TOLD_PER_S = 0.5
_TOLD_BURST = 20.0
"""Refusals that are journaled: more of them from strangers would cost a write each."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(JoinRequest).decode


class Joining:
    """The tokens of this node, and the desk behind its join port."""

    def __init__(
        self,
        means: JoinMeans,
        *,
        on_first: Hook | None = None,
        on_admitted: Hook | None = None,
    ) -> None:
        """Begin with the door closed; `run` opens it again if a token still lives.

        Args:
            means: What it is made of.
            on_first: Forms the cluster, when the node that was admitted is the second.
                Nobody else is admitted until it has returned.
            on_admitted: Told of each node that was given its credentials; twice, if its
                first answer got lost.
        """
        self._means = means
        self._desk = Admitting(means, on_first=on_first, on_admitted=on_admitted)
        self._tending = asyncio.Lock()
        self._admitting = asyncio.Lock()
        now = means.clock.monotonic()
        self._told = Bucket(_TOLD_PER_S, _TOLD_BURST, _TOLD_BURST, now)
        self.refusals: Counter[str] = Counter()
        """Since the start, by reason."""

    # -- tokens ------------------------------------------------------------------

    async def issue(self, *, expires_s: int, by: Identity) -> JoinToken:
        """Make a token by which one node may join, and open the door.

        Raises:
            Forbidden: `by` is no admin.
            Invalid: An expiry out of range.
            Unavailable: The port can't be opened, or the store does not answer.
        """
        demand(by, "join_token")
        if not 0 < expires_s <= EXPIRY_MAX_S:
            raise Invalid(
                f"a join token lives from 1 to {EXPIRY_MAX_S} seconds, not {expires_s}",
                remedy="leave --expires out: 30 minutes",
            )
        means = self._means
        async with self._tending:
            pin = await means.credentials.establish()
            addresses = await means.door.open(self)
            parts = make(means.entropy(ENTROPY), ca_sha256=pin, addresses=addresses)
            now = means.clock.now()
            record = JoinRecord(
                id=parts.id,
                sha256=hash_secret(parts.secret),
                node=means.node,
                by=by.id,
                addresses=parts.addresses,
                created=now,
                expires=now + timedelta(seconds=expires_s),
            )
            await means.records.put(record, revision=0)
        means.journal.record(
            "join.token_issued",
            subject=f"join-token/{record.id}",
            message=f"a join token was made, good until {record.expires:%H:%M} UTC",
            data={"by": by.id, "expires": record.expires, "addresses": list(addresses)},
        )
        return JoinToken(token=parts.text(), expires=record.expires)

    async def tokens(self, *, by: Identity) -> tuple[JoinTokenView, ...]:
        """List tokens, newest first, without their secrets."""
        demand(by, "join_token")
        found = await self._means.records.all()
        newest = sorted(found, key=lambda each: (each.created, each.id), reverse=True)
        return tuple(view(each) for each in newest)

    async def revoke(self, token_id: str, *, by: Identity) -> None:
        """End a token. Whom it admitted already stays.

        Raises:
            NotFound: There is none.
        """
        demand(by, "join_token")
        if not (is_token_id(token_id) and await self._means.records.delete(token_id)):
            raise NotFound("there is no such join token")
        self._means.journal.record(
            "join.token_revoked",
            subject=f"join-token/{token_id}",
            message="a join token was revoked",
            data={"by": by.id},
        )

    # -- the door ----------------------------------------------------------------

    async def run(self) -> None:
        """Keep the door open while a token of this node lives. A service's loop."""
        try:
            while True:
                await self.tend()
                await self._means.clock.sleep(TEND_S)
        finally:
            await self._means.door.close()

    async def tend(self) -> None:
        """Open or close the door, and forget tokens that are long over."""
        means = self._means
        async with self._tending:
            now = means.clock.now()
            own = [one for one in await means.records.all() if one.node == means.node]
            live = [one for one in own if one.is_open(now)]
            if not live:
                await means.door.close()
            elif not means.door.is_open:
                await means.door.open(self, prefer=_port(live[-1]))
            for one in own:
                if now - one.expires > KEPT:
                    await means.records.delete(one.id)

    def turned_away(self, reason: str, address: str) -> None:
        """Note one that did not get to say anything."""
        self._refused(reason, address, f"a connection to the join port: {reason}")

    async def answer(self, line: bytes, address: str) -> Reply:
        """Admit a joiner, or say why not. Never raises for what is wrong with it."""
        try:
            asked = _read(line)
            async with asyncio.timeout(ANSWER_S), self._admitting:
                admitted, sent = await self._desk.admit(asked, address)
        except TimeoutError:
            late = Unavailable("the store does not answer", retry_after_ms=1000)
            return self._refusal(late, address)
        except NexaError as error:
            return self._refusal(error, address)
        return Reply(_encode(JoinAnswer(admitted=admitted)), sent)

    def _refusal(self, error: NexaError, address: str) -> Reply:
        self._refused(why_refused(error), address, error.message)
        return Reply(_encode(JoinAnswer(problem=problem(error))), _ignore)

    def _refused(self, reason: str, address: str, message: str) -> None:
        self.refusals[reason] += 1
        if self._told.spend(self._means.clock.monotonic()) > 0:
            return
        self._means.journal.record(
            "join.refused",
            subject=f"address/{address}",
            message=f"nobody was admitted from {address}: {message}",
            severity="warning",
            data={"reason": reason, "address": address},
        )


def _read(line: bytes) -> JoinRequest:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        told = "what was said at the join port is no request to join"
        raise refused(Invalid, told, "malformed") from None


def _port(record: JoinRecord) -> int:
    return parse_address(record.addresses[0]).port if record.addresses else 0


def _ignore(whole: bool) -> None:
    """Nothing hangs on a refusal's arrival."""
