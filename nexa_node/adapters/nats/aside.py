"""A nats-server of its own, beside the store's: where a restore is made and counted.

It has no other client, and does not sync each write: what it has made is worth nothing
until it has stopped in order and `sync_folder` has returned.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from nexa_node.adapters.nats import child, private, serverlog
from nexa_node.adapters.nats.binary import trusted_binary
from nexa_node.adapters.nats.config import MAX_PAYLOAD, Key, Layout, new_key, quoted
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.nats.session import Session
from nexa_node.core.policies import StorePolicy

START_S = 30.0
_LOOK_S = 0.01


@contextlib.asynccontextmanager
async def server_aside(policy: StorePolicy, folder: Path) -> AsyncGenerator[Session]:
    """Run a nats-server on `folder`, and connect to it.

    On leaving it is stopped, and all it wrote is on the disk.

    Args:
        policy: Which binary, and how much it may store.
        folder: Its own; the data is in `Layout(folder).store`.

    Raises:
        StoreFailed: It can't be started; the message says why.
    """
    layout = Layout(folder)
    binary = await trusted_binary(policy)
    key = await asyncio.to_thread(_prepare, layout, policy.max_bytes)
    await asyncio.to_thread(child.end_survivor, layout)
    process = await child.spawn(binary.path, layout)
    try:
        port = await _port(layout, process)
        session = await Session.open(f"nats://127.0.0.1:{port}", key.seed)
        try:
            yield session
        finally:
            await session.close()
    finally:
        await child.stop(process)
        await asyncio.to_thread(layout.pid_file.unlink, missing_ok=True)
        await asyncio.to_thread(sync_folder, layout.store)


def sync_folder(folder: Path) -> None:
    """Have everything below `folder` on the disk, names included."""
    for where, _, files in os.walk(folder):
        for path in (*(Path(where, name) for name in files), Path(where)):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _prepare(layout: Layout, max_bytes: int) -> Key:
    for folder in (layout.store, layout.work, layout.ports):
        private.make_folder(folder)
    for stale in layout.ports.iterdir():
        stale.unlink(missing_ok=True)
    key = new_key(layout.work / "app.seed")
    text = f"""\
server_name: "aside"
listen: "127.0.0.1:-1"
ports_file_dir: {quoted(layout.ports)}
max_payload: {MAX_PAYLOAD}
log_file: {quoted(layout.log)}
jetstream {{
  store_dir: {quoted(layout.store)}
  max_memory_store: {64 * 1024**2}
  max_file_store: {max_bytes}
}}
accounts {{
  NEXA {{ jetstream: enabled, users: [{{ nkey: {key.public} }}] }}
}}
"""
    private.write(layout.conf, text.encode())
    return key


async def _port(layout: Layout, process: asyncio.subprocess.Process) -> int:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        port = await asyncio.to_thread(_told_port, layout.ports, process.pid)
        if port is not None:
            return port
        if process.returncode is not None:
            said = await asyncio.to_thread(serverlog.whole, layout.output)
            cause = serverlog.fatal(said) or f"exit status {process.returncode}"
            raise StoreFailed(
                f"nats-server ended at once: {cause}", remedy=f"read {layout.log}"
            )
        await asyncio.sleep(_LOOK_S)
    raise StoreFailed(
        f"nats-server did not listen {START_S:g} s after its start",
        remedy=f"read {layout.log}",
    )


class _Ports(msgspec.Struct, frozen=True):
    nats: tuple[str, ...] = ()


def _told_port(ports: Path, pid: int) -> int | None:
    """Read the file that nats-server writes once it has its port."""
    for told in ports.glob(f"*_{pid}.ports"):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            for url in msgspec.json.decode(told.read_bytes(), type=_Ports).nats:
                return urlsplit(url).port
    return None
