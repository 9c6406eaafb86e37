"""Joining, from the side of the node that wants in."""

from dataclasses import dataclass

from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.core.admission import check_joiner
from nexa_node.core.join_tokens import (
    Admitted,
    JoinRequest,
    Stranger,
    TokenParts,
    parse,
)
from nexa_node.ports import Clock
from nexa_node.services.cluster.join_means import Exchange, Wallet

PATIENCE_S = 60.0
"""How long to go on asking members that are busy or away."""
RETRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """What this node says of itself."""

    name: str
    id: str
    route: str
    """host:port where its store will be reached."""
    url: str
    version: str
    has_data: bool
    """Its store holds something: it may not join, that would be lost."""


async def join(
    token: str,
    *,
    newcomer: Newcomer,
    wallet: Wallet,
    exchange: Exchange,
    clock: Clock,
    patience_s: float = PATIENCE_S,
) -> Admitted:
    """Have this node admitted by the cluster that made `token`.

    Killed at any point it may be called again with the same token: within two minutes
    the same node is given the same again. Once it returns, `tls/` is written.

    Args:
        token: As `nexa cluster join-token` printed it.
        newcomer: This node.
        wallet: Its key, and where to keep what it is given.
        exchange: Asks at one address.
        clock: For the pauses between attempts.
        patience_s: How long to try again while nobody answers, or a cluster is formed.

    Returns:
        What `cluster.json` is written of.

    Raises:
        Invalid: The token is none, or this node's name or address.
        Conflict: This node has data of its own.
        Unauthorized: The token is refused, or who answers is not the cluster it is of.
        Duplicate, UnsupportedVersion, Invalid, RateLimited: As the cluster says.
        Unavailable: Nobody answers at the token's addresses.
    """
    parts = parse(token)
    if newcomer.has_data:
        raise Conflict(
            f"{newcomer.name} has data of its own, which joining would lose",
            remedy="join with a new node (--name OTHER); or back its data up, then"
            " remove its folder",
        )
    request = JoinRequest(
        token=parts.id,
        secret=parts.secret,
        name=newcomer.name,
        id=newcomer.id,
        route=newcomer.route,
        url=newcomer.url,
        version=newcomer.version,
        csr=await wallet.request(),
    )
    check_joiner(request, version=newcomer.version)
    admitted = await _patiently(parts, request, exchange, clock, patience_s)
    await wallet.keep(admitted, ca_sha256=parts.ca_sha256)
    return admitted


async def _patiently(
    parts: TokenParts,
    request: JoinRequest,
    exchange: Exchange,
    clock: Clock,
    patience_s: float,
) -> Admitted:
    until = clock.monotonic() + patience_s
    while True:
        try:
            return await _anywhere(parts, request, exchange)
        except Unavailable as error:
            pause_s = max(RETRY_S, (error.retry_after_ms or 0) / 1000)
            if clock.monotonic() + pause_s > until:
                raise
            await clock.sleep(pause_s)


async def _anywhere(
    parts: TokenParts, request: JoinRequest, exchange: Exchange
) -> Admitted:
    """Ask at each address until one answers. A stranger at one is no answer."""
    stranger: Stranger | None = None
    away: Unavailable | None = None
    for address in parts.addresses:
        try:
            return await exchange(address, parts.ca_sha256, request)
        except Unavailable as error:
            away = error
        except Stranger as error:
            stranger = error
    raise stranger or away or Unavailable("the join token names no address")
