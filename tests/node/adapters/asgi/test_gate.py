"""Who gets past the gate, over real sockets; cases come from the table of operations."""

import re

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from nexa_node.adapters.asgi.auth import host_is_ours, host_name, origin_is_ours
from nexa_node.adapters.asgi.operation import Operation
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_node.contract.errors import Problem, RateLimited
from nexa_node.core.policies import HttpPolicy
from tests.node.adapters.asgi.fake_node import (
    VIEWER,
    FakeNode,
    Port,
    headers,
    opened,
    raw,
)

REST = [one for one in OPERATIONS if not one.websocket]
OPEN = {"/healthz", "/readyz", "/v1/login", "/v1/login/challenge"}


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def path_of(operation: Operation) -> str:
    return re.sub(r"\{\w+\}", "wc-1", operation.path)


def problem_of(answer: httpx.Response) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    told = msgspec.json.decode(answer.content, type=Problem)
    assert told.status == answer.status_code
    return told


@pytest.fixture
def stranger(port: Port) -> httpx.AsyncClient:
    del port.http.headers["Authorization"]
    return port.http


@pytest.mark.parametrize(
    "operation", [one for one in REST if one.path not in OPEN], ids=name_of
)
async def test_without_a_token_nothing_is_answered(
    port: Port, stranger: httpx.AsyncClient, operation: Operation
) -> None:
    answer = await stranger.request(operation.method, path_of(operation))

    assert problem_of(answer).reason == "unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert port.node.asked == []


WRONG = [
    b"Bearer nxo_wrong",
    b"Bearer",
    b"Bearer a b",
    b"Bearer \xfc",
    b"Basic YTpi",
    b"",
]


@pytest.mark.parametrize("operation", REST, ids=name_of)
async def test_a_wrong_token_is_worse_than_none(
    port: Port, stranger: httpx.AsyncClient, operation: Operation
) -> None:
    for value in WRONG:
        answer = await stranger.request(
            operation.method, path_of(operation), headers=[(b"Authorization", value)]
        )

        assert problem_of(answer).reason == "unauthorized", value
    assert port.node.asked == []


@pytest.mark.parametrize("path", ["/", "/v1/secret", "/v1/agent/x", "/docs/", "//"])
async def test_a_stranger_is_not_told_which_paths_exist(
    stranger: httpx.AsyncClient, path: str
) -> None:
    answer = await stranger.get(path)

    assert problem_of(answer).reason == "unauthorized"


@pytest.mark.parametrize("method", ["PUT", "TRACE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/healthz", "/v1/tasks"])
async def test_a_stranger_is_not_told_which_methods_exist(
    stranger: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await stranger.request(method, path)

    assert answer.status_code == 401


async def test_a_token_in_the_url_is_no_token(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/v1/node?token=nxo_admin_secret")

    assert answer.status_code == 401


async def test_two_tokens_are_none(stranger: httpx.AsyncClient) -> None:
    both = [("Authorization", "Bearer nxo_admin_secret")] * 2

    answer = await stranger.get("/v1/node", headers=both)

    assert answer.status_code == 401


async def test_the_scheme_is_read_without_case(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get(
        "/v1/node", headers={"Authorization": "bEARER nxo_admin_secret"}
    )

    assert answer.status_code == 200


async def test_a_stranger_keeps_no_connection(stranger: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/v1/node"):
        answer = await stranger.get(path)
        assert answer.headers["connection"] == "close"


async def test_an_unknown_path_is_a_problem(port: Port) -> None:
    answer = await port.http.get("/v1/nothing")

    assert problem_of(answer).reason == "not_found"


async def test_an_unknown_method_names_those_that_are_known(port: Port) -> None:
    answer = await port.http.put("/v1/tasks")

    assert problem_of(answer).reason == "method_not_allowed"
    assert answer.headers["allow"] == "GET, POST"


async def test_a_socket_asked_over_http_wants_an_upgrade(port: Port) -> None:
    answer = await port.http.get("/v1/console")

    assert problem_of(answer).status == 426


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:6392", "localhost.evil.example", "10.1.2.3", ""],
)
@pytest.mark.parametrize("path", ["/healthz", "/v1/node"])
async def test_a_foreign_host_is_misdirected(port: Port, host: str, path: str) -> None:
    answer = await port.http.get(path, headers={"Host": host})

    assert problem_of(answer).status == 421
    assert port.node.asked == []


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:7000", "[::1]:1", "127.9.9.9"]
)
async def test_names_of_this_machine_are_ours(port: Port, host: str) -> None:
    answer = await port.http.get("/healthz", headers={"Host": host})

    assert answer.status_code == 200


async def test_a_configured_name_is_ours() -> None:
    policy = HttpPolicy(names=("Node.Example",), shutdown_timeout_ms=300)
    async with opened(policy=policy) as port:
        answer = await port.http.get("/healthz", headers={"Host": "node.example:1"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "local", "ours"),
    [
        ("10.0.0.7:6392", "10.0.0.7", True),
        ("10.0.0.8", "10.0.0.7", False),
        ("[2001:db8::1]", "2001:db8:0::1", True),
        ("10.0.0.7", None, False),
        ("10.0.0.7", "/run/nexa.sock", False),
        ("nexa.internal", "10.0.0.7", False),
    ],
)
def test_addresses_of_the_connection_are_ours(
    host: str, local: str | None, ours: bool
) -> None:
    assert host_is_ours(host, names=(), local=local) is ours


@pytest.mark.parametrize(
    ("host", "name"),
    [("A.b:1", "a.b"), ("[::1]:80", "::1"), ("a:b", ""), ("", "")],
)
def test_a_host_loses_its_port(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://localhost:1", "file://", "http://["],
)
@pytest.mark.parametrize("path", ["/healthz", "/v1/node"])
async def test_a_foreign_page_is_refused(port: Port, origin: str, path: str) -> None:
    answer = await port.http.get(path, headers={"Origin": origin})

    assert problem_of(answer).status == 403


async def test_our_own_page_may_call(port: Port) -> None:
    answer = await port.http.get("/v1/node", headers={"Origin": port.url})

    assert answer.status_code == 200


def test_an_origin_is_compared_with_its_port() -> None:
    assert origin_is_ours("http://localhost:6392", "LocalHost:6392")
    assert not origin_is_ours("http://localhost:6393", "localhost:6392")


@pytest.mark.parametrize("path", ["/v1/agent", "/v1/console"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Authorization": "Bearer nxo_wrong"}, 401),
        ({"Authorization": "Basic YTpi"}, 401),
    ],
    ids=["host", "origin", "token", "scheme"],
)
async def test_an_upgrade_passes_the_same_gate(
    port: Port, path: str, sent: dict[str, str], status: int
) -> None:
    given = headers(None if "Authorization" in sent else VIEWER) | sent
    # A client that sends its own Host must not send the right one too.
    request = f"GET {path} HTTP/1.1\r\n"
    given.setdefault("Host", "localhost")
    given |= {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "nexa.v1.json",
    }
    request += "".join(f"{name}: {text}\r\n" for name, text in given.items())

    answer = await raw(port.number, f"{request}\r\n".encode())

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in answer
    assert b"x-request-id" in answer


async def test_a_console_needs_a_token_for_the_upgrade(port: Port) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(port.socket_url("/v1/console"), proxy=None):
            pass

    assert refused.value.response.status_code == 401


@pytest.mark.parametrize(("token", "status"), [(None, 401), (VIEWER, 404)])
async def test_there_are_no_other_sockets(
    port: Port, token: str | None, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(
            port.socket_url("/v1/other"), additional_headers=headers(token), proxy=None
        ):
            pass

    assert refused.value.response.status_code == status


async def test_a_fault_is_told_as_nothing_but_a_fault() -> None:
    node = FakeNode(fault=RuntimeError("password=hunter2"))
    async with opened(node) as port:
        with capture_logs() as logs:
            answer = await port.http.get("/v1/node", headers={"X-Request-Id": "abc.1"})

    assert problem_of(answer).reason == "internal"
    assert "hunter2" not in answer.text
    assert [(one["event"], one["request_id"], one["path"]) for one in logs] == [
        ("request_failed", "abc.1", "/v1/node")
    ]


async def test_a_refusal_says_when_to_come_back() -> None:
    node = FakeNode(refusal=RateLimited("too fast", retry_after_ms=1200))
    async with opened(node) as port:
        answer = await port.http.get("/v1/node")

    assert answer.headers["retry-after"] == "2"
    assert problem_of(answer).retryable


async def test_every_answer_carries_a_request_id_of_safe_characters(port: Port) -> None:
    given = await port.http.get("/healthz", headers={"X-Request-Id": "me_1-2.3"})
    hostile = await port.http.get("/healthz", headers={"X-Request-Id": "a\tb<script>"})

    assert given.headers["x-request-id"] == "me_1-2.3"
    assert re.fullmatch("[0-9a-f]{16}", hostile.headers["x-request-id"])


async def test_every_answer_carries_the_security_headers(port: Port) -> None:
    for path in ("/healthz", "/v1/node", "/nothing"):
        told = (await port.http.get(path)).headers
        assert told["x-content-type-options"] == "nosniff"
        assert told["cache-control"] == "no-store"
        assert told["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in told


async def test_a_header_that_is_too_large_is_refused() -> None:
    policy = HttpPolicy(header_bytes=600, shutdown_timeout_ms=300)
    async with opened(policy=policy) as port:
        answer = await port.http.get("/healthz", headers={"X-Filler": "x" * 550})

    assert answer.status_code == 431
