"""What happened: the stream NX_EVENTS, kept as long as `[retention]` says."""

from collections.abc import AsyncIterator

import msgspec
import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.growing import Position, get_batch, stream_state
from nexa_node.adapters.nats.reader import Entry
from nexa_node.contract.events import Event

_BATCH = 256
_BATCH_BYTES = 8 * 1024**2

_log = structlog.get_logger("nexa.store")
_decoder = msgspec.json.Decoder(Event)


class NatsEvents:
    """`ports.EventLog`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._connection = connection

    async def append(self, event: Event) -> None:
        """Store one event; the same id within two minutes is stored once."""
        await self._connection.store(
            topology.EVENTS_SUBJECT, msgspec.json.encode(event), message_id=event.id
        )

    async def recent(self, *, limit: int) -> list[Event]:
        """The newest events, oldest first."""
        state = await stream_state(self._connection, topology.EVENTS)
        at = max(state.first_seq, state.last_seq - limit + 1)
        found: list[Event] = []
        while at <= state.last_seq and limit > 0:
            entries = await get_batch(
                self._connection,
                topology.EVENTS,
                wire.GetMessage(
                    seq=max(at, 1),
                    batch=_BATCH,
                    next_by_subj=topology.EVENTS_SUBJECT,
                    max_bytes=_BATCH_BYTES,
                ),
            )
            if not entries:
                break
            found += [told for entry in entries if (told := _told(entry)) is not None]
            at = entries[-1].seq + 1
        return found[-limit:] if limit > 0 else []

    def arrivals(self) -> AsyncIterator[Event]:
        """Every event stored from now on, by any node."""
        return self._arrivals(Position(topology.EVENTS))

    async def _arrivals(self, position: Position) -> AsyncIterator[Event]:
        async for entry in position.entries(self._connection):
            told = _told(entry)
            if told is not None:
                yield told


def _told(entry: Entry) -> Event | None:
    try:
        return _decoder.decode(entry.data)
    except msgspec.DecodeError as error:
        _log.error("an event can't be read", seq=entry.seq, cause=str(error))
        return None
