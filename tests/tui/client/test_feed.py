"""The feed against a real WebSocket server on a port of its own."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from nexa_node.contract.errors import (
    CLOSE_FORBIDDEN,
    CLOSE_GOING_AWAY,
    CLOSE_REVOKED,
    CLOSE_SLOW,
    CLOSE_UNSUPPORTED_VERSION,
    Unauthorized,
    Unavailable,
    problem,
)
from nexa_node.contract.events import AgentGone, Sampled, Snapshot
from nexa_node.contract.ids import AgentId
from nexa_node.contract.nodes import TaskCounts
from nexa_tui.client import backoff, feed as feeds
from nexa_tui.client.api import Connecting, FeedNews, Lost, Received, Refused
from nexa_tui.client.clock import SystemClock
from nexa_tui.client.discovery import Target
from nexa_tui.client.feed import Feed
from tests.builders import NOW, node_status, sample, snapshot

Serve = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def node(
    serving: Serve, *, process: Any = None, token: str | None = "secret"
) -> AsyncIterator[Target]:
    async with serve(serving, "127.0.0.1", 0, process_request=process) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield Target(
            url=f"http://127.0.0.1:{port}", token=token, name="alpha", source="a test"
        )


def watch(target: Target) -> AsyncIterator[FeedNews]:
    feed = Feed(target, SystemClock(), random.Random(1), resolve=lambda: None)
    return feed.watch()


async def collect(target: Target, count: int) -> list[FeedNews]:
    found: list[FeedNews] = []
    async with asyncio.timeout(10):
        stream = watch(target)
        async for news in stream:
            found.append(news)
            if len(found) == count:
                break
        await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_S", 0.01)
    monkeypatch.setattr(backoff, "LONGEST_S", 0.02)


async def say(socket: ServerConnection, *frames: Any) -> None:
    for frame in frames:
        await socket.send(msgspec.json.encode(frame).decode())


def beat(seq: int) -> Sampled:
    return Sampled(seq=seq, time=NOW, sample=sample(), counts=TaskCounts())


async def test_a_snapshot_and_its_changes_arrive_in_order() -> None:
    async def serving(socket: ServerConnection) -> None:
        gone = AgentGone(seq=1, time=NOW, id=AgentId("wc-1"))
        await say(socket, snapshot(seq=0), gone, beat(2))
        await socket.wait_closed()

    async with node(serving) as target:
        news = await collect(target, 4)

    assert isinstance(news[0], Connecting)
    frames = [one.frame for one in news[1:] if isinstance(one, Received)]
    assert [type(frame) for frame in frames] == [Snapshot, AgentGone, Sampled]


async def test_the_token_travels_in_a_header_and_never_in_the_address() -> None:
    seen: list[Request] = []

    async def process(_: ServerConnection, request: Request) -> None:
        seen.append(request)

    async def serving(socket: ServerConnection) -> None:
        await say(socket, snapshot())
        await socket.wait_closed()

    async with node(serving, process=process) as target:
        await collect(target, 2)

    assert seen[0].headers["Authorization"] == "Bearer secret"
    assert seen[0].path == "/v1/console"


async def test_a_hole_in_the_sequence_asks_for_a_new_snapshot() -> None:
    async def serving(socket: ServerConnection) -> None:
        await say(socket, snapshot(seq=0), beat(2))
        await socket.wait_closed()

    async with node(serving) as target:
        news = await collect(target, 5)

    lost = news[2]
    assert isinstance(lost, Lost)
    assert "missing" in lost.why
    assert isinstance(news[3], Connecting)
    assert isinstance(news[4], Received)


async def test_a_frame_of_a_kind_to_come_is_counted_and_left_alone() -> None:
    async def serving(socket: ServerConnection) -> None:
        await say(socket, snapshot(seq=0), {"type": "weather", "seq": 1}, beat(2))
        await socket.wait_closed()

    async with node(serving) as target:
        news = await collect(target, 3)

    assert isinstance(news[2], Received)
    assert isinstance(news[2].frame, Sampled)


async def test_a_node_too_old_is_refused_with_the_way_out() -> None:
    async def serving(socket: ServerConnection) -> None:
        await say(socket, snapshot(node=node_status(console_protocol=0)))
        await socket.wait_closed()

    async with node(serving) as target:
        news = await collect(target, 2)

    refused = news[1]
    assert isinstance(refused, Refused)
    assert "too old for this console" in refused.error.message
    assert "upgrade" in (refused.error.remedy or "")
    assert "nexa task list" in (refused.error.remedy or "")


async def test_a_wrong_token_is_refused_once_and_for_all() -> None:
    async def process(_: ServerConnection, __: Request) -> Response:
        body = msgspec.json.encode(problem(Unauthorized("this token is unknown")))
        from websockets.datastructures import Headers

        headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        return Response(HTTPStatus.UNAUTHORIZED, "Unauthorized", headers, body)

    async def serving(_: ServerConnection) -> None:
        raise AssertionError

    async with node(serving, process=process) as target:
        news = [one async for one in watch(target)]

    assert isinstance(news[-1], Refused)
    assert isinstance(news[-1].error, Unauthorized)
    assert news[-1].error.message == "this token is unknown"
    assert "nexa login" in (news[-1].error.remedy or "")


async def test_a_revoked_token_ends_the_feed() -> None:
    async def serving(socket: ServerConnection) -> None:
        await say(socket, snapshot())
        await socket.close(CLOSE_REVOKED, "revoked")

    async with node(serving) as target:
        news = [one async for one in watch(target)]

    assert isinstance(news[-1], Refused)
    assert isinstance(news[-1].error, Unauthorized)


async def test_a_console_that_was_too_slow_comes_back_at_once() -> None:
    async def serving(socket: ServerConnection) -> None:
        await say(socket, snapshot())
        await socket.close(CLOSE_SLOW, "slow")

    async with node(serving) as target:
        news = await collect(target, 5)

    assert isinstance(news[2], Lost)
    assert "too slow" in news[2].why
    assert isinstance(news[4], Received)


async def test_a_silent_node_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "SILENCE_S", 0.05)

    async def serving(socket: ServerConnection) -> None:
        await say(socket, snapshot())
        await socket.wait_closed()

    async with node(serving) as target:
        news = await collect(target, 3)

    assert isinstance(news[2], Lost)
    assert "silent" in news[2].why


async def test_a_closed_port_is_tried_again_with_its_remedy() -> None:
    async def serving(_: ServerConnection) -> None: ...

    async with node(serving) as target:
        pass
    gone = Target(url=target.url, token=None, name="alpha", source="", pid=1)
    news = await collect(gone, 4)

    assert [type(one) for one in news] == [Connecting, Lost, Connecting, Lost]
    assert isinstance(news[1], Lost)
    assert "nothing listens" in news[1].why
    assert news[1].remedy == "nexa node start"


async def test_a_restarted_node_is_found_at_its_new_port() -> None:
    async def serving(socket: ServerConnection) -> None:
        await say(socket, snapshot())
        await socket.wait_closed()

    async with node(serving) as new:
        old = Target(url="http://127.0.0.1:1", token=None, name="alpha", source="")
        feed = Feed(old, SystemClock(), random.Random(1), resolve=lambda: new)
        async with asyncio.timeout(10):
            found = [type(news) async for news in take(feed.watch(), 4)]

    assert found == [Connecting, Lost, Connecting, Received]


async def take(stream: AsyncIterator[FeedNews], count: int) -> AsyncIterator[FeedNews]:
    for _ in range(count):
        yield await anext(stream)
    await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]


async def test_something_else_on_the_port_is_told_apart() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        news = await collect(Target(url=url, token=None, name="x", source=""), 2)

    assert isinstance(news[1], Lost)
    assert "does not speak WebSocket" in news[1].why


@pytest.mark.parametrize(
    "text", ["no json", '{"type":"sample","seq":0}', '{"type":"agent_gone","seq":0}']
)
async def test_what_is_no_feed_is_refused(text: str) -> None:
    async def serving(socket: ServerConnection) -> None:
        await socket.send(text)
        await socket.wait_closed()

    async with node(serving) as target:
        news = [one async for one in watch(target)]

    assert isinstance(news[-1], Refused)
    assert "can't read" in news[-1].error.message


async def test_a_message_in_fragments_is_one_frame() -> None:
    async def serving(socket: ServerConnection) -> None:
        text = msgspec.json.encode(snapshot()).decode()

        async def parts() -> AsyncIterator[str]:
            for start in range(0, len(text), 200):
                yield text[start : start + 200]

        await socket.send(parts())
        await socket.wait_closed()

    async with node(serving) as target:
        news = await collect(target, 2)

    assert isinstance(news[1], Received)


def test_pauses_grow_to_a_bound_and_are_never_nothing() -> None:
    rng = random.Random(7)
    pauses = [backoff.full_jitter(attempt, rng) for attempt in range(1, 200)]

    assert min(pauses) > 0
    assert max(pauses) <= backoff.LONGEST_S


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (CLOSE_FORBIDDEN, Refused, "does not let this token watch"),
        (CLOSE_UNSUPPORTED_VERSION, Refused, "closed the feed"),
        (CLOSE_GOING_AWAY, Lost, "is shutting down"),
        (1011, Lost, "store gone"),
    ],
)
async def test_a_close_code_says_whether_to_come_back(
    code: int, kind: type[FeedNews], told: str
) -> None:
    async def serving(socket: ServerConnection) -> None:
        await say(socket, snapshot())
        await socket.close(code, "store gone")

    async with node(serving) as target:
        news = (await collect(target, 3))[-1]

    assert isinstance(news, kind)
    words = news.error.message if isinstance(news, Refused) else str(news)
    assert told in words


async def test_a_node_that_is_busy_is_tried_again() -> None:
    async def process(_: ServerConnection, __: Request) -> Response:
        body = msgspec.json.encode(problem(Unavailable("the store has no quorum")))
        from websockets.datastructures import Headers

        headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        return Response(HTTPStatus.SERVICE_UNAVAILABLE, "busy", headers, body)

    async def serving(_: ServerConnection) -> None: ...

    async with node(serving, process=process) as target:
        news = await collect(target, 2)

    assert isinstance(news[1], Lost)
    assert news[1].why == "the store has no quorum"


async def test_a_port_that_accepts_and_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "CONNECT_S", 0.05)
    closed = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closed.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        target = Target(url=f"http://127.0.0.1:{port}", token=None, name="x", source="")
        news = await collect(target, 2)
        closed.set()

    assert isinstance(news[1], Lost)
    assert "no answer within" in news[1].why
