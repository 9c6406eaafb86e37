"""Backups: everything the store has as one archive, on demand and on schedule.

What is taken is spooled to the disk first: a slow reader can't hold the store's server
up, and the moments at which the streams are taken lie close together. What is restored
is spooled, too, and verified to its last byte before anything is touched.
"""

import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, NexaError
from nexa_node.core import backups
from nexa_node.core.backups import Head, Manifest, Part
from nexa_node.core.policies import ClusterPolicy
from nexa_node.ports import Caught, Clock, TaskQueue, TaskRecords, Versioned
from nexa_node.services.api import Journal
from nexa_node.services.cluster.vaults import Spool, Streams, Vault

LOOK_S = 30.0
"""How often it is looked whether a scheduled backup is due."""
RETRY_S = 900.0
"""After a failed one."""

RESTART = "the node starts anew now, and takes up what it finds"
"""Only its start takes in hand what agents had when the backup was made."""

_log = structlog.get_logger("nexa.backup")


@dataclass(slots=True, kw_only=True, eq=False)
class Backups:
    """`parts.BackupDesk` of one node."""

    node: str
    """This node's name."""
    cluster: Callable[[], tuple[str, str]]
    """The cluster's name and id."""
    version: str
    """Of this nexa."""
    streams: Streams
    vault: Vault
    tasks: TaskRecords
    queue: TaskQueue
    journal: Journal
    clock: Clock
    new_id: Callable[[], str]
    policy: ClusterPolicy
    is_controller: Callable[[], bool] = lambda: True
    """Whether the schedule is this node's duty now."""
    tell: Callable[[Growth], None] = lambda _: None
    """Told how far it is."""
    restart: Callable[[str], object] = lambda _: None
    """Has the node start anew: why."""
    _busy: str | None = field(default=None, init=False)
    _failed_at: float | None = field(default=None, init=False)

    async def backup(self, *, by: str) -> AsyncIterator[bytes]:
        """Write an archive; all has been taken when this returns.

        Raises:
            Conflict: Another backup or a restore is under way.
            Unavailable: The store or the disk does not do its part.
        """
        spool, draft = await self._take(by)
        packed = _Packed(self._packed(spool, draft, by))
        weakref.finalize(packed, spool.discard)  # if nobody ever reads it
        return packed

    async def backup_to_folder(self, *, by: str) -> str:
        """Make a backup in the folder, and forget the oldest; its name.

        Raises:
            Conflict: Another backup or a restore is under way.
            Unavailable: The store or the disk does not do its part.
        """
        spool, draft = await self._take(by)
        name = _name(draft.head)
        try:
            size = await self.vault.keep(name, self.vault.pack(spool, draft))
            for old in backups.over(await self.vault.kept(), self.policy.backup_keep):
                await self.vault.forget(old)
        except NexaError as error:
            self._failed("backup", by, error)
            raise
        finally:
            await spool.close()
        self._done(draft, by, f"{self.vault.where}/{name}", size)
        return name

    async def target(self) -> dict[str, int]:
        """What is in the store that a restore would replace.

        Raises:
            Conflict: The node is not empty or not alone.
            Unavailable: The store does not answer.
        """
        contents = await self.streams.contents()
        backups.check_target(contents)
        return {"tasks": contents.tasks, "messages": contents.messages}

    async def restore(
        self, chunks: AsyncIterator[bytes], *, by: str
    ) -> AsyncIterator[Growth]:
        """Fill an empty store from an archive, verified whole before.

        Raises:
            Invalid: It is no backup, damaged, or of another version; before the first
                yield, and nothing was touched.
            Conflict: The node is not empty or not alone; or one is under way.
            Unavailable: The store or the disk does not do its part.
        """
        self._begin("restore")
        spool: Spool | None = None
        try:
            backups.check_target(await self.streams.contents())
            spool = await self.vault.spool()
            manifest = await self.vault.unpack(chunks, spool)
            # Once more: receiving it may have taken an hour.
            backups.check_target(await self.streams.contents())
            async with aclosing(self._put_back(manifest, spool)) as growths:
                async for growth in growths:
                    self.tell(growth)
                    yield growth
        except NexaError as error:
            self._failed("restore", by, error)
            raise
        finally:
            self._busy = None
            if spool is not None:
                await spool.close()
        self.journal.record(
            "restore.done",
            subject=f"node/{self.node}",
            message=f"{manifest.messages:,} messages were restored from the backup of"
            f" {manifest.head.cluster} of {manifest.head.began:%Y-%m-%d %H:%M:%S}: {by}",
            severity="warning",
        )
        # Claims under its own name are taken in hand by a node's start.
        self.restart("its store was restored")

    async def run(self) -> None:
        """Make scheduled backups while this node is the controller, for ever."""
        await self.vault.sweep()
        while True:
            await self.clock.sleep(LOOK_S)
            if self.is_controller() and await self._is_due():
                try:
                    await self.backup_to_folder(by="schedule")
                except Conflict:
                    continue  # somebody makes one this moment
                except NexaError as error:
                    self._failed_at = self.clock.monotonic()
                    _log.warning("backup_failed", cause=error.message)
                else:
                    self._failed_at = None
                    await self.vault.sweep()

    async def _is_due(self) -> bool:
        every_s = self.policy.backup_every_hours * 3600
        if every_s <= 0 or self._busy is not None:
            return False
        now = self.clock.monotonic()
        if self._failed_at is not None and now - self._failed_at < min(
            every_s, RETRY_S
        ):
            return False
        made = [when for name in await self.vault.kept() if (when := _when(name))]
        if not made:
            return True
        return (self.clock.now() - max(made)).total_seconds() >= every_s

    async def _take(self, by: str) -> tuple[Spool, Manifest]:
        """Spool every stream; the spool is the caller's to close."""
        self._begin("backup")
        spool: Spool | None = None
        try:
            cluster, cluster_id = self.cluster()
            head = Head(
                format=backups.FORMAT,
                nexa=self.version,
                id=self.new_id(),
                cluster=cluster,
                cluster_id=cluster_id,
                node=self.node,
                began=self.clock.now(),
            )
            spool = await self.vault.spool()
            parts: list[Part] = []
            names = await self.streams.names()
            for count, name in enumerate(names):
                self._growth("snapshot", count, len(names), name)
                parts.append(await self._part(name, spool))
        except BaseException as error:
            if spool is not None:
                await spool.close()
            if isinstance(error, NexaError):
                self._failed("backup", by, error)
            raise
        finally:
            self._busy = None
        return spool, Manifest(
            head=head, ended=self.clock.now(), parts=tuple(parts), whole=""
        )

    async def _part(self, name: str, spool: Spool) -> Part:
        async with self.streams.take(name) as (described, chunks):
            snapshot = await spool.write(f"{backups.SNAPSHOTS}{name}", chunks)
        removed, late = await self.streams.after(described)
        tail = None
        if late is not None:
            tail = await spool.write(f"{backups.TAILS}{name}", late)
        return Part(stream=described, removed=removed, snapshot=snapshot, tail=tail)

    async def _packed(
        self, spool: Spool, draft: Manifest, by: str
    ) -> AsyncGenerator[bytes]:
        size = 0
        try:
            async for chunk in self.vault.pack(spool, draft):
                size += len(chunk)
                yield chunk
            self._done(draft, by, "whoever asked", size)
        except NexaError as error:
            self._failed("backup", by, error)
            raise
        finally:
            await spool.close()

    async def _put_back(
        self, manifest: Manifest, spool: Spool
    ) -> AsyncGenerator[Growth]:
        total = manifest.messages
        yield self._restoring("verify", 0, total, "the archive is whole")
        async with aclosing(self.streams.restore(manifest.parts, spool.read)) as phases:
            async for phase, done in phases:
                yield self._restoring(phase, done, total)
        requeued = await self._requeue(manifest.head.began)
        again = f"; {requeued} tasks were put into their queues again"
        detail = RESTART + (again if requeued else "")
        yield self._restoring("done", total, total, detail)

    async def _requeue(self, began: datetime) -> int:
        """Put again what may have been queued after the queue was taken.

        A message too many does no harm: its record says what to do with it.
        """
        count = 0
        async for told in self.tasks.watch():
            if isinstance(told, Caught):
                break
            if isinstance(told, Versioned) and backups.needs_queueing(
                told.value, began
            ):
                await self.queue.put(told.value)
                count += 1
        return count

    def _begin(self, what: str) -> None:
        if self._busy is not None:
            raise Conflict(
                f"a {self._busy} is under way on {self.node}",
                remedy="wait for it: nexa cluster status",
            )
        self._busy = what

    def _restoring(self, phase: str, done: int, total: int, detail: str = "") -> Growth:
        return Growth(
            action="restore", phase=phase, done=done, total=total, detail=detail
        )

    def _growth(self, phase: str, done: int, total: int, detail: str) -> None:
        self.tell(
            Growth(action="backup", phase=phase, done=done, total=total, detail=detail)
        )

    def _done(self, draft: Manifest, by: str, where: str, size: int) -> None:
        total = draft.messages
        self._growth("done", total, total, where)
        self.journal.record(
            "backup.done",
            subject=f"node/{self.node}",
            message=f"{total:,} messages in {size:,} bytes went to {where}: {by}",
            data={"id": draft.head.id, "messages": total, "bytes": size},
        )

    def _failed(self, what: str, by: str, error: NexaError) -> None:
        self.tell(
            Growth(
                action="restore" if what == "restore" else "backup",
                phase="failed",
                error=error.message,
                remedy=error.remedy,
            )
        )
        self.journal.record(
            f"{what}.failed",
            subject=f"node/{self.node}",
            message=f"{error.message}: {by}",
            severity="error",
        )


class _Packed(AsyncGenerator[bytes, None]):
    """An archive on its way out; unlike its source it is missed if nobody reads it."""

    def __init__(self, source: AsyncGenerator[bytes]) -> None:
        self._source = source

    async def asend(self, value: None) -> bytes:
        return await self._source.asend(value)

    async def athrow(self, *thrown: Any) -> bytes:
        return await self._source.athrow(*thrown)

    async def aclose(self) -> None:
        await self._source.aclose()  # one that is exhausted takes no more throws


_STAMP = "%Y%m%dT%H%M%SZ"


def _name(head: Head) -> str:
    return f"{head.began.strftime(_STAMP)}-{head.id}"


def _when(name: str) -> datetime | None:
    try:
        return datetime.strptime(f"{name.partition('-')[0]}+0000", f"{_STAMP}%z")
    except ValueError:
        return None
