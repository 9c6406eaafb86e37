import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from nexa_node.contract.errors import NotFound
from nexa_node.contract.events import (
    AgentChanged,
    AgentGone,
    Happened,
    TaskChanged,
    TaskGone,
)
from nexa_node.contract.tasks import summarize
from nexa_node.ports import Versioned
from nexa_node.services.api import AgentFilter, EventFilter, TaskFilter
from nexa_node.services.directory.directory import Directory
from tests import builders
from tests.builders import NOW
from tests.fakes import FakeClock, MemoryStore, settle


class Scene:
    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.clock = store.clock
        self.changes: list[object] = []
        self.directory = Directory(
            tasks=store.tasks,
            agents=store.agents,
            events=store.events,
            clock=store.clock,
        )
        self.directory.subscribe(self.changes.append)

    def loops(self) -> tuple[object, ...]:
        it = self.directory
        return it.watch_tasks, it.watch_agents, it.watch_events


@asynccontextmanager
async def scene(store: MemoryStore | None = None) -> AsyncIterator[Scene]:
    made = Scene(store or MemoryStore(FakeClock()))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop()) for loop in made.loops()]
        await settle()
        yield made
        for task in tasks:
            task.cancel()


async def test_it_knows_what_was_there_before_it_says_so() -> None:
    store = MemoryStore()
    store.tasks.seed(builders.task())
    store.agents.seed(builders.agent())
    it = Scene(store)
    assert not it.directory.is_caught_up

    async with scene(store) as it:
        await it.directory.caught_up()

        assert it.directory.is_caught_up
        assert it.directory.counts().pending == 1
        assert it.directory.find_agent("wc-1") == builders.agent()
        assert it.directory.agent("default", "wc-1") == builders.agent()
        assert it.directory.every_agent("default") == (builders.agent(),)
        assert it.directory.every_agent("lab") == ()
        assert it.directory.all_agents() == (builders.agent(),)
        assert [task.id for task in it.directory.unfinished()] == [builders.TASK_ID]


async def test_changes_are_told_in_order_each_with_its_record() -> None:
    async with scene() as it:
        it.store.tasks.seed(builders.task(), builders.task(status="running"))
        it.store.agents.seed(builders.agent())
        await settle()
        await it.store.tasks.delete(builders.TASK_ID)
        await it.store.agents.delete("default", "wc-1")
        await it.store.events.append(builders.event())
        await settle()

        assert [type(change) for change in it.changes] == [
            TaskChanged,
            TaskChanged,
            AgentChanged,
            TaskGone,
            AgentGone,
            Happened,
        ]
        running = it.changes[1]
        assert running.task == summarize(builders.task(status="running"))
        assert (running.counts.pending, running.counts.running) == (0, 1)
        assert it.directory.counts().running == 0
        assert it.directory.task(builders.TASK_ID) is None


async def test_payloads_are_not_kept_in_memory_but_told_to_who_asks() -> None:
    async with scene() as it:
        told = []
        it.directory.on_task(told.append)
        it.store.tasks.seed(builders.task(status="completed"))
        await settle()

        kept = it.directory.task(builders.TASK_ID)
        assert (kept.data, kept.result, kept.history) == (None, None, ())
        assert kept.status == "completed"
        assert told == [builders.task(status="completed")]


async def test_a_submitted_task_is_found_before_the_watch_tells_it() -> None:
    async with scene() as it:
        it.directory.observe(Versioned(builders.task(), 1))
        assert it.directory.counts().pending == 1

        it.store.tasks.seed(builders.task(), builders.task(status="running"))
        await settle()
        it.directory.observe(Versioned(builders.task(), 1))

        told = [change.task.status for change in it.changes]
        assert told == ["pending", "running"]
        assert it.directory.task(builders.TASK_ID).status == "running"


async def test_a_watch_that_starts_again_drops_what_went_and_repeats_nothing() -> None:
    store = MemoryStore()
    store.tasks.seed(builders.task("a"), builders.task("b"))
    store.agents.seed(builders.agent("wc-1"), builders.agent("wc-2"))
    it = Scene(store)

    async def follow() -> None:
        async with asyncio.TaskGroup() as group:
            watches = [
                group.create_task(it.directory.watch_tasks()),
                group.create_task(it.directory.watch_agents()),
            ]
            await settle()
            for watch in watches:
                watch.cancel()

    await follow()
    await store.tasks.delete("a")
    await store.agents.delete("default", "wc-1")
    it.changes.clear()
    await follow()

    gone = [c.id for c in it.changes if isinstance(c, TaskGone | AgentGone)]
    assert gone == ["a", "wc-1"]
    assert not [c for c in it.changes if isinstance(c, TaskChanged)]


async def test_lists_take_filters_and_pages() -> None:
    async with scene() as it:
        it.store.tasks.seed(
            builders.task("a", submitted=NOW),
            builders.task("b", submitted=NOW + timedelta(seconds=1), status="running"),
        )
        it.store.agents.seed(
            builders.agent("wc-1"), builders.agent("wc-2", state="busy")
        )
        await it.store.events.append(builders.event(kind="node.started"))
        await settle()

        assert [t.id for t in it.directory.tasks(TaskFilter(limit=1)).items] == ["b"]
        running = it.directory.tasks(TaskFilter(status="running"))
        assert [t.id for t in running.items] == ["b"]
        assert [t.id for t in it.directory.newest_tasks(9)] == ["b", "a"]
        busy = it.directory.agents(AgentFilter(state="busy"))
        assert [a.id for a in busy.items] == ["wc-2"]
        found = it.directory.events(EventFilter(kind="node."))
        assert found.items == it.directory.newest_events(9)
        assert it.directory.agents(AgentFilter(), namespace="lab").items == ()


async def test_an_agent_that_is_not_there_is_told_so() -> None:
    async with scene() as it:
        with pytest.raises(NotFound, match="nobody"):
            it.directory.find_agent("nobody")


async def test_events_from_before_and_meanwhile_are_known_once() -> None:
    store = MemoryStore()
    store.events.stored.append(builders.event("e1"))
    async with scene(store) as it:
        await store.events.append(builders.event("e2"))
        await store.events.append(builders.event("e1"))
        await settle()

        assert [e.id for e in it.directory.newest_events(9)] == ["e1", "e2"]


async def test_waiting_for_a_task_ends_when_it_finishes() -> None:
    async with scene() as it, asyncio.TaskGroup() as group:
        it.store.tasks.seed(builders.task())
        await settle()
        waiting = group.create_task(it.directory.finished(builders.TASK_ID, wait_s=60))
        await it.clock.advance(5)
        assert not waiting.done()

        it.store.tasks.seed(builders.task(status="running"))
        it.store.tasks.seed(builders.task(status="completed"))
        await settle()

        assert waiting.result() is True
        assert await it.directory.finished(builders.TASK_ID, wait_s=60) is True
        assert it.directory._waiting._futures == {}


async def test_waiting_for_a_task_ends_after_its_time() -> None:
    async with scene() as it, asyncio.TaskGroup() as group:
        waiting = group.create_task(it.directory.finished("unknown", wait_s=60))
        await it.clock.advance(60)

        assert waiting.result() is False
        assert it.directory._waiting._futures == {}


async def test_a_flood_leaves_others_their_turn() -> None:
    store = MemoryStore()
    store.tasks.seed(*(builders.task(f"t{n}") for n in range(1000)))
    it = Scene(store)
    turns = 0
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(it.directory.watch_tasks())
        while len(it.changes) < 1000:
            turns += 1
            await asyncio.sleep(0)
        watching.cancel()

    assert turns > 10
