"""`Idempotency-Key` on every write there is: done once, answered alike, or refused.

The cases come from the table of operations, so a new write is tried before anybody wrote
a test for it.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest

from nexa_node.adapters.asgi.app import build_app
from nexa_node.adapters.asgi.operation import Operation
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_node.contract.errors import Duplicate, Unavailable
from nexa_node.contract.ids import DEFAULT_NAMESPACE
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.tasks import NewTask
from nexa_node.core.policies import HttpPolicy
from tests.fakes import settle
from tests.node.adapters.asgi.fake_node import VIEWER, FakeNode, headers as as_admin
from tests.rig import Rig

WRITES = [one for one in OPERATIONS if one.method != "GET"]
REPEATED = [one for one in WRITES if one.repeatable]
STORED = [one for one in WRITES if one.idempotent]
OTHERWISE = {
    "restore": "refuses a node that is not empty, so never done twice",
    "put_object": "kept under its own hash: the same again is the same object",
    "backup": "looks",
    "run_selftest": "looks, and tells as it goes",
    "preview_silence": "looks",
    "prometheus": "looks",
    "open": "logs in: each proof is good once anyway",
}
"""Operations that take no key, by action, and why they need none."""
PARTS = {"{fingerprint}": "0" * 16}
MESSAGE = {"to": {"agent": "wc-1"}, "type": "a", "data": 1}


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@dataclass
class Port:
    node: FakeNode
    http: httpx.AsyncClient


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    node = FakeNode()
    app = build_app(node, HttpPolicy(names=("nexa.test",)))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://nexa.test", headers=as_admin()
    ) as http:
        yield Port(node, http)


async def write(
    port: Port, operation: Operation, key: str | None, *, query: str = "", **how: Any
) -> httpx.Response:
    path = operation.path
    for part in ("{id}", "{name}", "{bucket}", "{key}", "{fingerprint}"):
        path = path.replace(part, PARTS.get(part, "alpha"))
    headers = how.pop("headers", {}) | (
        {"If-None-Match": "*"} if operation.conditional else {}
    )
    if key is not None:
        headers["Idempotency-Key"] = key
    if operation.body is not None:
        how["content"] = msgspec.json.encode(how.pop("body", operation.body_example))
        headers["Content-Type"] = "application/json"
    return await port.http.request(
        operation.method, path + query, headers=headers, **how
    )


def done(port: Port) -> int:
    """How often the node was asked to do something, lookups apart."""
    return sum(name not in {"cluster", "agent"} for name, _ in port.node.asked)


def test_every_write_takes_a_key_or_needs_none() -> None:
    without = {one.action for one in WRITES if one not in REPEATED + STORED}

    assert without == OTHERWISE.keys()
    assert {one.action for one in STORED} == {"submit", "send"}


async def test_the_same_key_is_done_once_and_another_call_by_it_refused(
    port: Port,
) -> None:
    for number, operation in enumerate(REPEATED):
        name, port.node.asked = name_of(operation), []
        k1, k2 = f"k{number}", f"both{number}"
        first = await write(port, operation, k1)
        again = await write(port, operation, k1)
        both = await asyncio.gather(*(write(port, operation, k2) for _ in range(3)))

        assert first.status_code == operation.status, (name, first.text)
        answers = {(one.status_code, one.content) for one in (first, again, *both)}
        assert len(answers) == 1, name
        assert done(port) == 2, name

        other = REPEATED[number - 1]
        refused = [await write(port, other, k1)]
        if operation.dangerous:
            refused.append(await write(port, operation, k1, query="?dry_run=true"))
        for one in refused:
            assert one.status_code == 409, name
            assert one.json()["reason"] == "duplicate"
        assert done(port) == 2, name

        await write(port, operation, None)
        assert done(port) == 3, name


async def test_after_an_error_the_key_is_free(port: Port) -> None:
    for number, operation in enumerate(REPEATED):
        port.node.refusal = Unavailable("no quorum")
        refused = await write(port, operation, f"k{number}")
        port.node.refusal = None
        told = await write(port, operation, f"k{number}")

        assert refused.status_code == 503, name_of(operation)
        assert told.status_code == operation.status, name_of(operation)


@pytest.mark.parametrize("operation", STORED, ids=name_of)
async def test_a_key_of_the_store_reaches_it_each_time(
    port: Port, operation: Operation
) -> None:
    for _ in range(2):
        told = await write(port, operation, "k1")
        assert told.status_code in {200, 201, 202}, told.text
    other = NewTask(type="other") if operation.action == "submit" else MESSAGE
    refused = await write(port, operation, "k1", body=other)

    assert done(port) == 2
    assert refused.status_code == 409
    asked = [what for name, what in port.node.asked if name == operation.action]
    assert {getattr(one, "idempotency_key", None) or one.id for one in asked} == {"k1"}


async def test_a_message_that_is_not_kept_is_sent_once(port: Port) -> None:
    (send,) = [one for one in STORED if one.action == "send"]
    for _ in range(2):
        told = await write(port, send, "k1", body={**MESSAGE, "durable": False})
        assert told.status_code == send.status, told.text

    assert done(port) == 1


async def test_a_key_that_is_none_is_refused_everywhere(port: Port) -> None:
    for operation in REPEATED + STORED:
        for key in (b"", b"a b", "ü".encode(), b"x" * 129):
            headers = {"Idempotency-Key": key}
            told = await write(port, operation, None, headers=headers)
            assert told.status_code == 400, (name_of(operation), key)
    assert done(port) == 0


async def test_somebody_else_is_told_nothing_by_the_same_key(port: Port) -> None:
    (create,) = [one for one in REPEATED if one.action == "create_token"]
    await write(port, create, "k1")
    others = {"Authorization": f"Bearer {VIEWER}"}
    await write(port, create, "k1", headers=others)

    assert done(port) == 2  # his own call, which the node refuses or does


# -- what the store knows, with the real services, also after a restart --------------


async def test_a_task_by_the_same_key_is_one_task_on_every_node_and_after_a_restart() -> (
    None
):
    async with Rig() as one:
        first = await one.submit(idempotency_key="k")
        again = await one.submit(idempotency_key="k")
        with pytest.raises(Duplicate):
            await one.submit(idempotency_key="k", data="other words")
    async with Rig(store=one.store, name="beta") as other:
        later = await other.submit(idempotency_key="k")
        at_once = await asyncio.gather(
            *(other.submit(idempotency_key="together") for _ in range(4))
        )

    assert (first.duplicate, again.duplicate, later.duplicate) == (False, True, True)
    assert first.id == again.id == later.id
    assert len({told.id for told in at_once}) == 1
    assert sum(not told.duplicate for told in at_once) == 1


@pytest.mark.parametrize(
    "to",
    [Address(agent="wc-1"), Address(topic="orders"), Address(capability="wc"),
     Address(broadcast=True)],
    ids=("agent", "topic", "capability", "broadcast"),
)  # fmt: skip
async def test_a_message_by_the_same_id_is_stored_once_wherever_it_goes(
    to: Address,
) -> None:
    message = NewMessage(id="k", to=to, type="a", data=1)
    async with Rig() as one:
        for number in range(8):  # to a capability it may be anybody's turn
            await one.agent(f"wc-{number}")
        told = [await one.messages.send("token:ann", message) for _ in range(10)]
        await settle()
        stored = len(one.store.inboxes.kept)
    async with Rig(store=one.store, name="beta") as other:
        await other.agent("wc-9")
        later = await other.messages.send("token:ann", message)
        more = len(one.store.inboxes.kept) - stored

    assert [each.duplicate for each in told] == [False] + [True] * 9
    if to.broadcast:
        assert more == 1  # who was not there yet
    else:
        assert stored == 1
        assert (later.duplicate, more) == (True, 0)
    assert DEFAULT_NAMESPACE == "default"
