"""Who was told of what by this node alone: `ports.Deliveries` in one file.

For alerts that must be told although nothing can be stored in the cluster. The file is
small (a few rules, a bounded log), private, and replaced as a whole.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from nexa_node import private_files
from nexa_node.contract.errors import Conflict, NexaError, Unavailable
from nexa_node.contract.notifications import Delivery
from nexa_node.core.alerting.notifying.tracks import Track, is_old
from nexa_node.ports import Versioned

LOG_MAX = 500

_log = structlog.get_logger("nexa.notifications")


class _Kept(msgspec.Struct, frozen=True):
    tracks: dict[str, Track] = {}
    log: tuple[Delivery, ...] = ()


class FileDeliveries:
    """`ports.Deliveries`; one for each file, in one process."""

    def __init__(self, path: Path) -> None:
        """Keep everything at `path`; it is read when it is needed first."""
        self._path = path
        self._tracks: dict[str, Versioned[Track]] | None = None
        self._entries: deque[Delivery] = deque(maxlen=LOG_MAX)
        self._revision = 0
        self._writing = asyncio.Lock()

    async def tracks(self) -> list[Versioned[Track]]:
        """Every record there is."""
        return list((await self._known()).values())

    async def put(self, track: Track, *, revision: int) -> int:
        """Store it if it is still at `revision`; 0: if there is none."""
        known = await self._known()
        there = known.get(track.key)
        at = 0 if there is None else there.revision
        if at != revision:
            raise Conflict(f"{track.key} is at revision {at}: read it again")
        self._revision += 1
        known[track.key] = Versioned(track, self._revision)
        await self._save()
        return known[track.key].revision

    async def note(self, entry: Delivery) -> None:
        """Append to the log."""
        await self._known()
        self._entries.append(entry)
        await self._save()

    async def recent(self, *, limit: int) -> list[Delivery]:
        """The newest entries of the log, oldest first."""
        await self._known()
        return list(self._entries)[-limit:] if limit > 0 else []

    async def _known(self) -> dict[str, Versioned[Track]]:
        if self._tracks is None:
            kept = await asyncio.to_thread(self._read)
            if self._tracks is None:
                self._entries.extend(kept.log)
                self._tracks = {}
                now = datetime.now(UTC)
                for key, track in kept.tracks.items():
                    if is_old(track, now):
                        continue
                    self._revision += 1
                    self._tracks[key] = Versioned(track, self._revision)
        return self._tracks

    def _read(self) -> _Kept:
        try:
            content = private_files.read(self._path)
            return msgspec.json.decode(content, type=_Kept) if content else _Kept()
        except (NexaError, msgspec.DecodeError) as error:
            # Better to tell somebody twice than to tell nobody.
            _log.error(
                "what was told can't be read", path=str(self._path), cause=str(error)
            )
            return _Kept()

    async def _save(self) -> None:
        """Write all there is now.

        A disk that is full must not silence the alert that says so: then it is kept in
        memory, and only a crash makes it be told twice.
        """
        async with self._writing:
            tracks = {key: one.value for key, one in (self._tracks or {}).items()}
            content = msgspec.json.encode(_Kept(tracks, tuple(self._entries)))
            try:
                await asyncio.to_thread(private_files.write, self._path, content)
            except Unavailable as error:
                _log.warning("what was told was not noted", cause=error.message)
