"""A real round trip through the store, for the self-test."""

import secrets
import time

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, Refused, WrongSequence
from nexa_node.contract.errors import Unavailable
from nexa_node.ports import RoundTrip


async def round_trip(connection: Connection) -> RoundTrip:
    """Publish, read back, delete; create, win and lose a compare-and-set.

    On a stream and a bucket of their own, which keep nothing for longer than a minute.

    Raises:
        Unavailable: It does not answer, or answers wrongly; the message says where.
    """
    token = secrets.token_hex(12)
    try:
        started = time.perf_counter()
        ack = await connection.store(
            topology.PROBE_SUBJECT, token.encode(), message_id=token
        )
        published = time.perf_counter()
        await _read_back(connection, ack.seq, token)
        read = time.perf_counter()
        await connection.call(
            f"STREAM.MSG.DELETE.{topology.PROBE}",
            wire.DeleteMessage(seq=ack.seq),
            wire.Answer,
        )
        deleted = time.perf_counter()
        await _compare_and_set(connection, token)
        ended = time.perf_counter()
    except Refused as refused:
        raise Unavailable(f"the store refused the probe: {refused}") from refused
    return RoundTrip(
        publish_ms=1000 * (published - started),
        read_ms=1000 * (read - published),
        cas_ms=1000 * (ended - deleted),
    )


async def _read_back(connection: Connection, seq: int, token: str) -> None:
    got = await connection.call(
        f"STREAM.MSG.GET.{topology.PROBE}", wire.GetMessage(seq=seq), wire.Got
    )
    if got.message is None or got.message.payload() != token.encode():
        raise Unavailable("reading back: the store returned something else")


async def _compare_and_set(connection: Connection, token: str) -> None:
    key = topology.bucket_prefix(topology.PROBES) + token
    first = await _swap(connection, key, 0)
    if first is None or await _swap(connection, key, first) is None:
        raise Unavailable("compare-and-set: a write that should win has lost")
    if await _swap(connection, key, first) is not None:
        raise Unavailable("compare-and-set: a write that should lose has won")


async def _swap(connection: Connection, key: str, expected: int) -> int | None:
    try:
        ack = await connection.store(
            key,
            b"probe",
            message_id=secrets.token_hex(12),
            headers={wire.EXPECTED_LAST: str(expected)},
        )
    except WrongSequence:
        return None
    return ack.seq
