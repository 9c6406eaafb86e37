from datetime import timedelta
from typing import Any

from nexa_node.contract.ids import Namespace
from nexa_node.contract.tasks import Queue
from nexa_node.core.policies import QueuePolicy
from nexa_node.services.tasks.queues import Queues
from tests.builders import agent, capability, task
from tests.fakes import settle
from tests.rig import Rig


async def listed(rig: Rig, **how: Any) -> dict[tuple[str, str], Queue]:
    await settle()
    return {(each.namespace, each.name): each for each in rig.queues.queues(**how)}


async def test_a_queue_tells_what_waits_and_who_is_there() -> None:
    async with Rig() as rig:
        now = rig.clock.now()
        rig.store.tasks.seed(
            task("a", submitted=now, priority="high"),
            task("b", submitted=now - timedelta(seconds=30)),
            task("c", submitted=now, not_before=now + timedelta(seconds=60)),
            task("d", status="running", node="beta"),
            task("e", status="dead_lettered"),
        )
        rig.store.agents.seed(
            agent("wc-1", slots=4, inflight=1),
            agent("wc-2", slots=2, state="draining"),
            agent("wc-3", connected=False),
        )

        [queue] = (await listed(rig)).values()
        assert (queue.name, queue.namespace) == ("wc", "default")
        assert (queue.pending, queue.delayed, queue.running) == (3, 1, 1)
        assert queue.by_priority["high"] == 1
        assert queue.dead_lettered == 1
        assert queue.oldest_wait_s == 30
        assert (queue.agents, queue.slots, queue.free_slots) == (2, 6, 3)
        assert queue.strategy == "least_loaded"
        await rig.clock.advance(60)
        assert (await listed(rig))["default", "wc"].delayed == 0


async def test_a_queue_without_tasks_is_listed_while_somebody_serves_it() -> None:
    async with Rig() as rig:
        both = (capability("a"), capability("b"))
        rig.store.agents.seed(agent("x", capabilities=both))
        rig.store.agents.seed(agent("y", namespace="lab", capabilities=both[:1]))
        queues = await listed(rig)

        assert list(queues) == [("default", "a"), ("default", "b"), ("lab", "a")]
        empty = queues["default", "a"]
        assert (empty.pending, empty.oldest_wait_s, empty.agents) == (0, None, 1)
        assert list(await listed(rig, namespace=Namespace("lab"))) == [("lab", "a")]


async def test_a_queue_tells_its_strategy() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(task("a"), task("b", type="sum"))
        await settle()
        queues = Queues(
            backlogs=rig.directory.backlogs,
            sight=rig.directory,
            clock=rig.clock,
            policies=(QueuePolicy(name="wc", strategy="latency"),),
        )

        assert [each.strategy for each in queues.queues()] == [
            "least_loaded", "latency",
        ]  # fmt: skip
