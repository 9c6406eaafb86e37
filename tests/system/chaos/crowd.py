"""A thousand idle agents over all nodes: whoever loses its node goes to another one."""

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

import msgspec
from websockets import Subprotocol
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

if TYPE_CHECKING:
    from tests.system.chaos.clients import Client

AT_ONCE = 100
"""Connections that are being opened at the same time."""
OPEN_S = 5.0
BACKOFF_S = (0.05, 1.0)
ASK_EVERY_S = 20.0
ANSWER_S = 5.0


async def crowd(me: "Client", count: str) -> None:
    """Keep so many connected, until the end."""
    urls = [url.replace("http", "ws", 1) for url in os.environ["NEXA_URL"].split()]
    opening = asyncio.Semaphore(AT_ONCE)

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_member(me, urls, number, opening))
            for number in range(int(count))
        ]
        await me.over.wait()
        for task in tasks:
            task.cancel()


async def _member(
    me: "Client", urls: list[str], number: int, opening: asyncio.Semaphore
) -> None:
    name, turn = f"{me.name}-{number}", number
    op = me.log.call("session.first", name, client=name)
    while True:
        url = urls[turn % len(urls)]
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with opening:
                    socket = await stack.enter_async_context(_open(url))
                    node = await _hello(socket, name)
                me.log.back(op, "ok", {"node": node})
                op = ""
                await _stay(me, socket)
        except (OSError, WebSocketException, TimeoutError, msgspec.DecodeError):
            pass
        turn += 1
        if not op:
            op = me.log.call("session.back", name, client=name)
        await asyncio.sleep(me.chance.uniform(*BACKOFF_S))


def _open(url: str) -> connect:
    token = os.environ["NEXA_TOKEN"]
    return connect(
        f"{url}/v1/agent",
        additional_headers={"Authorization": f"Bearer {token}"},
        subprotocols=[Subprotocol("nexa.v1.json")],
        compression=None,
        open_timeout=OPEN_S,
        close_timeout=0.2,
        ping_interval=5.0,
        ping_timeout=5.0,
        proxy=None,
    )


async def _hello(socket: ClientConnection, name: str) -> str:
    params = {"protocol": "1.0", "agent": {"id": name}}
    answer = await _ask(socket, "session.hello", params)
    told = answer.get("node")
    return str(told.get("name")) if isinstance(told, dict) else str(told)


async def _ask(
    socket: ClientConnection, method: str, params: object
) -> dict[str, object]:
    frame = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    await socket.send(msgspec.json.encode(frame).decode())
    async with asyncio.timeout(ANSWER_S):
        while True:
            told = msgspec.json.decode(await socket.recv())
            if told.get("id") == 1:
                if "result" not in told:
                    raise OSError(str(told.get("error")))
                return told["result"]


async def _stay(me: "Client", socket: ClientConnection) -> None:
    """Ask something now and then; ends with the connection."""
    while True:
        end = me.chance.uniform(0.5, 1.5) * ASK_EVERY_S
        try:
            async with asyncio.timeout(end):
                while True:
                    await socket.recv()
        except TimeoutError:
            pass
        await _ask(socket, "agents.find", {"limit": 1})
