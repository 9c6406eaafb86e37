"""Corking: what is written in one turn of the loop leaves in one piece.

A node that hands out work writes several frames to a connection in a row; each alone is
a system call, which was a seventh of the node's time.
"""

import asyncio
from typing import Any

HELD_MAX = 64 * 1024
"""Bytes held back at most: more goes at once, so that a slow peer is noticed."""


class Corked:
    """A transport that waits for the end of the turn. The rest is the transport's own."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Write to `transport`, on `loop`."""
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Have `data` sent with whatever else is said in this turn."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size >= HELD_MAX:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        if not self._held:
            return
        data = b"".join(self._held)
        self._forget()
        self._transport.write(data)

    def write_eof(self) -> None:
        """Say that nothing more comes, after what is held."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close, after what is held."""
        if not self._transport.is_closing():
            self.flush()
        self._transport.close()

    def abort(self) -> None:
        """End at once; what is held is lost."""
        self._forget()
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        """Bytes the peer has not taken, those that are held included."""
        return self._transport.get_write_buffer_size() + self._size

    def _forget(self) -> None:
        self._held.clear()
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        """Everything else: reading, closing, who is there."""
        return getattr(self._transport, name)
