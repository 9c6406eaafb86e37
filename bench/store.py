"""What one operation of the store costs: processor time of the node and of nats-server.

Every write is synced before it is answered. `at once` is how many callers wait at the
same time; with one, the time of an operation is its latency.

    python bench/store.py [--operations 3000] [--at-once 1 8 32 128] [--json]
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from nexa_node.adapters.nats.store import NatsStore, open_store
from nexa_node.contract.events import Event
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId, TaskId
from nexa_node.contract.messages import Address, Message
from nexa_node.contract.tasks import Task
from nexa_node.core.policies import RetentionPolicy, StorePolicy

Operation = Callable[[int], Awaitable[object]]
PAYLOAD = "x" * 200
AGENT = AgentId("a")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Figure:
    """What one operation cost, in microseconds."""

    operation: str
    at_once: int
    per_s: float
    p50_us: float
    node_cpu_us: float
    server_cpu_us: float


def task(number: int, **fields: object) -> Task:
    filled = {
        "id": TaskId(f"t{number}"),
        "type": "noop",
        "status": "pending",
        "priority": "normal",
        "submitter": "bench",
        "submitted": NOW,
        "data": PAYLOAD,
        **fields,
    }
    return Task(**filled)  # pyright: ignore[reportArgumentType]


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def measure(
    name: str, operation: Operation, count: int, at_once: int, server: psutil.Process
) -> Figure:
    """Do it `count` times, `at_once` at the same time."""
    took: list[float] = []
    left = iter(range(count))

    async def worker() -> None:
        for number in left:
            began = time.perf_counter()
            await operation(number)
            took.append(time.perf_counter() - began)

    node, other, began = time.process_time(), cpu_s(server), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
    seconds = time.perf_counter() - began
    return Figure(
        name,
        at_once,
        per_s=round(count / seconds, 1),
        p50_us=round(statistics.median(took) * 1e6, 1),
        node_cpu_us=round((time.process_time() - node) / count * 1e6, 1),
        server_cpu_us=round((cpu_s(server) - other) / count * 1e6, 1),
    )


class Work:
    """The operations; each on records of its own."""

    def __init__(self, store: NatsStore) -> None:
        self._store = store
        self._numbers = itertools.count()
        self._made: list[tuple[int, int]] = []

    def rows(self) -> Iterator[tuple[str, Operation]]:
        yield "record.create", self.create
        yield "record.read", self.read
        yield "record.update", self.update
        yield "queue.put", self.put
        yield "queue.take+ack", self.take
        yield "inbox.append", self.append
        yield "event.append", self.event

    async def create(self, _: int) -> None:
        number = next(self._numbers)
        revision = await self._store.tasks.create(task(number))
        assert revision is not None
        self._made.append((number, revision))

    async def read(self, number: int) -> None:
        which = self._made[number % len(self._made)][0]
        assert await self._store.tasks.get(TaskId(f"t{which}")) is not None

    async def update(self, _: int) -> None:
        number, revision = self._made.pop()
        await self._store.tasks.update(
            task(number, status="completed", result=1), revision=revision
        )

    async def put(self, _: int) -> None:
        await self._store.queue.put(task(next(self._numbers)))

    async def take(self, _: int) -> None:
        [delivery] = await self._store.queue.take(
            task(0).namespace, "noop", limit=1, wait_s=5
        )
        delivery.ack()
        delivery.ack()

    async def append(self, _: int) -> None:
        message = Message(
            id=f"m{next(self._numbers)}",
            sender="bench",
            to=Address(agent=AGENT),
            type="bench",
            time=NOW,
            data=PAYLOAD,
        )
        await self._store.inboxes.append(DEFAULT_NAMESPACE, AGENT, message, ttl_s=None)

    async def event(self, _: int) -> None:
        await self._store.events.append(
            Event(
                id=f"e{next(self._numbers)}",
                time=NOW,
                kind="bench.event",
                severity="info",
                subject="bench/store",
                message=PAYLOAD,
                node="bench",
            )
        )


async def run(given: argparse.Namespace, folder: Path) -> list[Figure]:
    """Every operation with every number of callers, in turns."""
    found: list[Figure] = []
    async with open_store(
        StorePolicy(), folder, retention=RetentionPolicy(), on_change=lambda _: None
    ) as store:
        server = psutil.Process(store.health().pid)
        work = Work(store)
        await measure("warm", work.create, 200, 8, server)
        for at_once in given.at_once:
            count = min(given.operations, 100 + 100 * at_once)
            for name, operation in work.rows():
                if given.only and name not in given.only:
                    continue
                found.append(await measure(name, operation, count, at_once, server))
                if not given.json:
                    print(line(found[-1]), flush=True)
    return found


def line(figure: Figure) -> str:
    return (
        f"{figure.operation:<16} {figure.at_once:>4} at once {figure.per_s:>9,.0f}/s  "
        f"p50 {figure.p50_us:>8,.0f} us  node {figure.node_cpu_us:>6,.0f} us  "
        f"nats-server {figure.server_cpu_us:>6,.0f} us"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", type=int, default=3000, help="of each, at most")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--only", nargs="+", help="these operations")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as home:
        found = asyncio.run(run(given, Path(home) / "bench"))
        if given.json:
            figures = [asdict(figure) for figure in found]
            print(json.dumps({"cores": os.cpu_count(), "figures": figures}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
