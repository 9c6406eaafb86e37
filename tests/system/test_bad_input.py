"""Bad input against a real node: each is answered, nothing stays, nobody else notices.

python -m pytest tests/system/test_bad_input.py -m slow -n0      10,000 connections
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import psutil
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from nexa_tui.client.discovery import Target
from tests.system.churn import Churn, Neighbour, churned
from tests.system.conftest import Shell

MIB = 1024 * 1024


def call(method: str, params: Any, id: Any = 7) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


def submit(data: str) -> str:
    """A task whose data is written by hand."""
    return call("task.submit", {"type": "bad", "data": 0}).replace(
        ": 0}", f": {data}}}"
    )


CLAIM = {"id": "01jn8qk000000000000000000a", "claim_epoch": 3}
HOSTILE_IDS = [
    "*",
    ">",
    "a.b",
    "a b",
    "a\nb",
    "a\x00",
    "",
    "A",
    "é",
    "\u202ea",
    "x" * 64,
]

BAD: dict[str, tuple[str | bytes, int, str]] = {
    "depth": ("[" * 5000 + "]" * 5000, -32700, "nested deeper than 32"),
    "depth of an object": ('{"a":' * 5000 + "1" + "}" * 5000, -32700, "deeper than 32"),
    "depth in data": (submit("[" * 40 + "]" * 40), -32700, "nested deeper than 32"),
    "values": (submit("[" + "1," * 12_000 + "1]"), -32700, "more than 10,000 values"),
    "size of data": (submit('"' + "x" * 300_000 + '"'), 1005, "262,144 are allowed"),
    "batch": (f"[{','.join(['1'] * 129)}]", -32600, "a batch of 129"),
    "empty batch": ("[]", -32600, "a batch of 0"),
    "keys twice": (
        '{"jsonrpc":"2.0","id":7,"method":"task.get","params":{"id":"a","id":"b"}}',
        -32700,
        "the same key twice",
    ),
    "keys twice, escaped": (
        '{"jsonrpc":"2.0","id":7,"method":"task.get","params":{"id":"a","\\u0069d":"b"}}',
        -32700,
        "the same key twice",
    ),
    "NaN": (submit("NaN"), -32700, "malformed"),
    "infinity": (submit("1e999"), -32700, "out of range"),
    "syntax": ("{", -32700, "truncated"),
    "surrogate": (submit('"\\udc80abc"'), -32700, "surrogate"),
    "no JSON-RPC": ('{"id":7}', -32600, "a method, a result or an error"),
    "another version": ('{"jsonrpc":"1.0","id":7,"method":"x"}', -32600, "2.0"),
    "unknown method": (call("no.such", {}), -32601, "no.such"),
    "wrong type": (call("task.get", {"id": 7}), -32602, "Expected `str`"),
    "no params": (call("task.get", []), -32602, "task.get"),
    "missing member": (call("task.submit", {}), -32602, "missing required field"),
    "both": (call("inbox.ack", {"seq": 1, "upto": 1}), 1004, "either seq or upto"),
    "below nothing": (call("inbox.ack", {"upto": -1}), 1004, "upto"),
    "unknown task": (call("task.get", {"id": "nope"}), 1003, "nope"),
    "cancel of nothing": (call("task.cancel", {"id": "nope"}), 1003, "nope"),
    "somebody else's namespace": (
        call("task.submit", {"type": "bad", "namespace": "*"}),
        1004,
        "is not a slug",
    ),
    "claim of nothing": (call("task.complete", CLAIM), 1003, "01jn8qk"),
    **{
        f"id {ascii(name)[:12]}": (call("task.get", {"id": name}), 1004, "not a slug")
        for name in HOSTILE_IDS
    },
    **{
        f"letter to {ascii(name)[:12]}": (
            call("message.send", {"to": {"agent": name}, "type": "x", "data": 1}),
            1004,
            "not a slug",
        )
        for name in HOSTILE_IDS
    },
}
"""What is said: the code it is answered with, and what the answer tells."""


@pytest.fixture(scope="module")
def access(shared: Shell) -> tuple[int, str]:
    """The port, and a token for agents."""
    token = shared("token", "create", "--role", "agent", "--json").json()["token"]
    url = shared("node", "status", "--json").json()["url"]
    return int(url.rpartition(":")[2]), token


@asynccontextmanager
async def agent(
    access: tuple[int, str], name: str, **how: Any
) -> AsyncIterator[ClientConnection]:
    """A connected agent that has said hello."""
    port, token = access
    async with connect(
        f"ws://127.0.0.1:{port}/v1/agent",
        subprotocols=[websockets.Subprotocol(how.get("protocol", "nexa.v1.json"))],
        additional_headers={"Authorization": f"Bearer {token}"},
        proxy=None,
    ) as socket:
        hello = {"protocol": "1.0", "agent": {"id": name}, **how.get("hello", {})}
        if how.get("protocol") is None:
            await socket.send(call("session.hello", hello))
            assert "result" in json.loads(await socket.recv())
        yield socket


def stored(shell: Shell) -> dict[str, Any]:
    """What a node has, so far as a call could have added to it."""
    return {
        "tasks": len(shell("task", "list", "--json").json()["items"]),
        "agents": sorted(shell.agents()),
    }


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_frame_is_answered_and_nothing_is_stored(
    name: str, access: tuple[int, str], shared: Shell
) -> None:
    frame, code, says = BAD[name]
    async with agent(access, "bad-1") as socket:
        before = await asyncio.to_thread(stored, shared)
        await socket.send(frame)
        async with asyncio.timeout(10):
            answer = json.loads(await socket.recv())
            await socket.send(call("agents.find", {"limit": 1}, id=8))
            alive = json.loads(await socket.recv())
        after = await asyncio.to_thread(stored, shared)

    assert (answer["error"]["code"], says in answer["error"]["message"]) == (
        code,
        True,
    ), answer
    assert answer["error"]["data"]["reason"]
    assert answer["id"] == (None if code == -32700 or name.endswith("batch") else 7)
    assert alive["id"] == 8
    assert "result" in alive
    assert after == before


@pytest.mark.parametrize("method", ["progress", "complete", "fail", "release"])
async def test_a_stale_claim_is_told_and_changes_nothing(
    method: str, access: tuple[int, str]
) -> None:
    able = {"capabilities": [{"name": f"stale-{method}"}]}
    async with (
        agent(access, "bad-6", hello=able) as holder,
        agent(access, "bad-7") as other,
    ):
        await holder.send(call("task.submit", {"type": f"stale-{method}"}, id=1))
        assign = None
        while assign is None:
            frame = json.loads(await holder.recv())
            if frame.get("method") == "task.assign":
                assign = frame
        reply = {"jsonrpc": "2.0", "id": assign["id"], "result": {"accepted": True}}
        await holder.send(json.dumps(reply))
        told = assign["params"]
        claim = {"id": told["task"]["id"], "claim_epoch": told["claim_epoch"]}
        answers = []
        for who, epoch in (
            (holder, claim["claim_epoch"] - 1),
            (holder, claim["claim_epoch"] + 1),
            (holder, -1),
            (other, claim["claim_epoch"]),
        ):
            stale = {**claim, "claim_epoch": epoch}
            answers.append(await asked(who, f"task.{method}", stale))
        kept = await asked(other, "task.get", {"id": claim["id"]})
        done = await asked(holder, "task.complete", {**claim, "result": 1})

    reasons = [one["error"]["data"]["reason"] for one in answers]
    assert reasons == ["lease_lost"] * 4
    assert kept["result"]["status"] in ("assigned", "running")
    assert (kept["result"]["agent"], kept["result"]["attempts"]) == ("bad-6", 1)
    assert done["result"] == {}


async def asked(socket: ClientConnection, method: str, params: Any) -> dict[str, Any]:
    """Ask, and wait for the answer."""
    await socket.send(call(method, params, id="asked"))
    async with asyncio.timeout(10):
        while True:
            frame = json.loads(await socket.recv())
            if frame.get("id") == "asked":
                return frame


@pytest.mark.parametrize(
    "frame",
    [
        '{"jsonrpc":"2.0","id":1,"result":{"accepted":true}}',
        '{"jsonrpc":"2.0","id":"n1","error":{"code":1,"message":"no"}}',
        '{"jsonrpc":"2.0","id":null,"error":7}',
        '{"jsonrpc":"2.0","method":"task.complete","params":{"id":"x"}}',
        '{"jsonrpc":"2.0","method":"no.such"}',
    ],
    ids=["result", "error", "no error", "no request", "unknown"],
)
async def test_what_wants_no_answer_gets_none(
    frame: str, access: tuple[int, str]
) -> None:
    async with agent(access, "bad-2") as socket:
        await socket.send(frame)
        await socket.send(call("agents.find", {"limit": 1}, id=8))
        async with asyncio.timeout(10):
            answer = json.loads(await socket.recv())
        if answer["id"] is None:  # an error that is none has nobody to go to
            answer = json.loads(await socket.recv())

    assert answer["id"] == 8


@pytest.mark.parametrize(
    "frame",
    [
        b"\x91" * 5000 + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xffabc",
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\x01\x02",
        b"\xd6\x05\x00\x00\x00\x00",
        b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
        b"",
    ],
    ids=["depth", "size", "string", "keys", "no string", "ext", "NaN", "nothing"],
)
async def test_bad_msgpack_is_answered(frame: bytes, access: tuple[int, str]) -> None:
    async with agent(access, "bad-3", protocol="nexa.v1.msgpack") as socket:
        await socket.send(frame)
        async with asyncio.timeout(10):
            answer = msgspec.msgpack.decode(await socket.recv())

    assert answer["error"]["code"] in (-32700, -32600)


async def test_a_frame_over_the_limit_ends_its_own_connection_only(
    access: tuple[int, str],
) -> None:
    async with agent(access, "bad-4") as neighbour, agent(access, "bad-5") as socket:
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.send("[" + "1," * 600_000 + "1]")
            await socket.recv()
        await neighbour.send(call("agents.find", {"limit": 1}, id=8))
        alive = json.loads(await neighbour.recv())

    assert socket.close_code == 1009
    assert alive["id"] == 8


async def test_sockets_that_never_say_hello_keep_no_agent_out(
    access: tuple[int, str],
) -> None:
    port, _ = access
    flood = Churn(port, "")
    async with AsyncExitStack() as stack:
        held: list[asyncio.StreamReader] = []
        refused = ""
        for _ in range(150):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(flood.head(None))
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("HTTP/1.1 101"):
                held.append(reader)
            else:
                refused = head + (await reader.read()).decode()
        async with agent(access, "bad-8"):
            pass
        # Whoever came too late was told so, or the oldest had to go for it.
        if refused:
            assert refused.startswith("HTTP/1.1 429")
            assert "retry-after: 1" in refused
            assert "sessions.waiting_per_address" in refused
        else:
            assert len(held) == 150
        async with asyncio.timeout(15):
            ends = [await reader.read() for reader in held]

    codes = {int.from_bytes(end[2:4], "big") for end in ends}
    assert codes <= {4501, 4413}
    assert 4501 in codes


# -- connections opened and dropped ------------------------------------------


@dataclass
class Left:
    """What connections left behind, when all of them were gone."""

    mib: float
    descriptors: int
    calls: int
    """Answers that a neighbour got meanwhile."""
    p99_ms: float
    outcomes: dict[str, int]
    log: str
    """What the node wrote on its own account."""


async def _churned(shell: Shell, node: Target, connections: int, warm: int) -> Left:
    """Open and drop connections.

    The node is warmed first, with the same kinds: what it allocates once, and keeps for
    every later connection, is no growth.
    """
    token = shell("token", "create", "--role", "agent", "--json").json()["token"]
    assert node.pid is not None
    port, process = int(node.url.rpartition(":")[2]), psutil.Process(node.pid)
    async with Neighbour.at_work(port, token) as neighbour:
        await churned(port, token, warm)
        await _quiet(process)
        rss, descriptors = process.memory_info().rss, process.num_fds()
        neighbour.seconds.clear()
        outcomes = await churned(port, token, connections)
        p99_ms, calls = neighbour.p99_ms(), len(neighbour.seconds)
        await _quiet(process)
        return Left(
            mib=(process.memory_info().rss - rss) / MIB,
            descriptors=process.num_fds() - descriptors,
            calls=calls,
            p99_ms=p99_ms,
            outcomes=outcomes,
            log="".join(path.read_text() for path in shell.home.rglob("*.jsonl")),
        )


async def _quiet(process: psutil.Process) -> None:
    """Wait until every connection that was dropped is gone from the node."""
    steady, last = 0, -1
    async with asyncio.timeout(60):
        while steady < 12:
            await asyncio.sleep(0.25)
            now = process.num_fds()
            steady, last = (steady + 1, now) if now == last else (0, now)


def _check(left: Left, *, mib: float) -> None:
    print(
        f"{left.mib:+.1f} MiB, {left.descriptors:+d} descriptors; the neighbour made"
        f" {left.calls} calls, p99 {left.p99_ms:.0f} ms; {left.outcomes}"
    )
    assert left.mib <= mib
    assert left.descriptors <= 0
    assert left.calls > 10
    assert left.p99_ms < 2000
    assert left.outcomes["hello and gone"] > 0
    assert left.outcomes["mid-frame with a token"] > 0
    assert "Traceback" not in left.log
    assert "request_failed" not in left.log


@pytest.mark.timeout(180)
async def test_500_connections_opened_and_dropped(shell: Shell, node: Target) -> None:
    left = await _churned(shell, node, 500, warm=220)

    _check(left, mib=12)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_10000_connections_opened_and_dropped(shell: Shell, node: Target) -> None:
    left = await _churned(shell, node, 10_000, warm=1100)

    _check(left, mib=20)
