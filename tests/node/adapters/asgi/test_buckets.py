"""Shared state over HTTP: ETags, preconditions, and losers that are told the value."""

from typing import Any

import pytest

from nexa_node.adapters.asgi import bucket_examples as examples
from nexa_node.contract.errors import Conflict
from nexa_node.contract.shared import NewValue
from tests.node.adapters.asgi.fake_node import FakeNode, opened

PATH = "/v1/buckets/limits/wc"
LOST = Conflict(
    "limits/wc was not written",
    details={"revision": 7, "current": {"value": {"threshold": 3}}},
)


@pytest.mark.parametrize(
    ("headers", "base"),
    [({}, None), ({"If-Match": '"7"'}, 7), ({"If-None-Match": "*"}, 0)],
)
async def test_what_the_writer_saw_is_passed_on(
    headers: dict[str, str], base: int | None
) -> None:
    node = FakeNode()
    async with opened(node) as port:
        wrote = await port.http.put(PATH, json={"value": 3}, headers=headers)
        gone = await port.http.delete(PATH, headers=headers)

    assert (wrote.status_code, wrote.headers["etag"]) == (200, '"7"')
    assert wrote.json()["value"] == examples.VALUE.value
    assert gone.status_code == 204
    new = NewValue(value=3)
    assert ("write_value", ("limits", "wc", new, base)) in node.asked
    assert ("delete_value", ("limits", "wc", base)) in node.asked


@pytest.mark.parametrize(("headers", "status"), [({}, 409), ({"If-Match": '"6"'}, 412)])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_the_loser_is_told_the_current_value(
    headers: dict[str, str], status: int, method: str
) -> None:
    body: dict[str, Any] = {"json": {"value": 3}} if method == "PUT" else {}
    async with opened(FakeNode(refusal=LOST)) as port:
        told = await port.http.request(method, PATH, headers=headers, **body)

    assert (told.status_code, told.headers["etag"]) == (status, '"7"')
    assert told.headers["content-type"] == "application/problem+json"
    assert told.json()["details"]["current"] == {"value": {"threshold": 3}}


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": "7"},
        {"If-Match": 'W/"7"'},
        {"If-Match": "*"},
        {"If-None-Match": '"7"'},
        {"If-None-Match": "*", "If-Match": '"7"'},
    ],
)
async def test_a_precondition_that_means_nothing_here_is_refused(
    headers: dict[str, str],
) -> None:
    node = FakeNode()
    async with opened(node) as port:
        told = await port.http.put(PATH, json={"value": 3}, headers=headers)

    assert (told.status_code, told.json()["reason"]) == (400, "invalid")
    assert not any(name == "write_value" for name, _ in node.asked)


async def test_reading_tells_the_etag() -> None:
    async with opened() as port:
        told = await port.http.get(PATH)

    assert (told.status_code, told.headers["etag"]) == (200, '"7"')


async def test_a_conflict_has_both_sides() -> None:
    async with opened() as port:
        listed = (await port.http.get("/v1/conflicts")).json()["items"]
        one = (await port.http.get(f"/v1/conflicts/{listed[0]['id']}")).json()

    assert one == listed[0]
    assert [side["kept"] for side in one["sides"]] == [True, False]
