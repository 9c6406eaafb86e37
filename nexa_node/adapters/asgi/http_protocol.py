"""HTTP/1.1 with the deadlines that uvicorn's own protocol lacks.

A connection that has not sent a complete header in time is closed, an idle first byte
included; so is one whose peer takes nothing of what is written to it, the last answer
included, and one that goes on sending a body after it was answered.
"""

import asyncio
from typing import Any

import h11
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from nexa_node.adapters.asgi.answering import PROBLEM
from nexa_node.adapters.asgi.auth import SECURITY_HEADERS
from nexa_node.adapters.asgi.limits import PortConfig, Stall
from nexa_node.adapters.asgi.refusals import refusal
from nexa_node.contract.errors import Invalid


class BoundedHttp(H11Protocol):
    """uvicorn's protocol over h11, bounded in time."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Prepare for one connection; called by uvicorn."""
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, PortConfig)
        self._room = config.waiting_room
        self._header_s = config.policy.header_timeout_ms / 1000
        self._deadline: asyncio.TimerHandle | None = None
        self._stall = Stall(
            self.loop, config.policy.write_timeout_ms / 1000, self._too_late
        )

    @property
    def is_idle(self) -> bool:
        """Whether it was answered, and is kept alive for another call."""
        return bool(getattr(self.cycle, "response_complete", False))

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a header."""
        super().connection_made(transport)
        self._stand_outside()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and see whether there is still something to wait for."""
        super().data_received(data)
        if self.transport.get_protocol() is not self:  # upgraded
            return
        header_is_missing = self.conn.their_state is h11.IDLE
        answered = getattr(self.cycle, "response_complete", False)
        body_is_idle_talk = self.conn.their_state is h11.SEND_BODY and answered
        if not (header_is_missing or body_is_idle_talk):
            self._room.leave(self)
            self._stop_waiting()
        elif self._deadline is None:
            self._await_peer()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over; its deadlines are the other protocol's now."""
        self._forget()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, unless an answer has begun: then end.

        An application that was called for it already has nobody to answer any more.
        """
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._refuse_malformed(msg)
        else:
            self.transport.abort()
        if self.cycle:  # None before the first request, whatever its type says
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._drain()

    def _refuse_malformed(self, msg: str) -> None:
        """Answer 400 as the gate would, which never saw this request."""
        problem = refusal(Invalid(msg, remedy="send HTTP/1.1 with one Host header"))
        content = msgspec.json.encode(problem.problem)
        headers = [
            (b"content-type", PROBLEM.encode()),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
            *SECURITY_HEADERS,
        ]
        answer = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (answer, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """Go on to the next request, or see the connection end.

        One that was answered before its body came keeps no place meanwhile.
        """
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._stand_outside()
        self._drain()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, also one whose peer never took the last answer."""
        super().timeout_keep_alive_handler()
        self._drain()

    def shutdown(self) -> None:
        """Let the answer under way end, if there is one; called by uvicorn."""
        if not self.transport.is_closing():
            super().shutdown()
            self._drain()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop all timers."""
        self._forget()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer takes nothing: give it a while."""
        super().pause_writing()
        self._stall.begin(self.transport)

    def resume_writing(self) -> None:
        """The peer takes something again."""
        super().resume_writing()
        self._stall.end()

    def _drain(self) -> None:
        """Watch what is left to be written; asyncio would keep the socket for it."""
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._stall.begin(self.transport)

    def _stand_outside(self) -> None:
        """Be one of those that wait, of whom there are so many and no more."""
        address = self.client[0] if self.client else ""
        self._room.enter(self, self.loop.time(), self._too_late, address=address)
        if self._deadline is None:
            self._await_peer()

    def _await_peer(self) -> None:
        self._deadline = self.loop.call_later(self._header_s, self._too_late)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget(self) -> None:
        self._room.leave(self)
        self._stop_waiting()
        self._stall.end()

    def _too_late(self) -> None:
        self._deadline = None
        self.transport.abort()
