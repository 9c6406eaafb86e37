"""One connection to a node: frames out, frames in, and which answer is whose.

Everything here runs on the link's event loop.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from nexa_node.agent.wire import Codec
from nexa_node.contract.errors import (
    INTERNAL_ERROR,
    Invalid,
    NexaError,
    PayloadTooLarge,
    error_object,
    from_error_object,
)
from nexa_node.contract.frames import (
    FRAME_LIMIT,
    Envelope,
    Failure,
    Limits,
    Notification,
    Outgoing,
    Request,
    RequestId,
    Success,
)

T = TypeVar("T")
_log = logging.getLogger("nexa.agent")


class Lost(Exception):
    """The connection ended before the answer came: nobody knows what was done."""


class Peer:
    """The node at the other end of one connection."""

    def __init__(self, socket: ClientConnection, codec: Codec) -> None:
        """Speak over `socket`, which is open."""
        self._socket = socket
        self._codec = codec
        self._pending: dict[RequestId, asyncio.Future[Envelope]] = {}
        self._last_id = 0
        self._frame_limit = FRAME_LIMIT
        self._urgent = asyncio.Semaphore(8)
        self._ordinary = asyncio.Semaphore(8)
        self._lost = False

    def limit(self, limits: Limits) -> None:
        """Keep to what the node advertised.

        Half of the calls that may be in flight are kept for leases and results, so that
        the author's own calls cannot starve them.
        """
        self._frame_limit = max(1024, limits.frame)
        urgent = max(1, limits.inflight // 2)
        self._urgent = asyncio.Semaphore(urgent)
        self._ordinary = asyncio.Semaphore(max(1, limits.inflight - urgent))

    async def call(
        self,
        method: str,
        params: Any,
        result: type[T],
        *,
        timeout: float,
        urgent: bool = False,
    ) -> T:
        """Ask the node, and wait for its answer.

        Raises:
            NexaError: What the node answered; Invalid when its answer makes no sense.
            Lost: The connection ended first.
            TimeoutError: No answer within `timeout` seconds.
        """
        async with self._urgent if urgent else self._ordinary:
            self._last_id += 1
            number = self._last_id
            future = asyncio.get_running_loop().create_future()
            self._pending[number] = future
            try:
                async with asyncio.timeout(timeout):
                    await self._send(Request(id=number, method=method, params=params))
                    answer = await future
            finally:
                del self._pending[number]
                if future.done() and not future.cancelled():
                    future.exception()  # it may be lost while the frame is on its way
        if answer.error is not None:
            raise from_error_object(answer.error)
        return self._codec.body(answer.result, result)

    async def notify(self, method: str, params: Any) -> None:
        """Tell the node something; Lost if the connection is gone."""
        await self._send(Notification(method=method, params=params))

    async def answer(self, request: RequestId, result: Any) -> None:
        """Answer a call of the node."""
        await self._send(Success(id=request, result=result))

    async def refuse(self, request: RequestId, error: NexaError, code: int = 0) -> None:
        """Refuse a call of the node; `code` replaces the error's own."""
        told = error_object(error)
        if code:
            told = msgspec.structs.replace(told, code=code, data=None)
        await self._send(Failure(id=request, error=told))

    def read(self, envelope: Envelope, kind: type[T]) -> T:
        """Decode the parameters of a call; Invalid if they are none of `kind`."""
        return self._codec.body(envelope.params, kind)

    async def incoming(self) -> AsyncIterator[Envelope]:
        """The node's calls and notifications; answers find their way by themselves.

        Frames that make no sense are left out with a line in the log. Ends, by
        `ConnectionClosed`, when the connection does; calls that wait then get `Lost`.
        """
        try:
            while True:
                data = await self._socket.recv(decode=False)
                for envelope in self._frames(data):
                    if envelope.method is not None:
                        yield envelope
                    else:
                        self._settle(envelope)
        finally:
            self.lost()

    def lost(self) -> None:
        """The connection is gone: calls that wait get `Lost`. Idempotent."""
        self._lost = True
        for future in self._pending.values():
            if not future.done():
                future.set_exception(Lost())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection in order."""
        await self._socket.close(code, reason)

    async def _send(self, frame: Outgoing) -> None:
        data = self._codec.encode(frame)
        if len(data) > self._frame_limit:
            raise PayloadTooLarge(
                f"a frame of {len(data)} bytes; the node takes {self._frame_limit}",
                remedy="send less, or a reference to where the data lies",
            )
        if self._lost:
            raise Lost
        try:
            await self._socket.send(data, text=self._codec.text)
        except ConnectionClosed:
            raise Lost from None

    def _frames(self, data: bytes) -> list[Envelope]:
        try:
            return self._codec.envelopes(data)
        except Invalid as error:
            _log.warning("a frame of the node was left out: %s", error)
            return []

    def _settle(self, envelope: Envelope) -> None:
        if isinstance(envelope.id, msgspec.UnsetType) or envelope.id is None:
            told = envelope.error.message if envelope.error else "no id"
            _log.warning("the node refused a frame: %s", told)
            return
        future = self._pending.get(envelope.id)
        if future is not None and not future.done():
            future.set_result(envelope)


def internal(error: Exception) -> NexaError:
    """What to tell the node when our own code failed: no more than the kind."""
    failed = NexaError(f"the agent failed: {type(error).__name__}")
    assert failed.code == INTERNAL_ERROR
    return failed
