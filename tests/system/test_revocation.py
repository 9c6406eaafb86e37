"""A token revoked at one node: what it opened at another is closed, agent and console."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.system.conftest import until
from tests.system.town import Town

pytestmark = [pytest.mark.timeout(200), pytest.mark.slow]

EFFECTIVE_S = 2.0
"""Promised in docs/security.md and by the design."""


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def made(town: Town, role: str) -> tuple[str, str]:
    """A token's id and the token, made at alpha."""
    told = town["alpha"]("token", "create", "--role", role, "--json").json()
    return told["id"], told["token"]


def settled(town: Town) -> bool:
    return (
        len(town.nodes("alpha")) == 3
        and town["alpha"]("cluster", "status").code == 0
        and town["alpha"]("token", "create", "--role", "viewer").code == 0
    )


def opened(
    stack: ExitStack, town: Town, node: str, path: str, token: str
) -> ClientConnection:
    url = town.target(node).url.replace("http", "ws", 1)
    connection = connect(
        f"{url}{path}",
        additional_headers={"Authorization": f"Bearer {token}"},
        subprotocols=["nexa.v1.json"] if path == "/v1/agent" else None,  # type: ignore[list-item]  # a NewType of str
        compression=None,
    )
    return stack.enter_context(connection)


def hello(socket: ClientConnection, name: str) -> None:
    params = {
        "protocol": "1.0",
        "agent": {"id": name, "incarnation": "1"},
        "capabilities": [],
    }
    told = {"jsonrpc": "2.0", "id": 1, "method": "session.hello", "params": params}
    socket.send(json.dumps(told))
    assert "result" in json.loads(socket.recv(timeout=10))


def closed(socket: ClientConnection) -> int | None:
    """The code it is closed with, if it is in time."""
    deadline = time.monotonic() + EFFECTIVE_S
    try:
        while True:
            socket.recv(timeout=max(0.0, deadline - time.monotonic()))
    except ConnectionClosed as over:
        return None if over.rcvd is None else over.rcvd.code


def test_a_revoked_token_closes_agents_and_consoles_on_every_node(town: Town) -> None:
    town.found("alpha")
    town.join("beta", "alpha")
    town.join("gamma", "alpha")
    until(lambda: settled(town), "three nodes that store together", 90)
    agent, agent_token = made(town, "agent")
    viewer, viewer_token = made(town, "viewer")
    with ExitStack() as stack:
        agents = [
            opened(stack, town, node, "/v1/agent", agent_token) for node in town.shells
        ]
        for number, socket in enumerate(agents):
            hello(socket, f"a-{number}")
        consoles = [
            opened(stack, town, node, "/v1/console", viewer_token)
            for node in town.shells
        ]
        for socket in consoles:
            assert json.loads(socket.recv(timeout=10))["type"] == "snapshot"

        assert town["alpha"]("token", "revoke", agent).code == 0
        assert [closed(socket) for socket in agents] == [4505] * 3
        assert town["alpha"]("token", "revoke", viewer).code == 0
        assert [closed(socket) for socket in consoles] == [4505] * 3
