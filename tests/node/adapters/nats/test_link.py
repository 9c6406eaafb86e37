"""The socket to nats-server: what a server may do to it, and that it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import nkeys
import pytest

from nexa_node.adapters.nats import link as links
from nexa_node.adapters.nats.link import Link, LinkFailed
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.adapters.nats.store import NatsStore

SEED = bytes(nkeys.encode_seed(b"x" * 32, nkeys.PREFIX_BYTE_USER)).decode()
INFO = b'INFO {"version":"2.15.1","nonce":"abc","max_payload":100}\r\n'

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """Stand in for nats-server; `talk` is one connection."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await talk(reader, writer)
                await writer.drain()
                writer.write_eof()
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Speak first, and take in CONNECT."""
    writer.write(INFO)
    told = await reader.readuntil(b"PING\r\n")
    writer.write(b"PONG\r\n")
    return told


async def test_it_proves_who_it_is() -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await greet(reader, writer))
        await reader.read()

    async with server(talk) as url:
        session = await Session.open(url, SEED)
        await session.close()
        await session.close()

    assert b'"nkey":"U' in heard[0]
    assert b'"sig":"' in heard[0]
    assert SEED.encode() not in heard[0]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (INFO + b"-ERR 'Authorization Violation'\r\n", "Authorization Violation"),
        (INFO, "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", "no NATS"),
        (b"INFO nonsense\r\n", "no NATS"),
        (b"", "closed the connection"),
    ],
)
async def test_a_server_that_will_not_have_us(said: bytes, why: str) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    async with server(talk) as url:
        with pytest.raises(LinkFailed, match=why):
            await Session.open(url, SEED)


async def test_an_address_that_is_none() -> None:
    with pytest.raises(LinkFailed, match="no address"):
        await Session.open("nats:nowhere", SEED)


async def test_a_server_that_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nexa_node.adapters.nats.session.CONNECT_S", 0.05)

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(talk) as url:
        with pytest.raises(TimeoutError):
            await Session.open(url, SEED)


async def test_a_server_that_hangs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "PING_S", 0.02)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        await reader.read()

    async with server(talk) as url:
        session = await Session.open(url, SEED)
        asking = asyncio.ensure_future(session.request("a"))
        async with asyncio.timeout(2):
            await session.ended()
        with pytest.raises(Lost):
            await asking
        assert session.is_lost


async def test_pings_are_answered_and_news_taken() -> None:
    answered = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        writer.write(b"PING\r\n+OK\r\n-ERR 'slow'\r\nINFO {\"max_payload\":5}\r\n")
        await reader.readuntil(b"PONG\r\n")
        answered.set()
        await reader.read()

    async with server(talk) as url:
        session = await Session.open(url, SEED)
        async with asyncio.timeout(2):
            await answered.wait()
        assert session.link.info.max_payload == 5
        assert not session.is_lost
        await session.close()


async def test_garbage_ends_the_session() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        writer.write(b"MSG what\r\n")
        await reader.read()

    async with server(talk) as url:
        session = await Session.open(url, SEED)
        async with asyncio.timeout(2):
            await session.ended()


async def test_senders_wait_for_a_server_that_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "WRITE_BUFFER", 1000)
    monkeypatch.setattr("nexa_node.adapters.nats.session.CONNECT_S", 0.2)
    stop = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO.replace(b"100}", b"9000000}"))
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await stop.wait()

    async with server(talk) as url:
        session = await Session.open(url, SEED)
        await session.publish("a", b"x" * 9_000_000)
        await asyncio.sleep(0.01)
        waiting = asyncio.ensure_future(session.publish("a", b"y"))
        asking = asyncio.ensure_future(session.request("a"))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await session.close()
        with pytest.raises(Lost):
            await asking
        stop.set()


async def test_an_answer_that_never_comes_ends_in_time(store: NatsStore) -> None:
    session = await store._connection.session()
    deaf = await session.inbox("nx.deaf")
    now = asyncio.get_running_loop().time()

    with pytest.raises(TimeoutError):
        await session.request("nx.deaf", until=now + 0.1)
    assert asyncio.get_running_loop().time() - now < 0.5
    assert (await deaf.get()).subject == "nx.deaf"
    assert deaf.get_now() is None
    with pytest.raises(NoResponders):
        await session.request("nx.nobody", until=now + 5)
    await deaf.close()


async def test_a_listener_that_fails_harms_nobody(store: NatsStore) -> None:
    session = await store._connection.session()
    heard: list[bytes] = []

    def hear(message: Msg) -> None:
        heard.append(message.data)
        raise LookupError("told in the log")

    session.listen("nx.listen", hear)
    for n in range(3):
        await session.publish("nx.listen", b"%d" % n, headers={"A": "b"})
    await session.barrier()

    assert heard == [b"0", b"1", b"2"]
    assert not session.is_lost


async def test_a_link_that_is_over_takes_what_is_sent_without_a_word() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        await reader.read()

    ended = asyncio.Event()
    async with server(talk) as url:
        link = await Link.open(url, SEED, ended.set)
        link.abort()
        link.send(b"PING\r\n")
        async with asyncio.timeout(2):
            await ended.wait()
        link.publish("a", b"")
        await link.close()
    assert link.is_lost
