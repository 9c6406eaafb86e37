"""The application without a server: what needs no socket."""

from typing import Any

import pytest

from nexa_node.adapters.asgi.app import build_app
from nexa_node.core.policies import HttpPolicy
from tests.node.adapters.asgi.fake_node import ADMIN, FakeNode


def scope(path: str = "/v1/node", **overrides: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"authorization", f"Bearer {ADMIN}".encode()),
        ],
        **overrides,
    }


async def ask(
    scope: dict[str, Any], *received: dict[str, Any], gone: bool = False
) -> list[dict[str, Any]]:
    app, told, waiting = build_app(FakeNode(), HttpPolicy()), [], list(received)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        if gone:
            raise BrokenPipeError
        told.append(message)

    await app(scope, receive, send)
    return told


async def test_lifespan_events_are_answered() -> None:
    told = await ask(
        {"type": "lifespan"},
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
    )

    assert [one["type"] for one in told] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


@pytest.mark.parametrize(
    ("method", "stale", "told"),
    [("GET", True, [b"true"]), ("GET", False, []), ("POST", True, [])],
)
async def test_what_may_be_old_is_said_to_be(
    method: str, stale: bool, told: list[bytes]
) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    app = build_app(FakeNode(), HttpPolicy(), is_stale=lambda: stale)
    await app(scope("/v1/cluster", method=method), receive, send)

    headers = sent[0]["headers"]
    assert [value for name, value in headers if name == b"nexa-stale"] == told


@pytest.mark.parametrize("path", ["/v1/node", "/v1/nothing"])
async def test_a_caller_that_is_gone_is_nobodys_fault(path: str) -> None:
    assert await ask(scope(path), gone=True) == []


async def test_a_body_that_breaks_off_is_not_taken() -> None:
    headers = [*scope()["headers"], (b"content-type", b"application/json")]
    told = await ask(
        scope("/v1/tasks", method="POST", headers=headers),
        {"type": "http.request", "body": b'{"type":"wc"}', "more_body": True},
        {"type": "http.disconnect"},
    )

    assert told[0]["status"] == 400


async def test_a_server_without_addresses_is_served_on_loopback_names() -> None:
    told = await ask(scope(server=None, client=None))

    assert told[0]["status"] == 200


async def test_a_console_that_is_gone_before_it_was_accepted_is_nobodys_fault() -> None:
    upgrade = scope("/v1/agent", type="websocket", subprotocols=["nexa.v1.json"])
    del upgrade["method"]

    assert await ask(upgrade, {"type": "websocket.connect"}, gone=True) == []
