"""A client written from docs/protocol.md alone, with websockets and json."""

import asyncio
import itertools
import json
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.system.conftest import Shell


class Client:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.ids = itertools.count(1)
        self.asked: list[dict[str, Any]] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.ids)
        frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await self.socket.send(json.dumps(frame))
        return await self.answer(number)

    async def answer(self, number: int) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                frame = json.loads(await self.socket.recv())
                if frame.get("id") == number and "method" not in frame:
                    return frame
                self.asked.append(frame)

    async def told(self, method: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                for frame in self.asked:
                    if frame.get("method") == method:
                        self.asked.remove(frame)
                        return frame
                self.asked.append(json.loads(await self.socket.recv()))

    async def hello(self, name: str, *capabilities: str, **more: Any) -> dict[str, Any]:
        return await self.call(
            "session.hello",
            protocol="1.0",
            agent={"id": name},
            capabilities=[{"name": one} for one in capabilities],
            **more,
        )


@pytest.fixture(scope="module")
def access(shared: Shell) -> tuple[str, str]:
    """One token for all: an agent's id is its token's while it can come back."""
    token = shared("token", "create", "--role", "agent", "--json").json()["token"]
    url = shared("node", "status", "--json").json()["url"]
    return f"{url.replace('http', 'ws')}/v1/agent", token


def opened(
    access: tuple[str, str], protocol: str = "nexa.v1.json", token: str = ""
) -> Any:
    url, valid = access
    return connect(
        url,
        subprotocols=[websockets.Subprotocol(protocol)],
        additional_headers={"Authorization": f"Bearer {token or valid}"},
        proxy=None,
    )


async def test_a_task_is_assigned_progressed_and_completed_once(
    access: tuple[str, str], shared: Shell
) -> None:
    async with opened(access) as socket:
        agent = Client(socket)
        welcome = (await agent.hello("p-1", "pwc"))["result"]
        submitted = (await agent.call("task.submit", type="pwc", data="a b c"))[
            "result"
        ]
        assign = await agent.told("task.assign")
        reply = {"jsonrpc": "2.0", "id": assign["id"], "result": {"accepted": True}}
        await socket.send(json.dumps(reply))
        claim = {"id": submitted["id"], "claim_epoch": assign["params"]["claim_epoch"]}
        leased = await agent.call("task.progress", **claim, pct=50, note="half")
        stale = await agent.call(
            "task.complete",
            id=claim["id"],
            claim_epoch=claim["claim_epoch"] - 1,
            result=0,
        )
        done = await agent.call("task.complete", **claim, result=3)
        again = await agent.call("task.complete", **claim, result=4)
        kept = (await agent.call("task.get", id=claim["id"]))["result"]
        bye = await agent.call("session.bye")

    assert set(welcome) >= {
        "protocol", "session", "resume_token", "epoch", "resumed", "next_seq", "node",
        "cluster", "heartbeat_ms", "lease_ms", "limits", "server_time", "features",
    }  # fmt: skip
    assert submitted["duplicate"] is False
    assert assign["params"]["task"]["data"] == "a b c"
    assert assign["params"]["attempt"] == 1
    assert "lease_until" in leased["result"]
    assert stale["error"]["data"]["reason"] == "lease_lost"
    assert done["result"] == {}
    assert again["error"]["code"] == 1010
    assert (kept["status"], kept["result"], kept["submitter"]) == (
        "completed",
        3,
        "p-1",
    )
    assert bye["result"] == {}


async def test_a_message_waits_for_its_reader_and_is_acknowledged(
    access: tuple[str, str],
) -> None:
    async with opened(access) as one, opened(access) as two:
        sender, reader = Client(one), Client(two)
        await sender.hello("p-sender")
        to = {"agent": "p-reader"}
        first = await sender.call("message.send", to=to, type="note", data=1, id="m-p1")
        twice = await sender.call("message.send", to=to, type="note", data=1, id="m-p1")
        await reader.hello("p-reader")
        delivered = (await reader.told("message.deliver"))["params"]
        acked = await reader.call("inbox.ack", upto=delivered["seq"])

    assert first["result"]["duplicate"] is False
    assert twice["result"]["duplicate"] is True
    assert (delivered["from"], delivered["data"], delivered["id"]) == (
        "p-sender",
        1,
        "m-p1",
    )
    assert acked["result"] == {}


async def test_a_session_is_resumed_and_a_second_connection_fences(
    access: tuple[str, str],
) -> None:
    async with opened(access) as one:
        first = (await Client(one).hello("p-again"))["result"]
        async with opened(access) as two:
            resume = {
                "session": first["session"],
                "token": first["resume_token"],
                "epoch": first["epoch"],
                "last_seq": 0,
            }
            second = (await Client(two).hello("p-again", resume=resume))["result"]
            with pytest.raises(websockets.ConnectionClosed):
                await one.recv()

    assert second["resumed"] is True
    assert one.close_code == 4409


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", -32700),
        ("[]", -32600),
        ('{"jsonrpc":"2.0","id":7,"method":"no.such","params":{}}', -32601),
        ('{"jsonrpc":"2.0","id":7,"method":"task.get","params":{}}', -32602),
        ('{"jsonrpc":"2.0","id":7,"method":"task.get","params":{"id":"nope"}}', 1003),
        ('{"jsonrpc":"2.0","id":7,"method":"task.get","params":{"id":"A*>"}}', 1004),
        ("[" * 5000 + "]" * 5000, -32700),
    ],
    ids=["syntax", "empty batch", "method", "params", "not found", "no slug", "bomb"],
)
async def test_what_is_wrong_is_answered_and_the_session_lives(
    access: tuple[str, str], frame: str, code: int
) -> None:
    async with opened(access) as socket:
        client = Client(socket)
        await client.hello("p-wrong")
        await socket.send(frame)
        said = json.loads(await socket.recv())
        alive = await client.call("agents.find", limit=1)

    assert said["error"]["code"] == code
    assert "result" in alive


async def test_the_door(access: tuple[str, str]) -> None:
    with pytest.raises(websockets.InvalidStatus) as unknown:
        await opened(access, protocol="mqtt")
    with pytest.raises(websockets.InvalidStatus) as stranger:
        await opened(access, token="nxa_wrong")
    async with opened(access) as socket:
        refused = await Client(socket).call(
            "session.hello", protocol="9.0", agent={"id": "p-9"}
        )
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()

    assert unknown.value.response.status_code == 400
    assert stranger.value.response.status_code == 401
    assert refused["error"]["data"]["reason"] == "unsupported_version"
    assert socket.close_code == 4503


async def test_msgpack_speaks_the_same(access: tuple[str, str]) -> None:
    import msgspec

    async with opened(access, protocol="nexa.v1.msgpack") as socket:
        frame = {
            "jsonrpc": "2.0", "id": 1, "method": "session.hello",
            "params": {"protocol": "1.0", "agent": {"id": "p-pack"}},
        }  # fmt: skip
        await socket.send(msgspec.msgpack.encode(frame))
        said = msgspec.msgpack.decode(await socket.recv())

    assert said["result"]["protocol"] == "1.0"
