"""Stopping: finish or give back what is in hand, say bye, end."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nexa_node.agent import Agent, Job
from nexa_node.contract.errors import Unauthorized
from tests.node.agent.standin import StandIn

Make = Callable[..., Agent]


async def test_what_runs_is_finished_within_the_grace(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    go = asyncio.Event()

    @agent.task("wc")
    async def work(job: Job) -> str:
        await go.wait()
        return "finished"

    run = asyncio.create_task(agent.run(signals=False))
    visit = await node.visit()
    await visit.assign("t1")
    agent.stop()
    await visit.until("agent.report", where=lambda told: told["state"] == "draining")
    refused = await visit.assign("t2")
    go.set()
    await asyncio.wait_for(run, 5)

    assert refused["error"]["data"]["details"] == {"reason": "busy"}
    assert node.results == {"t1": "finished"}
    assert [name for name, _ in visit.received][-1] == "session.bye"


async def test_what_takes_longer_than_the_grace_is_given_back(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent(grace=0.1)
    cleaned: list[str | None] = []

    @agent.task("wc")
    async def work(job: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(job.cancel_reason)

    run = asyncio.create_task(agent.run(signals=False))
    visit = await node.visit()
    await visit.assign("t1")
    agent.stop()
    await asyncio.wait_for(run, 5)

    assert node.released == ["t1"]
    assert cleaned == ["stopping"]
    assert node.failures == {}


async def test_a_handler_in_a_thread_that_goes_on_is_given_back_too(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent(grace=0.1)
    go = threading.Event()

    @agent.task("wc")
    def work(job: Job) -> None:
        go.wait(10)

    run = asyncio.create_task(agent.run(signals=False))
    visit = await node.visit()
    await visit.assign("t1")
    agent.stop()
    await asyncio.wait_for(run, 5)
    go.set()

    assert node.released == ["t1"]


async def test_a_handler_that_ignores_its_cancellation_is_given_back(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent(grace=0.05)
    go = asyncio.Event()

    @agent.task("wc")
    async def work(job: Job) -> str:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    run = asyncio.create_task(agent.run(signals=False))
    visit = await node.visit()
    await visit.assign("t1")
    agent.stop()
    await asyncio.wait_for(run, 8)
    go.set()

    assert node.released == ["t1"]
    assert node.results == {}


async def test_stopping_twice_ends_the_grace(node: StandIn, make_agent: Make) -> None:
    agent = make_agent(grace=60)

    @agent.task("wc")
    async def work(job: Job) -> None:
        await asyncio.Event().wait()

    run = asyncio.create_task(agent.run(signals=False))
    visit = await node.visit()
    await visit.assign("t1")
    agent.stop()
    agent.stop()
    await asyncio.wait_for(run, 5)

    assert node.released == ["t1"]


async def test_sigterm_stops_the_agent_in_order(
    node: StandIn, make_agent: Make
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run = asyncio.create_task(make_agent().run())
    visit = await node.visit()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(run, 5)

    assert "session.bye" in [name for name, _ in visit.received]
    assert signal.getsignal(signal.SIGTERM) is before


async def test_an_agent_without_a_node_ends_as_well(make_agent: Make) -> None:
    agent = make_agent(url="http://127.0.0.1:1")
    run = asyncio.create_task(agent.run(signals=False))
    away = asyncio.Event()
    agent.on_connection(lambda _: away.set())
    await asyncio.wait_for(away.wait(), 5)
    agent.stop()

    await asyncio.wait_for(run, 5)


async def test_a_result_no_node_takes_is_left_to_its_lease(
    node: StandIn, make_agent: Make, caplog: pytest.LogCaptureFixture
) -> None:
    agent = make_agent()
    go = asyncio.Event()

    @agent.task("wc")
    async def work(job: Job) -> str:
        await go.wait()
        return "unheard"

    run = asyncio.create_task(agent.run(signals=False))
    visit = await node.visit()
    await visit.assign("t1")
    node.refuse_with = 503
    await visit.drop()
    go.set()
    agent.stop()
    await asyncio.wait_for(run, 8)

    assert "ended without telling a node of t1" in caplog.text


async def test_an_agent_that_is_ended_by_its_node_interrupts_its_handlers(
    node: StandIn, make_agent: Make
) -> None:
    agent = make_agent()
    reasons: list[Any] = []

    @agent.task("wc")
    async def work(job: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(job.cancel_reason)

    run = asyncio.create_task(agent.run(signals=False))
    visit = await node.visit()
    await visit.assign("t1")
    await visit.close(4505, "revoked")
    with pytest.raises(Unauthorized, match="revoked"):
        await asyncio.wait_for(run, 5)

    assert reasons == ["stopping"]


async def test_no_thread_is_left_behind(node: StandIn, make_agent: Make) -> None:
    async with make_agent("left-behind"):
        await node.visit()
        during = [thread.name for thread in threading.enumerate()]

    assert "nexa-agent-left-behind" in during
    assert "nexa-agent-left-behind" not in [
        thread.name for thread in threading.enumerate()
    ]
