"""WebSocket over uvicorn's sans-io protocol, with nexa's heartbeat and close codes.

Pings go out every interval ± 10 %; a peer from which nothing at all came for two of
them is closed with 4412. A stopping server closes with 4413, a peer that takes nothing
of what is written with 4408. An upgrade is answered in time or ends. Every close is
followed by an end of the connection, even if the peer neither answers nor reads it.
"""

import asyncio
import random
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.protocol import State

from nexa_node.adapters.asgi.corking import Corked
from nexa_node.adapters.asgi.limits import PortConfig, Stall
from nexa_node.adapters.asgi.websocket_frames import Frames
from nexa_node.contract.errors import CLOSE_GOING_AWAY, CLOSE_HEARTBEAT, CLOSE_SLOW

CLOSE_S = 2.0
"""How long a peer may take to answer a close."""
MISSES_MAX = 2

_NO_UPGRADE = "this is no WebSocket upgrade: it has a body, or a broken header"


class PacedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol, on nexa's terms."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Prepare for one connection; called by uvicorn's HTTP protocol."""
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, PortConfig)
        self.conn = Frames(max_size=config.ws_max_size, logger=self.logger)
        self._stall = Stall(
            self.loop, config.policy.write_timeout_ms / 1000, self._too_slow
        )
        self._upgrade_s = config.policy.header_timeout_ms / 1000
        self._upgrading: asyncio.TimerHandle | None = None
        self._heard = True
        self.heard_at = self.loop.time()
        self._missed = 0
        self._end: asyncio.TimerHandle | None = None

    # Beginning

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the application's answer to the upgrade."""
        below = cast("asyncio.Transport", transport)
        is_corked = isinstance(transport, Corked)  # over TLS it is, HTTP, too
        corked: Any = transport if is_corked else Corked(below, self.loop)
        super().connection_made(corked)
        self._upgrading = self.loop.call_later(self._upgrade_s, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take bytes: any of them is a sign of life."""
        self._heard = True
        self.heard_at = self.loop.time()
        if self.close_sent and self.conn.parser_exc is not None:
            return  # closed for what it sent before; what follows is not looked at
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_upgrade()

    def _refuse_upgrade(self) -> None:
        """End what passed for HTTP and is no upgrade: uvicorn would wait for ever."""
        answer = b"".join(self.conn.data_to_send())
        self.transport.write(answer or _bad_request(_NO_UPGRADE))
        self.handshake_complete = self.close_sent = True
        self.transport.close()

    async def run_asgi(self) -> None:
        """Serve, and let the application ask when the peer was heard last."""
        scope: Any = self.scope  # a key of our own
        scope["nexa.heard_at"] = lambda: self.heard_at
        await super().run_asgi()

    # Heartbeat

    def schedule_ping(self) -> None:
        """Set the next beat, so that not all peers' beats fall together."""
        assert self.ping_interval is not None
        delay = self.ping_interval * random.uniform(0.9, 1.1)
        self.ping_timer = self.loop.call_later(delay, self.send_keepalive_ping)

    def send_keepalive_ping(self) -> None:
        """Count the silence, and ask again. Silence we cause ourselves is none."""
        self.ping_timer = None
        if self.close_sent or self.transport.is_closing():
            return
        alive = self._heard or self.read_paused
        self._missed = 0 if alive else self._missed + 1
        if self._missed >= MISSES_MAX:
            self._close(CLOSE_HEARTBEAT, "heartbeat: two pings without an answer")
            return
        self._heard = False
        self.conn.send_ping(b"")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.schedule_ping()

    def handle_ping(self) -> None:
        """Answer, unless the peer takes nothing: then answers would only pile up."""
        answers = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(answers)

    # Closing

    def shutdown(self) -> None:
        """Tell the peer that the server stops; called by uvicorn."""
        self.stop_keepalive()
        if self.handshake_complete and not self.close_sent:
            self._close(CLOSE_GOING_AWAY, "going_away: the node is stopping")
        elif not self.handshake_complete:
            super().shutdown()

    async def send(self, message: Any) -> None:
        """Send what the application says.

        Raises:
            ClientDisconnected: The connection is closed, or being closed.
        """
        await self.writable.wait()  # meanwhile it may have been closed
        if self.close_sent and self.handshake_complete:
            raise ClientDisconnected
        await super().send(message)
        if self.handshake_complete:
            self._stop_upgrading()
        if message["type"] == "websocket.close" and self.close_timer is not None:
            self.close_timer.cancel()
            self._await_end()

    def handle_close(self, event: Frame) -> None:
        """Answer the peer's close; one that then takes nothing is not waited for."""
        super().handle_close(event)
        self._drain()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """See the connection end: the application has nothing more to say."""
        super().on_task_complete(task)
        if self.transport.is_closing() and not self.disconnected:
            self._drain()

    def handle_parser_exception(self) -> None:
        """Close for what the peer sent, and let the close frame arrive.

        Closing the socket at once, with bytes unread, would reset the connection and
        take the close frame with it.
        """
        if self.close_sent:
            return
        close = self.conn.close_sent
        assert close is not None
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": close.code, "reason": close.reason}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.close_sent = True
        self._await_end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop all timers."""
        self._stall.end()
        self._stop_upgrading()
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer takes nothing: give it a while."""
        super().pause_writing()
        self._stall.begin(self.transport)

    def resume_writing(self) -> None:
        """The peer takes something again."""
        super().resume_writing()
        self._stall.end()

    def _too_slow(self) -> None:
        if self.conn.state is State.OPEN and not self.close_sent:
            self._close(CLOSE_SLOW, "slow: nothing was read for too long")
        else:
            self.transport.abort()

    def _drain(self) -> None:
        """Watch what is left to be written; asyncio would keep the socket for it."""
        self._stall.end()
        self._stall.begin(self.transport)

    def _stop_upgrading(self) -> None:
        if self._upgrading is not None:
            self._upgrading.cancel()
            self._upgrading = None

    def _close(self, code: int, reason: str) -> None:
        if self.close_sent or self.conn.state is not State.OPEN:
            return
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": code, "reason": reason}
        )
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.writable.set()  # whoever waits to send learns that it is over
        if self.read_paused:  # the peer's answer must be read
            self.read_paused = False
            self.transport.resume_reading()
        self._await_end()

    def _await_end(self) -> None:
        """Wait for the peer's answer; `handle_close` ends the connection when it comes."""
        self._end = self.loop.call_later(CLOSE_S, self.transport.abort)
        self.close_timer = self._end


def _bad_request(why: str) -> bytes:
    head = (
        "HTTP/1.1 400 Bad Request",
        "Connection: close",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(why)}",
    )
    return "\r\n".join((*head, "", why)).encode()
