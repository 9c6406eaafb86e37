"""What the tests of the store share: opening one, breaking one, a road that fails."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from nexa_node.adapters.nats.store import NatsStore, open_store
from nexa_node.contract.errors import NexaError
from nexa_node.core.policies import RetentionPolicy, StorePolicy

QUICK = StorePolicy(restart_backoff_ms=50)
KEEP = RetentionPolicy()


def opened(
    folder: Path,
    policy: StorePolicy = QUICK,
    on_change: Callable[[str], None] = lambda _: None,
    retention: RetentionPolicy = KEEP,
) -> AbstractAsyncContextManager[NatsStore]:
    return open_store(policy, folder, retention=retention, on_change=on_change)


async def eventually(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait for what other processes do."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def kill(store: NatsStore) -> int:
    """Kill nats-server; its process id."""
    pid = store.health().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


async def back(store: NatsStore, restarts: int) -> None:
    await eventually(
        lambda: store.health().connected and store.health().restarts >= restarts
    )


class Road:
    """A TCP road to a server, that can lose answers; an `Upstream` of its own."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.trouble: NexaError | None = None
        self.detail = "on the road"
        self.seed = server.seed
        self.connections = 0
        self._port = 0
        self._lose: bytes | None = None
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    async def up(self) -> None:
        await self.server.up()

    def lose_answer_to(self, marker: bytes) -> None:
        """Pass on what has `marker`, and break the road before it is answered."""
        self._lose = marker

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Road"]:
        listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self._port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            for writer in self._writers:
                writer.close()
            await asyncio.sleep(0.05)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        there = self.server.url.rpartition(":")[2]
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(there))
        self._writers += [writer, far_writer]
        back = asyncio.ensure_future(self._copy(far_reader, writer))
        try:
            while data := await reader.read(65536):
                lose = self._lose is not None and self._lose in data
                if lose:
                    self._lose = None
                    back.cancel()
                far_writer.write(data)
                await far_writer.drain()
                if lose:
                    await far_reader.read(65536)
                    return
        except OSError:
            return
        finally:
            back.cancel()
            writer.close()
            far_writer.close()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
