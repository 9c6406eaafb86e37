"""Whether a NATS of somebody else's will do: asked on each new connection.

Nothing is written: what may be published is found out by messages that every stream
refuses, since they name another one.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

import msgspec

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.attached.link import AttachedSession, Denied, denial
from nexa_node.adapters.nats.config import MAX_PAYLOAD
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.nats.session import NoResponders, Session
from nexa_node.core.policies import StorePolicy

ASK_S = 4.0
EXPECTED_STREAM = "Nats-Expected-Stream"
_NO_STREAM = "nexa-asks-whether-it-may"
_CORE = (
    "nx.beat",
    "nx.ping",
    "nx.tick",
    "nx.call",
    "nx.fast",
    "nx.reply",
    "nx.partial",
)
_OFF = frozenset((10039, 10076))
"""JetStream is off for the account; for the server."""


class _Limits(msgspec.Struct, frozen=True, kw_only=True):
    max_storage: int = -1
    max_streams: int = -1
    max_consumers: int = -1
    max_bytes_required: bool = False


class _Tier(msgspec.Struct, frozen=True, kw_only=True):
    storage: int = 0
    streams: int = 0
    limits: _Limits = _Limits()


class Account(wire.Answer, frozen=True, kw_only=True):
    """What their account may have of JetStream, and has."""

    storage: int = 0
    streams: int = 0
    limits: _Limits = _Limits()
    tiers: dict[str, _Tier] | None = None
    domain: str = ""

    def tier(self, copies: int) -> _Tier:
        """The limits for streams with so many copies."""
        return (self.tiers or {}).get(f"R{copies}") or _Tier(
            storage=self.storage, streams=self.streams, limits=self.limits
        )


class _Moment(wire.Answer, frozen=True, kw_only=True):
    ts: str = ""


def check_payload(session: Session) -> None:
    """See that a record of a task fits in a message.

    Raises:
        StoreFailed: It does not.
    """
    found = session.link.info.max_payload
    if found < MAX_PAYLOAD:
        raise StoreFailed(
            f"the NATS takes messages of {found} bytes at most (max_payload), and"
            f" nexa needs {MAX_PAYLOAD}",
            remedy=f"max_payload: {MAX_PAYLOAD // 1024**2}MB in the configuration of"
            " every server, then nats-server --signal reload",
        )


async def account_of(session: Session) -> Account:
    """Ask what the account may have.

    Raises:
        StoreFailed: JetStream is off, there or for this account, or may not be used.
    """
    until = asyncio.get_running_loop().time() + ASK_S
    off = (
        "JetStream is off: turn it on with a jetstream section in the servers'"
        " configuration, and jetstream: enabled in the account's"
    )
    try:
        answer = await session.request("$JS.API.INFO", b"", until=until)
    except NoResponders as error:
        raise StoreFailed(
            "nobody answers $JS.API.INFO: the NATS has no JetStream for this account",
            remedy=f"{off}; or correct [store] domain",
        ) from error
    told = wire.read(answer.data, Account)
    if told.error is None:
        return told
    if told.error.err_code in _OFF:
        raise StoreFailed(
            f"the NATS has no JetStream for this account: {told.error.description}",
            remedy=off,
        )
    if told.error.code == wire.BUSY:
        raise topology.NotReady(told.error.description)
    raise StoreFailed(
        f"the NATS does not tell of its JetStream: {told.error.description}",
        remedy="see the log of nats-server",
    )


def check_limits(account: Account, policy: StorePolicy, *, missing: int) -> None:
    """See that the account is large enough.

    Args:
        account: What it may have.
        policy: What is wanted.
        missing: Streams that are not there yet.

    Raises:
        StoreFailed: It is not; names the limit, what was found and what is needed.
    """
    tier = account.tier(policy.replicas)
    limits = tier.limits
    needed = policy.account_bytes
    if account.tiers is None:
        # Without tiers every copy counts.
        needed *= policy.replicas
    if 0 <= limits.max_storage < needed:
        raise _small("storage (max_store)", limits.max_storage, needed)
    streams = tier.streams + missing
    if 0 < limits.max_streams < streams:
        raise _small("streams (max_streams)", limits.max_streams, streams)
    if limits.max_bytes_required:
        raise StoreFailed(
            "the account wants a size for each stream (max_bytes_required), and nexa's"
            " grow as they must",
            remedy="take max_bytes_required off; account limits are held to all the same",
        )


async def check_clock(session: Session, policy: StorePolicy) -> float:
    """Hold the servers' clock against ours; by how many ms theirs is ahead.

    Raises:
        StoreFailed: It is further away than `[store] clock_ms`.
    """
    loop = asyncio.get_running_loop()
    name = topology.PROBE
    before = time.time()
    answer = await session.request(
        f"$JS.API.STREAM.INFO.{name}", b"", until=loop.time() + ASK_S
    )
    after = time.time()
    told = wire.read(answer.data, _Moment)
    if not told.ts:
        return 0.0
    theirs = datetime.fromisoformat(told.ts).timestamp()
    # Within the round trip nothing is known of when it was read.
    ahead = theirs - after if theirs > after else min(0.0, theirs - before)
    ahead_ms = 1000 * ahead
    if abs(ahead_ms) > policy.clock_ms:
        word = "ahead of" if ahead_ms > 0 else "behind"
        raise StoreFailed(
            f"the clock of the NATS is {abs(ahead_ms):.0f} ms {word} this machine's;"
            f" {policy.clock_ms} ms are allowed ([store] clock_ms)",
            remedy="set both by NTP: timedatectl",
        )
    return ahead_ms


async def check_publishing(
    session: AttachedSession, plan: Sequence[wire.StreamConfig]
) -> None:
    """See that all may be published that nexa publishes; nothing is stored.

    Raises:
        Denied: Something is not permitted; names it.
    """
    subjects = [
        f"{subject.removesuffix('.>')}.check" if subject.endswith(".>") else subject
        for config in plan
        for subject in config.subjects
    ]
    until = asyncio.get_running_loop().time() + ASK_S
    headers = {EXPECTED_STREAM: _NO_STREAM}

    async def one(subject: str) -> None:
        try:
            await session.request(subject, b"", headers, until=until)
        except (NoResponders, TimeoutError):
            return  # the streams were seen; a leader may be away

    done = await asyncio.gather(
        *(one(subject) for subject in subjects), return_exceptions=True
    )
    for error in done:
        if isinstance(error, BaseException):
            raise error
    for subject in (*(f"{prefix}.check" for prefix in _CORE), "$JS.ACK.check"):
        await session.publish(subject, b"")
    await check_denied(session)


async def check_denied(session: AttachedSession) -> None:
    """See that everything sent so far was permitted, subscriptions too.

    Raises:
        Denied: It was not; names the first.
    """
    async with asyncio.timeout(ASK_S):
        await session.barrier()
    for verb, subject in session.denied:
        raise denial("publish" if verb == "publish" else "subscribe", subject)


def _small(what: str, found: int, needed: int) -> StoreFailed:
    return StoreFailed(
        f"the account of the NATS allows {found} of {what}, and nexa needs {needed}",
        remedy="raise the limit in the account's jetstream section"
        + ("; or lower [store] account_bytes" if "store" in what else ""),
    )


__all__ = [
    "Account",
    "Denied",
    "account_of",
    "check_clock",
    "check_denied",
    "check_limits",
    "check_payload",
    "check_publishing",
]
