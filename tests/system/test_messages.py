"""Topics, requests and inboxes on a real node, for clients with websockets and json."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from nexa_node.contract.errors import CLOSE_SLOW
from nexa_tui.client.launch import start_node
from tests.system.conftest import Shell, environment, stop_all, until

LARGE = "x" * 250_000
MESSAGES = 120


class Client:
    """One agent, one connection at a time; reads only when it is told to."""

    def __init__(self, url: str, token: str, name: str) -> None:
        self.name = name
        self.url = f"{url.replace('http', 'ws')}/v1/agent"
        self.token = token
        self.told: list[dict[str, Any]] = []
        self.welcome: dict[str, Any] = {}
        self.socket: ClientConnection
        self._numbers = itertools.count(1)

    @contextlib.asynccontextmanager
    async def connected(self, **hello: Any) -> AsyncIterator["Client"]:
        async with connect(
            self.url,
            sock=self._narrow_socket(),
            subprotocols=["nexa.v1.json"],  # type: ignore[list-item]  # a NewType
            additional_headers={"Authorization": f"Bearer {self.token}"},
            max_size=None,
            ping_interval=None,
            close_timeout=1,
        ) as self.socket:
            answer = await self.call(
                "session.hello", protocol="1.0", agent={"id": self.name}, **hello
            )
            self.welcome = answer["result"]
            yield self

    def _narrow_socket(self) -> socket.socket:
        """A socket that holds little: what is not read is soon not taken."""
        host, port = self.url.split("/")[2].split(":")
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        made.connect((host, int(port)))
        return made

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await self.socket.send(json.dumps(frame))
        async with asyncio.timeout(20):
            while (found := await self.read()).get("id") != number:
                pass
        return found

    async def read(self) -> dict[str, Any]:
        frame = json.loads(await self.socket.recv())
        if frame.get("method") == "message.deliver":
            self.told.append(frame["params"])
        return frame

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.told) < count:
                await self.read()

    def resume(self) -> dict[str, Any]:
        return {
            "session": self.welcome["session"],
            "token": self.welcome["resume_token"],
            "epoch": self.welcome["epoch"],
            "last_seq": max((each["seq"] for each in self.told), default=0),
        }


@pytest.fixture
def quick(tmp_path: Path) -> Any:
    """A shell whose node takes many messages, and little patience."""
    made = Shell(
        environment(
            tmp_path / "home",
            NEXA_SESSIONS_MESSAGES_PER_S="10000",
            NEXA_SESSIONS_MESSAGES_BURST="10000",
            NEXA_HTTP_WRITE_TIMEOUT_MS="1000",
        )
    )
    made.target = start_node(made.environ, flags=("--name", "alpha", "--port", "0"))  # type: ignore[attr-defined]  # the test's own
    yield made
    stop_all(made.environ)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def client(shell: Any, name: str) -> Client:
    token = shell("token", "create", "--role", "agent", "--json").json()["token"]
    return Client(shell.target.url, token, name)


async def test_one_that_reads_nothing_is_closed_and_resumes_and_harms_nobody(
    quick: Any,
) -> None:
    slow, near, sender = (client(quick, name) for name in ("slow", "near", "sender"))
    async with near.connected(), sender.connected():
        await near.call("topic.subscribe", topic="news.*")
        async with slow.connected():
            await slow.call("topic.subscribe", topic="news.>")
            reading = asyncio.ensure_future(near.until(MESSAGES))
            for n in range(MESSAGES):
                said = await sender.call(
                    "message.send",
                    to={"topic": "news.today"},
                    type="note",
                    data=[n, LARGE],
                )
                assert "result" in said
            await reading
            assert len(slow.told) < MESSAGES
            await asyncio.to_thread(
                until, lambda: not quick.connected("slow"), "the slow one is closed"
            )
            with pytest.raises(ConnectionClosed) as closed:
                await slow.until(MESSAGES + 1)
        seen = len(slow.told)
        async with slow.connected(resume=slow.resume()):
            assert slow.welcome["resumed"]
            await slow.until(MESSAGES)

    # Told, if it reads at all before the connection is ended for good.
    assert closed.value.rcvd is None or closed.value.rcvd.code == CLOSE_SLOW
    assert 0 < seen < MESSAGES
    for each in (slow, near):
        assert [told["data"][0] for told in each.told] == list(range(MESSAGES))


async def test_subscriptions_and_letters_survive_a_kill_of_the_node(
    quick: Any,
) -> None:
    one, two = client(quick, "one"), client(quick, "two")
    async with one.connected(), two.connected():
        await one.call("topic.subscribe", topic="a.*")
        await two.call("message.send", to={"topic": "a.b"}, type="note", data=1)
        await one.until(1)
        os.kill(quick.target.pid, signal.SIGKILL)
        with contextlib.suppress(ConnectionClosed):
            while True:
                await one.read()
    await asyncio.to_thread(
        until, lambda: not lives(quick.target.pid), "the node is gone"
    )
    port = quick.target.url.rpartition(":")[2]
    said = await asyncio.to_thread(
        quick, "node", "start", "--name", "alpha", "--port", port
    )
    assert said.code == 0, said.err
    async with two.connected(resume=two.resume()):
        await two.call("message.send", to={"topic": "a.c"}, type="note", data=2)
        await two.call("message.send", to={"agent": "one"}, type="note", data=3)
        async with one.connected(resume=one.resume()):
            assert one.welcome["resumed"]
            await two.call("message.send", to={"topic": "a.d"}, type="note", data=4)
            await one.until(4)

    assert [each["data"] for each in one.told] == [1, 2, 3, 4]


async def test_requests_are_answered_and_messages_put_off_and_given_up(
    quick: Any,
) -> None:
    one, two = client(quick, "one"), client(quick, "two")

    async def answer() -> None:
        while len(two.told) < 50:
            await two.read()
            asked = two.told[-1]
            frame = {
                "jsonrpc": "2.0",
                "method": "message.send",
                "id": 1000 + len(two.told),
                "params": {
                    "to": {"topic": asked["reply_to"]},
                    "type": "answer",
                    "data": asked["data"] + 1,
                },
            }
            await two.socket.send(json.dumps(frame))

    async with one.connected(), two.connected():
        answering = asyncio.ensure_future(answer())
        for n in range(50):
            said = await one.call(
                "message.request",
                to={"agent": "two"},
                type="ask",
                data=n,
                durable=n % 2 == 0,
            )
            assert said["result"] == n + 1
        await answering
        await one.call("message.send", to={"agent": "one"}, type="note", data="me")
        await one.until(1)
        seq = one.told[0]["seq"]
        assert (await one.call("inbox.nack", seq=seq, delay_ms=300))["result"] == {}
        await one.until(2)
        assert [each["attempts"] for each in one.told] == [1, 2]
        said = await one.call("inbox.term", seq=seq, reason="no use")
        assert said["result"] == {}
        said = await one.call("inbox.term", seq=seq)
        assert said["error"]["data"]["reason"] == "not_found"
