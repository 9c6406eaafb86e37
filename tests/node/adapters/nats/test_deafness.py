"""A real queue that goes deaf: it is noticed and told, and tasks come again."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.core.policies import CanaryPolicy, LeasePolicy
from nexa_node.core.strategies import Candidate, Seat
from nexa_node.services.directory.directory import Directory
from nexa_node.services.means import Means
from nexa_node.services.sessions.live import LiveAgent
from nexa_node.services.tasks.canary import Canary
from nexa_node.services.tasks.custody import Custody
from nexa_node.services.tasks.dispatch import Dispatch
from nexa_node.services.tasks.ledger import Ledger
from tests import builders
from tests.fakes import CountingEntropy, RecordingJournal
from tests.node.adapters.nats.tools import eventually, kill

QUICK = CanaryPolicy(every_ms=300, patience_ms=1500)
CONSUMER = "default=normal=wc=-"


class Line:
    """An agent's connection: keeps what it was asked."""

    def __init__(self) -> None:
        self.assigned: list[str] = []

    def request(self, method: str, params: Any, **_: Any) -> bool:
        assert method == "task.assign"
        self.assigned.append(params.task.id)
        return True


def live_agent(line: Line) -> LiveAgent:
    seat = Seat(agent="wc-1", slots=50, since=0.0)
    return LiveAgent(
        namespace="default",
        id="wc-1",
        name="wc-1",
        version=None,
        identity=builders.identity("agent"),
        session="s-1",
        revision=1,
        seat=seat,
        candidates={"wc": Candidate(seat, builders.capability())},
        connection=line,
        methods=frozenset(),
        since=builders.NOW,
        last_seen=builders.NOW,
    )


@asynccontextmanager
async def dispatching(store: NatsStore, canary: CanaryPolicy) -> AsyncIterator[Any]:
    """Dispatch, its canaries and one agent, over a real store."""
    clock, rng, journal = SystemClock(), random.Random(1), RecordingJournal()
    directory = Directory(
        tasks=store.tasks, agents=store.agents, events=store.events, clock=clock
    )
    ledger = Ledger(store.tasks, journal)
    custody = Custody(
        ledger=ledger,
        sight=directory,
        clock=clock,
        node="alpha",
        policy=LeasePolicy(),
        rng=rng,
    )
    dispatch = Dispatch(
        queue=store.queue, custody=custody, policy=LeasePolicy(), rng=rng
    )
    means = Means(
        sight=directory,
        clock=clock,
        journal=journal,
        entropy=CountingEntropy(),
        rng=rng,
        node="alpha",
    )
    watcher = Canary(
        queue=store.queue,
        dispatch=dispatch,
        signals=store.signals,
        means=means,
        policy=canary,
    )
    line = Line()
    loops = [
        asyncio.ensure_future(each)
        for each in (
            directory.watch_tasks(),
            directory.watch_agents(),
            dispatch.run(),
            watcher.run(),
        )
    ]
    try:
        dispatch.joined(live_agent(line), restarted=False)
        yield SimpleNamespace(
            store=store, ledger=ledger, journal=journal, canary=watcher, line=line
        )
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


@pytest.fixture
async def scene(store: NatsStore) -> AsyncIterator[Any]:
    async with dispatching(store, QUICK) as scene:
        await eventually(lambda: scene.canary.figures.passed >= 1)
        yield scene


async def submit(scene: Any, name: str) -> None:
    task = builders.task(name)
    await asyncio.gather(scene.store.queue.put(task), scene.ledger.create(task))


async def api(scene: Any, verb: str, body: bytes = b"") -> None:
    await scene.store._connection.request(
        f"$JS.API.CONSUMER.{verb}.{topology.TASKQ}.{CONSUMER}", body
    )


async def test_a_paused_consumer_is_told_and_resumed(scene: Any) -> None:
    await api(scene, "PAUSE", b'{"pause_until": "2099-01-01T00:00:00Z"}')
    await submit(scene, "t-1")
    await eventually(lambda: scene.line.assigned == ["t-1"], seconds=30)

    told = scene.journal.last("queue.deaf")
    assert (told.severity, told.subject) == ("critical", "queue/default.wc")
    await eventually(lambda: "queue.recovered" in scene.journal.kinds())
    assert scene.canary.deaf == ()


async def test_a_removed_consumer_is_made_again_at_once(scene: Any) -> None:
    await api(scene, "DELETE")
    await submit(scene, "t-1")

    await eventually(lambda: scene.line.assigned == ["t-1"])
    passed = scene.canary.figures.passed
    await eventually(lambda: scene.canary.figures.passed > passed + 4)


async def test_after_the_server_was_killed_tasks_come_again(scene: Any) -> None:
    kill(scene.store)
    await submit(scene, "t-1")

    await eventually(lambda: scene.line.assigned == ["t-1"])
    passed = scene.canary.figures.passed
    await eventually(lambda: scene.canary.figures.passed > passed)
    assert scene.canary.deaf == ()
