"""Alerts in the store: the board, silences and evidence in one bucket, a log of changes.

nx_alerts   board.<fingerprint>   silence.<id>   evidence.<fingerprint>
NX_ALERT_LOG   nx.alert.log.<fingerprint>
"""

from collections.abc import AsyncIterator

import msgspec
import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.growing import get_batch, stream_state
from nexa_node.adapters.nats.reader import Entry
from nexa_node.adapters.nats.records import Records
from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import AlertChange, Evidence, Silence
from nexa_node.ports import Caught, Removed, Versioned

EVIDENCE_S = 7 * 86_400
_BATCH = 256
_BATCH_BYTES = 8 * 1024**2

_log = structlog.get_logger("nexa.store")
_decoder = msgspec.json.Decoder(AlertChange)


class NatsAlerts:
    """`ports.AlertRecords`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(
            connection, topology.ALERTS, AlertRecord, under="board."
        )

    async def get(self, fingerprint: str) -> Versioned[AlertRecord] | None:
        """Read the newest committed record."""
        return await self._records.read(_key(fingerprint))

    async def create(self, record: AlertRecord) -> int | None:
        """Store the first record; its revision, or None if there is one already."""
        return await self._records.add(_key(record.alert.fingerprint), record)

    async def update(self, record: AlertRecord, *, revision: int) -> int:
        """Store it if the record is still at `revision`."""
        key = _key(record.alert.fingerprint)
        return await self._records.replace(key, record, revision=revision)

    async def delete(self, fingerprint: str, *, revision: int) -> None:
        """Take it off the board if it is still at `revision`."""
        await self._records.remove(_key(fingerprint), revision=revision)

    def watch(self) -> AsyncIterator[Versioned[AlertRecord] | Removed | Caught]:
        """Every record, then `Caught`, then every change."""
        return self._records.watch()


class NatsSilences:
    """`ports.SilenceRecords`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.ALERTS, Silence, under="silence.")

    async def put(self, silence: Silence) -> None:
        """Store it."""
        await self._records.write(_key(silence.id), silence)

    async def delete(self, silence_id: str) -> None:
        """Forget one."""
        await self._records.remove(_key(silence_id))

    def watch(self) -> AsyncIterator[Versioned[Silence] | Removed | Caught]:
        """Every silence, then `Caught`, then every change."""
        return self._records.watch()


class NatsEvidence:
    """`ports.EvidenceRecords`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(
            connection, topology.ALERTS, Evidence, under="evidence."
        )

    async def get(self, fingerprint: str) -> Evidence | None:
        """Read it."""
        seen = await self._records.read(_key(fingerprint))
        return None if seen is None else seen.value

    async def put(self, fingerprint: str, evidence: Evidence) -> None:
        """Keep it, in place of what was there, for a week."""
        await self._records.write(_key(fingerprint), evidence, ttl_s=EVIDENCE_S)


class NatsAlertLog:
    """`ports.AlertLog`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._connection = connection

    async def append(self, change: AlertChange) -> None:
        """Store one line; the same id within two minutes is stored once."""
        await self._connection.store(
            topology.subject(topology.ALERT_LOG_PREFIX, change.fingerprint),
            msgspec.json.encode(change),
            message_id=change.id,
        )

    async def read(
        self, *, fingerprint: str | None = None, before: int | None = None, limit: int
    ) -> list[tuple[int, AlertChange]]:
        """Lines and their positions, the newest first."""
        state = await stream_state(self._connection, topology.ALERT_LOG)
        end = state.last_seq + 1 if before is None else min(before, state.last_seq + 1)
        first = max(1, state.first_seq)
        if fingerprint is not None:
            subject = topology.subject(topology.ALERT_LOG_PREFIX, fingerprint)
            return (await self._span(subject, first, end))[-limit:][::-1]
        found: list[tuple[int, AlertChange]] = []
        while end > first and len(found) < limit:
            start = max(first, end - _BATCH)
            lines = await self._span(f"{topology.ALERT_LOG_PREFIX}.>", start, end)
            found += lines[::-1]
            end = start
        return found[:limit]

    async def _span(
        self, subject: str, start: int, end: int
    ) -> list[tuple[int, AlertChange]]:
        """All lines from `start` to before `end`, the oldest first."""
        found: list[tuple[int, AlertChange]] = []
        while start < end:
            entries = await get_batch(
                self._connection,
                topology.ALERT_LOG,
                wire.GetMessage(
                    seq=start,
                    batch=_BATCH,
                    next_by_subj=subject,
                    max_bytes=_BATCH_BYTES,
                ),
            )
            inside = [entry for entry in entries if entry.seq < end]
            found += [line for entry in inside for line in _line(entry)]
            if not entries or len(inside) < len(entries):
                break
            start = entries[-1].seq + 1
        return found


def _line(entry: Entry) -> list[tuple[int, AlertChange]]:
    try:
        return [(entry.seq, _decoder.decode(entry.data))]
    except msgspec.DecodeError as error:
        _log.error("a change can't be read", seq=entry.seq, cause=str(error))
        return []


def _key(token: str) -> str:
    return topology.subject("", token)[1:]
