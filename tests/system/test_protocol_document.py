"""The examples of docs/protocol.md, played against a real node with websockets and a codec."""

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.sessions import Session, bound, matches, sessions
from tests.system.conftest import Shell

PAGE = Path(__file__).parents[2] / "docs/protocol.md"
EXAMPLES = list(sessions(PAGE.read_text()))
PATIENCE_S = 10


@pytest.fixture
def access(shared: Shell) -> tuple[str, str]:
    token = shared("token", "create", "--role", "agent", "--json").json()["token"]
    url = shared("node", "status", "--json").json()["url"]
    return f"{url.replace('http', 'ws')}/v1/agent", token


class Peer:
    """One agent of an example."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        packed = socket.subprotocol == "nexa.v1.msgpack"
        self.codec: Any = msgspec.msgpack if packed else msgspec.json
        self.unread: list[dict[str, Any]] = []

    async def say(self, frame: dict[str, Any]) -> None:
        written = self.codec.encode({"jsonrpc": "2.0", **frame})
        packed = self.codec is msgspec.msgpack
        await self.socket.send(written if packed else written.decode())

    async def hear(self, wanted: dict[str, Any], names: dict[str, Any]) -> None:
        """Wait for a frame; others that come meanwhile are kept for later lines."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    for frame in self.unread:
                        if matches(wanted, frame, names):
                            self.unread.remove(frame)
                            return
                    self.unread.append(self.codec.decode(await self.socket.recv()))
        except TimeoutError:
            raise AssertionError(f"waited for {wanted}; came {self.unread}") from None


@pytest.mark.parametrize("example", EXAMPLES, ids=[each.title for each in EXAMPLES])
@pytest.mark.parametrize("subprotocol", ["nexa.v1.json", "nexa.v1.msgpack"])
async def test_the_example_is_true(
    example: Session, subprotocol: str, access: tuple[str, str]
) -> None:
    url, token = access
    namespace = f"{example.title[:12]}-{subprotocol[-4:]}".replace(".", "")
    names: dict[str, Any] = {}
    peers: dict[str, Peer] = {}
    async with AsyncExitStack() as stack:
        for line in example.lines:
            if line.peer not in peers:
                socket = connect(
                    url,
                    subprotocols=[websockets.Subprotocol(subprotocol)],
                    additional_headers={"Authorization": f"Bearer {token}"},
                    proxy=None,
                )
                peers[line.peer] = Peer(await stack.enter_async_context(socket))
        for name, peer in peers.items():
            if example.lines[0].frame.get("method") != "session.hello":
                await _hello(peer, name, namespace, names)
        for line in example.lines:
            peer = peers[line.peer]
            if line.sent:
                await peer.say(bound(line.frame, names))
            else:
                await peer.hear(line.frame, names)
        for peer in peers.values():
            with suppress(websockets.ConnectionClosed):  # the example said it
                await peer.say({"id": "over", "method": "session.bye"})


async def _hello(peer: Peer, name: str, namespace: str, names: dict[str, Any]) -> None:
    """Say hello in a namespace of the example's own: it meets no other's leftovers."""
    params = {
        "protocol": "1.0",
        "agent": {"id": name},
        "namespace": namespace,
        "capabilities": [{"name": name.partition("-")[0]}],
    }
    await peer.say({"id": "hello", "method": "session.hello", "params": params})
    await peer.hear({"id": "hello", "result": {}}, names)
