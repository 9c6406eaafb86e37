"""An endpoint that says every message back, on the very port that a node ships.

    python -m tests.echo          prints the port it took, and serves until it is ended

The application is the only thing here that is not nexa's: the socket, uvicorn's
configuration and both protocol classes are those of `adapters/asgi/server.py`.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from nexa_node.adapters.asgi.server import bind, serve
from nexa_node.adapters.asgi.sockets import accept, next_frame
from nexa_node.core.policies import HttpPolicy, SessionPolicy


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Say back what is said."""
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await accept(receive, send, subprotocol=None)
    with contextlib.suppress(OSError):
        while (frame := await next_frame(receive)) is not None:
            key = "text" if isinstance(frame, str) else "bytes"
            await send({"type": "websocket.send", key: frame})


@asynccontextmanager
async def echoing(
    http: HttpPolicy | None = None,
    sessions: SessionPolicy | None = None,
    app: ASGIApp = echo,
) -> AsyncIterator[int]:
    """Serve `echo`, or another application, on a free port; its number."""
    sock = bind("127.0.0.1", 0)
    number: int = sock.getsockname()[1]
    stop, started = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(app, sock, stop=stop, policy=http, sessions=sessions, started=started)
        )
        await started.wait()
        try:
            yield number
        finally:
            stop.set()


async def _main() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with echoing() as port:
        print(port, flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_main())
