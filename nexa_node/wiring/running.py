"""A node's loops and its port, running."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from nexa_node.adapters.asgi.app import build_app
from nexa_node.adapters.asgi.server import serve
from nexa_node.contract.errors import NexaError
from nexa_node.wiring.composition import Composition, compose
from nexa_node.wiring.encryption import door_of, secured
from nexa_node.wiring.place import Place


@asynccontextmanager
async def running(place: Place, sock: socket.socket) -> AsyncGenerator[Composition]:
    """Run a node; entered when it has read its store and answers.

    On leaving, the port is closed first, then the loops end, then the store.

    Raises:
        NexaError: The store can't be opened, or a loop gave up.
    """
    settings = place.loaded.settings
    end = asyncio.Event()
    place = await secured(place)
    try:
        async with compose(place) as node, asyncio.TaskGroup() as group:
            app = build_app(
                node.api,
                settings.http,
                host=settings.node.host,
                auditor=node.auditor,
                logins=node.logins,
                is_stale=lambda: node.api.directory.is_stale,
            )
            group.create_task(node.supervisor.run())
            port = group.create_task(
                serve(
                    app,
                    sock,
                    stop=end,
                    policy=settings.http,
                    sessions=settings.sessions,
                    tls=None if place.port is None else door_of(place.port),
                )
            )
            try:
                await node.ready()
                yield node
            finally:
                end.set()
                await asyncio.wait([port])
                node.supervisor.stop()
    except* NexaError as failed:
        raise _first(failed) from None


def _first(group: BaseExceptionGroup[NexaError]) -> NexaError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
