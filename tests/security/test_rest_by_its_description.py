"""Calls that schemathesis makes from the API's own description: no fault, nothing undescribed.

Each operation is asked with an admin's token and with none, over a node's real services.

    make api                         500 calls of each instead of a few
"""

import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nexa_node.adapters.asgi.app import describe
from tests.security.played import BASE, Played, played

EXAMPLES = int(os.environ.get("NEXA_TEST_EXAMPLES", "4"))
DOCUMENT: dict[str, Any] = msgspec.json.decode(describe())
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
SOCKETS = {
    path
    for path, methods in DOCUMENT["paths"].items()
    if any("101" in told["responses"] for told in methods.values())
}
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [
    one.ok() for one in SCHEMA.get_all_operations() if one.ok().path not in SOCKETS
]
ENDS = {"POST /v1/node/drain", "POST /v1/nodes/{id}/drain"}
"""After these the node does what it says no more; without a token only."""


@pytest.fixture(scope="module")
def node() -> Iterator[Played]:
    with played() as one:
        yield one


def ask(node: Played, case: Any, token: str | None) -> None:
    """Send what was made, and hold the answer against the description."""
    how = case.as_transport_kwargs(base_url=BASE)
    headers = {
        name: str(value).encode("utf-8", "surrogateescape")
        for name, value in dict(how.pop("headers", {})).items()
    }
    for name in ("cookies", "timeout", "verify", "cert", "allow_redirects"):
        how.pop(name, None)
    if "data" in how:
        data = how.pop("data")
        how["content" if isinstance(data, (bytes, str)) else "data"] = data
    answer = node.ask(
        how.pop("method"), how.pop("url"), token=token, headers=headers, **how
    )
    case.validate_response(answer, checks=CHECKS)


def named(operation: Any) -> str:
    return f"{operation.method.upper()} {operation.path}"


@pytest.mark.parametrize("known", [True, False], ids=["token", "stranger"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_no_call_finds_a_fault_or_an_answer_that_is_not_described(
    node: Played, operation: Any, known: bool
) -> None:
    if known and named(operation) in ENDS:
        pytest.skip("it would be done")

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES if known else max(1, EXAMPLES // 4),
        deadline=None,
        database=None,
        derandomize=EXAMPLES < 100,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    def calls(case: Any) -> None:
        ask(node, case, node.tokens["admin"] if known else None)

    calls()
