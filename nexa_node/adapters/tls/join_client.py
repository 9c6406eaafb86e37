"""Asking to be let in, of nobody but the cluster that made the token.

Two connections. In the first nothing is verified and nothing is said: the other side
greets with its authorities' certificates, and the one that the token names, by its hash,
is taken. In the second that authority is the only one that is trusted, so whoever has
not got a certificate signed by it, for a server and in date, never sees the secret.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec

from nexa_node.adapters.tls.certificates import from_der, is_authority
from nexa_node.adapters.tls.contexts import blind_context, pinned_context
from nexa_node.adapters.tls.limits import (
    ANSWER_MAX,
    ANSWER_S,
    GREETING_MAX,
    STEP_S,
    hang_up,
)
from nexa_node.contract.errors import Invalid, NexaError, Unavailable, from_problem
from nexa_node.core.addresses import parse_address
from nexa_node.core.join_tokens import (
    Admitted,
    Greeting,
    JoinAnswer,
    JoinRequest,
    Stranger,
)

_NEW = "make a new token on a member: nexa cluster join-token"
_AWAY = f"is its node running, and its join port let through? Else {_NEW}"


async def exchange(address: str, ca_sha256: bytes, request: JoinRequest) -> Admitted:
    """Ask at `address` to be admitted.

    Args:
        address: host:port.
        ca_sha256: Of the authority (DER) that must have signed for who answers.
        request: What to say then.

    Raises:
        Stranger: Who answers can't prove it is of that cluster; it was told nothing.
        Unavailable: Nobody answers, or the answer was lost: then ask once more.
        NexaError: The cluster says no; which one, and why.
    """
    authority = await _authority(address, ca_sha256)
    answer = await _ask(address, pinned_context(authority), request)
    try:
        told = msgspec.json.decode(answer, type=JoinAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unavailable(f"{address} answers something else than expected") from None
    if told.problem is not None:
        raise from_problem(told.problem)
    if told.admitted is None:
        raise Unavailable(f"{address} answers neither yes nor no")
    return told.admitted


async def _authority(address: str, ca_sha256: bytes) -> bytes:
    """Be told authorities; the one that the token names."""
    async with _connected(address, blind_context(), GREETING_MAX) as (reader, _):
        line = await _line(reader, address, STEP_S)
    try:
        greeting = msgspec.json.decode(line, type=Greeting)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _stranger(address, "it greets in another way") from None
    for each in greeting.authorities:
        if hashlib.sha256(each).digest() == ca_sha256:
            return _checked(each, address)
    raise _stranger(address, "its authority is another one")


def _checked(authority: bytes, address: str) -> bytes:
    try:
        if is_authority(from_der(authority)):
            return authority
    except Invalid:
        pass
    raise _stranger(address, "the token names something else than an authority")


async def _ask(address: str, context: ssl.SSLContext, request: JoinRequest) -> bytes:
    async with _connected(address, context, ANSWER_MAX) as (reader, writer):
        await _line(reader, address, STEP_S)  # the greeting, known by now
        try:
            async with asyncio.timeout(STEP_S):
                writer.write(msgspec.json.encode(request) + b"\n")
                await writer.drain()
        except (TimeoutError, OSError):
            raise _lost(address) from None
        return await _line(reader, address, ANSWER_S)


@asynccontextmanager
async def _connected(
    address: str, context: ssl.SSLContext, limit: int
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    where = parse_address(address)
    try:
        async with asyncio.timeout(STEP_S):
            reader, writer = await asyncio.open_connection(
                where.host, where.port, ssl=context, limit=limit
            )
    except ssl.SSLCertVerificationError as error:
        raise _stranger(address, error.verify_message) from None
    except ssl.SSLError as error:
        told = (error.reason or "not understood").lower().replace("_", " ")
        raise _stranger(address, f"TLS: {told}") from None
    except TimeoutError:
        raise Unavailable(f"{address} does not answer", remedy=_AWAY) from None
    except OSError as error:
        told = error.strerror or str(error)
        raise Unavailable(f"{address} can't be reached: {told}", remedy=_AWAY) from None
    try:
        yield reader, writer
    finally:
        await hang_up(writer)


async def _line(reader: asyncio.StreamReader, address: str, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise Unavailable(f"{address} answers more than expected") from None
    except ssl.SSLError as error:
        raise _stranger(address, f"TLS: {error.reason}") from None
    except (TimeoutError, asyncio.IncompleteReadError, OSError):
        raise _lost(address) from None


def _lost(address: str) -> Unavailable:
    return Unavailable(f"{address} hung up or fell silent", remedy=_AWAY)


def _stranger(address: str, why: str) -> NexaError:
    return Stranger(
        f"who answers at {address} is not the cluster that made the token: {why}",
        remedy=f"check this machine's clock and the address; else {_NEW}",
    )
