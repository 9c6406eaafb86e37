"""NATS' wire format: messages as they come, and the bytes of commands as they go.

No I/O here. `Reader` takes bytes as a socket gives them, in pieces of any size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEADERS = b"NATS/1.0"
LINE_LIMIT = 64 * 1024
"""No control line is longer; the longest is INFO, with the servers of a cluster."""

_END = b"\r\n"
_UNSAFE = str.maketrans("\r\n", "  ")
_M, _H = ord("M"), ord("H")


class Malformed(Exception):
    """These bytes are no NATS protocol."""


class Msg:
    """A message from a subscription. Its headers are read when they are asked for."""

    __slots__ = ("_headers", "_raw", "data", "reply", "subject")

    def __init__(self, subject: str, reply: str, data: bytes, raw: bytes = b"") -> None:
        """Keep what came; `raw` are the header lines, the first one too."""
        self.subject = subject
        self.reply = reply
        self.data = data
        self._raw = raw
        self._headers: dict[str, str] | None = None

    def __repr__(self) -> str:
        """Show all but the payload."""
        return f"Msg({self.subject!r}, reply={self.reply!r}, {len(self.data)} bytes)"

    @property
    def headers(self) -> dict[str, str] | None:
        """The headers, a status line as `Status` and `Description`; None without any."""
        if self._headers is None and self._raw:
            self._headers = _headers(self._raw)
        return self._headers

    @property
    def status(self) -> str | None:
        """The status a server sent in place of a message; None for a message."""
        if len(self._raw) > len(HEADERS) and self._raw[len(HEADERS)] == 32:
            return (self.headers or {}).get("Status")
        return None


@dataclass(frozen=True, slots=True)
class Line:
    """A control line that is no message: INFO, PING, PONG, +OK, -ERR."""

    verb: bytes
    rest: bytes


class Reader:
    """Bytes in, messages to their subscriptions, other lines out."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.handlers: dict[bytes, Callable[[Msg], None]] = {}
        """Who takes the messages of a subscription, by its number."""
        self._left = b""
        self._pieces: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """Take in `data`; messages are handed on before the next line is told.

        Raises:
            Malformed: It is something else.
        """
        if self._missing > len(data):
            self._pieces.append(data)
            self._missing -= len(data)
            return
        if self._left or self._pieces:
            data = b"".join((self._left, *self._pieces, data))
            self._left, self._missing = b"", 0
            self._pieces.clear()
        yield from self._read(data)

    def _read(self, data: bytes) -> Iterator[Line]:
        at, end = 0, len(data)
        while at < end:
            stop = data.find(_END, at)
            if stop < 0:
                if end - at > LINE_LIMIT:
                    raise Malformed("a line without an end")
                break
            first = data[at]
            if first in (_M, _H) and data[at + 1 : at + 4] in (b"SG ", b"MSG"):
                then = self._message(data, at, stop)
                if then > end:
                    self._missing = then - end
                    break
                at = then
                continue
            verb, _, rest = data[at:stop].partition(b" ")
            at = stop + 2
            yield Line(verb, rest)
        self._left = data[at:]

    def _message(self, data: bytes, at: int, stop: int) -> int:
        """Hand on the message whose line is `data[at:stop]`; where the next one begins.

        When it is not all there yet, that lies behind the end of `data`.
        """
        words = data[at:stop].split()
        try:
            size = int(words[-1])
            has_headers = data[at] == _H
            lines = int(words[-2]) if has_headers else 0
            reply = words[3].decode() if len(words) - has_headers == 5 else ""
            subject, number = words[1].decode(), words[2]
        except (IndexError, ValueError) as error:
            raise Malformed(repr(data[at:stop][:80])) from error
        body = stop + 2
        then = body + size + 2
        if then <= len(data):
            handler = self.handlers.get(number)
            if handler is not None:
                payload = data[body + lines : body + size]
                handler(Msg(subject, reply, payload, data[body : body + lines]))
        return then


def header_block(headers: dict[str, str]) -> bytes:
    """Write headers, without the first line and the empty one at the end."""
    text = "".join(
        f"{name}: {value.translate(_UNSAFE)}\r\n" for name, value in headers.items()
    )
    return text.encode()


def publish(subject: str, payload: bytes, reply: str = "", block: bytes = b"") -> bytes:
    """Write PUB, or HPUB when there are headers.

    Raises:
        ValueError: A subject would be read as something else.
    """
    to = f"{subject} {reply}" if reply else subject
    if len(to.split()) != 1 + bool(reply) or not to.isprintable():
        raise ValueError(f"{subject[:80]!r} or {reply[:80]!r} is no subject")
    if not block:
        return b"PUB %b %d\r\n%b\r\n" % (to.encode(), len(payload), payload)
    size = len(HEADERS) + 4 + len(block)
    return b"HPUB %b %d %d\r\nNATS/1.0\r\n%b\r\n%b\r\n" % (
        to.encode(),
        size,
        size + len(payload),
        block,
        payload,
    )


def _headers(raw: bytes) -> dict[str, str]:
    first, _, rest = raw.decode("utf-8", "replace").partition("\r\n")
    found: dict[str, str] = {}
    told = first[len(HEADERS) :].split(maxsplit=1)
    if told:
        found["Status"] = told[0]
    if len(told) > 1:
        found["Description"] = told[1]
    for line in rest.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip()] = value.strip()
    return found
