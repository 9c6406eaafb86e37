"""REST calls against a small real server: paths, bodies, refusals."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from nexa_node.contract.cluster import ClusterChange, JoinToken
from nexa_node.contract.errors import Forbidden, NexaError, NotFound, problem
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Explanation, NewTask, Submitted
from nexa_tui.client.clock import SystemClock
from nexa_tui.client.discovery import Target
from nexa_tui.client.http import HttpNode
from tests.builders import NOW, TASK_ID, check, task


class Served:
    """What was asked for, and what is answered next."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[str] = []
        self.status = 200
        self.body = b""

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, _, rest = head.partition("\r\n")
        self.asked.append(line.removesuffix(" HTTP/1.1"))
        self.headers.append(rest.lower())
        writer.write(
            f"HTTP/1.1 {self.status} x\r\ncontent-length: {len(self.body)}\r\n"
            f"connection: close\r\n\r\n".encode()
            + self.body
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[HttpNode, Served]]:
    served = Served()
    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        target = Target(url=url, token="secret", name="alpha", source="a test")
        node = HttpNode(target, SystemClock(), random.Random(), resolve=lambda: None)
        yield node, served
        await node.close()
        await node.close()


async def test_a_task_is_fetched_with_the_token() -> None:
    async with serving() as (node, served):
        served.body = msgspec.json.encode(task())
        found = await node.task(TASK_ID)

    assert found == task()
    assert served.asked == [f"GET /v1/tasks/{TASK_ID}"]
    assert "authorization: bearer secret" in served.headers[0]


async def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    async with serving() as (node, served):
        await node.disconnect(AgentId("../tokens?x"))

    assert served.asked == ["POST /v1/agents/..%2Ftokens%3Fx/disconnect"]


async def test_what_changes_something_is_posted() -> None:
    async with serving() as (node, served):
        await node.drain("alpha")
        served.body = msgspec.json.encode(task(status="cancelled"))
        cancelled = await node.cancel(TASK_ID)
        served.body = msgspec.json.encode(
            Submitted(id=TaskId("t"), status="pending", duplicate=False)
        )
        submitted = await node.submit(NewTask(type="wc"))

    assert cancelled.status == "cancelled"
    assert submitted.id == "t"
    assert served.asked == [
        "POST /v1/nodes/alpha/drain",
        f"POST /v1/tasks/{TASK_ID}/cancel",
        "POST /v1/tasks",
    ]


async def test_the_cluster_is_changed_and_a_change_is_planned() -> None:
    planned = ClusterChange(done=False, what="beta would be struck off")
    token = JoinToken(token="nxj1.a.b.c", expires=NOW)
    async with serving() as (node, served):
        await node.maintain("beta", on=True)
        served.body = msgspec.json.encode(planned)
        told = await node.remove("../beta", dry_run=True)
        await node.remove("beta", dry_run=False)
        served.body = msgspec.json.encode(token)
        made = await node.join_token()

    assert told == planned
    assert made == token
    assert served.asked == [
        "POST /v1/nodes/beta/maintenance",
        "POST /v1/nodes/..%2Fbeta/remove?dry_run=true",
        "POST /v1/nodes/beta/remove",
        "POST /v1/cluster/join-tokens",
    ]


async def test_an_explanation_is_fetched() -> None:
    told = Explanation(
        id=TASK_ID, status="pending", verdict="no agent can do wc", considered=()
    )
    async with serving() as (node, served):
        served.body = msgspec.json.encode(told)
        found = await node.explain(TASK_ID)

    assert found == told


async def test_the_selftest_is_streamed_line_by_line() -> None:
    checks = (check(status="running"), check())
    async with serving() as (node, served):
        served.body = b"\n".join(msgspec.json.encode(one) for one in checks) + b"\n"
        found = tuple([one async for one in node.selftest(only="node.store")])

    assert found == checks
    assert served.asked == ["POST /v1/selftest?only=node.store"]


async def test_a_refusal_keeps_its_kind_and_gets_a_remedy() -> None:
    async with serving() as (node, served):
        served.status = 403
        served.body = msgspec.json.encode(problem(Forbidden("viewers may not drain")))
        with pytest.raises(Forbidden, match="viewers may not") as raised:
            await node.drain("alpha")
        with pytest.raises(Forbidden):
            _ = [one async for one in node.selftest()]
        served.status = 404
        served.body = msgspec.json.encode(problem(NotFound("gone", remedy="look")))
        with pytest.raises(NotFound) as kept:
            await node.task(TASK_ID)

    assert "token create" in (raised.value.remedy or "")
    assert kept.value.remedy == "look"


async def test_something_that_is_no_node_is_told_apart() -> None:
    async with serving() as (node, served):
        served.status, served.body = 500, b"<html>"
        with pytest.raises(NexaError, match="no nexa node"):
            await node.task(TASK_ID)
        served.status, served.body = 200, b"[]"
        with pytest.raises(NexaError, match="can't read"):
            await node.task(TASK_ID)
        served.body = b"[]\n"
        with pytest.raises(NexaError, match="can't read"):
            _ = [one async for one in node.selftest()]


async def test_nobody_there_is_told_with_the_way_to_start_one() -> None:
    target = Target("http://127.0.0.1:1", None, "alpha", "", pid=1)
    node = HttpNode(target, SystemClock(), random.Random(), resolve=lambda: None)
    with pytest.raises(NexaError, match="no node answers") as raised:
        await node.task(TASK_ID)
    with pytest.raises(NexaError, match="no node answers"):
        _ = [one async for one in node.selftest()]
    await node.close()

    assert raised.value.remedy == "nexa node start"
