"""Who was told of what: `ports.Deliveries` in the bucket `nx_notify` and a stream."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, cast

import msgspec
import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.growing import get_batch, stream_state
from nexa_node.adapters.nats.records import Records
from nexa_node.contract.errors import Conflict
from nexa_node.contract.notifications import Delivery
from nexa_node.core.alerting.notifying.tracks import Track
from nexa_node.ports import Caught, Versioned

_BATCH, _BATCH_BYTES = 256, 8 * 1024**2

_log = structlog.get_logger("nexa.store")
_decoder = msgspec.json.Decoder(Delivery)


class NatsDeliveries:
    """`ports.Deliveries`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._connection = connection
        self._records = Records(connection, topology.NOTIFY, Track)

    async def tracks(self) -> list[Versioned[Track]]:
        """Every record there is."""
        found: list[Versioned[Track]] = []
        watch = cast("AsyncGenerator[Any]", self._records.watch())
        async with contextlib.aclosing(watch):
            async for told in watch:
                if isinstance(told, Caught):
                    break
                if isinstance(told, Versioned):
                    found.append(cast("Versioned[Track]", told))
        return found

    async def put(self, track: Track, *, revision: int) -> int:
        """Store it if it is still at `revision`; 0: if there is none."""
        if revision:
            return await self._records.replace(track.key, track, revision=revision)
        created = await self._records.add(track.key, track)
        if created is None:
            raise Conflict(f"another node told {track.receiver} first: read it again")
        return created

    async def note(self, entry: Delivery) -> None:
        """Append to the log; the same entry within two minutes is stored once."""
        await self._connection.store(
            topology.NOTIFIED_SUBJECT,
            msgspec.json.encode(entry),
            message_id=f"{entry.id}.{entry.state}.{entry.attempts}",
        )

    async def recent(self, *, limit: int) -> list[Delivery]:
        """The newest entries of the log, oldest first."""
        state = await stream_state(self._connection, topology.NOTIFIED)
        at = max(state.first_seq, state.last_seq - limit + 1)
        found: list[Delivery] = []
        while at <= state.last_seq and limit > 0:
            entries = await get_batch(
                self._connection,
                topology.NOTIFIED,
                wire.GetMessage(
                    seq=max(at, 1),
                    batch=_BATCH,
                    next_by_subj=topology.NOTIFIED_SUBJECT,
                    max_bytes=_BATCH_BYTES,
                ),
            )
            if not entries:
                break
            for entry in entries:
                try:
                    found.append(_decoder.decode(entry.data))
                except msgspec.DecodeError as error:
                    _log.error(
                        "a delivery can't be read", seq=entry.seq, cause=str(error)
                    )
            at = entries[-1].seq + 1
        return found[-limit:] if limit > 0 else []
