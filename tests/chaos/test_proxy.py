"""The proxies between clients and nodes: cut, stalled, slowed, healed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests.system.chaos.proxy import Proxies


@pytest.fixture
async def way() -> AsyncIterator[tuple[Proxies, int]]:
    """A proxy in front of a server that says everything back; its port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    made = await asyncio.to_thread(Proxies)
    port = server.sockets[0].getsockname()[1]
    url = await asyncio.to_thread(made.add, "alpha", "127.0.0.1", port)
    yield made, urlsplit(url).port or 0
    await asyncio.to_thread(made.close)
    server.close()


async def said_back(port: int, within_s: float) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(within_s):
            writer.write(b"x")
            return await reader.read(1) == b"x"
    except (TimeoutError, OSError):
        return False
    finally:
        writer.transport.abort()


async def test_what_is_said_comes_back(way: tuple[Proxies, int]) -> None:
    assert await said_back(way[1], 5)


async def test_a_cut_resets_and_refuses_until_it_is_healed(
    way: tuple[Proxies, int],
) -> None:
    proxies, port = way
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x")
    assert await reader.read(1) == b"x"

    await asyncio.to_thread(proxies.cut, "alpha")
    with contextlib.suppress(OSError):
        assert await asyncio.wait_for(reader.read(1), 5) == b""
    writer.transport.abort()
    assert not await said_back(port, 1)

    await asyncio.to_thread(proxies.heal, "alpha")
    assert await said_back(port, 5)


async def test_a_stall_says_nothing_and_loses_nothing(way: tuple[Proxies, int]) -> None:
    proxies, port = way
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x")
    assert await reader.read(1) == b"x"

    await asyncio.to_thread(proxies.stall, "alpha")
    writer.write(b"y")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.3)
    await asyncio.to_thread(proxies.heal, "alpha")

    assert await asyncio.wait_for(reader.read(1), 5) == b"y"
    writer.transport.abort()


async def test_what_is_slowed_comes_late(way: tuple[Proxies, int]) -> None:
    proxies, port = way
    await asyncio.to_thread(proxies.slow, "alpha", 0.2)
    began = time.monotonic()

    assert await said_back(port, 5)
    assert time.monotonic() - began >= 0.4
