"""Liveness and readiness."""

import pytest

from nexa_node.contract.nodes import Ready
from tests.node.adapters.asgi.fake_node import FakeNode, Port, headers, opened


async def test_liveness_says_that_it_is_nexa(port: Port) -> None:
    answer = await port.http.get("/healthz")

    assert answer.json() == {"status": "ok", "service": "nexa"}


@pytest.mark.parametrize(
    ("status", "code"), [("ready", 200), ("degraded", 200), ("not_ready", 503)]
)
async def test_readiness_is_a_status_code_and_the_reasons_need_a_token(
    status: str, code: int
) -> None:
    node = FakeNode(readiness=Ready(status=status, reasons=("store: no quorum",)))  # type: ignore[arg-type]  # one of the three
    async with opened(node) as port:
        known = await port.http.get("/readyz")
        del port.http.headers["Authorization"]
        stranger = await port.http.get("/readyz")

    assert (known.status_code, stranger.status_code) == (code, code)
    assert known.json() == {"status": status, "reasons": ["store: no quorum"]}
    assert stranger.json() == {"status": status}


async def test_a_head_request_is_answered_without_a_body(port: Port) -> None:
    answer = await port.http.head("/healthz", headers=headers(None))

    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0
