"""What is written into a stream while it is taken, message by message.

A snapshot is read while the stream is used. In a bucket, a record that is replaced
before it was read is in it neither as it was nor as it is: the new one stands behind the
snapshot's end. So what stands there is read, too, until a round finds nothing replaced:
then every record there was is either in the snapshot or here.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from nexa_node.adapters.nats import snapshots, wire
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.snapshots import RestoreFailed, SnapshotFailed

AT_ONCE = 32
"""Messages asked for in parallel."""
ROUNDS = 200
"""More would mean that records are replaced faster than they are read."""
CALL_S = 10.0

_FOR_ONCE = ("nats-expected-", "nats-batch-")
_LENGTH = 4
_LONGEST = 16 * 1024**2
_encoder = msgspec.msgpack.Encoder()


class Late(msgspec.Struct, frozen=True, array_like=True):
    """One message."""

    subject: str
    headers: dict[str, str]
    data: bytes


_decoder = msgspec.msgpack.Decoder(Late)


async def read(session: Session, stream: str, *, after: int) -> AsyncIterator[Late]:
    """Read what stands behind position `after` of a bucket, until nothing is missed.

    Raises:
        SnapshotFailed: It is written to faster than it can be read, or not readable.
    """
    for _ in range(ROUNDS):
        now = await snapshots.describe(session, stream)
        last = after if now is None else now.counts.last_seq
        missed = 0
        while after < last:
            upto = min(last, after + AT_ONCE)
            asked = (wire.GetMessage(seq=seq) for seq in range(after + 1, upto + 1))
            for found in await asyncio.gather(
                *(_get(session, stream, a) for a in asked)
            ):
                if found is None:
                    missed += 1
                else:
                    yield found
            after = upto
        if not missed:
            return
    raise SnapshotFailed(
        f"{stream} is written to so much that no end of it was found",
        remedy="make the backup when there is less to do",
    )


async def newest(session: Session, stream: str) -> list[Late]:
    """Read every record of a small bucket that is there now."""
    body = msgspec.json.encode(wire.AskInfo(subjects_filter=">"))
    answer = await _ask(session, f"$JS.API.STREAM.INFO.{stream}", body)
    info = wire.read(answer, wire.StreamInfo)
    found: list[Late] = []
    for subject in info.state.subjects or {}:
        asked = wire.GetMessage(last_by_subj=subject)
        one = await _get(session, stream, asked)
        if one is not None and not wire.is_marker(one.headers):
            found.append(one)
    return found


async def add(
    session: Session, messages: AsyncIterator[Late], *, only_new: bool = False
) -> int:
    """Write messages into the streams they are from; how many were written.

    Args:
        session: Of a server that nobody else uses.
        messages: In the order to write them.
        only_new: Leave records alone that are there already.

    Raises:
        RestoreFailed: One was not taken.
    """
    count = 0
    async for message in messages:
        headers = _lasting(message.headers)
        if only_new:
            headers[wire.EXPECTED_LAST] = "0"
        until = asyncio.get_running_loop().time() + CALL_S
        answer = await session.request(
            message.subject, message.data, headers, until=until
        )
        ack = wire.read(answer.data, wire.PubAck)
        if ack.error is None:
            count += 1
        elif not only_new or ack.error.err_code not in wire.WRONG_LAST_SEQUENCE:
            raise RestoreFailed(f"{message.subject}: {ack.error.description}")
    return count


async def encode(messages: AsyncIterator[Late]) -> AsyncIterator[bytes]:
    """Write messages one behind the other."""
    async for message in messages:
        content = _encoder.encode(message)
        yield len(content).to_bytes(_LENGTH, "big") + content


async def decode(chunks: AsyncIterator[bytes]) -> AsyncIterator[Late]:
    """Read what `encode` wrote.

    Raises:
        RestoreFailed: It is something else.
    """
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= _LENGTH:
            end = _LENGTH + int.from_bytes(held[:_LENGTH], "big")
            if end > _LONGEST:
                raise RestoreFailed(f"a message of {end:,} bytes")
            if len(held) < end:
                break
            try:
                yield _decoder.decode(held[_LENGTH:end])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise RestoreFailed(f"a message can't be read: {error}") from error
            del held[:end]
    if held:
        raise RestoreFailed("the last message is not whole")


def _lasting(headers: dict[str, str]) -> dict[str, str]:
    """Leave out what was meant for the moment of writing; say deletions our way."""
    kept = {
        name: value
        for name, value in headers.items()
        if not name.lower().startswith(_FOR_ONCE) and name != wire.MSG_ID
    }
    if kept.pop(wire.MARKER_REASON, None) is not None:
        kept[wire.OPERATION] = "PURGE"
    return kept


async def _get(session: Session, stream: str, asked: wire.GetMessage) -> Late | None:
    answer = await _ask(
        session, f"$JS.API.STREAM.MSG.GET.{stream}", msgspec.json.encode(asked)
    )
    got = wire.read(answer, wire.Got)
    if got.error is not None:
        if got.error.err_code in wire.NO_MESSAGE:
            return None
        raise SnapshotFailed(f"{stream} can't be read: {got.error.description}")
    if got.message is None:
        return None
    found = got.message
    return Late(found.subject, found.headers(), found.payload())


async def _ask(session: Session, subject: str, body: bytes) -> bytes:
    until = asyncio.get_running_loop().time() + CALL_S
    return (await session.request(subject, body, until=until)).data
