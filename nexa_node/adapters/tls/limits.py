"""How long and how much, on both sides of the join port."""

import asyncio

STEP_S = 5.0
"""For each of: the handshake, one whole line, taking what was written."""
ANSWER_S = 15.0
"""For the answer: the other side may wait for its store."""
GREETING_MAX = 16 * 1024
REQUEST_MAX = 32 * 1024
ANSWER_MAX = 256 * 1024
HANG_UP_S = 1.0
"""For TLS to say goodbye."""


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, in order if the other side lets us; never raises for it."""
    writer.close()
    try:
        async with asyncio.timeout(HANG_UP_S):
            await writer.wait_closed()
    except (TimeoutError, OSError):
        pass
    finally:
        writer.transport.abort()
