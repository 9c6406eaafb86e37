"""A cluster's trust in a folder, a joiner beside it, and the records between them."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nexa_node.adapters.tls.credentials import NodeCredentials
from nexa_node.adapters.tls.folder import Bearer, TlsFolder
from nexa_node.contract.cluster import NodeEntry
from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.core.addresses import Address
from nexa_node.core.join_tokens import JoinRecord, JoinRequest
from nexa_node.ports import Caught, Removed, Versioned
from nexa_node.services.cluster.join_means import JoinDesk, Standing

CSR = "-----BEGIN CERTIFICATE REQUEST-----"


def wall() -> datetime:
    """What certificates are made and judged by: OpenSSL has no other clock."""
    return datetime.now(UTC)


def tls_folder(path: Path) -> TlsFolder:
    return TlsFolder(path / "tls")


def credentials(
    path: Path, name: str = "alpha", *, hosts: tuple[str, ...] = ("127.0.0.1",)
) -> NodeCredentials:
    bearer = Bearer("nexa", name, hosts)
    return NodeCredentials(tls_folder(path), bearer=lambda: bearer, now=wall)


def join_request(**given: Any) -> JoinRequest:
    fields: dict[str, Any] = {
        "token": "0123456789abcdef",
        "secret": "s" * 43,
        "name": "beta",
        "id": "beta-id",
        "route": "127.0.0.1:6223",
        "url": "http://127.0.0.1:7442",
        "version": "0.1.0",
        "csr": CSR,
    }
    return JoinRequest(**{**fields, **given})


class MemoryJoinRecords:
    """`join_means.JoinRecords` in memory; others run while it answers."""

    def __init__(self) -> None:
        self.kept: dict[str, Versioned[JoinRecord]] = {}
        self.is_away = False
        self._revisions = itertools.count(1)

    async def _enter(self) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("the store does not answer")

    async def get(self, token_id: str) -> Versioned[JoinRecord] | None:
        await self._enter()
        return self.kept.get(token_id)

    async def put(self, record: JoinRecord, *, revision: int) -> int:
        await self._enter()
        found = self.kept.get(record.id)
        if (found.revision if found else 0) != revision:
            raise Conflict("read again")
        new = next(self._revisions)
        self.kept[record.id] = Versioned(record, new)
        return new

    async def delete(self, token_id: str) -> bool:
        await self._enter()
        return self.kept.pop(token_id, None) is not None

    async def all(self) -> list[JoinRecord]:
        await self._enter()
        return [each.value for each in self.kept.values()]


class MemoryEntries:
    """`ports.NodeEntries` in memory; others run while it answers."""

    def __init__(self) -> None:
        self.kept: dict[str, Versioned[NodeEntry]] = {}
        self.is_away = False
        self._revisions = itertools.count(1)

    async def get(self, name: str) -> Versioned[NodeEntry] | None:
        await asyncio.sleep(0)
        return self.kept.get(name)

    async def put(self, entry: NodeEntry, *, revision: int | None = None) -> int:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("the store does not answer")
        found = self.kept.get(entry.name)
        if revision is not None and (found.revision if found else 0) != revision:
            raise Conflict("read again")
        new = next(self._revisions)
        self.kept[entry.name] = Versioned(entry, new)
        return new

    async def delete(self, name: str) -> None:
        self.kept.pop(name, None)

    async def watch(self) -> AsyncIterator[Versioned[NodeEntry] | Removed | Caught]:
        for each in list(self.kept.values()):
            yield each
        yield Caught()


class FixedSeat:
    """`join_means.Seat` of a node that stands where the test puts it."""

    def __init__(self, **given: Any) -> None:
        fields: dict[str, Any] = {
            "cluster": "nexa",
            "cluster_id": "c1",
            "route": "127.0.0.1:6222",
            "route_password": "route-canary-9f2c",
            "formed": False,
        }
        self.now = Standing(**{**fields, **given})

    async def standing(self) -> Standing:
        return self.now


class PaperDoor:
    """`join_means.JoinDoor` that listens to nothing."""

    def __init__(self, port: int = 7000) -> None:
        self.port = port
        self.is_open = False
        self.opened: list[int] = []

    async def open(self, desk: JoinDesk, *, prefer: int = 0) -> tuple[str, ...]:
        if not self.is_open:
            self.opened.append(prefer)
        self.is_open = True
        return (str(Address("127.0.0.1", self.port)),)

    async def close(self) -> None:
        self.is_open = False


class Spawned:
    """`Supervisor.spawn` that only collects; `run` does it all."""

    def __init__(self) -> None:
        self.work: list[tuple[str, Coroutine[Any, Any, None]]] = []

    def __call__(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.work.append((name, work))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.work]

    async def run(self) -> None:
        while self.work:
            _, work = self.work.pop(0)
            await work

    def drop(self) -> None:
        for _, work in self.work:
            work.close()
