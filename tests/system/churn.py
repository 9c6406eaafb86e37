"""Connections opened and dropped, in every way that there is, against a real node.

    echo TOKEN | python -m tests.system.churn PORT CONNECTIONS

A process of its own, so that who measures the node meanwhile does not measure this.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import websockets
from websockets.asyncio.client import ClientConnection, connect

AT_ONCE = 100
"""Connections that are open at the same time."""
ADDRESSES = 40
"""Of this machine, that strangers come from."""
_HEAD = (
    "GET /v1/agent HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: nexa.v1.json\r\n"
)

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Churn:
    """One machine full of clients that behave badly."""

    port: int
    token: str
    outcomes: Counter[str] = field(default_factory=Counter)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def run(self, connections: int) -> None:
        """Open and drop so many, of each kind as many."""
        kinds = itertools.cycle(self.kinds())
        todo = iter([next(kinds) for _ in range(connections)])

        async def work() -> None:
            for kind in todo:
                try:
                    await kind()
                except (OSError, asyncio.IncompleteReadError) as error:
                    self.outcomes[type(error).__name__] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())

    def kinds(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.opened_and_closed,
            self.half_a_header,
            self.nonsense,
            self.no_upgrade,
            self.without_hello,
            self.reset_without_hello,
            self.mid_frame,
            self.mid_frame_with_a_token,
            self.hello_and_gone,
            self.half_closed,
            self.garbage_for_hello,
        ]

    # -- kinds -----------------------------------------------------------------

    async def opened_and_closed(self) -> None:
        async with self.dialled():
            self.outcomes["opened and closed"] += 1

    async def half_a_header(self) -> None:
        async with self.dialled() as (_, writer):
            writer.write(_HEAD[:90].encode())
            await writer.drain()
            self.outcomes["half a header"] += 1

    async def nonsense(self) -> None:
        async with self.dialled() as (reader, writer):
            writer.write(b"\x16\x03\x01\x02\x00\r\n\r\n")
            self.outcomes[(await reader.readline())[9:12].decode()] += 1

    async def no_upgrade(self) -> None:
        async with self.dialled() as (reader, writer):
            writer.write(_HEAD.encode() + b"Content-Length: 3\r\n\r\nabc")
            self.outcomes[(await reader.readline())[9:12].decode()] += 1

    async def without_hello(self) -> None:
        async with self.upgraded(None):
            self.outcomes["without hello"] += 1

    async def reset_without_hello(self) -> None:
        async with self.upgraded(None) as (_, writer):
            reset(writer)
            self.outcomes["reset"] += 1

    async def mid_frame(self) -> None:
        async with self.upgraded(None) as (_, writer):
            writer.write(b"\x81\xfe\x0f\x00" + bytes(4) + b'{"jsonrpc":')
            await writer.drain()
            reset(writer)
            self.outcomes["mid-frame"] += 1

    async def mid_frame_with_a_token(self) -> None:
        async with self.upgraded(self.token) as (_, writer):
            writer.write(b"\x81\xff" + (900_000).to_bytes(8, "big") + bytes(4))
            writer.write(b"[" * 30_000)
            await writer.drain()
            reset(writer)
            self.outcomes["mid-frame with a token"] += 1

    async def hello_and_gone(self) -> None:
        async with self.upgraded(self.token) as (reader, writer):
            agent = {"id": f"churn-{next(self._numbers) % 50}"}
            params = {"protocol": "1.0", "agent": agent}
            writer.write(text_frame("session.hello", params))
            await reader.readexactly(2)
            reset(writer)
            self.outcomes["hello and gone"] += 1

    async def half_closed(self) -> None:
        async with self.upgraded(None) as (reader, writer):
            writer.write_eof()
            await reader.read()
            self.outcomes["half-closed"] += 1

    async def garbage_for_hello(self) -> None:
        async with self.upgraded(None) as (reader, writer):
            for _ in range(8):
                writer.write(text_frame("*>", ["\ud83d\ude00"] * 20))
            writer.write(b"\x81\x82" + bytes(4) + b"\xff\xff")
            await reader.read()
            self.outcomes["garbage"] += 1

    # -- how -------------------------------------------------------------------

    @asynccontextmanager
    async def dialled(self) -> AsyncGenerator[Pair]:
        source = f"127.0.0.{2 + next(self._numbers) % ADDRESSES}"
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, local_addr=(source, 0)
            )
        try:
            async with asyncio.timeout(30):
                yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def head(self, token: str | None) -> bytes:
        """An upgrade's request."""
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        return f"{_HEAD}{bearer}\r\n".encode()

    @asynccontextmanager
    async def upgraded(self, token: str | None) -> AsyncGenerator[Pair]:
        async with self.dialled() as (reader, writer):
            writer.write(self.head(token))
            head = await reader.readuntil(b"\r\n\r\n")
            status = head[9:12].decode()
            self.outcomes[status] += 1
            if status != "101":
                raise ConnectionRefusedError(status)
            yield reader, writer


class Neighbour:
    """An agent that does its work meanwhile, and notes how long each answer took."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seconds: list[float] = []

    @classmethod
    @asynccontextmanager
    async def at_work(
        cls, port: int, token: str, name: str = "neighbour"
    ) -> AsyncGenerator[Self]:
        async with connect(
            f"ws://127.0.0.1:{port}/v1/agent",
            subprotocols=[websockets.Subprotocol("nexa.v1.json")],
            additional_headers={"Authorization": f"Bearer {token}"},
            proxy=None,
        ) as socket:
            self = cls(socket)
            agent = {"id": name}
            await self.call("session.hello", {"protocol": "1.0", "agent": agent})
            working = asyncio.ensure_future(self._work())
            try:
                yield self
            finally:
                working.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await working

    async def call(self, method: str, params: object) -> dict[str, object]:
        frame = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        began = time.monotonic()
        await self.socket.send(json.dumps(frame))
        async with asyncio.timeout(20):
            answer = json.loads(await self.socket.recv())
        self.seconds.append(time.monotonic() - began)
        assert "result" in answer, answer
        return answer["result"]

    async def _work(self) -> None:
        while True:
            await self.call("agents.find", {"limit": 5})
            await asyncio.sleep(0.02)

    def p99_ms(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)] * 1000


def text_frame(method: str, params: object) -> bytes:
    """A masked text frame, short enough for one length byte or two more."""
    frame = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    data = json.dumps(frame).encode()
    head = struct.pack("!BBH", 0x81, 0xFE, len(data))
    return head + bytes(4) + data


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection, saying nothing."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def churned(port: int, token: str, connections: int) -> dict[str, int]:
    """Have it done by another process; how it went."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.system.churn", str(port), str(connections),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        said, _ = await program.communicate(token.encode())
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    assert program.returncode == 0
    return json.loads(said)


if __name__ == "__main__":
    made = Churn(int(sys.argv[1]), sys.stdin.read().strip())
    asyncio.run(made.run(int(sys.argv[2])))
    print(json.dumps(made.outcomes))
