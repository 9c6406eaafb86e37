"""What happens at the edges: full queues, broken callbacks of our own, odd orders."""

import asyncio
import io
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from nexa_node.agent import Agent, Deliver, Job
from nexa_node.agent.credentials import from_file, token_source
from nexa_node.agent.narration import LogLines, Narrator
from nexa_node.agent.work import Work
from nexa_node.contract.errors import Invalid, NotFound
from tests.node.agent.standin import NO_ANSWER, Refusal, StandIn, Visit

Make = Callable[..., Agent]


async def test_more_messages_than_may_wait_are_sent_back_for_later(
    node: StandIn, make_agent: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexa_node.agent.letters.WAITING_LIMIT", 2)
    agent = make_agent()
    go = asyncio.Event()
    got: list[int] = []

    @agent.on_message
    async def slow(message: Deliver) -> None:
        await go.wait()
        got.append(message.seq)

    async with agent:
        visit = await node.visit()
        for seq in (1, 2, 3):
            await visit.deliver(seq)
        back = await visit.until("inbox.nack")
        go.set()
        await visit.until("inbox.ack", count=2)
        await visit.deliver(3, attempts=2)
        await visit.until("inbox.ack", count=3)

    assert back["seq"] == 3
    assert got == [1, 2, 3]


async def test_a_message_that_waits_is_not_taken_twice(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    go = asyncio.Event()
    got: list[int] = []

    @agent.on_message
    async def slow(message: Deliver) -> None:
        await go.wait()
        got.append(message.seq)

    async with agent:
        visit = await node.visit()
        await visit.deliver(1)
        await visit.drop()
        second = await node.visit(2)
        await second.deliver(1)
        await second.deliver(2)
        go.set()
        await second.until("inbox.ack", count=2)

    assert second.hello["resume"].get("last_seq", 0) == 0
    assert got == [1, 2]


async def test_an_acknowledgement_the_node_refuses_disturbs_nothing(
    node: StandIn, make_agent: Make
) -> None:
    def refuse(_: Any) -> Any:
        raise Refusal(1014, "unavailable", retryable=True)

    node.script["inbox.ack"] = refuse
    agent = make_agent()
    agent.on_message(lambda message: None)

    async with agent:
        visit = await node.visit()
        await visit.deliver(1)
        await visit.deliver(2)
        await visit.until("inbox.ack", count=2)


async def test_a_fault_of_our_own_is_answered_and_told_without_details(
    node: StandIn, make_agent: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise KeyError("internal detail")

    monkeypatch.setattr(Work, "assigned", fail)

    async with make_agent():
        visit = await node.visit()
        answer = await visit.assign("t1")

    assert answer["error"]["code"] == -32603
    assert "internal detail" not in str(answer)


async def test_a_link_that_breaks_ends_the_run_and_says_why(
    node: StandIn, make_agent: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Work) -> None:
        raise KeyError("broken")

    monkeypatch.setattr(Work, "keep_leases", fail)

    with pytest.raises(Exception, match="link failed"):
        await asyncio.wait_for(make_agent().run(signals=False), 5)


async def test_a_node_that_calls_before_its_welcome_cannot_hold_the_agent(
    node: StandIn, make_agent: Make
) -> None:
    async def eager(visit: Visit) -> None:
        await visit.notify("session.go_away", {"reason": "early"})

    node.before_welcome = eager
    quick = make_agent()

    run = asyncio.create_task(quick.run(signals=False))
    await node.tried(1)
    quick.stop()

    await asyncio.wait_for(run, 10)


async def test_a_renewal_that_fails_for_now_is_asked_for_again(
    node: StandIn, make_agent: Make
) -> None:
    tries: list[Any] = []

    def unsure(params: Any) -> Any:
        tries.append(params)
        if len(tries) < 3:
            raise Refusal(1014, "unavailable", retryable=True)
        return {"lease_until": datetime.now(UTC).isoformat()}

    node.script["task.progress"] = unsure
    agent = make_agent()
    go = asyncio.Event()

    @agent.task("wc")
    async def work(job: Job) -> str:
        await go.wait()
        return "kept"

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", lease_ms=900)
        await visit.until("task.progress", count=4)
        go.set()
        await visit.until("task.complete")

    assert node.results == {"t1": "kept"}


async def test_results_that_wait_do_not_pile_up_beyond_the_slots(
    node: StandIn, make_agent: Make
) -> None:
    node.script["task.complete"] = lambda _: NO_ANSWER
    agent = make_agent(slots=1)

    @agent.task("wc")
    async def work(job: Job) -> int:
        return 1

    async with agent:
        visit = await node.visit()
        first = await visit.assign("t1")
        await visit.until("task.complete")
        second = await visit.assign("t2")
        await visit.until("task.complete", count=2)
        third = await visit.assign("t3")
        del node.script["task.complete"]

    assert "result" in first
    assert "result" in second
    assert third["error"]["data"]["details"] == {"reason": "busy"}


async def test_a_release_the_node_has_forgotten_ends_in_order(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent(grace=0.0)

    @agent.task("wc")
    async def work(job: Job) -> None:
        await asyncio.Event().wait()

    run = asyncio.create_task(agent.run(signals=False))
    visit = await node.visit()
    await visit.assign("t1")
    node.claims.clear()
    agent.stop()
    await asyncio.wait_for(run, 5)

    assert node.released == []


async def test_a_handler_object_may_be_asynchronous(
    node: StandIn, make_agent: Make
) -> None:
    class Counter:
        async def __call__(self, job: Job) -> int:
            return len(job.data)

    agent = make_agent()
    agent.task("wc")(Counter())

    async with agent:
        visit = await node.visit()
        await visit.assign("t1", data="abc")
        await visit.until("task.complete")

    assert node.results == {"t1": 3}


@pytest.mark.parametrize("content", ["", "two\nlines", "ünïcode"])
def test_a_token_file_that_holds_no_token_is_refused(
    tmp_path: Any, content: str
) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(0o600)

    with pytest.raises(Invalid, match="holds no token"):
        from_file(file)()


def test_a_token_file_that_is_missing_or_a_link_is_refused(tmp_path: Any) -> None:
    real = tmp_path / "real"
    real.write_text("t")
    real.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(real)

    for path in (tmp_path / "none", link):
        with pytest.raises(Invalid, match="can't be read"):
            from_file(path)()


def test_a_token_may_be_asked_for_each_time() -> None:
    tokens = iter(["a", "b"])
    source = token_source(lambda: next(tokens), {})

    assert [source(), source()] == ["a", "b"]


def test_logs_and_errors_are_json_for_programs() -> None:
    out, err = io.StringIO(), io.StringIO()
    narrator = Narrator("a", out, err, quiet=True, as_json=True)
    lines = LogLines(narrator)
    try:
        raise ValueError("inner")
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
    record = logging.LogRecord("n", logging.ERROR, "p", 1, "it %s", ("broke",), trace)
    lines.emit(record)
    narrator.log("of a task", task="t1")
    narrator.failure(NotFound("no such thing", remedy="look elsewhere"))
    narrator.task("t1", "wc", "completed", 1.0)

    told = [msgspec.json.decode(line) for line in err.getvalue().splitlines()]
    assert told[0] == {"event": "log", "line": "it broke: ValueError('inner')"}
    assert told[1] == {"event": "log", "task": "t1", "line": "of a task"}
    assert told[2]["reason"] == "not_found"
    assert told[2]["remedy"] == "look elsewhere"
    assert out.getvalue() == ""
