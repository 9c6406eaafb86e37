"""Queues, dead letters, topics and large data over REST."""

import msgspec
import pytest

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_node.adapters.asgi.plan_example import PLAN
from nexa_node.contract.errors import PayloadTooLarge
from nexa_node.contract.ids import DEFAULT_NAMESPACE, TaskId
from nexa_node.contract.messages import ObjectRef, Posted
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Queue, Redrive, Redriven, TaskSummary
from nexa_node.core.policies import HttpPolicy
from nexa_node.services.api import PostedFilter, TaskFilter
from tests.node.adapters.asgi.fake_node import FakeNode, Port, opened, raw

SHA = "0f" * 32


async def test_queues_are_told_by_name(port: Port) -> None:
    answer = await port.http.get("/v1/queues")

    assert msgspec.json.decode(answer.content, type=Page[Queue]) == examples.QUEUES


async def test_dead_letters_are_the_tasks_in_that_state(port: Port) -> None:
    answer = await port.http.get("/v1/dead-letters?type=wc&namespace=lab&limit=5")

    assert msgspec.json.decode(answer.content, type=Page[TaskSummary]).items
    asked = TaskFilter(status="dead_lettered", type="wc", namespace="lab", limit=5)
    assert port.node.asked == [("tasks", asked)]


@pytest.mark.parametrize("verb", ["redrive", "purge"])
async def test_dead_letters_are_redriven_and_purged(port: Port, verb: str) -> None:
    answer = await port.http.post(
        f"/v1/dead-letters/{verb}?dry_run=true", json={"ids": ["t1"], "type": "wc"}
    )

    assert answer.status_code == 200
    told = msgspec.json.decode(answer.content, type=Redriven)
    assert told == msgspec.structs.replace(examples.REDRIVEN, plan=PLAN)
    wanted = Redrive(ids=(TaskId("t1"),), type="wc")
    assert port.node.asked[0] == (verb, (wanted, True))


@pytest.mark.parametrize("verb", ["redrive", "purge"])
async def test_all_dead_letters_must_be_asked_for(port: Port, verb: str) -> None:
    path = f"/v1/dead-letters/{verb}"
    refused = await port.http.post(path, json={})
    taken = await port.http.post(path, json={"all": True})

    assert refused.status_code == 400
    assert "all: true" in refused.json()["remedy"]
    assert taken.status_code == 200
    assert port.node.asked == [(verb, (Redrive(all=True), False))]


async def test_the_messages_of_a_topic_are_read(port: Port) -> None:
    answer = await port.http.get(
        "/v1/messages", params={"topic": "reports.>", "after": 3, "wait_s": 0.5}
    )

    assert msgspec.json.decode(answer.content, type=Page[Posted]) == examples.POSTED
    asked = PostedFilter("reports.>", DEFAULT_NAMESPACE, after=3, wait_s=0.5)
    assert port.node.asked == [("posted", asked)]


async def test_without_a_topic_there_is_nothing_to_read(port: Port) -> None:
    assert (await port.http.get("/v1/messages")).status_code == 400


async def test_large_data_is_taken_as_it_comes(port: Port) -> None:
    async def parts():
        for _ in range(40):
            yield b"x" * 65_536

    answer = await port.http.post("/v1/objects", content=parts())

    assert answer.status_code == 201
    assert msgspec.json.decode(answer.content, type=ObjectRef) == examples.OBJECT
    assert port.node.asked == [("put_object", b"x" * 40 * 65_536)]


async def test_a_refusal_ends_an_upload_in_order() -> None:
    node = FakeNode(refusal=PayloadTooLarge("too much"))
    async with opened(node) as port:
        answer = await port.http.post("/v1/objects", content=b"x")

    assert answer.status_code == 413


async def test_an_upload_that_stops_is_ended() -> None:
    async with opened(policy=HttpPolicy(body_timeout_ms=100)) as port:
        answer = await raw(
            port.number,
            b"POST /v1/objects HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n"
            b"authorization: Bearer nxo_admin_secret\r\n\r\nx",
        )

    assert answer.startswith(b"HTTP/1.1 408")
    assert port.node.asked == []


async def test_large_data_is_read_back(port: Port) -> None:
    answer = await port.http.get(f"/v1/objects/{SHA}")

    assert answer.content == b"large data"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == "10"
    assert port.node.asked == [("get_object", SHA)]
    assert port.node.left.is_set()


async def test_a_name_that_is_no_hash_is_refused(port: Port) -> None:
    answer = await port.http.get("/v1/objects/..%2f..%2fetc")

    assert answer.status_code in (400, 404)
    assert port.node.asked == []


def test_an_upload_is_described_as_bytes() -> None:
    uploads = [one for one in OPERATIONS if one.uploads]

    assert {one.path for one in uploads} == {"/v1/objects", "/v1/cluster/restore"}
