"""A WebSocket for reading: websockets' sans-io protocol over asyncio's streams.

The sans-io half of the library is a tenth of its import, and the console's first
complete picture waits for it. One reader; pings are answered while it reads.
"""

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from nexa_tui.client.trust import Trust, context_for

_FRAME_LIMIT = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_SECURE = {"https", "wss"}
_NORMAL = 1000
_ABNORMAL = 1006


class SocketClosed(Exception):
    """The connection is over."""

    def __init__(self, code: int, reason: str) -> None:
        """Keep the close code, 1006 if there was none."""
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class HandshakeRefused(Exception):
    """The other side answered, and not with an upgrade."""

    def __init__(self, status: int, body: bytes) -> None:
        """Keep the answer."""
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class Socket:
    """One connection. Use it with `async with`."""

    def __init__(self, url: str, token: str | None, trust: Trust | None = None) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: http, https, ws or wss, with the path.
            token: Sent as bearer, in a header and never in the URL.
            trust: By what the other side is known, over TLS.
        """
        self._url, self._trust = url, trust or Trust()
        self._parts = urlsplit(url)
        self._secure = self._parts.scheme in _SECURE
        scheme = "wss" if self._secure else "ws"
        address = self._parts._replace(scheme=scheme).geturl()
        self._protocol = ClientProtocol(parse_uri(address), max_size=_FRAME_LIMIT)
        self._token = token
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._frames: deque[Frame] = deque()
        self._parts_read: list[bytes] = []

    async def __aenter__(self) -> "Socket":
        """Connect and shake hands.

        Raises:
            OSError: Nobody answers there; ssl.SSLError if it is not who we trust.
            Invalid: A file of the trust can't be used.
            HandshakeRefused: Somebody answers, and says no.
            SocketClosed: Somebody answers, and is no web server.
        """
        try:
            await self._open()
        except BaseException:
            self._drop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say goodbye if that is still possible, and close. Waits for nothing."""
        if self._protocol.state is State.OPEN:
            with suppress(OSError):
                self._protocol.send_close(_NORMAL)
                self._flush()
        self._drop()

    async def receive(self) -> bytes:
        """Wait for the next whole message.

        Raises:
            SocketClosed: There will be none.
        """
        while True:
            while self._frames:
                message = self._joined(self._frames.popleft())
                if message is not None:
                    return message
            await self._read()

    async def _open(self) -> None:
        host = self._parts.hostname or ""
        port = self._parts.port or (443 if self._secure else 80)
        context = context_for(self._url, self._trust)
        self._reader, self._writer = await asyncio.open_connection(
            host, port, ssl=context
        )
        request = self._protocol.connect()
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        self._protocol.send_request(request)
        self._flush()
        answered = False
        while not answered and self._protocol.handshake_exc is None:
            answered = await self._read()
        refused = self._protocol.handshake_exc
        if isinstance(refused, InvalidStatus):
            answer = refused.response
            raise HandshakeRefused(answer.status_code, bytes(answer.body or b""))
        if refused is not None:
            raise SocketClosed(_ABNORMAL, str(refused))

    async def _read(self) -> bool:
        """Read once; say whether the answer to the handshake was in it."""
        assert self._reader is not None
        try:
            data = await self._reader.read(_CHUNK)
        except OSError as error:
            raise SocketClosed(_ABNORMAL, error.strerror or str(error)) from error
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._flush()
        events = self._protocol.events_received()
        self._frames.extend(event for event in events if isinstance(event, Frame))
        answered = any(not isinstance(event, Frame) for event in events)
        refused = self._protocol.handshake_exc is not None
        if not data and not (self._frames or answered or refused):
            raise SocketClosed(_ABNORMAL, "the connection broke")
        return answered

    def _joined(self, frame: Frame) -> bytes | None:
        """Put fragments together; None as long as the message is not whole."""
        if frame.opcode is Opcode.CLOSE:
            told = self._protocol.close_rcvd
            raise (
                SocketClosed(told.code, told.reason)
                if told
                else SocketClosed(_ABNORMAL, "")
            )
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return None
        self._parts_read.append(bytes(frame.data))
        if not frame.fin:
            return None
        message = b"".join(self._parts_read)
        self._parts_read.clear()
        return message

    def _flush(self) -> None:
        assert self._writer is not None
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
            elif self._writer.can_write_eof():
                with suppress(OSError):  # the other side was faster
                    self._writer.write_eof()

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
