"""What both WebSockets share: raw ASGI messages, no class around them.

Nothing here starts a task for a message; a connection has a reader and a writer.
"""

from typing import Any

from starlette.types import Receive, Send

from nexa_node.contract.errors import (
    CLOSE_FORBIDDEN,
    CLOSE_GOING_AWAY,
    CLOSE_REVOKED,
    Draining,
    Forbidden,
    NexaError,
    Unauthorized,
)

CLOSE_INTERNAL = 1011
REASON_BYTES = 120
"""A close frame holds 125 bytes, two of them the code."""


async def accept(receive: Receive, send: Send, *, subprotocol: str | None) -> None:
    """Finish the upgrade."""
    message = await receive()
    assert message["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": subprotocol})


async def close(send: Send, code: int, reason: str) -> None:
    """Say goodbye; a peer that is gone already is not told."""
    short = reason.encode()[:REASON_BYTES].decode(errors="ignore")
    try:
        await send({"type": "websocket.close", "code": code, "reason": short})
    except OSError:
        return


async def next_frame(receive: Receive) -> str | bytes | None:
    """Wait for the peer's next frame; None when there will be none."""
    message: Any = await receive()
    if message["type"] != "websocket.receive":
        return None
    text: str | None = message.get("text")
    if text is not None:
        return text
    data: bytes = message["bytes"]
    return data


def close_code(error: NexaError) -> int:
    """The close code for an error that ends a connection."""
    match error:
        case Unauthorized():
            return CLOSE_REVOKED
        case Forbidden():
            return CLOSE_FORBIDDEN
        case Draining():
            return CLOSE_GOING_AWAY
        case _:
            return CLOSE_INTERNAL
