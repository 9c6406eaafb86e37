"""Taking a port, and who is said to hold it."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nexa_node.adapters.asgi.binding import bind, holder_of, url_of
from nexa_node.contract.errors import Conflict, Forbidden, Invalid
from tests.node.adapters.asgi.fake_node import opened


@contextmanager
def answering(content: bytes) -> Iterator[int]:
    """Another program: takes one connection and says `content`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                if content:
                    connection.recv(1000)
                    connection.sendall(content)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_free_port_is_ours_at_once() -> None:
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(Conflict):
            bind("127.0.0.1", port)


async def test_a_node_that_holds_the_port_is_named() -> None:
    async with opened() as port:
        with pytest.raises(Conflict) as told:
            await asyncio.to_thread(bind, "127.0.0.1", port.number)

    assert told.value.message.startswith("a nexa node already listens on 127.0.0.1")
    assert told.value.remedy == "nexa node status"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"220 mail ready\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"status":"ok"}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["nothing", "smtp", "another health", "no JSON"],
)
def test_another_program_that_holds_the_port_is_named(content: bytes) -> None:
    with answering(content) as port, pytest.raises(Conflict) as told:
        bind("127.0.0.1", port)

    assert told.value.message.startswith(f"another program holds port {port}")
    assert told.value.remedy == "choose another with --port or [node] port"


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux says who")
def test_the_program_is_named_by_its_process() -> None:
    with answering(b"") as port:
        holder = holder_of("127.0.0.1", port)

    assert holder.pid == os.getpid()
    assert holder.program
    assert not holder.nexa


@pytest.mark.parametrize(
    ("host", "port"),
    [("192.0.2.1", 0), ("no such host", 0), ("a" * 300, 1)],
)
def test_an_address_that_is_not_ours_is_refused(host: str, port: int) -> None:
    with pytest.raises(Invalid) as told:
        bind(host, port)

    assert "[node] host" in (told.value.remedy or "")


@pytest.mark.parametrize("port", [-1, 65_536, 70_000])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(Invalid, match="is no port"):
        bind("127.0.0.1", port)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may")
def test_a_reserved_port_is_refused() -> None:
    with pytest.raises(Forbidden):
        bind("127.0.0.1", 1)


@pytest.mark.parametrize(
    ("host", "configured", "url"),
    [
        ("127.0.0.1", "", "http://127.0.0.1:{}"),
        ("127.0.0.1", "node.example", "http://node.example:{}"),
        ("0.0.0.0", "0.0.0.0", "http://127.0.0.1:{}"),
        ("::1", "", "http://[::1]:{}"),
        ("localhost", "localhost", "http://localhost:{}"),
    ],
)
def test_the_url_is_one_that_this_machine_reaches(
    host: str, configured: str, url: str
) -> None:
    with bind(host, 0) as sock:
        told = url_of(sock, host=configured)
        port = sock.getsockname()[1]

    assert told == url.format(port)
