"""RFC 6455 over raw sockets, on the port that ships: what a good client never sends.

The Autobahn suite (tests/system/test_autobahn.py) asks for far more, and needs a Python
2.7; what it found once is here, so that every run asks for it.
"""

import asyncio
import contextlib
import gc
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nexa_node.adapters.asgi.websocket_frames import FRAGMENTS_MAX
from nexa_node.adapters.asgi.websocket_protocol import PacedWebSocket
from nexa_node.core.policies import HttpPolicy
from tests.echo import echoing

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
BYE = struct.pack("!H", 1000)


def frame(
    opcode: int,
    data: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bool = True,
    length: int | None = None,
) -> bytes:
    """One frame as a client sends it, or as none should."""
    size = len(data) if length is None else length
    head, bit = bytes([fin << 7 | reserved << 4 | opcode]), 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    return head + (bytes(4) if mask else b"") + data


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """What a server sent."""
    found: list[tuple[int, bytes]] = []
    while len(data) >= 2:
        size, at = data[1] & 127, 2
        if size == 126:
            size, at = struct.unpack("!H", data[2:4])[0], 4
        elif size == 127:
            size, at = struct.unpack("!Q", data[2:10])[0], 10
        found.append((data[0] & 15, data[at : at + size]))
        data = data[at + size :]
    return found


@asynccontextmanager
async def upgraded(
    **policy: Any,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with echoing(HttpPolicy(shutdown_timeout_ms=300, **policy)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(UPGRADE + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def answered(*parts: bytes) -> list[tuple[int, bytes]]:
    """Send bytes, one after the other, and read until the server ends it."""
    async with upgraded() as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(5):
            return frames(await reader.read())


async def closed_with(*parts: bytes) -> tuple[int, str]:
    """The code and the reason of the close frame, which is the last thing said."""
    opcode, data = (await answered(*parts))[-1]
    assert opcode == CLOSE
    return struct.unpack("!H", data[:2])[0], data[2:].decode()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"a", reserved=4), 1002),
        (frame(TEXT, b"a", reserved=1), 1002),
        (frame(3), 1002),
        (frame(7, b"a"), 1002),
        (frame(11), 1002),
        (frame(15, b"a"), 1002),
        (frame(TEXT, b"a", mask=False), 1002),
        (frame(PING, b"a" * 126), 1002),
        (frame(PING, fin=False), 1002),
        (frame(CLOSE, BYE, fin=False), 1002),
        (frame(CONT, b"a"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xce"), 1007),
        (frame(TEXT, length=2**63 - 1), 1009),
        (frame(BINARY, length=1024 * 1024), 1009),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, struct.pack("!H", 999)), 1002),
        (frame(CLOSE, struct.pack("!H", 1005)), 1002),
        (frame(CLOSE, struct.pack("!H", 1006)), 1002),
        (frame(CLOSE, struct.pack("!H", 1015)), 1002),
        (frame(CLOSE, struct.pack("!H", 65535)), 1002),
        (frame(CLOSE, BYE + b"\xff\xff"), 1007),
        (frame(CLOSE, BYE), 1000),
        (frame(CLOSE, struct.pack("!H", 4999)), 4999),
    ],
)
async def test_what_a_client_must_not_send_is_told_by_its_code(
    sent: bytes, code: int
) -> None:
    assert (await closed_with(sent))[0] == code


async def test_a_close_without_a_code_is_answered_by_one() -> None:
    assert await answered(frame(CLOSE)) == [(CLOSE, b"")]


async def test_a_close_between_two_fragments_is_a_close() -> None:
    parts = frame(TEXT, b"a", fin=False), frame(CLOSE, BYE), frame(CONT, b"b")

    assert await closed_with(b"".join(parts)) == (1000, "")


async def test_fragments_are_put_together_and_pings_between_them_answered() -> None:
    euro = "€".encode()
    async with upgraded() as (reader, writer):
        writer.write(frame(TEXT, b"1" + euro[:1], fin=False) + frame(PING, b"?"))
        writer.write(frame(CONT, euro[1:2], fin=False) + frame(CONT, fin=False))
        writer.write(frame(CONT, euro[2:] + b"2"))
        expected = [(PONG, b"?"), (TEXT, b"1" + euro + b"2")]
        said = await reader.readexactly(sum(2 + len(data) for _, data in expected))

    assert frames(said) == expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 1_040_384])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_every_length_comes_back(opcode: int, size: int) -> None:
    async with upgraded() as (reader, writer):
        writer.write(frame(opcode, b"*" * size))
        head = await reader.readexactly(2)
        extra = {126: 2, 127: 8}.get(head[1], 0)
        length = await reader.readexactly(extra) if extra else head[1:]
        data = await reader.readexactly(int.from_bytes(length, "big"))

    assert (head[0], data) == (0x80 | opcode, b"*" * size)


async def test_text_that_is_none_ends_at_the_fragment_that_shows_it() -> None:
    async with upgraded() as (reader, writer):
        writer.write(
            frame(TEXT, b"fine", fin=False) + frame(CONT, b"\xf4\x90", fin=False)
        )
        async with asyncio.timeout(5):
            ((opcode, data),) = frames(await reader.read())

    assert (opcode, data[:2]) == (CLOSE, struct.pack("!H", 1007))


async def test_text_that_is_none_is_not_the_log_s_business(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        await answered(frame(TEXT, b"\xff"))
        code, _ = await closed_with(frame(TEXT, b"\xff") + frame(CLOSE, BYE))

    assert code == 1007
    assert caplog.records == []


async def test_fragments_are_counted() -> None:
    first, more = frame(TEXT, fin=False), frame(CONT, fin=False)
    said = await answered(first + more * (FRAGMENTS_MAX - 1) + frame(CLOSE, BYE))
    code, reason = await closed_with(first + more * FRAGMENTS_MAX)

    assert said == [(CLOSE, BYE)]
    assert (code, reason) == (1009, f"more than {FRAGMENTS_MAX} fragments")


async def test_what_follows_a_close_is_not_looked_at() -> None:
    late = (
        frame(CLOSE, BYE) + frame(TEXT, b"late") + frame(PING, b"late") + b"\xff" * 99
    )

    assert await answered(late) == [(CLOSE, BYE)]


async def test_an_end_in_the_middle_of_a_frame_is_an_end() -> None:
    async with upgraded() as (reader, writer):
        writer.write(frame(TEXT, b"abc", length=100))
        writer.write_eof()
        async with asyncio.timeout(5):
            assert await reader.read() == b""


MANY = b"".join(b"X-%d: a\r\n" % number for number in range(150))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (UPGRADE + MANY, b"431"),
        (UPGRADE + b"X-Long: " + b"a" * 9000 + b"\r\n", b"431"),
        (UPGRADE.replace(b"GET /", b"GET /" + b"a" * 9000), b"414"),
        (UPGRADE + b"Content-Length: 10\r\n", b"400"),
        (UPGRADE + b"Transfer-Encoding: chunked\r\n", b"400"),
        (UPGRADE.replace(b"GET", b"POST"), b"405"),
        (UPGRADE.replace(b"Version: 13", b"Version: 8"), b"400"),
        (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"x"), b"400"),
        (UPGRADE + b"Sec-WebSocket-Protocol: ,(),\r\n", b"400"),
    ],
    ids=[
        "many headers", "long header", "long path", "content-length", "chunked",
        "post", "version", "key", "subprotocol",
    ],
)  # fmt: skip
async def test_an_upgrade_that_is_none_is_answered_and_ended(
    request_: bytes, status: bytes
) -> None:
    async with echoing(HttpPolicy(shutdown_timeout_ms=300)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_ + b"\r\n")
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 " + status)


async def test_an_upgrade_that_nobody_answers_ends() -> None:
    called = asyncio.Event()

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        called.set()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    policy = HttpPolicy(header_timeout_ms=60, shutdown_timeout_ms=300)
    async with echoing(policy, app=silent) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(UPGRADE + b"\r\n")
        await called.wait()
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


async def test_a_peer_that_closes_and_takes_nothing_is_not_waited_for() -> None:
    policy = HttpPolicy(write_timeout_ms=60, shutdown_timeout_ms=300)
    loop = asyncio.get_running_loop()
    async with echoing(policy) as port:
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", port))
            peer.setblocking(False)
            await loop.sock_sendall(peer, UPGRADE + b"\r\n")
            await loop.sock_recv(peer, 65536)
            # Nothing is read from here on. Not so much that writing pauses:
            # that is another watch, and another test.
            node = _protocol()
            while node.transport.get_write_buffer_size() == 0:
                await loop.sock_sendall(peer, frame(BINARY, b"x" * 4000))
                await asyncio.sleep(0)
            assert node.writable.is_set()
            await loop.sock_sendall(peer, frame(CLOSE, BYE))
            async with asyncio.timeout(5):
                while not node.disconnected:
                    await asyncio.sleep(0.01)


def _protocol() -> PacedWebSocket:
    """The server's end of the one connection there is."""
    (found,) = (
        one
        for one in gc.get_objects()
        if type(one) is PacedWebSocket and not one.disconnected
    )
    return found
