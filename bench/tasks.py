"""From submit to result on one node, with agents that do nothing.

Through REST and through the agent protocol: the time one task takes when nothing else
happens (p50, p99), and how many tasks a second go through when many wait.

    python bench/tasks.py [--tasks 1000] [--agents 2] [--slots 16] [--json]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from throwaway import Node, running_node

from nexa_node.agent import Agent, Job

CAPABILITY = "noop"
POLL_S = 0.001
WAIT_S = 60.0


@dataclass(frozen=True)
class Path:
    """One way to get a task done: submit it; submit it and wait for its result."""

    name: str
    submit: Callable[[], Awaitable[object]]
    do: Callable[[], Awaitable[object]]


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def latency(path: Path, count: int) -> dict[str, float]:
    """One task after the other."""
    took: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        await path.do()
        took.append((time.perf_counter() - began) * 1000)
    return {
        "p50_ms": round(statistics.median(took), 2),
        "p99_ms": round(quantile(took, 0.99), 2),
    }


async def throughput(
    path: Path, count: int, *, at_once: int, completed: Callable[[], Awaitable[int]]
) -> dict[str, float]:
    """Submit `count` tasks, `at_once` submissions in flight, until all are completed."""
    before = await completed()
    began = time.perf_counter()
    left = iter(range(count))

    async def submitter() -> None:
        for _ in left:
            await path.submit()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(submitter())
    accepted = time.perf_counter() - began
    while await completed() - before < count:
        await asyncio.sleep(0.01)
    took = time.perf_counter() - began
    return {
        "submitted_per_s": round(count / accepted, 1),
        "completed_per_s": round(count / took, 1),
    }


async def measure(node: Node, given: argparse.Namespace) -> dict[str, object]:
    """Both ways, one after the other."""
    headers = {"Authorization": f"Bearer {node.token}"}
    limits = httpx.Limits(max_connections=given.at_once + 2)
    client = Agent("bench-client", url=node.url, token=node.token)
    async with (
        httpx.AsyncClient(
            base_url=node.url, headers=headers, timeout=WAIT_S, limits=limits
        ) as http,
        client,
    ):

        async def completed() -> int:
            found = await client.find(CAPABILITY)
            return sum(agent.completed for agent in found.agents)

        while len((await client.find(CAPABILITY)).agents) < given.agents:
            await asyncio.sleep(0.05)
        told: dict[str, object] = {}
        for path in (_rest(http), _protocol(client)):
            await latency(path, 20)
            alone = await latency(path, given.alone)
            many = await throughput(
                path, given.tasks, at_once=given.at_once, completed=completed
            )
            told[path.name] = alone | many
    return told


def _rest(http: httpx.AsyncClient) -> Path:
    async def submit() -> str:
        answer = await http.post("/v1/tasks", json={"type": CAPABILITY, "data": 1})
        answer.raise_for_status()
        return answer.json()["id"]

    async def do() -> None:
        task_id = await submit()
        while True:
            answer = await http.get(f"/v1/tasks/{task_id}", params={"wait_s": "30"})
            answer.raise_for_status()
            if answer.json()["status"] == "completed":
                return

    return Path("REST", submit, do)


def _protocol(client: Agent) -> Path:
    async def submit() -> str:
        return (await client.submit(CAPABILITY, 1)).id

    async def do() -> None:
        task_id = await submit()
        while (await client.get(task_id)).status != "completed":
            await asyncio.sleep(POLL_S)

    return Path("agent protocol", submit, do)


@contextmanager
def agents(node: Node, count: int, slots: int) -> Iterator[None]:
    """Agents that do nothing, each a process of its own."""
    environ = {**node.environ, "NEXA_URL": node.url, "NEXA_TOKEN": node.token}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--be", f"noop-{number}", "--slots", str(slots)],
            env=environ,
        )
        for number in range(count)
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


async def be(name: str, slots: int) -> None:
    """Be one of them."""
    agent = Agent(name, slots=slots)

    @agent.task(CAPABILITY)
    async def nothing(job: Job) -> int:
        return job.data

    await agent.run()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=1000, help="for tasks per second")
    parser.add_argument("--alone", type=int, default=200, help="for the time of one")
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--at-once", type=int, default=32, help="submissions in flight")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--be", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.be:
        asyncio.run(be(given.be, given.slots))
        return 0
    with running_node() as node, agents(node, given.agents, given.slots):
        told = asyncio.run(measure(node, given))
    if given.json:
        print(json.dumps(told | {"cores": os.cpu_count()}, indent=2))
    else:
        for name, figures in told.items():
            print(name, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
