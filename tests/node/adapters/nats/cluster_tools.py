"""Members of a store's cluster for tests: real servers, real mutual TLS."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nexa_node.adapters.nats.config import Member
from nexa_node.adapters.nats.store import NatsStore, open_store
from nexa_node.adapters.tls.authority import Authority, make, sign_node
from nexa_node.adapters.tls.certificates import key_to_pem, new_key, to_pem
from tests.node.adapters.nats.tools import KEEP, QUICK

NAMES = ("alpha", "beta", "gamma")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def trust(folder: Path, authority: Authority, name: str) -> Path:
    """Write a node's tls/ folder."""
    folder.mkdir(parents=True, exist_ok=True)
    key, now = new_key(), datetime.now(UTC)
    own = sign_node(
        authority, key.public_key(), name=name, hosts=("127.0.0.1",), now=now
    )
    (folder / "node-ca.pem").write_bytes(to_pem(authority.certificate))
    (folder / "node.pem").write_bytes(to_pem(own))
    (folder / "node.key").write_bytes(key_to_pem(key))
    return folder


class Trio:
    """Three members, their folders and ports; `alpha` is the founder."""

    def __init__(self, root: Path, *, replicas: int = 3, size: int = 3) -> None:
        self.root = root
        self.authority = make("nodes", cluster="test", now=datetime.now(UTC))
        self.names = NAMES[:size]
        self.routes = {name: f"127.0.0.1:{free_port()}" for name in NAMES}
        self.replicas = replicas

    def folder(self, name: str) -> Path:
        return self.root / name

    def member(self, name: str, among: tuple[str, ...] = ()) -> Member:
        tls = self.folder(name) / "tls"
        if not tls.exists():
            trust(tls, self.authority, name)
        others = [each for each in among or self.names if each != name]
        return Member(
            name=name,
            cluster="test",
            cluster_id="c-1234",
            route=self.routes[name],
            password="routes' own: @/?#",
            routes=tuple(self.routes[each] for each in others),
            tls=tls,
            founder=name == "alpha",
            replicas=self.replicas,
        )

    @contextlib.asynccontextmanager
    async def open(
        self,
        name: str,
        *,
        on_change: Callable[[str], None] = lambda _: None,
        **other: object,
    ) -> AsyncIterator[NatsStore]:
        member = replace(self.member(name), **other)  # type: ignore[arg-type]  # a test's own
        async with open_store(
            QUICK, self.folder(name), retention=KEEP, on_change=on_change, member=member
        ) as store:
            yield store


@contextlib.asynccontextmanager
async def together(trio: Trio) -> AsyncIterator[dict[str, NatsStore]]:
    """All members, started at once, and ended at once: the last would wait for others."""
    stores: dict[str, NatsStore] = {}
    over, opened = asyncio.Event(), asyncio.Event()

    async def member(name: str) -> None:
        async with trio.open(name) as store:
            stores[name] = store
            if len(stores) == len(trio.names):
                opened.set()
            await over.wait()

    async with asyncio.TaskGroup() as group:
        for name in trio.names:
            group.create_task(member(name))
        await opened.wait()
        try:
            yield {name: stores[name] for name in trio.names}
        finally:
            over.set()
