"""Canaries: a queue that gives nothing is noticed, told and mended."""

from collections.abc import AsyncIterator

import pytest

from nexa_node.contract.ids import Namespace
from nexa_node.core.fairness import bucket_of
from nexa_node.core.policies import CanaryPolicy
from nexa_node.services.tasks.dispatch import CANARY
from tests.builders import task
from tests.fakes import settle
from tests.rig import Rig

QUICK = CanaryPolicy(every_ms=10_000, patience_ms=5000, waiting_ms=15_000)
WC = (Namespace("default"), "wc")


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Rig(canary=QUICK) as rig:
        rig.spawn(rig.canary.run())
        yield rig


async def test_a_canary_comes_out_and_no_agent_sees_it(rig: Rig) -> None:
    agent = await rig.agent()
    await rig.clock.advance(35)

    assert rig.canary.figures.passed >= 3
    assert rig.canary.figures.lost == 0
    assert rig.canary.figures.latest_s is not None
    assert agent.assigned() == []
    assert rig.store.queue.entries == {}
    assert rig.store.tasks.bucket.entries == {}
    assert rig.journal.kinds() == ["agent.joined"]


async def test_all_priorities_take_turns_and_buckets_that_are_in_use(rig: Rig) -> None:
    agent = await rig.agent()
    await rig.submit(fairness_key="acme", priority="high")
    await settle()
    await agent.complete(await agent.accept())
    seen: set[tuple[str, str]] = set()
    put = rig.store.queue.put

    async def watched(task: object) -> bool:
        seen.add((task.priority, bucket_of(task.fairness_key)))
        return await put(task)

    rig.store.queue.put = watched
    await rig.clock.advance(75)

    plain = {(each, "-") for each in ("critical", "high", "normal", "low")}
    assert seen == {*plain, ("high", bucket_of("acme"))}


async def test_a_deaf_queue_is_told_mended_and_told_again(rig: Rig) -> None:
    await rig.agent()
    queue = rig.store.queue
    queue.deaf.add(WC)
    await rig.clock.advance(18)

    told = rig.journal.last("queue.deaf")
    assert (told.severity, told.subject) == ("critical", "queue/default.wc")
    assert "queue wc" in told.message
    assert rig.canary.deaf == (WC,)
    assert queue.rebuilt[0] == (*WC, False)
    await rig.clock.advance(20)
    assert queue.rebuilt[-1] == (*WC, True)
    assert rig.journal.kinds().count("queue.deaf") == 1
    queue.deaf.clear()
    queue.changed()
    await rig.clock.advance(7)

    assert rig.journal.last("queue.recovered").subject == "queue/default.wc"
    assert rig.canary.deaf == ()
    assert queue.entries == {}


async def test_a_canary_is_patient_while_there_is_no_room(rig: Rig) -> None:
    agent = await rig.agent(slots=1)
    await rig.submit()
    await settle()
    assigned = await agent.accept()
    for _ in range(8):
        await rig.clock.advance(10)
        await agent.call("task.progress", id=assigned["task"]["id"], claim_epoch=1)
    assert rig.canary.figures.lost == 0
    passed = rig.canary.figures.passed
    await agent.complete(assigned)
    await rig.clock.advance(3)

    assert rig.canary.figures.passed == passed + 1


async def test_a_store_that_is_silent_is_not_a_deaf_queue(rig: Rig) -> None:
    await rig.agent()
    rig.store.available = False
    await rig.clock.advance(60)
    rig.store.available = True
    await rig.clock.advance(30)

    assert "queue.deaf" not in rig.journal.kinds()
    assert rig.canary.figures.passed >= 1


async def test_tasks_that_come_the_same_way_prove_it_too(rig: Rig) -> None:
    await rig.agent(slots=100)
    queue = rig.store.queue
    real = queue.put

    async def lose_canaries(task: object) -> bool:
        return task.submitter.startswith(CANARY) or await real(task)

    queue.put = lose_canaries
    for _ in range(30):
        for priority in ("critical", "high", "normal", "low"):
            await rig.submit(priority=priority)
        await rig.clock.advance(1)

    assert rig.canary.figures.lost == 0
    assert rig.canary.figures.passed >= 2


async def test_a_task_that_waits_beside_free_slots_brings_it_forward() -> None:
    slow = CanaryPolicy(every_ms=3_600_000, patience_ms=5000, waiting_ms=15_000)
    async with Rig(canary=slow) as rig:
        rig.spawn(rig.canary.run())
        await rig.agent()
        rig.store.queue.deaf.add(WC)
        rig.store.tasks.seed(task("t-1", submitted=rig.clock.now()))
        await rig.clock.advance(12)
        assert rig.store.queue.entries == {}
        await rig.clock.advance(20)

        assert rig.journal.last("queue.deaf").severity == "critical"


async def test_a_task_no_agent_here_can_take_says_nothing_about_the_queue() -> None:
    slow = CanaryPolicy(every_ms=3_600_000)
    async with Rig(canary=slow) as rig:
        rig.spawn(rig.canary.run())
        await rig.agent()
        rig.store.tasks.seed(
            task("t-1", labels={"gpu": "yes"}), task("t-2", type="other")
        )
        await rig.clock.advance(60)

        assert rig.canary.figures.passed == 0


async def test_another_nodes_canary_is_acknowledged_and_told_to_it() -> None:
    first = Rig(canary=QUICK)
    async with first, Rig(store=first.store, name="beta") as second:
        first.spawn(first.canary.run())
        second.spawn(second.canary.run())
        await first.agent("full", slots=0)
        await second.agent("free")
        await first.clock.advance(60)

        assert first.canary.figures.passed >= 3
        assert first.canary.figures.lost == 0


async def test_a_canary_of_a_lane_that_is_gone_is_taken_back(rig: Rig) -> None:
    agent = await rig.agent()
    rig.store.queue.deaf.add(WC)
    await rig.clock.advance(11)
    assert len(rig.store.queue.entries) == 1
    await agent.call("session.bye")
    await rig.clock.advance(8)

    assert rig.store.queue.entries == {}
    assert rig.canary.deaf == ()
