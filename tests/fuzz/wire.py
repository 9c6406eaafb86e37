"""A connection without a network, in a time of its own: what fuzzing a protocol needs.

`Loop` is an event loop whose clock stands still until it is moved. `Wire` behaves as
asyncio's own TCP transport does, also where that is inconvenient: `close` waits for what
is still to be written, however long the peer takes.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

HIGH_WATER = 64 * 1024


class Loop(asyncio.SelectorEventLoop):
    """Time passes when `advance` says so; nothing waits for it."""

    def __init__(self) -> None:
        self._moment = 0.0
        super().__init__()
        self.faults: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.faults.append(context))

    def time(self) -> float:
        return self._moment

    def call(self, work: Callable[[], T]) -> T:
        """Do `work` on the loop, where protocols are always called."""

        async def doing() -> T:
            return work()

        return self.run_until_complete(doing())

    def settle(self) -> None:
        """Let everything run that can."""
        self.run_until_complete(_rest())

    def advance(self, seconds: float, *, steps: int = 8) -> None:
        """Move time on, in steps, so that a timer may set another."""
        for _ in range(steps):
            self._moment += seconds / steps
            self.settle()


async def _rest() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


class Wire(asyncio.Transport):
    """The server's end of a connection."""

    def __init__(self, loop: Loop, protocol: Any) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._incoming: list[bytes] = []
        self._reading = True
        self._closing = False
        self._writing_paused = False
        self.is_lost = False
        self.is_stuck = False
        """The peer takes nothing."""
        self.buffer = bytearray()
        self.written = bytearray()
        protocol.connection_made(self)

    # -- the peer --------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes arrive."""
        if self._closing:
            return
        self._incoming.append(data)
        self._deliver()

    def end(self) -> None:
        """The peer says that it has no more to send."""
        if not self._closing:
            self._protocol.eof_received()
            self.close()

    def reset(self) -> None:
        """The connection breaks."""
        self._closing = True
        self._loop.call_soon(self._lose, ConnectionResetError())

    def stick(self, *, stuck: bool) -> None:
        """The peer takes nothing from now on, or all again."""
        self.is_stuck = stuck
        if stuck or self.is_lost:
            return
        self.written += self.buffer
        self.buffer.clear()
        if self._writing_paused:
            self._writing_paused = False
            self._protocol.resume_writing()
        if self._closing:
            self._loop.call_soon(self._lose, None)

    # -- asyncio.Transport -----------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known = {"peername": ("10.0.0.1", 1), "sockname": ("127.0.0.1", 6392)}
        return known.get(name, default)

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._deliver)

    def write(self, data: Any) -> None:
        if self.is_lost:
            return
        if not self.is_stuck:
            self.written += data
            return
        self.buffer += data
        if len(self.buffer) > HIGH_WATER and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return len(self.buffer)

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if not self.buffer:
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self._closing = True
        self.buffer.clear()
        self._loop.call_soon(self._lose, None)

    def _deliver(self) -> None:
        while self._reading and self._incoming and not self._closing:
            self._protocol.data_received(self._incoming.pop(0))

    def _lose(self, error: Exception | None) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._protocol.connection_lost(error)
