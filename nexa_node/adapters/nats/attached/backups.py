"""Backups of nexa's streams in a NATS of somebody else's, and a restore into it.

Only nexa's own streams are taken: the account may have others. A restore has no second
server to be made beside; it goes, stream by stream, in the place of empty ones, and
takes out again what it has put if it can't go on.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.adapters.nats import snapshots, tails, topology
from nexa_node.adapters.nats.attached.streams import AttachedTopology
from nexa_node.adapters.nats.backups import NatsBackups, Open
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.failures import RECORD_NAME, StoreFailed
from nexa_node.adapters.nats.session import Session
from nexa_node.contract.errors import Conflict, NexaError
from nexa_node.core.backups import Contents, Part
from nexa_node.core.policies import StorePolicy

_NODES = topology.bucket_stream(topology.NODES)
_TOKENS = topology.bucket_stream(topology.TOKENS)


class AttachedBackups(NatsBackups):
    """`services.vaults.Streams` of an attached store."""

    def __init__(
        self,
        connection: Connection,
        policy: StorePolicy,
        folder: Path,
        streams: AttachedTopology,
    ) -> None:
        """Join the parts."""
        super().__init__(connection, policy, folder, bounce=_never)
        self._streams = streams
        self._record = folder / RECORD_NAME
        self._replicas = policy.replicas

    async def names(self) -> tuple[str, ...]:
        """Name the streams to take: nexa's own, in the order to take them.

        Raises:
            Unavailable: The store does not answer.
        """
        ours = set(self._streams.names)
        return tuple(name for name in await super().names() if name in ours)

    async def contents(self) -> Contents:
        """Count what a restore would replace, other nodes too.

        Raises:
            Unavailable: The store does not answer.
        """
        found = await super().contents()
        async with self._session() as session:
            nodes = await tails.newest(session, _NODES)
        return msgspec.structs.replace(found, clustered=len(nodes) > 1)

    async def restore(
        self, parts: tuple[Part, ...], read: Open
    ) -> AsyncGenerator[tuple[str, int]]:
        """Put `parts` in the place of the empty streams there are.

        This node's own tokens are in what is there afterwards, too. Nodes must not be
        attached meanwhile but this one.

        Yields:
            A phase and how many messages are through it: restore, verify, start.

        Raises:
            Conflict: The archive has a stream that is none of nexa's.
            StoreFailed: It could not be done; the store is empty again.
            Unavailable: The store does not answer.
        """
        foreign = [
            p.stream.name for p in parts if p.stream.name not in self._streams.names
        ]
        if foreign:
            raise Conflict(
                f"the backup has streams that this nexa does not know: {foreign[0][:64]}",
                remedy="restore it with the nexa that wrote it, then update that",
            )
        async with self._session() as session:
            tokens = await tails.newest(session, _TOKENS)
            begun: list[str] = []
            added: dict[str, int] = {}
            try:
                done = 0
                # What was noted of the streams before means nothing from here on.
                await asyncio.to_thread(self._record.unlink, missing_ok=True)
                for part in parts:
                    begun.append(part.stream.name)
                    added[part.stream.name] = await self._put(session, part, read)
                    done += part.stream.counts.messages
                    yield "restore", done
                own = await tails.add(session, _each(tokens), only_new=True)
                added[_TOKENS] = added.get(_TOKENS, 0) + own
                yield "verify", done
                await _count(session, parts, added)
                await self._streams.ensure(session)
            except BaseException as error:
                await asyncio.shield(self._back(session, begun, tokens))
                if isinstance(
                    error, (NexaError, GeneratorExit, asyncio.CancelledError)
                ):
                    raise
                raise StoreFailed(
                    f"the restore broke off ({error!r}); the store is empty again",
                    remedy="see the log of nats-server, then try again",
                ) from error
            yield "start", done

    async def _put(self, session: Session, part: Part, read: Open) -> int:
        config: dict[str, Any] = {
            **part.stream.config,
            "metadata": {},
            "num_replicas": self._replicas,
        }
        config.pop("placement", None)
        described = msgspec.structs.replace(part.stream, config=config)
        await snapshots.delete(session, part.stream.name)
        await snapshots.restore(session, described, read(part.snapshot.name))
        if part.tail is None:
            return 0
        return await tails.add(session, tails.decode(read(part.tail.name)))

    async def _back(
        self, session: Session, begun: list[str], tokens: list[tails.Late]
    ) -> None:
        """Have empty streams again, with this node's tokens."""
        with contextlib.suppress(Exception):
            for name in begun:
                await snapshots.delete(session, name)
            await asyncio.to_thread(self._record.unlink, missing_ok=True)
            await self._streams.ensure(session)
            await tails.add(session, _each(tokens), only_new=True)


async def _never() -> None:
    raise StoreFailed("an attached store has no server to start anew")


async def _each(messages: list[tails.Late]) -> AsyncGenerator[tails.Late]:
    for message in messages:
        yield message


async def _count(
    session: Session, parts: tuple[Part, ...], added: dict[str, int]
) -> None:
    now = {one.name: one for one in await snapshots.streams(session)}
    for part in parts:
        found = now.get(part.stream.name)
        wrong = f"{part.stream.name} is not there"
        if found is not None:
            wrong = snapshots.differences(
                part.stream,
                found,
                removed=part.removed,
                # This node goes on meanwhile: its events come on top.
                added=max(
                    added[part.stream.name],
                    found.counts.last_seq - part.stream.counts.last_seq,
                ),
            )
        if wrong is not None:
            raise StoreFailed(
                f"what was restored is not what was taken: {wrong}",
                remedy="try another backup, and report this one",
            )
