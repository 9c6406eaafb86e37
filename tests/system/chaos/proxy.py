"""TCP proxies between clients and nodes: cut, stalled or slowed without any right.

One thread with a loop of its own, so that a run that waits for a process does not stop
its network.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

_CHUNK = 64 * 1024


@dataclass
class Way:
    """What becomes of the connections to one node."""

    target: tuple[str, int]
    port: int = 0
    refused: bool = False
    """New connections are closed, and those that are open were reset."""
    delay_s: float = 0.0
    """Each piece comes so much later."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, nothing is carried and nothing is closed."""
    sockets: set[asyncio.StreamWriter] = field(default_factory=set)


class Proxies:
    """One listening port for each node."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._ways: dict[str, Way] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, name: str, host: str, port: int) -> str:
        """Stand in front of a node; the URL that clients are to use."""
        way = self._ways[name] = Way((host, port))
        way.open.set()
        way.port = asyncio.run_coroutine_threadsafe(
            self._listen(way), self._loop
        ).result(10)
        return f"http://127.0.0.1:{way.port}"

    def cut(self, name: str) -> None:
        """Reset every connection, and let nobody connect."""

        def act() -> None:
            self._ways[name].refused = True
            for socket in list(self._ways[name].sockets):
                socket.transport.abort()

        self._call(act)

    def stall(self, name: str) -> None:
        """Carry nothing, and say nothing: a cable that was pulled."""
        self._call(self._ways[name].open.clear)

    def slow(self, name: str, seconds: float) -> None:
        """Let each piece come so much later."""
        self._call(lambda: setattr(self._ways[name], "delay_s", seconds))

    def heal(self, name: str) -> None:
        """Carry everything again."""

        def act() -> None:
            self._ways[name].refused, self._ways[name].delay_s = False, 0.0
            self._ways[name].open.set()

        self._call(act)

    def close(self) -> None:
        """End them all."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, act: Callable[[], object]) -> None:
        async def run() -> None:
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _listen(self, way: Way) -> int:
        server = await asyncio.start_server(
            lambda reader, writer: self._accept(way, reader, writer), "127.0.0.1", 0
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _accept(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        way.sockets.add(writer)
        try:
            if way.refused:
                return
            there, out = await asyncio.open_connection(*way.target)
            way.sockets.add(out)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_carry(way, reader, out))
                    group.create_task(_carry(way, there, writer))
            finally:
                way.sockets.discard(out)
                out.transport.abort()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            way.sockets.discard(writer)
            writer.transport.abort()
            self._tasks.discard(task)

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def _carry(
    way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while data := await reader.read(_CHUNK):
        if way.delay_s:
            await asyncio.sleep(way.delay_s)
        await way.open.wait()
        writer.write(data)
        await writer.drain()
    writer.transport.abort()
    raise ConnectionResetError
