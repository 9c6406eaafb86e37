"""The consoles' WebSocket: the feed, and how it ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from nexa_node.contract.errors import (
    Draining,
    Forbidden,
    NexaError,
    Unauthorized,
    Unavailable,
)
from nexa_node.contract.events import FeedFrame
from nexa_node.core.policies import HttpPolicy
from tests.node.adapters.asgi.fake_node import (
    FakeNode,
    Port,
    headers,
    opened,
    sampled,
    snapshot,
)


@asynccontextmanager
async def console(port: Port) -> AsyncIterator[ClientConnection]:
    async with connect(
        port.socket_url("/v1/console"), additional_headers=headers(), proxy=None
    ) as socket:
        yield socket


async def close_code(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as told:
        await socket.recv()
    assert told.value.rcvd is not None
    return told.value.rcvd.code


async def test_a_console_is_told_a_snapshot_and_then_changes(port: Port) -> None:
    frames: list[FeedFrame] = [snapshot(1), sampled(2), sampled(3)]
    for frame in frames:
        port.node.frames.put_nowait(frame)
    async with console(port) as socket:
        texts = [await socket.recv() for _ in frames]

    assert all(isinstance(text, str) for text in texts)
    assert [msgspec.json.decode(text, type=FeedFrame) for text in texts] == frames


async def test_a_console_that_falls_behind_is_closed_as_slow(port: Port) -> None:
    port.node.frames.put_nowait(snapshot())
    port.node.frames.put_nowait(None)
    async with console(port) as socket:
        await socket.recv()
        code = await close_code(socket)

    assert code == 4408


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unauthorized("the token was revoked"), 4505),
        (Forbidden("no longer"), 4502),
        (Draining("the node stops"), 4413),
        (Unavailable("the store is gone"), 1011),
    ],
)
async def test_an_error_of_the_feed_becomes_its_close_code(
    port: Port, error: NexaError, code: int
) -> None:
    port.node.frames.put_nowait(snapshot())
    port.node.frames.put_nowait(error)
    async with console(port) as socket:
        await socket.recv()
        told = await close_code(socket)

    assert told == code


@pytest.mark.parametrize(
    ("first", "status"), [(Forbidden("no"), 403), (None, 503)], ids=["error", "end"]
)
async def test_what_goes_wrong_before_the_first_frame_is_told_over_http(
    port: Port, first: NexaError | None, status: int
) -> None:
    port.node.frames.put_nowait(first)
    with pytest.raises(InvalidStatus) as refused:
        async with console(port):
            pass

    assert refused.value.response.status_code == status


async def test_the_feed_is_let_go_when_the_console_leaves(port: Port) -> None:
    port.node.frames.put_nowait(snapshot())
    async with console(port) as socket:
        await socket.send("a console has nothing to say")
        await socket.recv()
    await port.node.left.wait()


async def test_a_stopping_node_tells_consoles_to_come_back() -> None:
    node = FakeNode()
    node.frames.put_nowait(snapshot())
    async with opened(node) as port, console(port) as socket:
        await socket.recv()
        port.stop.set()
        code = await close_code(socket)
        await node.left.wait()

    assert code == 4413


async def test_one_token_watches_with_so_many_consoles_and_each_is_audited() -> None:
    class Pen:
        told: ClassVar[list[dict[str, Any]]] = []

        async def record(self, **fields: Any) -> None:
            self.told.append(fields)

        def note(self, **fields: Any) -> None:
            self.told.append(fields)

    policy = HttpPolicy(consoles_per_identity=1, shutdown_timeout_ms=300)
    async with opened(policy=policy, auditor=Pen()) as port:
        port.node.frames.put_nowait(snapshot())
        async with console(port) as first:
            await first.recv()
            with pytest.raises(InvalidStatus) as refused:
                async with console(port):
                    pass
            assert refused.value.response.status_code == 429
            port.node.frames.put_nowait(None)
            await close_code(first)

    assert [(one["event"], one["outcome"]) for one in Pen.told] == [
        ("authn_login_success", "done"),
        ("authn_login_fail", "denied"),
    ]
    assert Pen.told[0]["resource"] == "WEBSOCKET /v1/console"
