"""Large data: the stream NX_OBJECTS, pieces first and a description last.

    nx.object.piece.<upload>   the pieces of one upload, in order
    nx.object.meta.<sha256>    which upload holds the content of that hash;
                               `<sha256>-<namespace>`: and is that namespace's alone

An upload without a description is nobody's: it is removed when it fails, or swept. A
description goes a little before its pieces do, so what is found is whole.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator

import msgspec
import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, Refused
from nexa_node.adapters.nats.growing import get_batch
from nexa_node.adapters.nats.inboxes import KEEP
from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.core.lifetimes import objects_age_s
from nexa_node.core.pieces import Cutter
from nexa_node.core.policies import RetentionPolicy
from nexa_node.ports import StoredObject

AT_ONCE = 8
"""Pieces read at once: 2 MiB."""
METAS_AT_ONCE = 256
HALF_WRITTEN_S = 3600
"""An upload may take so long; one without a description that is older is left over."""
MARGIN = 20
"""A description lives by one part in so many shorter than its pieces."""

_log = structlog.get_logger("nexa.store")


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """The description of an object."""

    upload: str
    size: int
    pieces: int
    first_seq: int
    stored: float
    """When, in seconds since 1970."""


_decoder = msgspec.json.Decoder(Meta)


class NatsObjects:
    """`ports.Objects`."""

    def __init__(
        self, connection: Connection, retention: RetentionPolicy = KEEP
    ) -> None:
        """Use `connection`."""
        self._connection = connection
        self._age_s = objects_age_s(retention)

    async def put(
        self, chunks: AsyncIterator[bytes], *, limit: int, shelf: str = ""
    ) -> StoredObject:
        """Store what comes, in chunks of any size, until it ends.

        Raises:
            PayloadTooLarge: More than `limit` bytes; nothing is kept.
        """
        upload = _Upload(self._connection)
        cutter = Cutter(limit)
        try:
            async for chunk in chunks:
                for piece in cutter.feed(chunk):
                    await upload.add(piece)
            for piece in cutter.finish():
                await upload.add(piece)
            name = _named(cutter.sha256, shelf)
            if await self._has_fresh(name):
                await self._drop(upload.id)
            else:
                await self._describe(name, cutter, upload)
        except BaseException:
            await self._give_up(upload.id)
            raise
        return StoredObject(cutter.sha256, cutter.size)

    async def get(
        self, sha256: str, *, shelf: str = ""
    ) -> tuple[int, AsyncIterator[bytes]] | None:
        """Find an object: its size and its pieces, in order; None if there is none."""
        meta = await self._meta(_named(sha256, shelf))
        if meta is None:
            return None
        return meta.size, self._pieces(sha256, meta)

    async def sweep(self) -> int:
        """Remove what was left half-written and what newer copies replaced; how many."""
        described = await self._described()
        removed = 0
        for upload in await self._uploads():
            old_s = time.time() - _began(upload)
            if upload not in described and old_s > HALF_WRITTEN_S:
                await self._drop(upload)
                removed += 1
        return removed

    async def _describe(self, name: str, cutter: Cutter, upload: "_Upload") -> None:
        left_s = self._age_s - (time.time() - _began(upload.id))
        meta = Meta(
            upload=upload.id,
            size=cutter.size,
            pieces=upload.pieces,
            first_seq=upload.first_seq,
            stored=time.time(),
        )
        await self._connection.store(
            _meta_subject(name),
            msgspec.json.encode(meta),
            message_id=f"{upload.id}.meta",
            headers={wire.TTL: str(max(1, int(left_s - self._age_s / MARGIN)))},
        )

    async def _has_fresh(self, sha256: str) -> bool:
        """Say whether the content is there and has almost its whole time before it."""
        meta = await self._meta(sha256)
        return meta is not None and time.time() - meta.stored < self._age_s / MARGIN

    async def _meta(self, sha256: str) -> Meta | None:
        try:
            got = await self._connection.call(
                f"STREAM.MSG.GET.{topology.OBJECTS}",
                wire.GetMessage(last_by_subj=_meta_subject(sha256)),
                wire.Got,
            )
        except Refused as refused:
            if refused.error.err_code in wire.NO_MESSAGE:
                return None
            raise Unavailable(f"object {sha256} can't be read: {refused}") from refused
        return None if got.message is None else _decode(got.message.payload(), sha256)

    async def _pieces(self, sha256: str, meta: Meta) -> AsyncIterator[bytes]:
        digest, told, at = hashlib.sha256(), 0, meta.first_seq
        while told < meta.pieces:
            entries = await get_batch(
                self._connection,
                topology.OBJECTS,
                wire.GetMessage(
                    seq=at,
                    batch=min(AT_ONCE, meta.pieces - told),
                    next_by_subj=_piece_subject(meta.upload),
                ),
            )
            if not entries:
                break
            for entry in entries:
                digest.update(entry.data)
                told += 1
                if told == meta.pieces and digest.hexdigest() != sha256:
                    break
                yield entry.data
            at = entries[-1].seq + 1
        if told < meta.pieces or digest.hexdigest() != sha256:
            raise Unavailable(
                f"object {sha256} is not whole any more: {told} of {meta.pieces} pieces",
                remedy="send it again, or keep it longer: [retention] objects_hours",
            )

    async def _described(self) -> set[str]:
        """The uploads that the newest description of each object names."""
        newest: dict[str, str] = {}
        after = 0
        while True:
            entries = await get_batch(
                self._connection,
                topology.OBJECTS,
                wire.GetMessage(
                    seq=after + 1,
                    batch=METAS_AT_ONCE,
                    next_by_subj=f"{topology.META_PREFIX}.>",
                ),
            )
            if not entries:
                return set(newest.values())
            for entry in entries:
                meta = _decode(entry.data, entry.subject)
                newest[entry.subject] = "" if meta is None else meta.upload
            after = entries[-1].seq

    async def _uploads(self) -> list[str]:
        asked = wire.AskInfo(subjects_filter=f"{topology.PIECE_PREFIX}.*")
        where = f"STREAM.INFO.{topology.OBJECTS}"
        try:
            info = await self._connection.call(where, asked, wire.StreamInfo)
        except Refused as refused:
            raise Unavailable(f"objects can't be listed: {refused}") from refused
        return [name.rpartition(".")[2] for name in info.state.subjects or {}]

    async def _drop(self, upload: str) -> None:
        body = wire.Purge(filter=_piece_subject(upload))
        where = f"STREAM.PURGE.{topology.OBJECTS}"
        try:
            await self._connection.call(where, body, wire.Answer)
        except Refused as refused:
            raise Unavailable(f"{upload} can't be removed: {refused}") from refused

    async def _give_up(self, upload: str) -> None:
        """Remove what was stored so far; if that fails, a sweep will."""
        try:
            await asyncio.shield(asyncio.ensure_future(self._drop(upload)))
        except NexaError as error:
            _log.warning("half an object waits for the sweep", cause=error.message)


class _Upload:
    """The pieces of one object on their way in."""

    def __init__(self, connection: Connection) -> None:
        self.id = f"{int(time.time()):x}-{secrets.token_hex(8)}"
        self.pieces = 0
        self.first_seq = 0
        self._connection = connection

    async def add(self, piece: bytes) -> None:
        ack = await self._connection.store(
            _piece_subject(self.id), piece, message_id=f"{self.id}.{self.pieces}"
        )
        self.first_seq = self.first_seq or ack.seq
        self.pieces += 1


def _began(upload: str) -> float:
    try:
        return float(int(upload.partition("-")[0], 16))
    except ValueError:
        return 0.0


def _piece_subject(upload: str) -> str:
    return topology.subject(topology.PIECE_PREFIX, upload)


def _named(sha256: str, shelf: str) -> str:
    """What an object is found by: its hash, and whose it is if not everybody's."""
    return f"{sha256}-{shelf}" if shelf else sha256


def _meta_subject(sha256: str) -> str:
    # A token is at most 63 characters, and a hash has 64.
    return topology.subject(topology.META_PREFIX, sha256[:32], sha256[32:])


def _decode(payload: bytes, name: str) -> Meta | None:
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        _log.error("an object's description can't be read", name=name, cause=str(error))
        return None
