"""TLS before HTTP: handshakes bounded in time, in number and in memory.

asyncio's own server gives a handshake a minute and every connection 256 KiB, tells nobody
before it is done, and keeps TLS's alerts to itself. Here a handshake waits in the same
room as a header that is not complete yet, has as long as that one, and all share one
buffer. Whoever speaks plain HTTP is told so; whoever shows a certificate is known by its
hash from then on.
"""

import asyncio
import contextlib
import hashlib
import ssl
from typing import Any

import msgspec
from uvicorn.config import Config
from uvicorn.server import ServerState

from nexa_node.adapters.asgi.corking import Corked
from nexa_node.adapters.asgi.http_protocol import BoundedHttp
from nexa_node.adapters.asgi.limits import CERTIFICATE, PortConfig
from nexa_node.contract.rest import Liveness

RECORD_BYTES = 16 * 1024
"""What is decrypted at once: a record of TLS."""
GOODBYE_S = 2.0
"""For the peer to take what it is told at last."""
_HANDSHAKE = 0x16
"""The first byte of whoever speaks TLS."""


class _Plain(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is told who speaks no TLS; a problem, and who we are."""

    type: str = "about:blank"
    title: str = "tls_required"
    status: int = 400
    detail: str = "this port speaks TLS, and the call came without"
    reason: str = "invalid"
    retryable: bool = False
    remedy: str = "write https:// (agents: wss://) instead of http://"
    service: str = Liveness(status="ok").service


class TlsHttp(asyncio.BufferedProtocol):
    """A fresh connection: TLS, and `BoundedHttp` once that is there."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Prepare for one connection; called by uvicorn."""
        assert isinstance(config, PortConfig)
        assert config.door is not None
        self._loop = _loop or asyncio.get_running_loop()
        self._config, self._server_state = config, server_state
        self._app_state = app_state
        self._door, self._room = config.door, config.waiting_room
        self._view = memoryview(self._door.buffer)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._door.context().wrap_bio(
            self._incoming, self._outgoing, server_side=True
        )
        self._is_first, self._is_settled, self._is_over = True, False, False
        self._deadline: asyncio.TimerHandle | None = None
        self._raw: Any = None
        self.app: Any = None
        """What speaks over TLS: HTTP first, then maybe a WebSocket."""

    # From the network

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to shake hands."""
        self._raw = transport
        seconds = self._config.policy.header_timeout_ms / 1000
        self._deadline = self._loop.call_later(seconds, self._too_late)
        peer = self._raw.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        self._room.enter(self, self._loop.time(), self._raw.abort, address=address)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The port's one: what is read is taken out of it before the next read."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes; the first one tells whether they are TLS."""
        if self._is_over:
            return
        if self._is_first:
            self._is_first = False
            if self._view[0] != _HANDSHAKE:
                self._settle("plain")
                self._leave(_plain_answer())
                return
        self._incoming.write(self._view[:nbytes])
        if self.app is None:
            self._shake_hands()
        else:
            self._read()

    def eof_received(self) -> bool | None:
        """The peer is done."""
        return None if self.app is None else self.app.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever was there."""
        self._settle("lost")
        if self.app is not None:
            self.app.connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer takes nothing."""
        if self.app is not None:
            self.app.pause_writing()

    def resume_writing(self) -> None:
        """The peer takes something again."""
        if self.app is not None:
            self.app.resume_writing()

    # TLS

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
        except ssl.SSLError:
            self._settle("refused")
            self._leave(self._outgoing.read())
        else:
            self.flush()
            self._settle("done")
            self._begin()
            self._read()

    def _begin(self) -> None:
        """Hand over to HTTP; what the client showed goes with every request."""
        state = self._app_state
        shown = self._tls.getpeercert(binary_form=True)
        if shown is not None:
            state = {**state, CERTIFICATE: hashlib.sha256(shown).hexdigest()}
        self.app = BoundedHttp(self._config, self._server_state, state, self._loop)
        secured: Any = TlsTransport(self, self._raw, self._tls)
        corked: Any = Corked(secured, self._loop)
        self.app.connection_made(corked)

    def _read(self) -> None:
        """Decrypt all there is, and pass it on in one piece."""
        pieces: list[bytes] = []
        is_end = False
        try:
            while piece := self._tls.read(RECORD_BYTES):
                pieces.append(piece)
                if not self._incoming.pending and not self._tls.pending():
                    break
            else:
                is_end = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._leave(self._outgoing.read())
        self.flush()
        if pieces:
            self.app.data_received(b"".join(pieces))
        if is_end and not self.app.eof_received() and not self._raw.is_closing():
            self._raw.close()

    def flush(self) -> None:
        """Send what TLS has to say."""
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def _leave(self, last: bytes) -> None:
        """Say a last thing, and wait for the peer to go.

        Closing at once, with bytes of it unread, would take back what was said.
        """
        self._is_over = True
        if not self._raw.is_closing():
            self._raw.write(last)
            self._raw.write_eof()
            self._loop.call_later(GOODBYE_S, self._raw.abort)

    def _too_late(self) -> None:
        self._settle("timeout")
        self._raw.abort()

    def _settle(self, how: str) -> None:
        """The handshake came to an end, one way or another."""
        if self._is_settled:
            return
        self._is_settled = True
        self._room.leave(self)
        if self._deadline is not None:
            self._deadline.cancel()
        self._door.handshakes[how] += 1


class TlsTransport:
    """A transport over TLS, on the terms of the plain one below; the rest is that one's."""

    def __init__(
        self, link: TlsHttp, raw: asyncio.Transport, tls: ssl.SSLObject
    ) -> None:
        """Encrypt by `tls` what is written, for `raw` to send."""
        self._link = link
        self._raw = raw
        self._tls = tls
        self._is_over = False

    def write(self, data: bytes) -> None:
        """Send `data`; nothing once the end was told."""
        if data and not (self._is_over or self._raw.is_closing()):
            self._tls.write(data)
            self._link.flush()

    def write_eof(self) -> None:
        """Tell the end, of TLS and below, and read on."""
        if not self._is_over:
            self._tell_end()
            self._raw.write_eof()

    def can_write_eof(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Tell the end, and close when all is sent."""
        if not self._raw.is_closing():
            self._tell_end()
            self._raw.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have `protocol` hear from now on."""
        self._link.app = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who hears."""
        return self._link.app

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of TLS, or of the connection below."""
        match name:
            case "ssl_object":
                return self._tls
            case "sslcontext":
                return self._tls.context
            case _:
                return self._raw.get_extra_info(name, default)

    def _tell_end(self) -> None:
        if not self._is_over:
            self._is_over = True
            with contextlib.suppress(ssl.SSLError):  # the peer's own end is not awaited
                self._tls.unwrap()
            self._link.flush()

    def __getattr__(self, name: str) -> Any:
        """Everything else: reading, how much is not sent yet."""
        return getattr(self._raw, name)


def _plain_answer() -> bytes:
    body = msgspec.json.encode(_Plain())
    head = (
        "HTTP/1.1 400 Bad Request",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body
