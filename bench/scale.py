"""The console on a large cluster: 100 nodes, 10,000 agents, 100,000 tasks, 500 changes a second.

A process that speaks the console's feed stands in for the cluster; the console is the real
one, in a pseudo-terminal (120x40). Printed as one JSON line, and held against the goals.

    python bench/scale.py [--agents 10000] [--tasks 5000] [--rate 500] [--seconds 20]

`--tasks` is how many tasks the feed carries; a node sends the unfinished ones and the newest
500 of the others, the rest of the 100,000 are counts.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from terminal import Terminal, shows  # noqa: E402
from throwaway import clean_environ, nexa  # noqa: E402

GOALS = {
    "key_p50_ms": 10.0,
    "key_p95_ms": 30.0,
    "cpu_percent": 3.0,
    "bytes_per_s": 5000.0,
    "rss_mb": 120.0,
    "start_ratio": 1.3,
}
NODES = 100
TASKS_IN_ALL = 100_000
BATCH_S = 0.1
KEYS = 60


class Town:
    """A cluster that is not there: its first picture, and its changes."""

    def __init__(self, agents: int, tasks: int) -> None:
        """Make the nodes; agents and tasks are made when they are told."""
        from nexa_node.contract.nodes import TaskCounts
        from tests import builders

        self._make = builders
        self._dice = random.Random(7)
        self._agents, self._tasks = agents, tasks
        self._nodes = tuple(
            builders.node(id=f"node-{n:03}", name=f"node-{n:03}") for n in range(NODES)
        )
        self._counts = TaskCounts(completed=TASKS_IN_ALL - tasks, running=tasks)

    def picture(self) -> Any:
        """All of it."""
        from nexa_node.contract import events

        now, first = datetime.now(UTC), self._nodes[0]
        return events.Snapshot(
            seq=0,
            time=now,
            node=self._make.node_status(name=first.name, id=first.id),
            cluster=self._make.cluster(
                nodes=self._nodes,
                quorum=self._make.cluster().quorum,
                controller=first.id,
            ),
            agents=tuple(self._agent(n) for n in range(self._agents)),
            tasks=tuple(self._task(n) for n in range(self._tasks)),
            counts=self._counts,
            events=(),
            history=(self._make.sample(time=now),),
            selftest=None,
        )

    def change(self, seq: int) -> Any:
        """One thing that is new: most are of agents."""
        from nexa_node.contract import events

        now, kind = datetime.now(UTC), seq % 5
        if self._agents and kind < 3:
            agent = self._agent(self._dice.randrange(self._agents))
            return events.AgentChanged(seq=seq, time=now, agent=agent)
        if self._tasks and kind == 3:
            task = self._task(self._dice.randrange(self._tasks))
            return events.TaskChanged(seq=seq, time=now, task=task, counts=self._counts)
        event = self._make.event(id=f"e-{seq}", time=now)
        return events.Happened(seq=seq, time=now, event=event)

    def sample(self, seq: int) -> Any:
        """What a node tells every two seconds."""
        from nexa_node.contract import events

        now = datetime.now(UTC)
        sample = self._make.sample(time=now)
        return events.Sampled(seq=seq, time=now, sample=sample, counts=self._counts)

    def _agent(self, number: int) -> Any:
        inflight = self._dice.randrange(4)
        return self._make.agent(
            f"agent-{number:05}",
            node=self._nodes[number % NODES].name,
            slots=4,
            inflight=inflight,
            state="active" if inflight else "idle",
            completed=self._dice.randrange(10_000),
        )

    def _task(self, number: int) -> Any:
        from nexa_node.contract.tasks import TaskSummary

        return TaskSummary(
            id=f"task-{number:08}",
            type=f"type-{number % 40}",
            status=self._dice.choice(("pending", "running", "completed")),
            priority="normal",
            namespace="default",
            agent=f"agent-{number % max(1, self._agents):05}",
            attempts=1,
            submitted=datetime.now(UTC),
        )


def serve(port: Any, agents: int, tasks: int, rate: int) -> None:
    """Speak the feed to whoever connects, until the process is ended."""
    import msgspec
    from websockets.asyncio.server import ServerConnection, serve as listen
    from websockets.exceptions import ConnectionClosed

    town = Town(agents, tasks)

    def said(frame: Any) -> str:
        return msgspec.json.encode(frame).decode()

    async def speak(socket: ServerConnection) -> None:
        await socket.send(said(town.picture()))
        seq, made, began, beat = 0, 0, time.monotonic(), 0.0
        while True:
            await asyncio.sleep(BATCH_S)
            due = int((time.monotonic() - began) * rate)
            for _ in range(made, due):
                seq += 1
                await socket.send(said(town.change(seq)))
            made = due
            if time.monotonic() - beat > 2:
                beat, seq = time.monotonic(), seq + 1
                await socket.send(said(town.sample(seq)))

    async def until_gone(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await speak(socket)

    async def run() -> None:
        async with listen(
            until_gone, "127.0.0.1", 0, max_size=None, compression=None
        ) as it:
            port.value = next(iter(it.sockets)).getsockname()[1]
            await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def feeding(agents: int, tasks: int, rate: int) -> Iterator[str]:
    """A feed in a process of its own; its address."""
    fresh = multiprocessing.get_context("spawn")
    port = fresh.Value("i", 0)
    process = fresh.Process(target=serve, args=(port, agents, tasks, rate), daemon=True)
    process.start()
    try:
        while not port.value:
            assert process.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port.value}"
    finally:
        process.terminate()
        process.join()


def console(url: str) -> Terminal:
    """The real one, attached there."""
    words = [*nexa(), "--no-splash", "--attach", url]
    return Terminal(words, environ=clean_environ(NEXA_TOKEN="t"))


def started_ms(agents: int, tasks: int, runs: int) -> float:
    """From exec to a complete Overview; the median."""
    took: list[float] = []
    for _ in range(runs):
        with feeding(agents, tasks, 0) as url, console(url) as terminal:
            complete = shows("live", f"{NODES} nodes")
            took.append(terminal.until(complete).complete_ms)
    return statistics.median(took)


def pressed(terminal: Terminal, keys: int) -> list[float]:
    """From each key to the first bytes of an answer, in ms."""
    took: list[float] = []
    for number in range(keys):
        terminal._watch(0.15)
        count, at = len(terminal.chunks), time.perf_counter()
        terminal.send("j" if number < keys // 2 else "k")
        while len(terminal.chunks) == count and time.perf_counter() - at < 2:
            terminal._collect(0.5)
        took.append(1000 * (terminal.chunks[-1][0] - at))
    return sorted(took)


def measure(agents: int, tasks: int, rate: int, seconds: float) -> dict[str, Any]:
    """One console on one large cluster, with the list of agents open."""
    with feeding(agents, tasks, rate) as url, console(url) as terminal:
        terminal.until(shows("live", f"{NODES} nodes"), timeout=60)
        overview = terminal.idle(seconds, settle=3)
        terminal.send("3")
        terminal.until(shows("Agents"), timeout=60)
        agents_idle = terminal.idle(seconds, settle=3)
        took = pressed(terminal, KEYS)
        rss = terminal._rss()
    return {
        "agents": agents,
        "tasks": tasks,
        "changes_per_s": rate,
        "overview": asdict(overview),
        "list": asdict(agents_idle),
        "cpu_percent": agents_idle.cpu_percent,
        "bytes_per_s": agents_idle.bytes_per_s,
        "key_p50_ms": round(statistics.median(took), 1),
        "key_p95_ms": round(took[int(len(took) * 0.95)], 1),
        "rss_mb": rss,
    }


def main() -> int:
    """Measure, and say which goals were missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=5_000)
    parser.add_argument("--rate", type=int, default=500, help="changes a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=3, help="starts")
    given = parser.parse_args()
    told = measure(given.agents, given.tasks, given.rate, given.seconds)
    empty = started_ms(0, 0, given.runs)
    full = started_ms(given.agents, given.tasks, given.runs)
    told |= {
        "start_empty_ms": empty,
        "start_full_ms": full,
        "start_ratio": round(full / empty, 2),
    }
    print(json.dumps(told))
    missed = [name for name, most in GOALS.items() if told[name] > most]
    for name, most in GOALS.items():
        word = "missed" if name in missed else "kept"
        print(f"{word}: {name} {told[name]:g}, at most {most:g}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
