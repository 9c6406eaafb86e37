"""Who gets the next task: every strategy on agents at speeds 1:1:2:8, heavy-tailed work.

Twice the same: in a simulator (seeded: it says the same each time) and, with --live, on a
node with four agents. Each strategy is given all tasks at once (makespan: when the last
one is done), then the same tasks as they arrive at 60 % of what the agents can do (p50
and p99 of the time from submission to result). Times are in units of the mean task on
the slowest agent in the simulator, in seconds live.

    python bench/balancing.py [--tasks 2000] [--seeds 5] [--live] [--json]
"""

import argparse
import asyncio
import contextlib
import heapq
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from throwaway import clean_environ

from nexa_node.agent import Agent, Job
from nexa_node.contract.agents import Capability
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Task
from nexa_node.core.routing import choose
from nexa_node.core.strategies import STRATEGIES, Candidate, Seat, StrategyName, Turns

SPEEDS = (1.0, 1.0, 2.0, 8.0)
SLOTS = 4
TAIL = 1.5
"""Pareto's alpha: a fifth of the tasks are most of the work."""
LONGEST = 50.0
"""Times the shortest task."""
LOAD = 0.6
TENANTS = 20
LIVE_S = 0.05
"""The shortest task on the slowest agent, live."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Work:
    """One task: who asks, when, and how long it takes at speed 1."""

    key: str
    size: float
    at: float = 0.0


def works(count: int, seed: int, *, unit: float, arriving: bool) -> list[Work]:
    """Make the tasks of one run; the same ones for every strategy."""
    rng = random.Random(seed)
    sizes = [unit * min(rng.paretovariate(TAIL), LONGEST) for _ in range(count)]
    rate = LOAD * SLOTS * sum(SPEEDS) / statistics.mean(sizes)
    at = 0.0
    made: list[Work] = []
    for size in sizes:
        at += rng.expovariate(rate) if arriving else 0.0
        made.append(Work(f"tenant-{rng.randrange(TENANTS)}", size, at))
    return made


def capability(name: str, speed: float) -> Capability:
    """What an agent says of itself: the faster, the dearer and the heavier."""
    return Capability(name=name, weight=speed, labels={"cost": str(speed)})


def summary(took: list[float], makespan: float) -> dict[str, float]:
    ordered = sorted(took)
    return {
        "makespan": round(makespan, 2),
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[int(0.99 * len(ordered))], 3),
    }


# -- the simulator -------------------------------------------------------------


class Simulation:
    """One strategy on one list of tasks, on a clock of its own."""

    def __init__(self, name: StrategyName, tasks: list[Work], seed: int) -> None:
        self._strategy = STRATEGIES[name]
        self._rng = random.Random(seed)
        self._turns = Turns()
        self._agents = [
            Candidate(
                Seat(AgentId(f"a{n}"), slots=SLOTS, since=-1000.0),
                capability("w", speed),
            )
            for n, speed in enumerate(SPEEDS)
        ]
        self._arriving, self._waiting = deque(tasks), deque[Work]()
        self._running: list[tuple[float, int, int, float, Work]] = []
        self._count = 0
        self._now = 0.0

    def run(self) -> tuple[list[float], float]:
        """How long each task took from its arrival, and when the last one was done."""
        took: list[float] = []
        while self._arriving or self._waiting or self._running:
            free = [each for each in self._agents if each.seat.free]
            if self._waiting and free:
                self._begin(self._waiting.popleft(), free)
            elif self._arriving and self._arriving[0].at <= self._next_end():
                self._now = self._arriving[0].at
                self._waiting.append(self._arriving.popleft())
            else:
                took.append(self._finish())
        return took, self._now

    def _next_end(self) -> float:
        return self._running[0][0] if self._running else float("inf")

    def _begin(self, work: Work, free: list[Candidate]) -> None:
        task = Task(
            id=TaskId("t"),
            type="w",
            status="pending",
            priority="normal",
            submitted=NOW,
            submitter="bench",
            fairness_key=work.key,
        )
        chosen = choose(
            task,
            free,
            excluded=(),
            now=self._now,
            rng=self._rng,
            strategy=self._strategy,
        )
        assert chosen is not None
        self._count += 1
        self._turns.count(chosen, self._count, now=self._now)
        chosen.seat.inflight += 1
        index = self._agents.index(chosen)
        end = self._now + work.size / SPEEDS[index]
        heapq.heappush(self._running, (end, self._count, index, self._now, work))

    def _finish(self) -> float:
        self._now, _, index, began, work = heapq.heappop(self._running)
        agent = self._agents[index]
        agent.seat.inflight -= 1
        agent.learn(service_s=self._now - began, failed=False)
        return self._now - work.at


def simulated(name: StrategyName, count: int, seeds: int) -> dict[str, float]:
    """Medians over all seeds."""
    runs: list[dict[str, float]] = []
    for seed in range(seeds):
        batch = works(count, seed, unit=1 / 3, arriving=False)
        stream = works(count, seed, unit=1 / 3, arriving=True)
        _, makespan = Simulation(name, batch, seed).run()
        took, _ = Simulation(name, stream, seed).run()
        runs.append(summary(took, makespan))
    return {
        key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]
    }


# -- live ----------------------------------------------------------------------


@contextlib.contextmanager
def node() -> Iterator[tuple[str, str]]:
    """A node whose queues have one strategy each; its address and its token."""
    home = Path(tempfile.mkdtemp(prefix="nexa-bench-"))
    config = home / "balancing.toml"
    config.write_text(
        "".join(
            f'[[queue]]\nname = "work-{name}"\nstrategy = "{name}"\n\n'
            for name in STRATEGIES
        )
    )
    command = [sys.executable, "-m", "nexa_node", "run", "--name", "bench"]
    command += ["--port", "0", "--config", str(config)]
    command += ["--set", "sessions.messages_per_s=100000"]
    process = subprocess.Popen(command, env=clean_environ(NEXA_HOME=str(home)))
    try:
        folder = home / "state" / "node" / "bench"
        while not (folder / "admin.token").exists():
            if process.poll() is not None:
                raise SystemExit("the node did not start")
            time.sleep(0.05)
        told = json.loads((folder / "node.json").read_text())
        yield told["url"], (folder / "admin.token").read_text().strip()
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


class Crew:
    """Four agents that sleep as long as the work takes them."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self.took: list[float] = []

    @contextlib.asynccontextmanager
    async def working(self, name: str) -> AsyncIterator[Agent]:
        """Connect them all for one strategy's queue; a client to submit with."""
        async with contextlib.AsyncExitStack() as stack:
            for number, speed in enumerate(SPEEDS):
                agent = Agent(
                    f"{name.replace('_', '-')}-{number}",
                    url=self._url,
                    token=self._token,
                    slots=SLOTS,
                )
                said = capability(f"work-{name}", speed)
                agent.task(said.name, labels=said.labels, weight=said.weight)(
                    self._worker(speed)
                )
                await stack.enter_async_context(agent)
            yield await stack.enter_async_context(
                Agent("submitter", url=self._url, token=self._token)
            )

    def _worker(self, speed: float) -> Callable[[Job], Awaitable[None]]:
        async def work(job: Job) -> None:
            await asyncio.sleep(job.data["size"] / speed)
            self.took.append(time.perf_counter() - job.data["at"])

        return work


async def play(crew: Crew, client: Agent, name: str, tasks: list[Work]) -> float:
    """Submit each task at its time; how long it took until all were done."""
    crew.took.clear()
    began = time.perf_counter()

    async def submit(work: Work) -> None:
        await asyncio.sleep(max(0.0, began + work.at - time.perf_counter()))
        data = {"size": work.size, "at": time.perf_counter()}
        await client.submit(f"work-{name}", data, fairness_key=work.key)

    limit = asyncio.Semaphore(64)

    async def bounded(work: Work) -> None:
        async with limit:
            await submit(work)

    async with asyncio.TaskGroup() as group:
        for work in tasks:
            group.create_task(bounded(work) if work.at == 0.0 else submit(work))
    while len(crew.took) < len(tasks):
        await asyncio.sleep(0.01)
    return time.perf_counter() - began


async def live(count: int) -> dict[str, dict[str, float]]:
    """Every strategy on one node, one after the other."""
    told: dict[str, dict[str, float]] = {}
    with node() as (url, token):
        crew = Crew(url, token)
        for name in STRATEGIES:
            async with crew.working(name) as client:
                await play(crew, client, name, [Work("warm-up", 0.001)] * 64)
                batch = works(count, 1, unit=LIVE_S, arriving=False)
                makespan = await play(crew, client, name, batch)
                stream = works(count, 1, unit=LIVE_S, arriving=True)
                await play(crew, client, name, stream)
                told[name] = summary(crew.took, makespan)
    return told


def show(title: str, told: dict[str, dict[str, float]]) -> None:
    print(f"{title:<28}{'makespan':>10}{'p50':>10}{'p99':>10}")
    for name, figures in told.items():
        row = "".join(f"{figures[key]:>10}" for key in ("makespan", "p50", "p99"))
        print(f"{name:<28}{row}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=2000, help="of one simulated run")
    parser.add_argument("--seeds", type=int, default=5, help="simulated runs")
    parser.add_argument("--live", action="store_true", help="on a node, too")
    parser.add_argument("--live-tasks", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    told = {
        "simulated": {
            name: simulated(name, given.tasks, given.seeds) for name in STRATEGIES
        }
    }
    if given.live:
        told["live"] = asyncio.run(live(given.live_tasks))
    if given.json:
        print(json.dumps(told | {"cores": os.cpu_count()}, indent=2))
    else:
        for title, figures in told.items():
            show(title, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
