"""Agents of the library and of `nexa agent run` on a real node, through its accidents."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from nexa_node.agent import Agent, Connected, Deliver, Failed, Job, NewTask, RetryPolicy
from nexa_node.contract.errors import Conflict
from nexa_tui.client.discovery import Target
from tests.system.conftest import Shell, end, until

pytestmark = pytest.mark.system


def agent_of(node: Target, name: str, **options: Any) -> Agent:
    return Agent(name, url=node.url, token=node.token, **options)


@contextlib.asynccontextmanager
async def program(
    node: Target, *words: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m nexa_node.agent run …`, ended whatever happens."""
    environ = {key: text for key, text in os.environ.items() if key[:5] != "NEXA_"}
    environ |= {"NEXA_URL": node.url, "NEXA_TOKEN": node.token or ""}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "nexa_node.agent", "run", "--quiet"),
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        env=environ,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def eventually(condition: Any, what: str) -> Any:
    return await asyncio.to_thread(until, condition, what)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_submit_do_result_and_find_over_the_agent_protocol(node: Target) -> None:
    worker = agent_of(node, "worker", slots=4)
    client = agent_of(node, "client", encoding="msgpack")

    @worker.task("double", labels={"zone": "a"})
    async def double(job: Job) -> int:
        await job.progress(50, "half way")
        return job.data * 2

    async with worker, client:
        tasks = [await client.submit("double", number) for number in range(20)]
        done = [await client.result(task.id) for task in tasks]
        found = await client.find("double", labels={"zone": "a"})
        nobody = await client.find("double", labels={"zone": "b"})

    assert [task.result for task in done] == [number * 2 for number in range(20)]
    assert {task.agent for task in done} == {"worker"}
    assert {task.attempts for task in done} == {1}
    assert [one.id for one in found.agents] == ["worker"]
    assert nobody.agents == ()


async def test_a_task_that_fails_is_tried_again(node: Target) -> None:
    worker = agent_of(node, "worker")

    @worker.task("flaky")
    def flaky(job: Job) -> str:
        if job.attempt == 1:
            raise Failed("not yet")
        return f"attempt {job.attempt}"

    async with worker:
        retry = RetryPolicy(max_attempts=3, backoff_ms=10)
        task = await worker.submit(NewTask(type="flaky", retry=retry))
        done = await worker.result(task.id)

    assert done.result == "attempt 2"
    assert [one.outcome for one in done.history] == ["failed", "completed"]


async def test_messages_reach_an_agent_that_was_away(node: Target) -> None:
    got: asyncio.Queue[Any] = asyncio.Queue()
    reader = agent_of(node, "reader")

    @reader.on_message
    async def note(message: Deliver) -> None:
        got.put_nowait((message.sender, message.data))

    async with agent_of(node, "writer") as writer:
        await writer.send("reader", "note", {"n": 1})
        async with reader:
            first = await asyncio.wait_for(got.get(), 15)
            await writer.send("reader", "note", {"n": 2})
            second = await asyncio.wait_for(got.get(), 15)
        async with reader:
            await writer.send("reader", "note", {"n": 3})
            third = await asyncio.wait_for(got.get(), 15)

    assert [first, second, third] == [("writer", {"n": number}) for number in (1, 2, 3)]


async def test_a_cancelled_task_interrupts_its_handler(node: Target) -> None:
    worker = agent_of(node, "worker")
    began, ended = asyncio.Event(), asyncio.Event()

    @worker.task("long")
    async def long(job: Job) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert job.cancel_reason == "cancelled"
            ended.set()

    async with worker:
        task = await worker.submit("long")
        await asyncio.wait_for(began.wait(), 15)
        await worker.cancel(task.id)
        await asyncio.wait_for(ended.wait(), 15)
        told = await worker.get(task.id)

    assert told.status == "cancelled"


async def test_an_agent_killed_in_the_middle_of_a_task_loses_it_to_another(
    node: Target, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    sleep = ("sh", "-c", f"echo $$ > {pid_file}; exec sleep 300")

    async with agent_of(node, "client") as client:
        async with program(
            node, "--id", "wc-1", "--capability", "wc", "--", *sleep
        ) as first:
            task = await client.submit("wc", "one two three")
            await eventually(
                lambda: pid_file.exists() and pid_file.read_text().strip(), "it runs"
            )
            pid = int(pid_file.read_text())
            async with program(
                node,
                *("--id", "wc-2", "--capability", "wc", "--stdin", "text"),
                *("--", "wc", "-w"),
            ):
                first.kill()
                done = await client.result(task.id, timeout=40)
        await eventually(lambda: not lives(pid), "its program is gone")

    assert (done.status, done.agent, done.result) == ("completed", "wc-2", 3)
    assert done.attempts == 2
    assert [one.agent for one in done.history] == ["wc-1", "wc-2"]


async def test_an_agent_that_is_stopped_gives_its_task_back_uncounted(
    node: Target, tmp_path: Path
) -> None:
    began = tmp_path / "began"
    sleep = ("sh", "-c", f"touch {began}; exec sleep 300")

    async with agent_of(node, "client") as client:
        words = ("--id", "a-1", "--capability", "x", "--grace", "0")
        async with program(node, *words, "--", *sleep) as first:
            task = await client.submit("x")
            await eventually(began.exists, "it runs")
            first.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(first.wait(), 15)
        async with program(node, "--id", "a-2", "--capability", "x", "--", "echo", "7"):
            done = await client.result(task.id, timeout=40)

    assert code == 0
    assert (done.agent, done.result) == ("a-2", 7)
    assert [one.outcome for one in done.history] == ["released", "completed"]


async def test_a_second_process_with_the_same_id_ends_the_first(node: Target) -> None:
    first = agent_of(node, "twin")
    run = asyncio.create_task(first.run(signals=False))
    connected = asyncio.Event()
    first.on_connection(lambda _: connected.set())
    await asyncio.wait_for(connected.wait(), 15)

    async with agent_of(node, "twin") as second:
        with pytest.raises(Conflict):
            await asyncio.wait_for(run, 15)
        found = await second.find()

    assert [one.id for one in found.agents if one.connected] == ["twin"]


async def test_a_handler_that_blocks_its_loop_keeps_its_lease(
    shell: Shell, tmp_path: Path
) -> None:
    shell("node", "start", "--port", "0", "--set", "leases.lease_ms=600")
    target = await asyncio.to_thread(_local, shell)
    worker = agent_of(target, "worker")
    go, began = threading.Event(), threading.Event()

    @worker.task("block")
    async def block(job: Job) -> str:
        began.set()
        go.wait(20)  # not awaited: nothing else runs on this loop meanwhile
        return "kept"

    run = asyncio.create_task(asyncio.to_thread(asyncio.run, worker.run(signals=False)))
    async with agent_of(target, "client") as client:
        task = await client.submit("block")
        await asyncio.to_thread(began.wait, 15)
        await asyncio.sleep(2.0)  # more than three leases: the time is what is tested
        go.set()
        done = await client.result(task.id)
        other = agent_of(target, "worker")
        async with other:
            with pytest.raises(Conflict):
                await asyncio.wait_for(run, 15)

    assert (done.result, done.attempts) == ("kept", 1)


async def test_a_result_reaches_the_node_after_it_was_restarted(
    shell: Shell, node: Target
) -> None:
    worker = agent_of(node, "worker")
    go = asyncio.Event()
    began = asyncio.Event()
    seen: asyncio.Queue[Any] = asyncio.Queue()
    worker.on_connection(seen.put_nowait)

    @worker.task("slow")
    async def slow(job: Job) -> str:
        began.set()
        await go.wait()
        return "kept"

    port = node.url.rpartition(":")[2]
    async with worker:
        task = await worker.submit("slow")
        await asyncio.wait_for(began.wait(), 15)
        assert node.pid is not None
        os.kill(node.pid, signal.SIGKILL)
        while isinstance(await asyncio.wait_for(seen.get(), 20), Connected):
            pass
        go.set()
        said = await asyncio.to_thread(
            shell, "node", "start", "--name", "alpha", "--port", port
        )
        assert said.code == 0, said.err
        done = await worker.result(task.id, timeout=40)

    assert (done.result, done.attempts) == ("kept", 1)


def test_nexa_agent_run_finds_the_node_by_itself(shell: Shell, node: Target) -> None:
    agent = shell.agent("wc-1", "wc", "wc", "-c", options=("--stdin", "text"))
    try:
        until(lambda: shell.connected("wc-1"), "the agent joins")
        done = shell("task", "submit", "wc", "--data", '"abc"', "--wait")
    finally:
        said = end(agent)

    assert done.out.strip() == "3"
    assert "wc-1: connected to alpha" in said
    assert "wc completed" in said


def _local(shell: Shell) -> Target:
    from nexa_tui.client.discovery import local_nodes

    [target] = local_nodes(shell.environ)
    return target
