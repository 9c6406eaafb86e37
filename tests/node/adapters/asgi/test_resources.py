"""What each operation takes, hands to the node, and answers."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import ANY, OPEN, Operation
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_node.contract.access import NewToken
from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.errors import Conflict, NexaError, Problem, Unavailable
from nexa_node.contract.ids import NodeId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.nodes import Node
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import NewTask
from nexa_node.core.policies import HttpPolicy
from nexa_node.services.api import AgentFilter, EventFilter, TaskFilter
from tests import builders
from tests.node.adapters.asgi.fake_node import FakeNode, Port, opened, until


def problem_of(answer: httpx.Response, status: int = 400) -> Problem:
    told = msgspec.json.decode(answer.content, type=Problem)
    assert (answer.status_code, told.status) == (status, status), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return told


READS = [
    ("/v1/node", examples.STATUS, "whoami"),
    ("/v1/cluster", examples.CLUSTER, None),
    ("/v1/nodes", examples.NODES, None),
    ("/v1/nodes/alpha", examples.NODE, None),
    (f"/v1/nodes/{examples.NODE.id}", examples.NODE, None),
    ("/v1/agents", examples.AGENTS, None),
    ("/v1/agents/wc-1", examples.AGENT, None),
    ("/v1/tasks", examples.TASKS, None),
    ("/v1/tasks/t1", examples.TASK, None),
    ("/v1/tasks/t1/explain", examples.EXPLANATION, None),
    ("/v1/events", examples.EVENTS, None),
    ("/v1/tokens", examples.TOKENS, None),
]


@pytest.mark.parametrize(
    ("path", "record", "own"), READS, ids=lambda one: str(one)[:30]
)
async def test_reading_tells_the_nodes_record(
    port: Port, path: str, record: msgspec.Struct, own: str | None
) -> None:
    answer = await port.http.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    if own is None:
        assert msgspec.json.decode(answer.content, type=_kind(record)) == record
    else:
        assert answer.json()[own] == "token:admin"


def _kind(record: msgspec.Struct) -> Any:
    if isinstance(record, Page):
        return Page[type(record.items[0])]  # type: ignore[misc]  # known at run time
    return type(record)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (
            "/v1/agents?capability=wc&state=idle&limit=3&cursor=a",
            ("agents", AgentFilter("wc", "idle", 3, "a")),
        ),
        (
            "/v1/tasks?status=failed&type=wc&agent=wc-1&limit=1000&cursor=b",
            ("tasks", TaskFilter("failed", "wc", "wc-1", limit=1000, cursor="b")),
        ),
        (
            "/v1/events?kind=task.&severity=warning&limit=1",
            ("events", EventFilter("task.", "warning", 1, None)),
        ),
        ("/v1/tasks/t1?wait_s=2.5", ("task", ("t1", 2.5))),
    ],
)
async def test_filters_reach_the_node(
    port: Port, path: str, asked: tuple[str, Any]
) -> None:
    answer = await port.http.get(path)

    assert answer.status_code == 200
    assert port.node.asked == [asked]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("status=lost", "status"),
        ("stauts=failed", "stauts"),
        ("dry_run=true", "dry_run"),
        ("type=" + "x" * 64, "type"),
    ],
)
async def test_a_query_that_does_not_fit_names_its_key(
    port: Port, query: str, field: str
) -> None:
    told = problem_of(await port.http.get(f"/v1/tasks?{query}"))

    assert told.details == {"field": field}
    assert port.node.asked == []


async def test_a_misspelt_key_is_told_its_neighbour(port: Port) -> None:
    told = problem_of(await port.http.get("/v1/tasks?stauts=failed"))

    assert told.remedy == "did you mean status?"


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=%ff", "a=1&" * 60])
async def test_an_unreadable_query_is_invalid(port: Port, query: str) -> None:
    told = problem_of(await port.http.get(f"/v1/tasks?{query}"))

    assert told.reason == "invalid"


@pytest.mark.parametrize("wait_s", ["-1", "61", "nan", "inf", "x"])
async def test_patience_has_limits(port: Port, wait_s: str) -> None:
    told = problem_of(await port.http.get(f"/v1/tasks/t1?wait_s={wait_s}"))

    assert told.details == {"field": "wait_s"}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/agents/UPPER",
        "/v1/agents/a.b",
        "/v1/agents/%3E",
        "/v1/tasks/a%20b",
        "/v1/tasks/*/explain",
        "/v1/nodes/" + "x" * 64,
    ],
)
async def test_an_id_that_is_no_slug_never_reaches_the_node(
    port: Port, path: str
) -> None:
    told = problem_of(await port.http.get(path))

    assert told.details == {"field": "id"}
    assert port.node.asked == []


async def test_what_the_node_refuses_is_a_problem(port: Port) -> None:
    told = problem_of(await port.http.get("/v1/agents/nobody"), 404)

    assert (told.reason, told.remedy) == ("not_found", "nexa agents list")


async def test_nodes_come_in_pages() -> None:
    names = ["c", "a", "b"]
    nodes = tuple(msgspec.structs.replace(examples.NODE, id=NodeId(n)) for n in names)
    async with opened(FakeNode(nodes=nodes)) as port:
        first = await port.http.get("/v1/nodes?limit=2")
        cursor = first.json()["next_cursor"]
        second = await port.http.get(f"/v1/nodes?limit=2&cursor={cursor}")

    pages = [
        msgspec.json.decode(one.content, type=Page[Node]) for one in (first, second)
    ]
    assert [[one.id for one in page.items] for page in pages] == [["a", "b"], ["c"]]
    assert pages[1].next_cursor is None


async def test_a_cluster_without_that_node_says_so(port: Port) -> None:
    told = problem_of(await port.http.get("/v1/nodes/omega"), 404)

    assert "omega" in told.detail


@pytest.mark.parametrize("name", ["alpha", "beta", "beta-id"])
async def test_any_node_of_the_cluster_can_be_drained(name: str) -> None:
    other = msgspec.structs.replace(examples.NODE, id=NodeId("beta-id"), name="beta")
    async with opened(FakeNode(nodes=(examples.NODE, other))) as port:
        answer = await port.http.post(f"/v1/nodes/{name}/drain")

    assert (answer.status_code, answer.content) == (202, b"")
    assert port.node.asked[-1] == ("drain", name.removesuffix("-id"))


async def test_a_node_that_is_none_of_the_cluster_is_not_found(port: Port) -> None:
    for verb, body in (
        ("drain", None),
        ("maintenance", {"on": True}),
        ("remove", None),
    ):
        problem_of(await port.http.post(f"/v1/nodes/zeta/{verb}", json=body), 404)


@pytest.mark.parametrize(
    ("method", "path", "status", "asked"),
    [
        ("POST", "/v1/agents/wc-1/disconnect", 204, ("disconnect", "wc-1")),
        ("POST", "/v1/agents/wc-1/drain", 200, ("drain_agent", ("wc-1", True))),
        ("POST", "/v1/agents/wc-1/resume", 200, ("drain_agent", ("wc-1", False))),
        ("POST", "/v1/tasks/t1/cancel", 200, ("cancel", "t1")),
        ("DELETE", "/v1/tokens/1aB_2-c", 204, ("revoke_token", "1aB_2-c")),
    ],
)
async def test_a_deed_is_done_to_the_thing_in_the_path(
    port: Port, method: str, path: str, status: int, asked: tuple[str, Any]
) -> None:
    answer = await port.http.request(method, path)

    assert answer.status_code == status
    assert port.node.asked == [asked]


@pytest.mark.parametrize("token_id", ["a.b", "%3E", "x" * 65])
async def test_a_tokens_id_has_its_own_alphabet(port: Port, token_id: str) -> None:
    told = problem_of(await port.http.delete(f"/v1/tokens/{token_id}"))

    assert told.details == {"field": "id"}


async def test_a_task_is_submitted_as_it_was_sent(port: Port) -> None:
    body = {"type": "wc", "data": {"a": [1]}, "priority": "high", "later": "ignored"}
    answer = await port.http.post("/v1/tasks", json=body)

    assert answer.status_code == 201
    wanted = NewTask(type="wc", data={"a": [1]}, priority="high")
    assert port.node.asked == [("submit", wanted)]


async def test_the_idempotency_header_becomes_the_tasks_key(port: Port) -> None:
    await port.http.post(
        "/v1/tasks", json={"type": "wc"}, headers={"Idempotency-Key": "k-1"}
    )

    assert port.node.asked == [("submit", NewTask(type="wc", idempotency_key="k-1"))]


async def test_the_idempotency_header_becomes_the_messages_id(port: Port) -> None:
    body = {"to": {"agent": "wc-1"}, "type": "hello"}
    answer = await port.http.post(
        "/v1/messages", json=body, headers={"Idempotency-Key": "k-1"}
    )

    assert answer.status_code == 201
    wanted = NewMessage(to=Address(agent="wc-1"), type="hello", id="k-1")  # type: ignore[arg-type]  # an id
    assert port.node.asked == [("send", wanted)]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/tasks", {"type": "wc", "idempotency_key": "other"}, "idempotency_key"),
        ("/v1/messages", {"to": {}, "type": "x", "id": "other"}, "id"),
    ],
)
async def test_two_different_keys_are_a_mistake(
    port: Port, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await port.http.post(path, json=body, headers={"Idempotency-Key": "k-1"})

    assert problem_of(answer).details == {"field": field}


@pytest.mark.parametrize("key", ["", "a b", "x" * 129])
async def test_an_idempotency_key_is_visible_text(port: Port, key: str) -> None:
    answer = await port.http.post(
        "/v1/tasks", json={"type": "wc"}, headers={"Idempotency-Key": key}
    )

    assert problem_of(answer).details == {"field": "Idempotency-Key"}


async def test_a_token_is_made(port: Port) -> None:
    answer = await port.http.post("/v1/tokens", json={"role": "agent", "name": "n"})

    assert answer.status_code == 201
    assert port.node.asked == [("create_token", NewToken(role="agent", name="n"))]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "type"),
        ({"type": 7}, "type"),
        ({"type": "wc", "priority": "asap"}, "priority"),
        ({"type": "wc", "retry": {"max_attempts": "x"}}, "retry.max_attempts"),
        ({"type": "wc", "labels": {"a": 1}}, "labels[...]"),
        ([], None),
    ],
)
async def test_a_body_that_does_not_fit_names_its_field(
    port: Port, body: Any, field: str | None
) -> None:
    told = problem_of(await port.http.post("/v1/tasks", json=body))

    assert told.details == ({"field": field} if field else None)
    assert port.node.asked == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"type": "wc", "data": NaN}',
        b'{"type": "\xff"}',
        b'{"type": "wc"} x',
        b'{"type":"wc","data":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"type":"wc","data":' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"type":"wc","data":[' + b"0," * 10_000 + b"0]}",
        b'{"type":"wc", "type":"id"}',
    ],
    ids=["empty", "cut", "nan", "utf-8", "more", "deep", "33", "many", "twice"],
)
async def test_a_body_that_is_no_json_is_invalid(port: Port, content: bytes) -> None:
    answer = await port.http.post(
        "/v1/tasks", content=content, headers={"Content-Type": "application/json"}
    )

    assert problem_of(answer).reason == "invalid"
    assert port.node.asked == []


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", ""]
)
async def test_a_body_of_another_type_is_refused(port: Port, media: str) -> None:
    answer = await port.http.post(
        "/v1/tasks", content=b'{"type":"wc"}', headers={"Content-Type": media}
    )

    assert problem_of(answer, 415).reason == "unsupported_media_type"


async def test_a_charset_does_not_matter(port: Port) -> None:
    answer = await port.http.post(
        "/v1/tasks",
        content=b'{"type":"wc"}',
        headers={"Content-Type": "Application/JSON; charset=utf-8"},
    )

    assert answer.status_code == 201


async def test_a_body_that_is_announced_too_large_is_refused(port: Port) -> None:
    limit = HttpPolicy().body_bytes
    answer = await port.http.post(
        "/v1/tasks",
        content=b" " * (limit + 1),
        headers={"Content-Type": "application/json"},
    )

    assert problem_of(answer, 413).details == {"limit": limit}
    assert (await port.http.get("/healthz")).status_code == 200


async def test_a_body_that_grows_too_large_is_refused() -> None:
    policy = HttpPolicy(body_bytes=100_000, shutdown_timeout_ms=300)

    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 10_000

    async with opened(policy=policy) as port:
        answer = await port.http.post(
            "/v1/tasks", content=chunks(), headers={"Content-Type": "application/json"}
        )

    assert problem_of(answer, 413).reason == "payload_too_large"


async def test_an_unchanged_record_is_not_told_again(port: Port) -> None:
    first = await port.http.get("/v1/agents/wc-1")
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', "*"):
        again = await port.http.get("/v1/agents/wc-1", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
    stale = await port.http.get("/v1/agents/wc-1", headers={"If-None-Match": '"x"'})

    assert stale.content == first.content


async def test_metrics_come_in_prometheus_text_format(port: Port) -> None:
    answer = await port.http.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.content == examples.METRICS


@pytest.mark.parametrize(
    "error", [Unavailable("no quorum"), Conflict("x"), NexaError("y")]
)
async def test_every_error_of_the_node_is_told(error: NexaError) -> None:
    async with opened(FakeNode(refusal=error)) as port:
        told = problem_of(await port.http.get("/v1/cluster"), error.status)

    assert (told.reason, told.retryable) == (error.reason, error.retryable)


def checks() -> tuple[CheckResult, ...]:
    return (
        builders.check("machine.disk", status="running"),
        builders.check("node.store", status="running"),
        builders.check("machine.disk", status="pass"),
        builders.check("node.store", status="warn"),
    )


async def test_before_the_first_run_there_is_no_selftest(port: Port) -> None:
    told = problem_of(await port.http.get("/v1/selftest"), 404)

    assert told.remedy is not None
    assert "nexa selftest" in told.remedy


async def test_the_latest_selftest_is_told() -> None:
    async with opened(FakeNode(latest=examples.SELFTEST)) as port:
        answer = await port.http.get("/v1/selftest")

    assert msgspec.json.decode(answer.content, type=SelfTest) == examples.SELFTEST


async def test_a_run_ends_in_one_document() -> None:
    async with opened(FakeNode(checks=checks())) as port:
        answer = await port.http.post("/v1/selftest?only=node.store")

    told = msgspec.json.decode(answer.content, type=SelfTest)
    assert (told.status, told.checks) == ("warn", checks()[2:])
    assert port.node.asked == [("run_selftest", "node.store")]
    assert port.node.left.is_set()


NDJSON = {"Accept": "application/x-ndjson"}


async def test_a_run_is_told_line_by_line_while_it_goes() -> None:
    node = FakeNode(checks=checks(), go_on=asyncio.Event())
    async with (
        opened(node) as port,
        port.http.stream("POST", "/v1/selftest", headers=NDJSON) as answer,
    ):
        lines = answer.aiter_lines()
        first = await anext(lines)
        assert node.go_on is not None
        node.go_on.set()
        rest = [line async for line in lines]

    assert answer.headers["content-type"] == "application/x-ndjson"
    told = tuple(msgspec.json.decode(one, type=CheckResult) for one in (first, *rest))
    assert told == checks()


async def test_a_run_nobody_listens_to_is_ended() -> None:
    node = FakeNode(checks=checks(), go_on=asyncio.Event())
    async with opened(node) as port:
        async with port.http.stream("POST", "/v1/selftest", headers=NDJSON) as answer:
            await anext(answer.aiter_raw())
        await asyncio.wait_for(node.left.wait(), 5)

    assert not node.go_on.is_set()  # type: ignore[union-attr]  # set above


async def test_a_run_that_is_refused_is_a_problem_not_a_stream() -> None:
    async with opened(FakeNode(refusal=Conflict("one is under way"))) as port:
        answer = await port.http.post("/v1/selftest", headers=NDJSON)

    assert problem_of(answer, 409).detail == "one is under way"


async def test_a_run_without_checks_is_an_empty_stream(port: Port) -> None:
    answer = await port.http.post("/v1/selftest", headers=NDJSON)

    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_stream_that_breaks_is_cut_short() -> None:
    class Breaking(FakeNode):
        async def run_selftest(self, identity: Any, *, only: str | None = None) -> Any:
            yield checks()[0]
            raise Unavailable("the store went away")

    async with opened(Breaking()) as port:
        with capture_logs(), pytest.raises(httpx.RemoteProtocolError):
            await port.http.post("/v1/selftest", headers=NDJSON)
        assert (await port.http.get("/healthz")).status_code == 200


async def test_a_waiting_call_is_told_when_the_node_stops() -> None:
    node = FakeNode(go_on=asyncio.Event())
    async with opened(node) as port, asyncio.TaskGroup() as group:
        call = group.create_task(port.http.get("/v1/tasks/t1?wait_s=60"))
        await until(lambda: bool(node.asked))
        port.stop.set()
        answer = await call

    assert problem_of(answer, 503).reason == "draining"


PARTS = {
    "nodes/{id}": "nodes/alpha",
    "{id}": "wc-1",
    "{sha256}": "0f" * 32,
    "{fingerprint}": "0f" * 8,
    "{bucket}": "limits",
    "{key}": "max",
    "{name}": "uptime",
}
QUERIES = {
    "posted": {"topic": "a.b"},
    "explain_access": {"who": "viewer", "action": "tasks:read"},
    "/api/v1/query": {"query": "up"},
    "/api/v1/query_range": {"query": "up", "start": "0", "end": "60", "step": "10"},
    "/api/v1/series": {"match[]": "up"},
}
"""What an operation can't do without: by its action, or its path."""


async def sample_call(port: Port, operation: Operation) -> httpx.Response:
    """Call an operation as its examples say."""
    path = operation.path
    for part, said in PARTS.items():
        path = path.replace(part, said)
    asked = QUERIES.get(operation.action) or QUERIES.get(operation.path, {})
    if operation.method == "POST" and operation.form:
        return await port.http.post(path, data=asked)
    return await port.http.request(
        operation.method,
        path,
        params=asked,
        content=msgspec.json.encode(operation.body_example),
        headers={"Content-Type": "application/json"},
    )


@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if not one.websocket and one.action not in (OPEN, ANY)],
    ids=lambda one: f"{one.method} {one.path}",
)
async def test_an_operation_asks_the_node_for_the_permission_it_names(
    operation: Operation,
) -> None:
    node = FakeNode(latest=examples.SELFTEST)
    async with opened(node) as port:
        answer = await sample_call(port, operation)

    assert answer.status_code == operation.status
    assert operation.action in [name for name, _ in node.asked]


@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if one.body is not None],
    ids=lambda one: one.path,
)
async def test_the_example_of_every_body_is_taken(port: Port, operation: Any) -> None:
    assert (await sample_call(port, operation)).status_code == operation.status
