"""A look at a NATS of somebody else's, which changes nothing: will it do?"""

from dataclasses import dataclass
from pathlib import Path

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.attached import checks
from nexa_node.adapters.nats.attached.link import AttachedSession
from nexa_node.adapters.nats.attached.streams import AttachedTopology
from nexa_node.adapters.nats.attached.upstream import Attachment, dial, why
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.nats.session import Lost, NoResponders
from nexa_node.core.policies import RetentionPolicy, StorePolicy

SHOWN = 3
"""More settings that would be adapted are only counted."""


@dataclass(frozen=True, slots=True)
class Review:
    """What each server of `[store] urls` is."""

    seen: tuple[str, ...]
    silent: tuple[str, ...]
    """Those that do not answer, and why."""


async def look(
    session: AttachedSession, policy: StorePolicy, streams: AttachedTopology
) -> list[str]:
    """See whether a NATS will do; what would be adapted.

    Raises:
        StoreFailed: It will not; says why, and the remedy.
        topology.NotReady: It has no leader yet.
    """
    checks.check_payload(session)
    account = await checks.account_of(session)
    found, told = await streams.review(session)
    checks.check_limits(account, policy, missing=len(streams.names) - len(found))
    if topology.PROBE in found:
        await checks.check_clock(session, policy)
    return told


async def review(
    policy: StorePolicy, *, cluster: str, retention: RetentionPolicy
) -> Review:
    """Look at every server of `[store] urls` as a node would.

    Raises:
        StoreFailed: One will not do, or none answers.
    """
    seen: list[str] = []
    silent: list[str] = []
    streams = AttachedTopology(
        Path(), topology.plan(retention, policy.replicas), cluster
    )
    for address in Attachment(policy, lambda _: None).addresses:
        try:
            session = await dial(address, policy)
            try:
                adapted = await look(session, policy, streams)
            finally:
                await session.close()
        except (OSError, Lost, NoResponders, TimeoutError, topology.NotReady) as error:
            silent.append(f"{address}: {why(error)}")
            continue
        seen.append(f"nats-server {session.version} at {address}")
        if adapted:
            more = f" and {len(adapted) - SHOWN} more" if len(adapted) > SHOWN else ""
            seen.append(f"to be adapted: {', '.join(adapted[:SHOWN])}{more}")
    if not seen:
        raise StoreFailed(
            f"no server of the attached NATS answers: {'; '.join(silent)}",
            remedy="start it, or correct [store] urls",
        )
    return Review(tuple(seen), tuple(silent))
