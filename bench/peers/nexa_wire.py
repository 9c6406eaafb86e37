"""One connection of `nexa.v1`, written from docs/protocol.md: websockets and msgspec.

What is said before the loop comes to rest leaves in one frame, a batch of at most 128.
Nothing waits for company: a single call leaves at once.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

BATCH = 128
Frame = dict[str, Any]
Heard = Callable[[str, Frame, int | str | None], None]
"""Told a method, its parameters and, of a request, the id that its answer carries."""


class Refused(Exception):
    """The node answered with an error; `code` is JSON-RPC's or the protocol's."""

    def __init__(self, error: Frame) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: int = error["code"]


class Line:
    """A session, open between `__aenter__` and `__aexit__`."""

    def __init__(
        self,
        agent: str,
        *,
        heard: Heard | None = None,
        url: str | None = None,
        token: str | None = None,
        packed: bool = False,
        **hello: Any,
    ) -> None:
        """Prepare a session; `hello` is what else `session.hello` says."""
        self._url = (url or os.environ["NEXA_URL"]).replace("http", "ws", 1)
        self._token = token or os.environ["NEXA_TOKEN"]
        self._hello = {"protocol": "1.0", "agent": {"id": agent}, **hello}
        self._heard = heard
        self._subprotocol = "nexa.v1.msgpack" if packed else "nexa.v1.json"
        self._codec = msgspec.msgpack if packed else msgspec.json
        self._text = not packed
        self._socket: ClientConnection
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._said: list[Frame] = []
        self._writes = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Line":
        self._socket = await connect(
            f"{self._url}/v1/agent",
            subprotocols=[self._subprotocol],  # type: ignore[list-item]  # a NewType
            additional_headers={"Authorization": f"Bearer {self._token}"},
            compression=None,
            max_size=None,
            proxy=None,
        )
        self._tasks = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._write()),
        ]
        await self.call("session.hello", self._hello)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._socket.close()

    def call(self, method: str, params: object) -> "asyncio.Future[Any]":
        """Ask the node something; await the result, or `Refused`."""
        self._last += 1
        answer = self._asked[self._last] = asyncio.get_running_loop().create_future()
        self._say({"id": self._last, "method": method, "params": params})
        return answer

    def calls(self, method: str, params: Iterable[object]) -> Awaitable[list[Any]]:
        """Ask it several times; all in as few frames as may be."""
        return asyncio.gather(*(self.call(method, each) for each in params))

    def answer(self, number: int | str, result: object) -> None:
        """Answer a request of the node."""
        self._say({"id": number, "result": result})

    def _say(self, frame: Frame) -> None:
        frame["jsonrpc"] = "2.0"
        self._said.append(frame)
        self._writes.set()

    async def _write(self) -> None:
        while True:
            await self._writes.wait()
            self._writes.clear()
            while self._said:
                frames, self._said = self._said[:BATCH], self._said[BATCH:]
                whole = frames[0] if len(frames) == 1 else frames
                await self._socket.send(self._codec.encode(whole), text=self._text)

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                frames = self._codec.decode(data)
                for frame in frames if isinstance(frames, list) else [frames]:
                    self._take(frame)
        finally:
            lost = ConnectionError("the node closed the connection")
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(lost)

    def _take(self, frame: Frame) -> None:
        if "method" in frame:
            if self._heard is not None:
                self._heard(frame["method"], frame["params"], frame.get("id"))
            return
        answer = self._asked.pop(frame["id"], None)
        if answer is None or answer.done():
            return
        if "error" in frame:
            answer.set_exception(Refused(frame["error"]))
        else:
            answer.set_result(frame.get("result"))
