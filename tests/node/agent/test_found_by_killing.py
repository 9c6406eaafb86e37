"""What crash tests found in the agent library, each by itself and without a crash."""

import asyncio
import gc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError

from nexa_node.agent import Agent, Job, NewTask
from nexa_node.agent.claims import Claim
from nexa_node.agent.jobs import Jobs
from nexa_node.agent.link import Link
from nexa_node.agent.peer import Lost, Peer
from nexa_node.agent.wire import CODECS
from nexa_node.contract.frames import Empty
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import Task
from nexa_node.contract.version import JSON_SUBPROTOCOL
from tests.fakes import settle
from tests.node.agent.standin import StandIn
from tests.node.agent.test_calls import record

Make = Callable[..., Agent]


@pytest.mark.parametrize("how", ["submit", "do"])
async def test_a_task_with_a_key_is_given_no_id_that_would_be_another_name(
    how: str, node: StandIn, make_agent: Make
) -> None:
    """An id of the library's own, new with each try, would make two tasks of one."""
    node.script["task.submit"] = lambda _: {
        "id": "k1",
        "status": "completed",
        "duplicate": True,
    }
    node.script["task.watch"] = lambda _: {
        "watch": "w1",
        "task": record("completed", id="k1", result=2),
    }

    async with make_agent() as agent:
        visit = await node.visit()
        if how == "submit":
            task = NewTask(type="wc", idempotency_key="order 17")
            assert (await agent.submit(task)).id == "k1"
        else:
            assert await agent.do("wc", idempotency_key="order 17", timeout=5) == 2

    (sent,) = visit.calls("task.submit")
    assert sent["idempotency_key"] == "order 17"
    assert sent.get("id") is None


class Board:
    """A link that keeps what is posted to it."""

    def __init__(self) -> None:
        self.work = self
        self.settled: list[tuple[Any, Any]] = []

    def post(self, deed: Callable[..., None], *what: Any) -> None:
        deed(*what)

    def settle(self, claim: Claim, outcome: Any) -> None:
        self.settled.append((claim, outcome))

    def news(self, claim: Claim, news: Any) -> None:
        raise AssertionError((claim, news))


@pytest.mark.parametrize("reason", ["cancelled", "lease_lost", "stopping"])
async def test_a_job_that_is_revoked_before_it_began_gives_its_slot_back(
    reason: Any,
) -> None:
    begun: list[str] = []

    async def handler(job: Job) -> None:
        begun.append(job.id)
        await asyncio.Event().wait()

    board = Board()
    jobs = Jobs({"wc": handler}, cast("Link", board))
    claim = Claim(
        task=task(), epoch=1, attempt=1, lease_s=30, lease_ends=30, deadline=None,
        renew_at=10,
    )  # fmt: skip
    jobs.start(claim)
    claim.cancellation.set(reason)
    jobs.revoke(claim)  # the offer and its end came in one frame
    await settle()

    assert [settled for settled, _ in board.settled] == [claim]


def task() -> Task:
    return Task(
        id=TaskId("t1"),
        type="wc",
        status="assigned",
        priority="normal",
        submitted=datetime(2026, 1, 1, tzinfo=UTC),
        submitter="boss",
    )


class Breaking:
    """A socket that is lost while a frame is on its way."""

    def __init__(self) -> None:
        self.peer: Peer | None = None

    async def send(self, data: bytes, *, text: bool) -> None:
        assert self.peer is not None
        await asyncio.sleep(0)
        self.peer.lost()
        raise ConnectionClosedError(None, None)


async def test_a_call_that_is_lost_while_it_is_sent_is_told_once_and_logged_never() -> (
    None
):
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: complaints.append(context)
    )
    socket = Breaking()
    socket.peer = Peer(cast("ClientConnection", socket), CODECS[JSON_SUBPROTOCOL])
    with pytest.raises(Lost):
        await socket.peer.call("agents.find", Empty(), Empty, timeout=5)
    gc.collect()

    assert complaints == []
