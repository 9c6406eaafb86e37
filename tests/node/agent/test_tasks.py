"""Tasks from assignment to accepted result, over real sockets."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nexa_node.agent import Agent, Failed, Job, Usage
from nexa_node.contract.errors import BudgetExceeded, LeaseLost
from tests.node.agent.standin import (
    BUDGET_EXCEEDED,
    LEASE_LOST,
    NO_ANSWER,
    UNAVAILABLE,
    StandIn,
    Visit,
)

Make = Callable[..., Agent]


def counting(agent: Agent) -> None:
    @agent.task("wc")
    async def count(job: Job) -> int:
        return len(str(job.data).split())


async def accepted_at_last(visit: Visit, task_id: str) -> None:
    """Offer a task, as a node does after `busy`, until its slot is free."""
    async with asyncio.timeout(5):
        while "error" in await visit.assign(task_id):
            await asyncio.sleep(0.01)


async def test_a_task_is_accepted_and_its_result_brought_back(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    counting(agent)

    async with agent:
        visit = await node.visit()
        answer = await visit.assign("t1", data="three little words")
        await visit.until("task.complete")

    assert answer["result"] == {"accepted": True}
    assert node.results == {"t1": 3}


async def test_the_handler_sees_the_task_its_attempt_and_its_epoch(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()

    @agent.task("wc")
    async def look(job: Job) -> list[Any]:
        job.usage = Usage(model="m", input_tokens=5)
        return [job.id, job.type, job.attempt, job.claim_epoch, job.task.submitter]

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", epoch=7, attempt=2)
        done = await visit.until("task.complete")

    assert done["result"] == ["t1", "wc", 2, 7, "token:test"]
    assert done["claim_epoch"] == 7
    assert done["usage"]["input_tokens"] == 5


async def test_msgpack_carries_the_same_words(node: StandIn, make_agent: Make) -> None:
    agent = make_agent(encoding="msgpack")
    counting(agent)

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", data="a b")
        await visit.until("task.complete")

    assert visit.socket.subprotocol == "nexa.v1.msgpack"
    assert node.results == {"t1": 2}


async def test_a_plain_function_runs_in_a_thread(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()

    @agent.task("wc")
    def where(job: Job) -> bool:
        return threading.current_thread() is threading.main_thread()

    async with agent:
        visit = await node.visit()
        await visit.assign("t1")
        await visit.until("task.complete")

    assert node.results == {"t1": False}


@pytest.mark.parametrize(
    ("raised", "error", "retryable"),
    [
        (Failed("no such file", retryable=False), "no such file", False),
        (Failed({"code": 3}), {"code": 3}, True),
        (ValueError("odd"), "ValueError: odd", True),
        (LeaseLost("of another task"), "of another task", False),
        (StopIteration("end"), "RuntimeError: ", True),
        (SystemExit(3), "RuntimeError: the handler raised SystemExit(3)", True),
    ],
)
async def test_what_a_handler_raises_fails_the_task(
    node: StandIn,
    make_agent: Make,
    raised: BaseException,
    error: Any,
    retryable: bool,
) -> None:
    agent = make_agent()

    @agent.task("wc")
    def fail(job: Job) -> None:
        raise raised

    async with agent:
        visit = await node.visit()
        await visit.assign("t1")
        told = await visit.until("task.fail")

    if isinstance(error, str):
        assert told["error"].startswith(error)
    else:
        assert told["error"] == error
    assert told.get("retryable", True) is retryable


@pytest.mark.parametrize("result", [object(), "x" * (256 * 1024)])
async def test_a_result_that_cannot_be_kept_fails_for_good(
    node: StandIn, make_agent: Make, result: Any
) -> None:
    agent = make_agent()

    @agent.task("wc")
    async def give(job: Job) -> Any:
        return result

    async with agent:
        visit = await node.visit()
        await visit.assign("t1")
        told = await visit.until("task.fail")

    assert told["retryable"] is False


async def test_a_result_the_node_refuses_becomes_a_failure(
    node: StandIn, make_agent: Make
) -> None:
    from tests.node.agent.standin import Refusal

    def refuse(_: Any) -> Any:
        raise Refusal(1004, "invalid")

    node.script["task.complete"] = refuse
    agent = make_agent()
    counting(agent)

    async with agent:
        visit = await node.visit()
        await visit.assign("t1")
        told = await visit.until("task.fail")

    assert "refused the result" in told["error"]
    assert told["retryable"] is False


async def test_more_than_the_slots_is_rejected_as_busy(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent(slots=1)
    go = asyncio.Event()

    @agent.task("wc")
    async def wait(job: Job) -> None:
        await go.wait()

    async with agent:
        visit = await node.visit()
        await visit.assign("t1")
        answer = await visit.assign("t2")
        go.set()
        await visit.until("task.complete")

    assert answer["error"]["code"] == 1013
    assert answer["error"]["data"]["details"] == {"reason": "busy"}
    assert answer["error"]["data"]["retry_after_ms"] > 0


async def test_a_task_without_a_handler_is_rejected_as_unable(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    counting(agent)

    async with agent:
        visit = await node.visit()
        answer = await visit.assign("t1", type="other")

    assert answer["error"]["data"]["details"] == {"reason": "unable"}


async def test_the_same_assignment_twice_starts_one_handler(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent(slots=3)
    go = asyncio.Event()
    started: list[str] = []

    @agent.task("wc")
    async def wait(job: Job) -> None:
        started.append(job.id)
        await go.wait()

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", epoch=4)
        answer = await visit.assign("t1", epoch=4)
        go.set()
        await visit.until("task.complete")

    assert answer["result"] == {"accepted": True}
    assert started == ["t1"]


async def test_a_newer_claim_of_a_task_ends_the_older(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent(slots=2)
    epochs: list[tuple[int, str | None]] = []

    @agent.task("wc")
    async def work(job: Job) -> int:
        if job.claim_epoch == 2:
            return 2
        try:
            await asyncio.Event().wait()
        finally:
            epochs.append((job.claim_epoch, job.cancel_reason))
        return 1

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", epoch=1)
        await visit.assign("t1", epoch=2)
        await visit.until("task.complete")

    assert node.results == {"t1": 2}
    assert epochs == [(1, "lease_lost")]


async def test_cancellation_interrupts_an_asynchronous_handler(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    seen: asyncio.Queue[str | None] = asyncio.Queue()

    @agent.task("wc")
    async def work(job: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.put_nowait(job.cancel_reason)

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", epoch=3)
        await visit.notify("task.cancelled", {"id": "t1", "claim_epoch": 3})
        reason = await asyncio.wait_for(seen.get(), 5)

    assert reason == "cancelled"
    assert "t1" not in node.results | node.failures


async def test_cancellation_is_seen_by_a_handler_in_a_thread(
    node: StandIn, make_agent: Make, caplog: pytest.LogCaptureFixture
) -> None:
    agent = make_agent()
    began = threading.Event()

    @agent.task("wc")
    def work(job: Job) -> str:
        began.set()
        assert job.wait_cancelled(5)
        return "too late"

    async with agent:
        visit = await node.visit()
        await visit.assign("t1")
        await asyncio.to_thread(began.wait, 5)
        await visit.notify("task.cancelled", {"id": "t1", "claim_epoch": 1})
        await accepted_at_last(visit, "t2")
        await visit.notify("task.cancelled", {"id": "t2", "claim_epoch": 1})

    assert node.results == {}
    assert "t1: its result is dropped: cancelled" in caplog.text


async def test_progress_reaches_the_node(node: StandIn, make_agent: Make) -> None:
    agent = make_agent()
    go = asyncio.Event()

    @agent.task("wc")
    async def work(job: Job) -> None:
        await job.progress(50, "half way", {"so": "far"})
        await go.wait()

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", epoch=9)
        told = await visit.until("task.progress")
        go.set()

    assert told == {
        "id": "t1",
        "claim_epoch": 9,
        "pct": 50,
        "note": "half way",
        "partial": {"so": "far"},
    }


async def test_of_progress_that_comes_fast_the_newest_is_told(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()

    @agent.task("wc")
    async def work(job: Job) -> None:
        for pct in range(1000):
            job.report(pct)
        await asyncio.sleep(0.2)

    async with agent:
        visit = await node.visit()
        await visit.assign("t1")
        await visit.until("task.complete")

    told = visit.calls("task.progress")
    assert told[-1]["pct"] == 999
    assert len(told) < 100


async def test_progress_after_the_lease_is_lost_stops_the_handler(
    node: StandIn, make_agent: Make
) -> None:
    def lose(_: Any) -> Any:
        raise LEASE_LOST

    node.script["task.progress"] = lose
    agent = make_agent()
    ended: asyncio.Queue[BaseException] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    @agent.task("wc")
    def work(job: Job) -> None:
        job.report(1)
        job.wait_cancelled(5)
        try:
            job.report(2)
        except LeaseLost as error:
            loop.call_soon_threadsafe(ended.put_nowait, error)
            raise

    async with agent:
        visit = await node.visit()
        await visit.assign("t1")
        error = await asyncio.wait_for(ended.get(), 5)

    assert "somebody else" in str(error)
    assert node.failures == {}


async def test_a_lease_is_renewed_while_the_handler_is_quiet(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    go = asyncio.Event()

    @agent.task("wc")
    async def work(job: Job) -> str:
        await go.wait()
        return "kept"

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", lease_ms=300)
        await visit.until("task.progress", count=6)
        go.set()
        await visit.until("task.complete")

    assert node.results == {"t1": "kept"}


async def test_what_is_spent_is_told_without_progress_until_the_budget_ends_it(
    node: StandIn, make_agent: Make
) -> None:
    def held_against_the_budget(params: Any) -> Any:
        spent = params.get("usage", {}).get("output_tokens", 0)
        if spent > 10:
            raise BUDGET_EXCEEDED
        return {"lease_until": "2100-01-01T00:00:00Z"}

    node.script["task.progress"] = held_against_the_budget
    agent = make_agent()
    seen: asyncio.Queue[str | None] = asyncio.Queue()

    @agent.task("wc")
    async def work(job: Job) -> None:
        try:
            for spent in range(0, 1000, 6):
                job.usage = Usage(output_tokens=spent)
                await asyncio.sleep(0.01)
            await asyncio.Event().wait()
        finally:
            seen.put_nowait(job.cancel_reason)
            with pytest.raises(BudgetExceeded, match="more than its budget"):
                job.report(50)

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", lease_ms=300)
        reason = await asyncio.wait_for(seen.get(), 5)
        await accepted_at_last(visit, "t2")

    assert reason == "budget_exceeded"
    assert node.failures == {}


async def test_a_lease_is_renewed_while_the_handler_blocks_its_event_loop(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    go = threading.Event()
    blocked_s: list[float] = []

    @agent.task("wc")
    async def work(job: Job) -> str:
        began = time.monotonic()
        go.wait(10)  # not awaited: nothing else runs on this loop meanwhile
        blocked_s.append(time.monotonic() - began)
        return "kept"

    program = asyncio.create_task(
        asyncio.to_thread(asyncio.run, agent.run(signals=False))
    )
    visit = await node.visit()
    await visit.assign("t1", lease_ms=300)
    await visit.until("task.progress", count=8)
    go.set()
    await visit.until("task.complete")
    await visit.close(4501, "enough")
    with pytest.raises(Exception, match="enough"):
        await program

    assert node.results == {"t1": "kept"}
    assert blocked_s[0] > 0.5


async def test_a_lease_is_never_renewed_past_the_deadline(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()

    @agent.task("wc")
    async def work(job: Job) -> None:
        await asyncio.Event().wait()

    async with agent:
        visit = await node.visit()
        deadline = datetime.now(UTC) + timedelta(seconds=0.3)
        await visit.assign("t1", lease_ms=200, deadline=deadline)
        told = await visit.until("task.fail")

    assert told["error"] == "the deadline passed"
    assert told["retryable"] is False


async def test_a_lease_that_cannot_be_renewed_ends_by_our_own_clock(
    node: StandIn, make_agent: Make
) -> None:
    node.script["task.progress"] = lambda _: NO_ANSWER
    agent = make_agent()
    seen: asyncio.Queue[str | None] = asyncio.Queue()

    @agent.task("wc")
    async def work(job: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.put_nowait(job.cancel_reason)

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", lease_ms=300)
        reason = await asyncio.wait_for(seen.get(), 5)

    assert reason == "lease_lost"


async def test_a_result_is_told_again_until_the_store_takes_it(
    node: StandIn, make_agent: Make
) -> None:
    tries: list[Any] = []

    def busy(params: Any) -> Any:
        tries.append(params)
        if len(tries) < 3:
            raise UNAVAILABLE
        return {}

    node.script["task.complete"] = busy
    agent = make_agent()
    counting(agent)

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", data="a b", epoch=5)
        await visit.until("task.complete", count=3)

    assert [params["claim_epoch"] for params in tries] == [5, 5, 5]


async def test_a_result_survives_the_connection_it_was_told_on(
    node: StandIn, make_agent: Make
) -> None:
    first: list[Visit] = []

    def vanish(_: Any) -> Any:
        first[0].socket.transport.abort()
        del node.script["task.complete"]
        return NO_ANSWER

    node.script["task.complete"] = vanish
    agent = make_agent()
    counting(agent)

    async with agent:
        first.append(await node.visit())
        await first[0].assign("t1", data="a b c", epoch=5)
        second = await node.visit(2)
        told = await second.until("task.complete")

    assert told["claim_epoch"] == 5
    assert node.results == {"t1": 3}


async def test_the_result_of_a_lost_lease_is_dropped_with_a_line_in_the_log(
    node: StandIn, make_agent: Make, caplog: pytest.LogCaptureFixture
) -> None:
    agent = make_agent()
    counting(agent)
    go = asyncio.Event()

    @agent.task("slow")
    async def slow(job: Job) -> str:
        await go.wait()
        return "late"

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", type="slow")
        node.claims["t1"] = 99
        go.set()
        await visit.until("task.complete")
        await accepted_at_last(visit, "t2")

    assert "t1: its result is dropped: lease_lost" in caplog.text
    assert "t1" not in node.results


async def test_after_a_reconnect_the_lease_is_asked_for_at_once(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    seen: asyncio.Queue[str | None] = asyncio.Queue()

    @agent.task("wc")
    async def work(job: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.put_nowait(job.cancel_reason)

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", lease_ms=60_000)
        node.claims.clear()
        await visit.drop()
        second = await node.visit(2)
        await second.until("task.progress")
        reason = await asyncio.wait_for(seen.get(), 5)

    assert reason == "lease_lost"


async def test_credits_are_granted_to_a_node_that_waits_for_them(
    node: StandIn, make_agent: Make
) -> None:
    node.features = ["credits"]
    agent = make_agent(slots=3)
    counting(agent)

    async with agent:
        visit = await node.visit()
        first = await visit.until("flow.credit")
        await visit.assign("t1")
        await visit.until("task.complete")
        second = await visit.until("flow.credit", count=2)

    assert first == {"scope": "tasks", "n": 3}
    assert second == {"scope": "tasks", "n": 1}


async def test_slots_and_capabilities_are_advertised(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent(slots=4, name="Counter", version="2", namespace="prod")

    @agent.task("wc", version="1.1", labels={"zone": "a"}, weight=2.5)
    async def count(job: Job) -> None: ...

    async with agent:
        visit = await node.visit()

    hello = visit.hello
    assert hello["slots"] == 4
    assert hello["namespace"] == "prod"
    assert hello["agent"]["name"] == "Counter"
    assert hello["capabilities"] == [
        {"name": "wc", "version": "1.1", "labels": {"zone": "a"}, "weight": 2.5}
    ]


async def test_state_and_load_are_reported_on_change(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent(slots=2)
    go = asyncio.Event()

    @agent.task("wc")
    async def wait(job: Job) -> None:
        await go.wait()

    async with agent:
        visit = await node.visit()
        idle = await visit.until("agent.report")
        await visit.assign("t1")
        active = await visit.until(
            "agent.report", where=lambda told: told["state"] == "active"
        )
        go.set()

    assert idle["state"] == "idle"
    assert idle["metrics"]["memory"] > 0
    assert active["load"] == 0.5
