"""One queue, several nodes: all is done once, duties are done once, nobody storms."""

from collections import Counter
from datetime import timedelta

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.tasks import FINISHED
from nexa_node.core.policies import RetentionPolicy
from tests.fakes import MemoryStore, settle
from tests.rig import FakeAgent
from tests.two_nodes import BURIED_S, Town


async def work_off(town: Town, agents: list[FakeAgent], seconds: float) -> None:
    """Let agents do all they are given."""
    done: set[tuple[str, int]] = set()
    for _ in range(int(seconds / 0.5)):
        await town.clock.advance(0.5)
        for agent in agents:
            for told in agent.assigned():
                claim = (told["task"]["id"], told["claim_epoch"])
                if claim not in done:
                    done.add(claim)
                    await agent.complete(told, agent.id)


async def test_two_nodes_pull_one_queue_and_all_is_done_once() -> None:
    async with Town("alpha", "beta", "gamma") as town:
        agents = [await town[name].agent(f"on-{name}", slots=3) for name in town.nodes]
        ids = [(await town["alpha"].submit()).id for _ in range(90)]
        await work_off(town, agents, 30)

        records = [town["alpha"].task(each) for each in ids]
        assert Counter(each.status for each in records) == {"completed": 90}
        assert {each.claim_epoch for each in records} == {1}
        assert len({each.agent for each in records}) == 3, "all took part"
        assert town.store.queue.entries == {}


async def test_a_node_that_dies_meanwhile_costs_nothing_but_time() -> None:
    async with Town("alpha", "beta", "gamma") as town:
        agents = [await town[name].agent(f"on-{name}", slots=3) for name in town.nodes]
        ids = [(await town["beta"].submit()).id for _ in range(60)]
        await settle()
        await town.kill("alpha")
        await town.bury("alpha")
        await work_off(town, agents[1:], 40)

        records = [town["beta"].task(each) for each in ids]
        assert Counter(each.status for each in records) == {"completed": 60}
        assert town.store.queue.entries == {}


async def test_deadlines_are_ended_by_one_node_without_conflicts() -> None:
    async with Town("alpha", "beta", "gamma") as town:
        soon = town.clock.now() + timedelta(seconds=3)
        ids = [(await town["beta"].submit(deadline=soon)).id for _ in range(20)]
        town.store.door.calls.clear()
        await town.clock.advance(4)

        calls = Counter(town.store.door.calls)
        assert {town["alpha"].task(each).status for each in ids} == {"expired"}
        assert town.events()["task.expired"] == 20
        assert calls["tasks.update"] == calls["tasks.get"] == 20


async def test_deadlines_are_ended_by_whoever_takes_over() -> None:
    async with Town("alpha", "beta", "gamma") as town:
        soon = town.clock.now() + timedelta(seconds=3)
        early = await town["beta"].submit(deadline=soon)
        await town.clock.advance(3.5)
        later = await town["beta"].submit(deadline=soon + timedelta(seconds=3))
        await town.kill("alpha")
        await town.clock.advance(4)
        assert town["beta"].task(later.id).status == "pending", "nobody is in charge"
        await town.bury("alpha")
        await town.clock.advance(1)

        assert town["beta"].task(early.id).status == "expired"
        assert town["beta"].task(later.id).status == "expired"
        assert town.events()["task.expired"] == 2
        assert not town["gamma"].tasks._deadlines._due, "others let go of it, too"


async def test_a_delayed_task_is_handed_out_once_when_its_time_comes() -> None:
    async with Town("alpha", "beta") as town:
        agents = [await town[name].agent(f"on-{name}") for name in town.nodes]
        submitted = await town["beta"].submit(delay_ms=5000)
        await town.clock.advance(4.5)
        assert not [each for agent in agents for each in agent.assigned()]
        await work_off(town, agents, 3)

        given = [each for agent in agents for each in agent.assigned()]
        assert [each["task"]["id"] for each in given] == [submitted.id]


async def test_finished_tasks_are_forgotten_by_one_node() -> None:
    store = MemoryStore(retention=RetentionPolicy(tasks_hours=0.01))
    async with Town("alpha", "beta", store=store) as town:
        agent = await town["alpha"].agent()
        submitted = await town["beta"].submit()
        await settle()
        await agent.complete(await agent.accept())
        assert town["beta"].task(submitted.id).status in FINISHED
        await town.clock.advance(110)

        calls = Counter(store.door.calls)
        assert submitted.id not in store.tasks.bucket.entries
        assert calls["tasks.delete"] == 1
        assert town["beta"].directory.task(submitted.id) is None


async def test_a_canary_that_another_node_takes_is_told_back() -> None:
    async with Town("alpha", "beta") as town:
        await town["alpha"].agent("on-alpha")
        await town["beta"].agent("on-beta")
        await town.clock.advance(130)

        figures = [town[name].canary.figures for name in town.nodes]
        assert all(each.passed >= 1 for each in figures)
        assert sum(each.lost for each in figures) == 0
        assert town.store.queue.entries == {}


async def test_canaries_of_a_dead_node_are_taken_away() -> None:
    async with Town("alpha", "beta") as town:
        await town["alpha"].agent("on-alpha")
        await town["beta"].agent("on-beta")
        for name in town.nodes:
            canary = town[name].canary
            lane = town[name].dispatch.lanes()[0]
            await canary._queue.put(canary._task(lane, ("normal", "-")))
        await town.kill("alpha")
        await town.bury("alpha")
        await town.clock.advance(130)

        assert town.store.queue.entries == {}
        assert town["beta"].canary.figures.lost == 0


async def test_a_controller_that_dies_halfway_leaves_nothing_forgotten() -> None:
    async with Town("alpha", "beta", "gamma", "delta") as town:
        agents = [await town["alpha"].agent(f"on-alpha-{n}") for n in range(4)]
        ids = [(await town["beta"].submit()).id for _ in range(4)]
        await settle()
        for agent in agents:
            await agent.accept()
        town.controller = "beta"
        update = town["beta"].ledger._records
        town["beta"].ledger._records = OnlyOne(update)
        await town.kill("alpha")
        await town.bury("alpha")
        await town.clock.advance(BURIED_S)
        ended = [each for each in ids if town["gamma"].task(each).status == "pending"]
        assert len(ended) == 1, "beta got no further"
        await town.kill("beta")
        await town.bury("beta")
        await town.clock.advance(1.5)

        records = [town["gamma"].task(each) for each in ids]
        assert {each.history[0].outcome for each in records} == {"node_lost"}
        assert {each.attempts for each in records} == {1}


class OnlyOne:
    """Records that can be written once."""

    def __init__(self, records: object) -> None:
        self._records = records
        self._left = 1

    def __getattr__(self, name: str) -> object:
        if name == "update":
            if self._left == 0:
                raise Unavailable("no more")
            self._left -= 1
        return getattr(self._records, name)


async def test_two_controllers_for_a_moment_do_no_harm() -> None:
    async with Town("alpha", "beta", "gamma") as town:
        agent = await town["alpha"].agent()
        submitted = await town["beta"].submit()
        await settle()
        await agent.accept()
        await town.kill("alpha")
        await town.bury("alpha")
        for name in ("beta", "gamma"):
            town[name].caretaker._is_controller = lambda: True
        await town.clock.advance(BURIED_S)

        task = town["beta"].task(submitted.id)
        assert (task.status, task.attempts) == ("pending", 1)
        assert town.events()["task.returned"] == 1
