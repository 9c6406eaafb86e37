"""WS /v1/console: one snapshot, then changes."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.types import Receive, Scope, Send

from nexa_node.adapters.asgi.auth import (
    WEBSOCKET,
    address_of,
    caller_of,
    request_of,
)
from nexa_node.adapters.asgi.iterating import ended
from nexa_node.adapters.asgi.operation import Operation
from nexa_node.adapters.asgi.sockets import accept, close, close_code, next_frame
from nexa_node.contract.access import Identity
from nexa_node.contract.errors import (
    CLOSE_GOING_AWAY,
    CLOSE_SLOW,
    Draining,
    Forbidden,
    NexaError,
    RateLimited,
    Unavailable,
)
from nexa_node.contract.events import FeedFrame
from nexa_node.core.policies import HttpPolicy
from nexa_node.core.seats import Seats
from nexa_node.services.access.login_audit import LoginAudit
from nexa_node.services.api import NodeApi


class ConsoleSocket:
    """The endpoint, as an ASGI application."""

    def __init__(
        self, api: NodeApi, policy: HttpPolicy, logins: LoginAudit | None = None
    ) -> None:
        """Take the feed from `api`; `logins` is told of who watches."""
        self._api = api
        self._seats = Seats(
            per_identity=policy.consoles_per_identity,
            per_address=policy.consoles_per_address,
        )
        self._logins = logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one console until it leaves, falls behind, or the node ends.

        The first frame is awaited before the upgrade is accepted, so that a caller who
        may not watch is told so over HTTP.
        """
        identity = caller_of(scope)
        assert identity is not None
        address = address_of(scope)
        self._seats.take(identity.id, address)
        try:
            await self._serve(identity, scope, receive, send)
        finally:
            self._seats.leave(identity.id, address)

    async def _serve(
        self, identity: Identity, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async with ended(self._api.feed(identity)) as frames:
            first = await anext(frames, None)
            if first is None:
                raise Unavailable("the node has no feed to give", remedy="try again")
            if self._logins is not None:
                self._logins.accepted(
                    identity,
                    address=address_of(scope),
                    resource=f"{WEBSOCKET} {scope['path']}",
                    request=request_of(scope),
                )
            await accept(receive, send, subprotocol=None)
            try:
                await _serve(first, frames, receive, send)
            except asyncio.CancelledError:
                await close(send, CLOSE_GOING_AWAY, "going_away")
                raise


async def _serve(
    first: FeedFrame, frames: AsyncIterator[FeedFrame], receive: Receive, send: Send
) -> None:
    async with asyncio.TaskGroup() as group:
        writer = group.create_task(_write(first, frames, send))
        while await next_frame(receive) is not None:
            pass  # a console has nothing to say here
        writer.cancel()


async def _write(
    first: FeedFrame, frames: AsyncIterator[FeedFrame], send: Send
) -> None:
    encode = msgspec.json.Encoder().encode
    try:
        await send({"type": "websocket.send", "text": encode(first).decode()})
        async for frame in frames:
            await send({"type": "websocket.send", "text": encode(frame).decode()})
    except OSError:
        return  # the console is gone
    except NexaError as error:
        await close(send, close_code(error), f"{error.reason}: {error.message}")
        return
    await close(send, CLOSE_SLOW, "slow: too far behind; reconnect for a new snapshot")


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/console",
        action="feed",
        tag="sockets",
        summary="Watch the cluster (WebSocket)",
        description="Text frames: one `snapshot`, then changes, each with a `seq` that"
        " grows by one. A console that falls too far behind is closed with 4408.",
        handler=None,
        status=101,
        answer=FeedFrame,
        errors=(Forbidden, Draining, RateLimited, Unavailable),
    ),
)
