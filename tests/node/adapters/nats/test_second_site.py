"""A second site by asynchronous mirrors over a leaf node, and its promotion.

This is the procedure of docs/backup.md, step by step, against two real servers.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.adapters.nats import child, private, snapshots, topology
from nexa_node.adapters.nats.aside import _told_port
from nexa_node.adapters.nats.binary import trusted_binary
from nexa_node.adapters.nats.config import Key, Layout, new_key
from nexa_node.adapters.nats.session import Session
from nexa_node.contract.ids import TaskId
from nexa_node.core.backups import Described
from nexa_node.core.policies import RetentionPolicy, StorePolicy
from tests import builders
from tests.node.adapters.nats.tools import opened


class Site:
    """A nats-server with a JetStream domain of its own."""

    def __init__(self, folder: Path, domain: str) -> None:
        self.layout = Layout(folder)
        self.domain = domain
        self.session: Session
        self.process: Any = None
        self.leaf_port = 0

    async def start(self, leafnodes: str) -> None:
        for folder in (self.layout.store, self.layout.work, self.layout.ports):
            private.make_folder(folder)
        for stale in self.layout.ports.iterdir():
            stale.unlink()
        key = new_key(self.layout.work / "app.seed")
        text = (
            f'server_name: "{self.domain}"\nlisten: "127.0.0.1:-1"\n'
            f'ports_file_dir: "{self.layout.ports}"\n'
            f'jetstream {{ store_dir: "{self.layout.store}", domain: {self.domain} }}\n'
            f"accounts {{ NEXA {{ jetstream: enabled, "
            f"users: [{{ nkey: {key.public} }}] }} }}\n{leafnodes}"
        )
        private.write(self.layout.conf, text.encode())
        binary = await trusted_binary(StorePolicy())
        self.process = await child.spawn(binary.path, self.layout)
        async with asyncio.timeout(10):
            while (port := _told_port(self.layout.ports, self.process.pid)) is None:
                await asyncio.sleep(0.01)
        said = self.layout.output.read_text()
        leaf = re.search(r"leafnode connections on 127\.0\.0\.1:(\d+)", said)
        self.leaf_port = int(leaf[1]) if leaf else 0
        self.session = await Session.open(f"nats://127.0.0.1:{port}", key.seed)

    async def stop(self, *, kill: bool = False) -> None:
        await self.session.close()
        if kill:
            self.process.kill()
            await self.process.wait()
        await child.stop(self.process)

    async def ask(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.session.request(
            f"$JS.API.{subject}", msgspec.json.encode(body)
        )
        told = msgspec.json.decode(answer.data)
        assert "error" not in told, told["error"]
        return told

    async def stream(self, name: str) -> Described:
        found = await snapshots.describe(self.session, name)
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def sites(folder: Path) -> AsyncIterator[tuple[Site, Site]]:
    """A main site that takes leaf nodes, and a second one that is one."""
    leaf = new_key_in(folder / "leaf.seed")
    main, second = Site(folder / "main", "main"), Site(folder / "second", "second")
    takes = f'listen: "127.0.0.1:-1", authorization {{ nkey: {leaf.public}, account: NEXA }}'
    await main.start(f"leafnodes {{ {takes} }}\n")
    try:
        where = f'url: "nats-leaf://127.0.0.1:{main.leaf_port}"'
        remote = f"{where}, nkey: {leaf.seed}, account: NEXA"
        await second.start(f"leafnodes {{ remotes: [ {{ {remote} }} ] }}\n")
        try:
            yield main, second
        finally:
            await second.stop()
    finally:
        if main.process.returncode is None:
            await main.stop()


def new_key_in(path: Path) -> Key:
    private.make_folder(path.parent)
    return new_key(path)


def planned(name: str) -> dict[str, Any]:
    """How the main site keeps a stream: as a node of nexa does."""
    wanted = {one.name: one for one in topology.plan(RetentionPolicy())}[name]
    return msgspec.to_builtins(wanted)


BUCKET = planned("KV_nx_tasks")
INBOX = planned("NX_INBOX")


def mirror_of(config: dict[str, Any]) -> dict[str, Any]:
    """Say how the second site keeps a stream: the same, but filled by the first."""
    kept = {**config, "mirror": {"name": config["name"], "external": EXTERNAL}}
    kept.pop("subjects")
    kept.pop("allow_atomic")  # a mirror takes no writes
    return kept


EXTERNAL = {"api": "$JS.main.API", "deliver": ""}


async def caught_up(main: Site, second: Site, name: str) -> None:
    last = (await main.stream(name)).counts.last_seq
    async with asyncio.timeout(20):
        while (await second.stream(name)).counts.last_seq < last:
            await asyncio.sleep(0.02)


async def test_a_mirror_is_promoted_when_the_main_site_is_lost(tmp_path: Path) -> None:
    async with sites(tmp_path) as (main, second):
        await main.ask("STREAM.CREATE.KV_nx_tasks", BUCKET)
        for at in range(200):
            await main.session.request(f"$KV.nx_tasks.t{at % 50}", b"%d" % at)
        await second.ask("STREAM.CREATE.KV_nx_tasks", mirror_of(BUCKET))
        await caught_up(main, second, "KV_nx_tasks")

        # Later writes follow; the second site takes none of its own.
        await main.session.request("$KV.nx_tasks.t0", b"new")
        await caught_up(main, second, "KV_nx_tasks")
        was = await main.stream("KV_nx_tasks")
        await main.stop(kill=True)

        # The main site is gone for good: the mirror becomes the stream.
        await second.ask("STREAM.UPDATE.KV_nx_tasks", BUCKET)
        now = await second.stream("KV_nx_tasks")
        assert now.counts.messages == was.counts.messages == 50
        assert now.counts.last_seq == was.counts.last_seq
        answer = await second.session.request(
            "$KV.nx_tasks.t0",
            b"newer",
            {"Nats-Expected-Last-Subject-Sequence": str(was.counts.last_seq)},
        )
        assert msgspec.json.decode(answer.data)["seq"] == was.counts.last_seq + 1


async def test_a_mirror_goes_on_after_the_second_site_was_away(tmp_path: Path) -> None:
    async with sites(tmp_path) as (main, second):
        await main.ask("STREAM.CREATE.KV_nx_tasks", BUCKET)
        await second.ask("STREAM.CREATE.KV_nx_tasks", mirror_of(BUCKET))
        await main.session.request("$KV.nx_tasks.a", b"1")
        await caught_up(main, second, "KV_nx_tasks")
        os.kill(second.process.pid, signal.SIGSTOP)
        for at in range(100):
            await main.session.request(f"$KV.nx_tasks.b{at}", b"2")
        os.kill(second.process.pid, signal.SIGCONT)
        await caught_up(main, second, "KV_nx_tasks")
        assert (await second.stream("KV_nx_tasks")).counts.messages == 101


async def test_a_node_of_nexa_starts_on_a_promoted_site(tmp_path: Path) -> None:
    async with sites(tmp_path) as (main, second):
        await main.ask("STREAM.CREATE.KV_nx_tasks", BUCKET)
        await main.ask("STREAM.CREATE.NX_INBOX", INBOX)
        for at in range(20):
            task = builders.task(id=f"t{at}", status="completed")
            await main.session.request(f"$KV.nx_tasks.t{at}", msgspec.json.encode(task))
            await main.session.request(
                "nx.inbox.default.me",
                msgspec.json.encode(builders.message(id=f"m{at}")),
            )
        for config in (BUCKET, INBOX):
            name = config["name"]
            await second.ask(f"STREAM.CREATE.{name}", mirror_of(config))
            await caught_up(main, second, name)
        await main.stop(kill=True)
        for config in (BUCKET, INBOX):
            await second.ask(f"STREAM.UPDATE.{config['name']}", config)

    node = Layout(tmp_path / "node")
    node.folder.mkdir(mode=0o700)
    await asyncio.to_thread(shutil.copytree, second.layout.store, node.store)
    async with opened(node.folder) as store:
        found = await store.tasks.get(TaskId("t7"))
        assert found is not None
        assert found.value == builders.task(id="t7", status="completed")
        assert await store.inboxes.last_seq() == 20
        new = builders.task(id="new", status="pending")
        assert await store.tasks.create(new) == 21
        assert await store.queue.put(new) is False
