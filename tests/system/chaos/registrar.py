"""Clients of contested records: the code that nodes use for theirs, beside the nodes.

nexa has no public compare-and-set of anybody's values; claims, sessions, members and
leases are its contested records. Here the same adapters (`Records`, `NatsLeases`) work on
a bucket and on locks of their own, each client at one node's nats-server, by the key that
the node made for itself.
"""

import asyncio
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, Refused
from nexa_node.adapters.nats.leases import NatsLeases
from nexa_node.adapters.nats.records import Records
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.store import ELECTION_S
from nexa_node.contract.errors import Conflict, NexaError
from nexa_node.ports import Lease

if TYPE_CHECKING:
    from tests.system.chaos.clients import Client

BUCKET = "chaos"
KEYS = 3
GENERATION_S = 60
"""Then other registers are used: what is to be searched stays short, however long a run."""
FLOWS = 3
LEASE_S = 2
LOCKS = ("chaos-lock-a", "chaos-lock-b")
_LISTEN = re.compile(r'^listen: "([^"]+)"', re.MULTILINE)
_PAUSE_MS = 60


class Beside:
    """A node's nats-server, found anew for each connection: `connection.Upstream`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.detail = "a chaos client"
        self.trouble: NexaError | None = None

    @property
    def url(self) -> str:
        found = _LISTEN.search((self._folder / "nats.conf").read_text())
        if found is None:
            raise OSError("nats.conf does not say where it listens")
        return f"nats://{found[1]}"

    @property
    def seed(self) -> str:
        return (self._folder / "nats" / "app.seed").read_text().strip()

    async def up(self) -> None:
        """It is tried until it is."""


async def registrar(me: "Client", folder: str, replicas: str) -> None:
    """Read, write and swap registers, and take turns at locks."""

    async def prepare(_: Session) -> None:
        pass

    connection = Connection(
        Beside(Path(folder)), prepare, timeout_s=ELECTION_S, direct=replicas == "1"
    )
    while not me.over.is_set():
        try:
            await connection.open()
            await _bucket(connection, int(replicas))
            break
        except (NexaError, Refused) as error:
            me.log.note("not yet", str(error))
    keeping = asyncio.ensure_future(connection.keep())
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(FLOWS):
                group.create_task(Registers(me, connection, number).run())
            group.create_task(Locks(me, connection).run())
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await connection.close()


async def _bucket(connection: Connection, replicas: int) -> None:
    config = wire.StreamConfig(
        name=topology.bucket_stream(BUCKET),
        subjects=(f"{topology.bucket_prefix(BUCKET)}>",),
        num_replicas=replicas,
        max_msgs_per_subject=1,
        allow_direct=True,
        allow_rollup_hdrs=True,
        allow_msg_ttl=True,
        allow_atomic=True,
    )
    try:
        await connection.call(f"STREAM.CREATE.{config.name}", config, wire.StreamInfo)
    except Refused as refused:
        if "already" not in str(refused):
            raise


class Registers:
    """One client: it knows of each register what it saw last, and swaps from there."""

    def __init__(self, me: "Client", connection: Connection, number: int) -> None:
        self._me = me
        self._name = f"{me.name}/{number}"
        self._records: Records[str] = Records(connection, BUCKET, str)
        self._seen: dict[str, tuple[str | None, int]] = {}
        self._count = 0

    async def run(self) -> None:
        while not self._me.over.is_set():
            generation = int(time.monotonic() / GENERATION_S)
            key = f"r{self._me.chance.randrange(KEYS)}-{generation}"
            fate = self._me.chance.random()
            if fate < 0.35 or key not in self._seen:
                await self._read(key)
            elif fate < 0.95:
                await self._swap(key)
            else:
                await self._write(key)
            await self._me.pause(_PAUSE_MS)

    def _new(self) -> str:
        """A value that nobody else writes."""
        self._count += 1
        return f"{self._name}#{self._count}"

    async def _read(self, key: str) -> None:
        op = self._me.log.call("register.read", key, client=self._name)
        try:
            found = await self._records.read(key)
        except NexaError as error:
            self._me.log.back(op, "unknown", error.message)
            return
        self._seen[key] = (None, 0) if found is None else (found.value, found.revision)
        self._me.log.back(op, "ok", self._seen[key][0])

    async def _swap(self, key: str) -> None:
        (old, revision), new = self._seen.pop(key), self._new()
        op = self._me.log.call("register.cas", key, (old, new), client=self._name)
        try:
            if revision:
                at = await self._records.replace(key, new, revision=revision)
            else:
                at = await self._records.add(key, new)
        except Conflict:
            self._me.log.back(op, "ok", answer=False)
            return
        except NexaError as error:
            self._me.log.back(op, "unknown", error.message)
            return
        if at is not None:
            self._seen[key] = (new, at)
        self._me.log.back(op, "ok", at is not None)

    async def _write(self, key: str) -> None:
        new = self._new()
        op = self._me.log.call("register.write", key, new, client=self._name)
        try:
            self._seen[key] = (new, await self._records.write(key, new))
        except NexaError as error:
            self._me.log.back(op, "unknown", error.message)
            self._seen.pop(key, None)
            return
        self._me.log.back(op, "ok")


class Locks:
    """One client of locks: takes one, renews it a few times, gives it back or forgets it."""

    def __init__(self, me: "Client", connection: Connection) -> None:
        self._me = me
        self._leases = NatsLeases(connection)

    async def run(self) -> None:
        while not self._me.over.is_set():
            lock = self._me.chance.choice(LOCKS)
            lease = await self._acquire(lock)
            for _ in range(self._me.chance.randint(0, 4) if lease else 0):
                await self._me.pause(LEASE_S * 250)
                lease = await self._renew(lease) if lease else None
            if lease and self._me.chance.random() < 0.7:
                await self._release(lease)
            await self._me.pause(200)

    async def _acquire(self, lock: str) -> Lease | None:
        op = self._me.log.call("lock.acquire", lock)
        try:
            lease = await self._leases.acquire(lock, self._me.name, ttl_s=LEASE_S)
        except NexaError as error:
            self._me.log.back(op, "unknown", error.message)
            return None
        self._me.log.back(op, "ok", None if lease is None else lease.token)
        return lease

    async def _renew(self, lease: Lease) -> Lease | None:
        op = self._me.log.call("lock.renew", lease.name, lease.token)
        try:
            lease = await self._leases.renew(lease, ttl_s=LEASE_S)
        except Conflict:
            self._me.log.back(op, "failed")
            return None
        except NexaError as error:
            self._me.log.back(op, "unknown", error.message)
            return None
        self._me.log.back(op, "ok", lease.token)
        return lease

    async def _release(self, lease: Lease) -> None:
        op = self._me.log.call("lock.release", lease.name, lease.token)
        try:
            await self._leases.release(lease)
        except NexaError as error:
            self._me.log.back(op, "unknown", error.message)
            return
        self._me.log.back(op, "ok")
