"""T19: from a refusal nobody learns which tokens, tasks or agents there are."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from nexa_node.core import access
from nexa_node.core.access import make_token
from tests.security.played import Played, played


@pytest.fixture(scope="module")
def node() -> Iterator[Played]:
    with played() as one:
        yield one


def said(node: Played, token: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers, without what differs from call to call."""
    answer = node.ask("GET", "/v1/tasks", token=token)
    body = msgspec.json.decode(answer.content)
    own = {"x-request-id", "date", "content-length"}
    headers = {key: text for key, text in answer.headers.items() if key not in own}
    for each in ("instance", "request_id", "trace_id"):
        body.pop(each, None)
    return answer.status_code, body, headers


def with_another_secret(token: str) -> str:
    """A whole token of the same id."""
    return make_token(b"\x07" * 40, token_id=token.split("_")[1]).text


@pytest.mark.parametrize("whose", ["admin", "viewer", "expired", "custom"])
def test_a_wrong_secret_is_answered_as_an_unknown_id(node: Played, whose: str) -> None:
    unknown = said(node, make_token(b"\x09" * 40).text)
    wrong = said(node, with_another_secret(node.tokens[whose]))

    assert wrong == unknown
    assert wrong[0] == 401


@pytest.mark.parametrize("whose", ["admin", "viewer", "expired", "custom", None])
def test_the_same_work_is_done_whatever_is_wrong(
    node: Played, whose: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time by its cause: as many comparisons, of as many bytes. A clock would be noise."""
    done: list[tuple[int, int]] = []
    real = access.hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        done.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(access.hmac, "compare_digest", counted)
    text = (
        make_token(b"\x09" * 40).text
        if whose is None
        else with_another_secret(node.tokens[whose])
    )

    assert said(node, text)[0] in {401, 429}
    assert done == [(64, 64), (64, 64)]


@pytest.mark.parametrize(
    "what", ["tasks", "agents", "tokens", "nodes", "no-such-thing"]
)
def test_a_stranger_is_not_told_what_there_is(node: Played, what: str) -> None:
    there = node.ask("GET", f"/v1/{what}/wc-1")
    nowhere = node.ask("GET", f"/v1/{what}/nobody")

    assert there.status_code == nowhere.status_code == 401
    assert len(there.content) == len(nowhere.content)
