"""The port's deadlines and its end, over real sockets."""

import asyncio
import contextlib
import gc
import socket
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from nexa_node.adapters.asgi.app import build_app
from nexa_node.adapters.asgi.http_protocol import BoundedHttp
from nexa_node.adapters.asgi.limits import PATIENCE_S, WaitingRoom
from nexa_node.adapters.asgi.server import bind, serve
from nexa_node.core.policies import HttpPolicy, SessionPolicy
from tests.node.adapters.asgi.fake_node import (
    ADMIN,
    FakeNode,
    Port,
    dialled,
    opened,
    raw,
    until,
)

IMPATIENT = HttpPolicy(
    header_timeout_ms=60,
    body_timeout_ms=60,
    write_timeout_ms=60,
    keep_alive_ms=1000,
    shutdown_timeout_ms=300,
)
HEADER = f"Host: localhost\r\nAuthorization: Bearer {ADMIN}\r\n".encode()


@pytest.mark.parametrize(
    "begun", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: local"]
)
async def test_a_header_that_does_not_come_closes_the_connection(begun: bytes) -> None:
    async with opened(policy=IMPATIENT) as port:
        answer = await asyncio.wait_for(raw(port.number, begun), 5)

    assert answer == b""


async def test_a_header_that_drips_closes_the_connection() -> None:
    async with (
        opened(policy=IMPATIENT) as port,
        dialled(port.number) as (reader, writer),
    ):
        ended = asyncio.ensure_future(reader.read())
        sent = 0
        while not ended.done():
            writer.write(b"GET / HTTP/1.1\r\nX: " if sent == 0 else b"x")
            sent += 1
            await asyncio.wait({ended}, timeout=0.01)

    assert ended.exception() is not None or ended.result() == b""
    assert sent > 1


async def test_the_second_request_of_a_connection_has_a_deadline_too() -> None:
    policy = HttpPolicy(header_timeout_ms=60, shutdown_timeout_ms=300)
    async with (
        opened(policy=policy) as port,
        dialled(port.number) as (reader, writer),
    ):
        writer.write(b"GET /healthz HTTP/1.1\r\n" + HEADER + b"\r\n")
        answer = await reader.readuntil(b"}")
        writer.write(b"GET /v1")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_does_not_come_is_answered() -> None:
    head = b"POST /v1/tasks HTTP/1.1\r\nContent-Type: application/json\r\n" + HEADER
    async with opened(policy=IMPATIENT) as port:
        request = head + b"Content-Length: 20\r\n\r\n{"
        answer = await asyncio.wait_for(raw(port.number, request), 5)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer


async def test_a_body_nobody_asked_for_is_not_read_for_ever() -> None:
    async with (
        opened(policy=IMPATIENT) as port,
        dialled(port.number) as (reader, writer),
    ):
        writer.write(b"POST /nothing HTTP/1.1\r\nContent-Length: 9999999\r\n" + HEADER)
        writer.write(b"\r\n")
        ended = asyncio.ensure_future(reader.read())
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait({ended}, timeout=0.01)

    assert ended.exception() is not None or ended.result().startswith(b"HTTP/1.1 404")


async def test_an_idle_connection_is_closed() -> None:
    async with opened(policy=IMPATIENT) as port:
        request = b"GET /v1/node HTTP/1.1\r\n" + HEADER + b"\r\n"
        answer = await asyncio.wait_for(raw(port.number, request), 5)

    assert answer.startswith(b"HTTP/1.1 200 ")


class Verbose(FakeNode):
    def metrics(self, identity: Any) -> bytes:
        return b"x" * 16_000_000


async def test_a_caller_that_reads_slowly_gets_everything() -> None:
    policy = HttpPolicy(write_timeout_ms=60, shutdown_timeout_ms=300)
    read = 0
    async with (
        opened(Verbose(), policy) as port,
        port.http.stream("GET", "/metrics") as answer,
    ):
        async for some in answer.aiter_raw():
            read += len(some)
            await asyncio.sleep(0.001)

    assert read == 16_000_000


async def test_a_caller_that_reads_nothing_is_closed() -> None:
    async with (
        opened(Verbose(), IMPATIENT) as port,
        dialled(port.number) as (reader, writer),
    ):
        writer.write(b"GET /metrics HTTP/1.1\r\n" + HEADER + b"\r\n")
        await reader.readline()
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # no public way
        while not writer.transport.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)


async def test_a_caller_that_takes_nothing_of_the_last_answer_is_closed() -> None:
    class Wordy(FakeNode):
        def metrics(self, identity: Any) -> bytes:
            return b"x" * 8000

    policy = HttpPolicy(
        write_timeout_ms=60, keep_alive_ms=1000, shutdown_timeout_ms=300
    )
    loop = asyncio.get_running_loop()
    async with opened(Wordy(), policy) as port:
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", port.number))
            peer.setblocking(False)
            request = b"GET /metrics HTTP/1.1\r\n" + HEADER + b"\r\n"
            await loop.sock_sendall(peer, request)
            ours: list[BoundedHttp] = []
            await until(lambda: ours.extend(_answering()) or ours)
            while ours[0].transport.get_write_buffer_size() == 0:
                await loop.sock_sendall(peer, request)
                await asyncio.sleep(0)
            # Less than what pauses writing: uvicorn and asyncio would wait for ever.
            assert ours[0].flow.write_paused is False
            async with asyncio.timeout(5):
                while ours[0] in ours[0].connections:
                    await asyncio.sleep(0.01)


def _answering() -> list[BoundedHttp]:
    return [
        one
        for one in gc.get_objects()
        if type(one) is BoundedHttp and one.cycle and one in one.connections
    ]


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 99]
)
async def test_what_is_no_http_is_refused(port: Port, nonsense: bytes) -> None:
    answer = await asyncio.wait_for(raw(port.number, nonsense + b"\r\n\r\n"), 5)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert (await port.http.get("/healthz")).status_code == 200


async def test_a_broken_body_after_the_answer_ends_the_connection(port: Port) -> None:
    request = b"POST /nothing HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HEADER
    async with dialled(port.number) as (reader, writer):
        writer.write(request + b"\r\n")
        status = await reader.readline()
        writer.write(b"no chunk\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)

    assert status.startswith(b"HTTP/1.1 404")


async def test_an_unknown_upgrade_is_an_ordinary_request(port: Port) -> None:
    answer = await port.http.get(
        "/healthz", headers={"Connection": "upgrade", "Upgrade": "h2c"}
    )

    assert answer.status_code == 200


async def test_an_upgrade_that_is_no_websocket_is_refused(port: Port) -> None:
    request = b"GET /v1/agent HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"

    answer = await asyncio.wait_for(raw(port.number, request + HEADER + b"\r\n"), 5)

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_the_date_is_told(port: Port) -> None:
    answer = await port.http.get("/healthz")

    assert answer.headers["date"].endswith("GMT")


async def test_the_same_port_is_free_for_the_next_server() -> None:
    async with opened() as first:
        assert (await first.http.get("/v1/node")).status_code == 200

    again = bind("127.0.0.1", first.number)
    stop = asyncio.Event()
    stop.set()
    await serve(first.app, again, stop=stop)

    assert again.fileno() == -1


async def test_a_stop_closes_idle_connections() -> None:
    async with opened() as port, dialled(port.number) as (reader, _):
        assert (await port.http.get("/v1/node")).status_code == 200
        port.stop.set()
        rest = await asyncio.wait_for(reader.read(), 5)

    assert rest == b""


async def test_a_cancelled_server_ends_its_calls_and_frees_its_port() -> None:
    sock = bind("127.0.0.1", 0)
    number = sock.getsockname()[1]
    asked, ended = asyncio.Event(), asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set()
            await send({"type": "http.response.start", "status": 200, "headers": []})

    serving = asyncio.ensure_future(
        serve(endless, sock, stop=asyncio.Event(), policy=IMPATIENT)
    )
    request = b"GET / HTTP/1.1\r\n" + HEADER + b"\r\n"
    call = asyncio.ensure_future(raw(number, request))
    await asked.wait()
    serving.cancel()
    await asyncio.wait({serving, call})

    assert (serving.cancelled(), ended.is_set(), sock.fileno()) == (True, True, -1)
    bind("127.0.0.1", number).close()


async def test_too_many_that_wait_push_out_the_oldest() -> None:
    policy = HttpPolicy(waiting_sockets=2, shutdown_timeout_ms=300)
    async with (
        opened(policy=policy) as port,
        dialled(port.number) as (oldest, _),
        dialled(port.number),
    ):
        await asyncio.sleep(PATIENCE_S)
        async with dialled(port.number) as (reader, writer):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(oldest.readexactly(1), 5)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            line = await reader.readline()

    assert line == b"HTTP/1.1 200 OK\r\n"


def test_who_came_just_now_is_left_alone() -> None:
    room, gone = WaitingRoom(limit=1), []
    room.enter("a", 0.0, lambda: gone.append("a"))
    room.enter("b", 0.5, lambda: gone.append("b"))
    assert gone == []
    room.enter("c", PATIENCE_S, lambda: gone.append("c"))
    assert gone == ["a"]
    room.leave("b")
    room.leave("b")

    assert len(room) == 1


def test_one_address_makes_room_for_itself_and_for_nobody_else() -> None:
    room, gone = WaitingRoom(limit=4, per_address=2), []
    for guest, address in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        room.enter(guest, 0.0, lambda who=guest: gone.append(who), address=address)
    room.enter("a3", PATIENCE_S, lambda: gone.append("a3"), address="a")
    assert gone == ["a1"]

    room.leave("a2")
    room.enter("a4", PATIENCE_S, lambda: gone.append("a4"), address="a")
    assert gone == ["a1"]
    assert len(room) == 3
    room.clear()
    assert set(gone) == {"a1", "a3", "a4", "b1"}
    assert len(room) == 0


async def test_a_socket_of_another_address_family_serves_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    async with opened(host="::1") as port:
        answer = await port.http.get("/healthz")

    assert port.url.startswith("http://[::1]:")
    assert answer.status_code == 200


async def test_nothing_is_logged_for_ordinary_calls(port: Port) -> None:
    with capture_logs() as logs:
        await port.http.get("/v1/node")
        await port.http.get("/nothing")

    assert logs == []


async def test_too_few_file_descriptors_are_told() -> None:
    many = SessionPolicy(connections=2**40)
    with capture_logs() as logs:
        async with opened(sessions=many) as port:
            assert (await port.http.get("/healthz")).status_code == 200

    (said,) = logs
    assert said["event"] == "too_few_file_descriptors"
    assert "sessions.connections" in said["remedy"]


async def test_nobody_who_calls_all_the_time_is_cut_off_by_a_stop() -> None:
    calls, refused = 0, 0

    async def calling(url: str) -> None:
        nonlocal calls, refused
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            while True:
                try:
                    answer = await client.get("/healthz")
                except httpx.ConnectError:
                    refused += 1
                    return
                assert answer.status_code == 200
                calls += 1

    async with opened() as port, asyncio.TaskGroup() as group:
        callers = [group.create_task(calling(port.url)) for _ in range(8)]
        await until(lambda: calls > 100)
        port.stop.set()
        await asyncio.wait(callers)

    assert refused == 8


async def test_who_stands_before_the_door_when_it_closes_is_still_answered() -> None:
    stop, started = asyncio.Event(), asyncio.Event()
    sock = bind("127.0.0.1", 0)
    number = sock.getsockname()[1]
    app = build_app(FakeNode(), HttpPolicy(), host="127.0.0.1")
    serving = asyncio.ensure_future(serve(app, sock, stop=stop, started=started))
    await started.wait()
    # Accepted by the system and by nobody else: the loop has not turned since.
    with socket.create_connection(("127.0.0.1", number)) as caller:
        stop.set()
        caller.settimeout(5)
        caller.sendall(b"GET /healthz HTTP/1.1\r\n" + HEADER + b"\r\n")
        await serving
        answer = caller.recv(65536)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
