"""One fuzz input against the port: HTTP, the upgrade, WebSocket frames and their ends.

What is run is what ships: `BoundedHttp` and `PacedWebSocket` with their configuration,
around an application that says everything back. Only the network and the time are not
real. An input is a line of settings and a line for each step:

    u                 settings: u upgraded before; d an application that hears nothing
    >GET / HTTP/1.1   bytes as they are, \\r \\n \\t \\0 and \\xff as Python writes them
    f1:text           a whole frame: the opcode's hexadecimal digit, and its content
    F1:text           a frame that is not the last of its message
    y1:400:text       a frame that says it has so many bytes
    +f1:text          any of these, in one segment with what the next line sends
    k K               the peer takes nothing, or all again
    e r               the peer has no more to send; or the connection breaks
    t T s             a second passes; thirty do; the server stops

Afterwards nothing happens for minutes. Then nothing may be left of the connection.
"""

import logging
import re
import struct
from typing import Any

from uvicorn.server import ServerState

from nexa_node.adapters.asgi.http_protocol import BoundedHttp
from nexa_node.adapters.asgi.limits import PortConfig
from nexa_node.adapters.asgi.websocket_protocol import PacedWebSocket
from nexa_node.core.policies import HttpPolicy, SessionPolicy
from tests.echo import echo
from tests.fuzz.wire import Loop, Wire

STEPS_MAX = 100
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CODES = (*range(1000, 1004), *range(1007, 1012), *range(3000, 5000))
"""What a close frame may carry."""
_ESCAPE = re.compile(rb"\\(r|n|t|0|\\|x[0-9a-fA-F]{2})")
_PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


class Wrong(AssertionError):
    """The port did what it must never do."""


class _Ears(logging.Handler):
    """What is said at a level that wakes somebody."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


EARS = _Ears()
for name in ("uvicorn.error", "asyncio"):
    logging.getLogger(name).addHandler(EARS)
    logging.getLogger(name).propagate = False


async def _deaf(scope: Any, receive: Any, send: Any) -> None:
    """Accept, and hear nothing but the end."""
    if scope["type"] != "websocket":
        await echo(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


def run(data: bytes) -> None:
    """Play one input.

    Raises:
        Wrong: Something that must be true is not.
    """
    head, _, rest = data.partition(b"\n")
    loop, state = Loop(), ServerState()
    EARS.heard.clear()
    try:
        config = PortConfig(
            _deaf if b"d" in head else echo,
            http=BoundedHttp,
            ws=PacedWebSocket,
            policy=HttpPolicy(),
            sessions=SessionPolicy(frame_bytes=4096),
        )
        config.load()
        room = config.waiting_room
        wire = loop.call(lambda: Wire(loop, BoundedHttp(config, state, {}, loop)))
        _play(wire, loop, [b">" + _escaped(UPGRADE)] if b"u" in head else [])
        _play(wire, loop, rest.split(b"\n")[:STEPS_MAX])
        loop.advance(300.0, steps=30)
        if not wire.is_lost:
            raise Wrong("minutes later, the connection is still there")
        if state.connections or state.tasks or len(room):
            raise Wrong(f"left behind: {state.connections} {state.tasks} {len(room)}")
        if loop.faults or EARS.heard:
            raise Wrong(f"faults: {loop.faults} {EARS.heard}")
        _check_output(bytes(wire.written))
    finally:
        for task in state.tasks:
            task.cancel()
        loop.settle()
        loop.close()


def _play(wire: Wire, loop: Loop, lines: list[bytes]) -> None:
    held = b""
    for line in lines:
        if line[:1] == b"+":
            held += _said(line[1:])
            continue
        if line[:1] == b"t":
            loop.advance(1.0)
        elif line[:1] == b"T":
            loop.advance(30.0)
        segment, held = held + _said(line), b""
        loop.call(lambda line=line, segment=segment: _step(wire, line, segment))
        loop.settle()


def _said(line: bytes) -> bytes:
    """The bytes that a line sends."""
    match line[:1]:
        case b">":
            return _unescaped(line[1:])
        case b"f":
            return frame(line[1:2], _unescaped(line[3:]))
        case b"F":
            return frame(line[1:2], _unescaped(line[3:]), fin=False)
        case b"y":
            size, _, content = line[3:].partition(b":")
            return frame(line[1:2], _unescaped(content), size=_number(size))
        case _:
            return b""


def _step(wire: Wire, line: bytes, segment: bytes) -> None:
    if segment:
        wire.feed(segment)
    match line[:1]:
        case b"k" | b"K":
            wire.stick(stuck=line[:1] == b"k")
        case b"e":
            wire.end()
        case b"r":
            wire.reset()
        case b"s":
            wire.get_protocol().shutdown()
        case _:
            pass


def frame(
    opcode: bytes, content: bytes, *, fin: bool = True, size: int | None = None
) -> bytes:
    """A client's frame; its mask changes nothing."""
    try:
        number = int(opcode or b"1", 16)
    except ValueError:
        number = 1
    length = len(content) if size is None else size
    head = bytes([fin << 7 | number])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += b"\xfe" + struct.pack("!H", length)
    else:
        head += b"\xff" + struct.pack("!Q", length % 2**64)
    return head + bytes(4) + content


def _check_output(written: bytes) -> None:
    """After the upgrade's answer come frames, one close among them, no data after it."""
    if not written.startswith(b"HTTP/1.1 101"):
        return
    _, _, rest = written.partition(b"\r\n\r\n")
    closed = False
    while rest:
        opcode, content, rest = _first(rest)
        if closed and opcode in (0x81, 0x82, 0x88):
            raise Wrong(f"{opcode:#x} after the close")
        if opcode == 0x81:
            content.decode()
        closed = closed or opcode == 0x88
        code = int.from_bytes(content[:2], "big")
        if opcode == 0x88 and content and code not in CODES:
            raise Wrong(f"closed with {code}")


def _first(rest: bytes) -> tuple[int, bytes, bytes]:
    """The first frame of the server's, and what follows it."""
    if len(rest) < 2 or rest[1] & 0x80:
        raise Wrong("a broken or masked frame was sent")
    size, at = rest[1], 2
    if size == 126:
        size, at = int.from_bytes(rest[2:4], "big"), 4
    elif size == 127:
        size, at = int.from_bytes(rest[2:10], "big"), 10
    opcode, content = rest[0], rest[at : at + size]
    if opcode not in (0x81, 0x82, 0x88, 0x89, 0x8A) or len(content) != size:
        raise Wrong(f"no frame: {opcode:#x}, {len(content)} of {size} bytes")
    return opcode, content, rest[at + size :]


def _escaped(data: bytes) -> bytes:
    back = data.replace(b"\\", b"\\\\")
    return back.replace(b"\r", b"\\r").replace(b"\n", b"\\n")


def _unescaped(text: bytes) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        what = found[1]
        return bytes([int(what[1:], 16)]) if what[:1] == b"x" else _PLAIN[what]

    return _ESCAPE.sub(one, text)


def _number(text: bytes) -> int:
    return int(text[:19]) if text.isdigit() else len(text)
