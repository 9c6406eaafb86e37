"""The description: complete, true, and readable without another host."""

import re
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.asgi.app import describe
from nexa_node.adapters.asgi.operation import Operation
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_node.contract.errors import Problem
from tests.node.adapters.asgi.fake_node import Port

DOCUMENT: dict[str, Any] = msgspec.json.decode(describe())


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def told(operation: Operation) -> dict[str, Any]:
    return DOCUMENT["paths"][operation.path][operation.method.lower()]


def references(value: Any) -> set[str]:
    """Those of the schemas; a claim check in an example is data."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        inside = [each for key, each in value.items() if key != "example"]
        return own.union(*map(references, inside))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


def test_every_operation_is_described_and_no_other() -> None:
    described = {
        (method.upper(), path)
        for path, methods in DOCUMENT["paths"].items()
        for method in methods
    }

    assert described == {(one.method, one.path) for one in OPERATIONS}
    assert len(OPERATIONS) == len(described)


def test_every_reference_leads_somewhere() -> None:
    known = {f"#/components/schemas/{one}" for one in DOCUMENT["components"]["schemas"]}

    assert references(DOCUMENT) <= known


def test_operation_ids_are_unique() -> None:
    ids = [told(one)["operationId"] for one in OPERATIONS]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_an_operation_says_what_it_needs_and_how_it_fails(operation: Operation) -> None:
    described = told(operation)
    failures = [
        one for status, one in described["responses"].items() if status >= "400"
    ]

    assert described["summary"]
    assert re.fullmatch(r"open|any|[a-z]+:[a-z]+", described["x-nexa-permission"])
    assert failures
    for failure in failures:
        if "application/json" in failure["content"]:
            continue  # not ready is a record, not an error
        examples = failure["content"]["application/problem+json"]["examples"]
        for example in examples.values():
            msgspec.convert(example["value"], type=Problem)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_what_an_operation_answers_has_an_example_that_is_true(
    operation: Operation,
) -> None:
    if operation.websocket or operation.answer is None:
        pytest.skip("answers no record")
    success = told(operation)["responses"][str(operation.status)]["content"]
    media = operation.media.partition(";")[0]

    msgspec.convert(success[media]["example"], type=operation.answer)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_every_parameter_is_described(operation: Operation) -> None:
    parameters = {(one["in"], one["name"]) for one in told(operation)["parameters"]}
    expected = {("path", name) for name in re.findall(r"\{(\w+)\}", operation.path)}
    expected |= {("query", name) for name in operation.query.__struct_encode_fields__}
    if operation.idempotent or operation.repeatable:
        expected.add(("header", "Idempotency-Key"))
    if operation.conditional:
        expected |= {("header", "If-Match"), ("header", "If-None-Match")}

    assert parameters == expected


def test_only_health_docs_and_the_agents_socket_are_open() -> None:
    open_paths = {
        path
        for path, methods in DOCUMENT["paths"].items()
        if any({} in one.get("security", ()) for one in methods.values())
    }

    assert open_paths == {
        "/healthz",
        "/readyz",
        "/docs",
        "/v1/agent",
        "/v1/login",
        "/v1/login/challenge",
    }


async def test_the_document_is_served_with_a_tag(port: Port) -> None:
    answer = await port.http.get("/openapi.json")
    again = await port.http.get(
        "/openapi.json", headers={"If-None-Match": answer.headers["etag"]}
    )

    assert answer.json() == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1")
    assert again.status_code == 304


async def test_the_page_asks_no_other_host_for_anything(port: Port) -> None:
    answer = await port.http.get("/docs")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"(?:https?:)?//\w+\.\w|@import|\bsrc=|\bhref=", answer.text)


async def test_the_page_runs_nothing_but_its_own_script(port: Port) -> None:
    answer, other = await port.http.get("/docs"), await port.http.get("/docs")
    policy = answer.headers["content-security-policy"]
    nonces = set(re.findall(r"nonce=\"([^\"]+)\"", answer.text))

    assert len(nonces) == 1
    assert policy.count(f"'nonce-{nonces.pop()}'") == 2
    assert "unsafe" not in policy
    assert "innerHTML" not in answer.text
    assert policy != other.headers["content-security-policy"]


async def test_a_browser_without_a_token_gets_401_and_a_page_that_asks(
    port: Port,
) -> None:
    del port.http.headers["Authorization"]
    answer = await port.http.get("/docs", headers={"Accept": "text/html,*/*;q=0.8"})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert 'id="token"' in answer.text
    assert "/v1/" not in answer.text
