"""The agents' WebSocket: negotiation, echo through a connection, and every end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from nexa_node.adapters.asgi.agent_socket import negotiate
from nexa_node.adapters.asgi.refusals import Refusal
from nexa_node.contract.errors import NexaError, Problem, RateLimited, Unavailable
from nexa_node.contract.version import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL
from nexa_node.core.policies import HttpPolicy, SessionPolicy
from nexa_node.services.api import Close
from tests.node.adapters.asgi.fake_node import (
    ADMIN,
    VIEWER,
    FakeConnection,
    FakeNode,
    Port,
    headers,
    opened,
    until,
)

BOTH = [JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL]


@asynccontextmanager
async def agent(
    port: Port, *offered: str, token: str | None = ADMIN
) -> AsyncIterator[tuple[ClientConnection, FakeConnection]]:
    """An agent's connection, from both ends."""
    async with connect(
        port.socket_url("/v1/agent"),
        subprotocols=list(offered) or [JSON_SUBPROTOCOL],  # type: ignore[arg-type]  # NewType
        additional_headers=headers(token),
        proxy=None,
        ping_interval=None,
    ) as socket:
        yield socket, await port.node.connections.get()


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """Read to the end; the code and the reason the node gave."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()
    told = socket.protocol.close_rcvd
    assert told is not None
    return told.code, told.reason


@pytest.mark.parametrize(
    ("subprotocol", "frame"),
    [(JSON_SUBPROTOCOL, '{"ü":1}'), (MSGPACK_SUBPROTOCOL, b"\x81\xa1a\x01")],
)
async def test_frames_go_in_and_out_in_order(
    port: Port, subprotocol: str, frame: Any
) -> None:
    async with agent(port, subprotocol) as (socket, connection):
        for _ in range(3):
            await socket.send(frame)
        answers = [await socket.recv() for _ in range(3)]

    assert socket.subprotocol == subprotocol
    assert connection.text is isinstance(frame, str)
    assert answers == [frame] * 3


async def test_the_connection_knows_who_calls_and_from_where(port: Port) -> None:
    async with agent(port) as (_, known):
        pass
    async with agent(port, token=None) as (_, stranger):
        pass

    assert known.identity is not None
    assert (known.identity.role, known.address) == ("admin", "127.0.0.1")
    assert stranger.identity is None


@pytest.mark.parametrize(
    ("offered", "picked"),
    [
        (["other", MSGPACK_SUBPROTOCOL, JSON_SUBPROTOCOL], MSGPACK_SUBPROTOCOL),
        ([JSON_SUBPROTOCOL], JSON_SUBPROTOCOL),
    ],
)
def test_the_first_known_offer_is_taken(offered: list[str], picked: str) -> None:
    assert negotiate(offered) == picked


def test_no_known_offer_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        negotiate(["nexa.v2.json"])

    assert refused.value.problem.status == 400


@pytest.mark.parametrize("offered", [["nexa.v9.json", "chat"], None])
async def test_without_a_common_subprotocol_the_upgrade_fails(
    port: Port, offered: Any
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(
            port.socket_url("/v1/agent"), subprotocols=offered, proxy=None
        ):
            pass

    answer = refused.value.response
    told = msgspec.json.decode(answer.body, type=Problem)
    assert (answer.status_code, told.reason) == (400, "unsupported_version")


async def test_who_may_not_be_an_agent_is_told_over_http(port: Port) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with agent(port, token=VIEWER):
            pass

    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (RateLimited("too many of yours", retry_after_ms=1500), 429),
        (Unavailable("too many at all", retry_after_ms=1500), 503),
    ],
)
async def test_a_limit_that_is_met_is_told_over_http(
    refusal: NexaError, status: int
) -> None:
    async with opened(FakeNode(fault=refusal)) as port:
        with pytest.raises(InvalidStatus) as refused:
            async with agent(port):
                pass

    answer = refused.value.response
    told = msgspec.json.decode(answer.body, type=Problem)
    assert (answer.status_code, told.reason) == (status, refusal.reason)
    assert (answer.headers["retry-after"], told.retry_after_ms) == ("2", 1500)


async def test_a_fault_before_the_upgrade_is_a_500() -> None:
    async with opened(FakeNode(fault=RuntimeError("x"))) as port:
        with capture_logs(), pytest.raises(InvalidStatus) as refused:
            async with agent(port):
                pass

    assert refused.value.response.status_code == 500


@pytest.mark.parametrize(
    ("subprotocol", "wrong"), [(JSON_SUBPROTOCOL, b"{}"), (MSGPACK_SUBPROTOCOL, "{}")]
)
async def test_the_other_kind_of_frame_is_a_protocol_error(
    port: Port, subprotocol: str, wrong: Any
) -> None:
    async with agent(port, subprotocol) as (socket, connection):
        await socket.send(wrong)
        code, _ = await closed(socket)
        await connection.is_lost.wait()

    assert code == 4504
    assert connection.received == []


async def test_the_session_can_close(port: Port) -> None:
    async with agent(port) as (socket, connection):
        connection.say(b'"last"')
        connection.outbox.put_nowait(Close(4409, "taken_over: " + "ü" * 200))
        last = await socket.recv()
        code, reason = await closed(socket)
        await connection.is_lost.wait()

    assert (last, code) == ('"last"', 4409)
    assert reason.startswith("taken_over: ü")


async def test_an_agent_that_leaves_is_lost(port: Port) -> None:
    async with agent(port) as (socket, connection):
        await socket.close()
        await connection.is_lost.wait()


async def test_an_agent_that_is_killed_is_lost(port: Port) -> None:
    async with agent(port) as (socket, connection):
        socket.transport.abort()
        await connection.is_lost.wait()


async def test_a_slow_session_does_not_hold_up_what_is_sent(port: Port) -> None:
    async with agent(port) as (socket, connection):
        connection.hold = asyncio.Event()
        await socket.send("{}")
        connection.say(b'"news"')
        news = await socket.recv()
        connection.hold.set()
        answer = await socket.recv()

    assert (news, answer) == ('"news"', "{}")


async def test_a_frame_over_the_limit_closes_with_1009() -> None:
    async with opened(sessions=SessionPolicy(frame_bytes=1000)) as port:
        async with agent(port) as (socket, connection):
            await socket.send("x" * 1001)
            code, _ = await closed(socket)
            await connection.is_lost.wait()
        assert (await port.http.get("/healthz")).status_code == 200

    assert code == 1009
    assert connection.received == []


async def test_endless_fragments_are_refused(port: Port) -> None:
    async with agent(port) as (socket, connection):

        async def fragments() -> AsyncIterator[str]:
            for _ in range(5000):
                yield ""

        with contextlib.suppress(ConnectionClosed):
            await socket.send(fragments())
        await socket.wait_closed()
        await connection.is_lost.wait()

    assert socket.close_code == 1009


async def test_a_message_in_fragments_is_one_message(port: Port) -> None:
    async with agent(port) as (socket, _):
        await socket.send(["[1,", "2,", "3]"])
        answer = await socket.recv()

    assert answer == "[1,2,3]"


async def test_a_fault_in_a_session_ends_only_that_session(port: Port) -> None:
    async with agent(port) as (other, _), agent(port) as (socket, connection):
        connection.outbox.put_nowait(None)  # type: ignore[arg-type]  # the fault
        with capture_logs() as logs:
            code, _ = await closed(socket)
            await connection.is_lost.wait()
        await other.send("{}")
        answer = await other.recv()

    assert (code, answer) == (1011, "{}")
    assert [one["event"] for one in logs] == ["request_failed"]


async def test_a_stopping_node_tells_agents_to_come_back_elsewhere(port: Port) -> None:
    async with agent(port) as (socket, connection):
        port.stop.set()
        code, reason = await closed(socket)
        await connection.is_lost.wait()

    assert (code, reason) == (4413, "going_away: the node is stopping")


async def test_a_session_that_hangs_does_not_hold_up_a_stop(port: Port) -> None:
    async with agent(port) as (socket, connection):
        connection.hold = asyncio.Event()
        await socket.send("{}")
        port.stop.set()
        code, _ = await closed(socket)
        await connection.is_lost.wait()

    assert code == 4413


async def test_a_silent_agent_is_closed_after_two_beats() -> None:
    async with (
        opened(sessions=SessionPolicy(heartbeat_ms=40)) as port,
        agent(port) as (socket, connection),
    ):
        socket.protocol.recv_frame = _deaf(socket)  # type: ignore[method-assign]
        code, _ = await closed(socket)
        await connection.is_lost.wait()

    assert code == 4412


def _deaf(socket: ClientConnection) -> Any:
    """Take frames without ever answering a ping."""
    from websockets.frames import Opcode

    take = type(socket.protocol).recv_frame

    def recv_frame(frame: Any) -> None:
        if frame.opcode is not Opcode.PING:
            take(socket.protocol, frame)

    return recv_frame


async def test_an_agent_that_answers_pings_stays() -> None:
    async with (
        opened(sessions=SessionPolicy(heartbeat_ms=20)) as port,
        agent(port) as (socket, _),
    ):
        pings = _count_pings(socket)
        await until(lambda: pings() >= 5)
        await socket.send("{}")
        answer = await socket.recv()

    assert answer == "{}"


def _count_pings(socket: ClientConnection) -> Any:
    from websockets.frames import Opcode

    take, seen = type(socket.protocol).recv_frame, [0]

    def recv_frame(frame: Any) -> None:
        seen[0] += frame.opcode is Opcode.PING
        take(socket.protocol, frame)

    socket.protocol.recv_frame = recv_frame  # type: ignore[method-assign]
    return lambda: seen[0]


async def test_a_session_that_is_busy_is_not_a_silent_agent() -> None:
    async with (
        opened(sessions=SessionPolicy(heartbeat_ms=20)) as port,
        agent(port) as (socket, connection),
    ):
        connection.hold = asyncio.Event()
        pings = _count_pings(socket)
        await socket.send("{}")
        await socket.send("[]")
        await until(lambda: pings() >= 5)
        connection.hold.set()
        answers = [await socket.recv(), await socket.recv()]

    assert answers == ["{}", "[]"]


async def test_a_large_frame_arrives_whole(port: Port) -> None:
    async with agent(port) as (socket, connection):
        for _ in range(8):
            connection.say(b'"' + b"x" * 900_000 + b'"')
        frames = [await socket.recv() for _ in range(8)]

    assert [len(frame) for frame in frames] == [900_002] * 8


async def test_pings_of_an_agent_that_reads_nothing_do_not_pile_up() -> None:
    policy = HttpPolicy(write_timeout_ms=100, shutdown_timeout_ms=300)
    async with opened(policy=policy) as port, agent(port) as (socket, connection):
        socket.transport.pause_reading()
        for _ in range(64):
            connection.say(b'"' + b"x" * 500_000 + b'"')
        while not connection.is_lost.is_set():
            socket.protocol.send_ping(b"x" * 125)
            socket.transport.writelines(socket.protocol.data_to_send())
            await asyncio.sleep(0.001)
        socket.transport.resume_reading()


async def test_an_agent_that_reads_nothing_is_closed_as_slow() -> None:
    policy = HttpPolicy(write_timeout_ms=50, shutdown_timeout_ms=300)
    async with opened(policy=policy) as port, agent(port) as (socket, connection):
        socket.transport.pause_reading()
        for _ in range(64):
            connection.say(b'"' + b"x" * 500_000 + b'"')
        await asyncio.wait_for(connection.is_lost.wait(), 5)
        assert connection.outbox.qsize() > 0
        socket.transport.resume_reading()


async def test_a_session_that_waits_for_its_answers_to_leave_learns_of_the_end() -> (
    None
):
    policy = HttpPolicy(write_timeout_ms=50, shutdown_timeout_ms=300)
    async with opened(policy=policy) as port, agent(port) as (socket, connection):
        connection.hold = connection.is_lost  # nothing is read until then
        socket.transport.pause_reading()
        await socket.send("1")
        for _ in range(64):
            connection.say(b'"' + b"x" * 500_000 + b'"')
        await asyncio.wait_for(connection.is_lost.wait(), 5)
        socket.transport.resume_reading()

    assert connection.received == [b"1"]
