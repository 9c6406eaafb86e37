"""WS /v1/agent: frames in, frames out; what they mean is the session's business."""

import asyncio

from starlette.types import Receive, Scope, Send

from nexa_node.adapters.asgi.auth import address_of, caller_of
from nexa_node.adapters.asgi.operation import OPEN, Operation
from nexa_node.adapters.asgi.refusals import Refusal
from nexa_node.adapters.asgi.sockets import accept, close, next_frame
from nexa_node.contract.errors import (
    CLOSE_GOING_AWAY,
    CLOSE_PROTOCOL_ERROR,
    Draining,
    Forbidden,
)
from nexa_node.contract.version import JSON_SUBPROTOCOL, SUBPROTOCOLS
from nexa_node.services.api import AgentConnection, Close, NodeApi


class AgentSocket:
    """The endpoint, as an ASGI application."""

    def __init__(self, api: NodeApi) -> None:
        """Hand every connection to `api`."""
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one agent until it or the node ends the connection."""
        subprotocol = negotiate(scope["subprotocols"])
        text = subprotocol == JSON_SUBPROTOCOL
        connection = self._api.connect_agent(
            caller_of(scope), text=text, address=address_of(scope)
        )
        if (heard_at := scope.get("nexa.heard_at")) is not None:
            connection.watch_life(heard_at)
        try:
            await accept(receive, send, subprotocol=subprotocol)
            await _serve(connection, receive, send, text=text)
        except asyncio.CancelledError:
            await close(send, CLOSE_GOING_AWAY, "going_away")
            raise
        finally:
            await connection.lost()


def negotiate(offered: list[str]) -> str:
    """Pick the first of the offered subprotocols that we speak.

    Raises:
        Refusal: There is none; the upgrade is answered with HTTP 400.
    """
    for subprotocol in offered:
        if subprotocol in SUBPROTOCOLS:
            return subprotocol
    raise Refusal(
        400,
        "unsupported_version",
        "none of the offered WebSocket subprotocols is known here",
        remedy=f"offer {' or '.join(SUBPROTOCOLS)}",
    )


async def _serve(
    connection: AgentConnection, receive: Receive, send: Send, *, text: bool
) -> None:
    async with asyncio.TaskGroup() as group:
        writer = group.create_task(_write(connection, send))
        if not await _read(connection, receive, text=text):
            writer.cancel()
            await close(send, CLOSE_PROTOCOL_ERROR, "protocol_error: wrong frame type")
        writer.cancel()


async def _read(connection: AgentConnection, receive: Receive, *, text: bool) -> bool:
    """Hand frames over until there are no more; False if one was of the wrong kind."""
    while (frame := await next_frame(receive)) is not None:
        if isinstance(frame, str) is not text:
            return False
        await connection.receive(frame.encode() if isinstance(frame, str) else frame)
    return True


async def _write(connection: AgentConnection, send: Send) -> None:
    """Send what the session has to say, in order, until it closes or the peer is gone."""
    try:
        while True:
            output = await connection.next_output()
            if isinstance(output, Close):
                await close(send, output.code, output.reason)
                return
            if output.text:
                text = output.data.decode()
                await send({"type": "websocket.send", "text": text})
            else:
                await send({"type": "websocket.send", "bytes": output.data})
    except OSError:
        await connection.lost()  # the reader may be waiting for what can't be sent


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/agent",
        action=OPEN,
        tag="sockets",
        summary="Connect an agent (WebSocket)",
        description="An upgrade that offers `nexa.v1.json` or `nexa.v1.msgpack`. Without"
        " a token, `session.hello` must bring one within 5 s. The frames are described"
        " in docs/protocol.md.",
        handler=None,
        status=101,
        errors=(Forbidden, Draining),
    ),
)
