"""The port: uvicorn inside a running loop, on a socket that is bound already.

    sock = bind(host, port)
    await serve(build_app(node, policy), sock, stop=stop, policy=policy, sessions=sessions)

`serve` takes no signals and configures no logging. When `stop` is set it first says
goodbye: every answer ends its connection, so that who calls all the time is not in the
middle of a call when the port closes. Then it takes nothing new but the calls of those
who were connected already, closes the WebSockets with 4413, lets answers under way end for
as long as the policy says, and returns with every connection and the port itself closed.
It takes the file descriptors that the policies promise connections for, as far as the
system lets it.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from nexa_node.adapters.asgi import descriptors
from nexa_node.adapters.asgi.binding import bind, url_of
from nexa_node.adapters.asgi.http_protocol import BoundedHttp
from nexa_node.adapters.asgi.limits import PortConfig, TlsDoor
from nexa_node.adapters.asgi.tls_protocol import TlsHttp
from nexa_node.adapters.asgi.websocket_protocol import PacedWebSocket
from nexa_node.core.policies import HttpPolicy, SessionPolicy

__all__ = ["bind", "serve", "url_of"]

DATE_EVERY_S = 1.0
"""How often the Date header is renewed."""
GOODBYE_S = 0.3
"""For callers with a connection that is kept alive to hear that it ends."""
LAST_S = 0.25
"""For those who came last to say what they want."""
LOOK_S = 0.01
CANCEL_S = 1.0
"""How long cancelled calls may take to end."""

log: Any = structlog.get_logger("nexa_node.http")


async def serve(
    app: ASGIApp,
    sock: socket.socket,
    *,
    stop: asyncio.Event,
    policy: HttpPolicy | None = None,
    sessions: SessionPolicy | None = None,
    started: asyncio.Event | None = None,
    tls: TlsDoor | None = None,
) -> None:
    """Answer on `sock` until `stop` is set.

    Args:
        app: What answers.
        sock: From `bind`; closed at the end.
        stop: Set it to end gracefully. Cancelling ends at once.
        policy: The port's limits.
        sessions: The heartbeat and the largest frame of agents.
        started: Set as soon as connections are taken.
        tls: How connections are encrypted; None: they are plain.
    """
    http, agents = policy or HttpPolicy(), sessions or SessionPolicy()
    _take_descriptors(http, agents)
    kind: Any = BoundedHttp if tls is None else TlsHttp  # any protocol will do
    config = PortConfig(
        app,
        http=kind,
        ws=PacedWebSocket,
        policy=http,
        sessions=agents,
        door=tls,
    )
    server = _Server(config, stop, started, shutdown_s=http.shutdown_timeout_ms / 1000)
    try:
        await server.serve(sockets=[sock])
    finally:
        await server.cut()
        sock.close()


def _take_descriptors(http: HttpPolicy, agents: SessionPolicy) -> None:
    wanted = agents.connections + agents.waiting + http.waiting_sockets
    possible = descriptors.take(wanted)
    if possible < wanted:
        log.warning(
            "too_few_file_descriptors",
            connections_wanted=wanted,
            connections_possible=possible,
            remedy=f"allow the node {wanted + descriptors.SPARE} open files"
            " (ulimit -n, LimitNOFILE), or lower sessions.connections",
        )


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: PortConfig,
        stop: asyncio.Event,
        started: asyncio.Event | None,
        *,
        shutdown_s: float,
    ) -> None:
        super().__init__(config)
        self._port = config
        self._stop = stop
        self._announce = started
        self._shutdown_s = shutdown_s

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the process's business, not the port's."""
        yield

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn itself would look ten times a second."""
        if self._announce is not None:
            self._announce.set()
        while not self._stop.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), DATE_EVERY_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, then wait for what is under way, not for ever."""
        await self._say_goodbye()
        await self._close(sockets or [])
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet(), self._shutdown_s)

    async def _say_goodbye(self) -> None:
        """Have every answer end its connection, and wait for those that are kept alive."""
        self.server_state.default_headers = [
            *self.server_state.default_headers,
            (b"connection", b"close"),
        ]
        await self._while(self._has_idle, GOODBYE_S)

    def _has_idle(self) -> bool:
        return any(
            isinstance(each, BoundedHttp) and each.is_idle
            for each in self.server_state.connections
        )

    async def _close(self, sockets: list[socket.socket]) -> None:
        """Close the port, and hear those who stand before it: they would be reset."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            with contextlib.suppress(NotImplementedError):
                loop.remove_reader(sock)
        # asyncio drops those of a closed server that it took and gave no protocol yet.
        await asyncio.sleep(LOOK_S)
        last = [each for sock in sockets for each in _waiting_at(sock)]
        for server in self.servers:
            server.close()
        for sock in sockets:
            sock.close()
        for each in last:
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(self._protocol, each)
        room = self._port.waiting_room
        await self._while(lambda: len(room) > 0, LAST_S)

    def _protocol(self) -> asyncio.BaseProtocol:
        kind = BoundedHttp if self._port.door is None else TlsHttp
        return kind(self._port, self.server_state, self.lifespan.state)

    async def _while(self, holds: Callable[[], bool], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while holds() and loop.time() < end:  # noqa: ASYNC110  # uvicorn tells nobody
            await asyncio.sleep(LOOK_S)

    async def cut(self) -> None:
        """End whatever is left."""
        tasks = tuple(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_S)
        for server in getattr(self, "servers", ()):
            server.close()
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        self._port.waiting_room.clear()
        await asyncio.sleep(0)  # transports tell their protocols in the next round

    async def _quiet(self) -> None:
        state = self.server_state
        while state.connections or state.tasks:  # noqa: ASYNC110  # uvicorn tells nobody
            await asyncio.sleep(0.01)


def _waiting_at(sock: socket.socket) -> list[socket.socket]:
    """Take all connections that the system has accepted and nobody has taken yet."""
    found: list[socket.socket] = []
    with contextlib.suppress(OSError):  # nobody waits any more
        while True:
            found.append(sock.accept()[0])
    return found
