"""The blocking front: the same calls for programs without an event loop."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest

from nexa_node.agent import Agent, Job
from nexa_node.agent.blocking import Cluster
from nexa_node.contract.errors import Invalid, NotFound
from tests.node.agent.conftest import FAST
from tests.node.agent.standin import Refusal, StandIn
from tests.node.agent.test_watching import record, update


class Served:
    """A stand-in node on a thread of its own, since the test blocks."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.node = StandIn()
        self.thread = Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.do(self.node.__aenter__())

    def do(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(10)

    def stop(self) -> None:
        with suppress(TimeoutError):
            self.do(self.node.shut())
        self.do(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.stop()


@pytest.fixture
def cluster(served: Served) -> Callable[..., Cluster]:
    return lambda agent="script-1": Cluster(
        agent, url=served.node.url, timing=FAST, grace=1.0
    )


def test_a_task_is_done_and_its_result_returned(
    served: Served, cluster: Callable[..., Cluster]
) -> None:
    def ended(params: Any) -> Any:
        told = update("completed", watch=params["id"], result=2)
        served.loop.create_task(served.node.visits[0].notify("task.update", told))
        return {"id": params["id"], "status": "pending", "duplicate": False}

    served.node.script["task.submit"] = ended

    with cluster() as nexa:
        assert nexa.do("wc", "a b") == 2


def test_a_task_is_followed(served: Served, cluster: Callable[..., Cluster]) -> None:
    served.node.script["task.watch"] = lambda _: {"watch": "w1", "task": record()}

    with cluster() as nexa:
        updates = nexa.watch("t1")
        assert next(updates).task.status == "pending"
        visit = served.do(served.node.visit())
        told = update("completed", result=1)
        served.do(visit.notify("task.update", told))
        assert [each.task.result for each in updates] == [1]


def test_errors_come_as_they_are(
    served: Served, cluster: Callable[..., Cluster]
) -> None:
    def unknown(_: Any) -> Any:
        raise Refusal(1003, "not_found")

    for method in ("task.get", "task.watch"):
        served.node.script[method] = unknown

    with cluster() as nexa:
        with pytest.raises(NotFound):
            nexa.get("t1")
        with pytest.raises(NotFound):
            next(nexa.watch("t1"))


def test_an_agent_with_handlers_works_beside_it(served: Served) -> None:
    agent = Agent("wc-1", url=served.node.url, timing=FAST, grace=1.0)

    @agent.task("wc")
    def count(job: Job) -> int:
        return len(str(job.data).split())

    with Cluster(agent):
        visit = served.do(served.node.visit())
        served.do(visit.assign(data="a b c"))
        done = served.do(visit.until("task.complete"))

    assert done["result"] == 3


def test_outside_of_with_nothing_can_be_asked(
    served: Served, cluster: Callable[..., Cluster]
) -> None:
    nexa = cluster()
    with pytest.raises(Invalid, match="not open"):
        nexa.get("t1")
    with nexa:
        pass
    with pytest.raises(Invalid, match="not open"):
        nexa.get("t1")
    with pytest.raises(Invalid, match="opened before"), nexa:
        pass
