"""T9: strangers in numbers, on real sockets: places and memory end before the node does.

How much slower neighbours get on a real node: tests/system/test_t09_flood.py.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psutil
import pytest
import websockets
from websockets.asyncio.client import connect

from nexa_node.core.policies import HttpPolicy, SessionPolicy
from tests.node.adapters.asgi.fake_node import Port, dialled, opened

MIB = 1024 * 1024
STRANGERS, ADDRESSES = 600, 30
UPGRADE = (
    b"GET /v1/agent HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: nexa.v1.json\r\n\r\n"
)
KINDS = (
    b"",
    b"GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 15_000,
    b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
    b"\x16\x03\x01" + b"\x00" * 10_000,
    UPGRADE,
    UPGRADE + b"\x81\xfe\x0f\xff" + bytes(4) + b"[" * 2_000,
    b"GET " + b"/" * 60_000,
)
"""What strangers begin with and never end."""


@asynccontextmanager
async def stranger(port: Port, number: int) -> AsyncIterator[asyncio.StreamReader]:
    source = f"127.0.1.{1 + number % ADDRESSES}"
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port.number, local_addr=(source, 0)
    )
    try:
        writer.write(KINDS[number % len(KINDS)])
        yield reader
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def open_in_us(port: Port) -> int:
    """Connections of the port that are open, by the node's end of them."""
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port.number
        for one in psutil.Process().net_connections("tcp")
    )


async def test_a_flood_of_strangers_takes_little_memory_and_nobodys_place() -> None:
    policy = HttpPolicy(
        waiting_sockets=64, waiting_sockets_per_address=8, shutdown_timeout_ms=300
    )
    sessions = SessionPolicy(waiting=64, waiting_per_address=8)
    async with opened(policy=policy, sessions=sessions) as port:
        assert (await port.http.get("/healthz")).status_code == 200
        before = psutil.Process().memory_info().rss
        async with AsyncExitStack() as stack:
            for number in range(STRANGERS):
                await stack.enter_async_context(stranger(port, number))
            answer = await port.http.get("/v1/node")
            grown = psutil.Process().memory_info().rss - before
            held = open_in_us(port)

    assert answer.status_code == 200
    assert grown <= 20 * MIB
    # Places of the door, of the room before hello, and those that are just answered.
    assert held < STRANGERS, held


async def test_whoever_never_goes_on_is_sent_away() -> None:
    policy = HttpPolicy(
        header_timeout_ms=200, body_timeout_ms=200, shutdown_timeout_ms=300
    )
    async with opened(policy=policy) as port, AsyncExitStack() as stack:
        readers = [
            await stack.enter_async_context(stranger(port, number))
            for number, kind in enumerate(KINDS)
            if not kind.startswith(UPGRADE)
        ]

        async def ended(reader: asyncio.StreamReader) -> None:
            with contextlib.suppress(ConnectionResetError):
                await reader.read()

        await asyncio.wait_for(asyncio.gather(*map(ended, readers)), 30)


async def test_nothing_is_ever_inflated() -> None:
    async with opened() as port:
        uri = port.socket_url("/v1/agent")
        subprotocols = [websockets.Subprotocol("nexa.v1.json")]
        async with connect(
            uri, subprotocols=subprotocols, compression="deflate", proxy=None
        ) as socket:
            assert socket.protocol.extensions == []

        # A frame that says all the same that it is compressed.
        async with dialled(port.number) as (reader, writer):
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"\xc1\x84" + bytes(4) + b"\xaa\x02\x00\x00")
            told = await asyncio.wait_for(reader.read(), 20)
    assert told[0] == 0x88
    assert int.from_bytes(told[2:4]) == 1002


@pytest.mark.parametrize("size", [15_000, 17_000])
async def test_a_header_has_its_size(size: int) -> None:
    async with opened() as port, dialled(port.number) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        writer.write(b"X: " + b"x" * size + b"\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 20)

    assert line.split()[1] == (b"200" if size < 16_384 else b"431")
