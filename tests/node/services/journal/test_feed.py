from collections.abc import AsyncIterator

import pytest

from nexa_node.contract.errors import Draining, Unauthorized
from nexa_node.contract.events import (
    AgentChanged,
    AgentGone,
    ClusterChanged,
    Happened,
    Sampled,
    SelfTested,
    TaskChanged,
    TaskGone,
)
from nexa_node.contract.nodes import TaskCounts
from nexa_node.services.journal.feed import QUEUE_MAX, Feed
from tests import builders
from tests.builders import NOW

ANN = builders.identity("operator")
BEN = builders.identity("viewer")


class Scene:
    def __init__(self) -> None:
        self.counts = TaskCounts()
        self.feed = Feed(
            snapshot=lambda who: builders.snapshot(
                seq=77, node=builders.node_status(whoami=who.id)
            ),
            counts=lambda: self.counts,
        )

    async def watch(self, who: object = ANN) -> AsyncIterator[object]:
        stream = self.feed.stream(who)
        await anext(stream)
        return stream


def task_changed(id: str = "t1", **overrides: object) -> TaskChanged:
    summary = builders.summary(id, **overrides)
    return TaskChanged(seq=0, time=NOW, task=summary, counts=TaskCounts(pending=99))


def agent_changed(id: str = "wc-1", **overrides: object) -> AgentChanged:
    return AgentChanged(seq=0, time=NOW, agent=builders.agent(id, **overrides))


async def take(stream: AsyncIterator[object], number: int) -> list[object]:
    return [await anext(stream) for _ in range(number)]


async def test_a_snapshot_comes_first_and_is_of_who_watches() -> None:
    it = Scene()
    stream = it.feed.stream(BEN)

    first = await anext(stream)

    assert (first.seq, first.node.whoami) == (0, BEN.id)
    assert it.feed.subscribers == 1
    await stream.aclose()
    assert it.feed.subscribers == 0


async def test_changes_follow_without_a_hole_each_watcher_by_its_own_count() -> None:
    it = Scene()
    early = await it.watch()
    it.feed.tell(agent_changed())
    late = await it.watch(BEN)
    it.feed.tell(Happened(seq=0, time=NOW, event=builders.event()))
    it.feed.tell(ClusterChanged(seq=0, time=NOW, cluster=builders.cluster()))
    it.feed.tell(SelfTested(seq=0, time=NOW, selftest=builders.selftest()))
    it.feed.tell(TaskGone(seq=0, time=NOW, id="t1"))

    assert [frame.seq for frame in await take(early, 5)] == [1, 2, 3, 4, 5]
    kinds = [type(frame) for frame in await take(late, 4)]
    assert kinds == [Happened, ClusterChanged, SelfTested, TaskGone]


async def test_of_two_changes_of_one_thing_the_newer_is_enough() -> None:
    it = Scene()
    stream = await it.watch()
    for pct in (0.1, 0.2, 0.3):
        it.feed.tell(task_changed("t1", pct=pct))
    it.feed.tell(task_changed("t2"))
    for cpu in (0.1, 0.9):
        sample = builders.sample(cpu=cpu)
        it.feed.tell(Sampled(seq=0, time=NOW, sample=sample, counts=TaskCounts()))

    frames = await take(stream, 3)
    assert [frame.seq for frame in frames] == [1, 2, 3]
    assert (frames[0].task.id, frames[0].task.pct) == ("t1", 0.3)
    assert frames[2].sample.cpu == 0.9


async def test_events_are_never_put_together() -> None:
    it = Scene()
    stream = await it.watch()
    for number in range(3):
        it.feed.tell(Happened(seq=0, time=NOW, event=builders.event(f"e{number}")))

    assert [frame.event.id for frame in await take(stream, 3)] == ["e0", "e1", "e2"]


async def test_an_agent_that_went_and_came_is_there_in_the_end() -> None:
    it = Scene()
    stream = await it.watch()
    it.feed.tell(agent_changed())
    it.feed.tell(AgentGone(seq=0, time=NOW, id="wc-1"))
    it.feed.tell(agent_changed(state="busy"))

    gone, back = await take(stream, 2)
    assert isinstance(gone, AgentGone)
    assert back.agent.state == "busy"


async def test_a_task_that_changed_and_left_is_gone_in_the_end() -> None:
    it = Scene()
    stream = await it.watch()
    it.feed.tell(task_changed("t1"))
    it.feed.tell(TaskGone(seq=0, time=NOW, id="t1"))

    assert isinstance(await anext(stream), TaskGone)


async def test_counts_are_those_of_the_moment_they_are_sent() -> None:
    it = Scene()
    stream = await it.watch()
    it.feed.tell(task_changed())
    it.counts = TaskCounts(completed=5)

    assert (await anext(stream)).counts == TaskCounts(completed=5)


async def test_who_falls_too_far_behind_is_ended_and_nobody_else() -> None:
    it = Scene()
    slow, quick = await it.watch(), await it.watch(BEN)
    for number in range(QUEUE_MAX):
        it.feed.tell(task_changed(f"t{number}"))
        await anext(quick)
    it.feed.tell(task_changed("one more"))

    assert [frame async for frame in slow] == []
    assert (await anext(quick)).task.id == "one more"
    assert it.feed.subscribers == 1
    it.feed.tell(task_changed("and on"))
    await quick.aclose()


async def test_a_thousand_changes_of_few_things_end_nobody() -> None:
    it = Scene()
    stream = await it.watch()
    for number in range(QUEUE_MAX * 3):
        it.feed.tell(task_changed(f"t{number % 10}"))

    assert len(await take(stream, 10)) == 10


async def test_a_watcher_ends_with_its_token() -> None:
    it = Scene()
    ann, ben = await it.watch(), await it.watch(BEN)

    it.feed.end(ANN.id, "the token was revoked")
    it.feed.tell(task_changed())

    with pytest.raises(Unauthorized, match="revoked"):
        await anext(ann)
    assert (await anext(ben)).seq == 1


async def test_everybody_ends_with_the_node() -> None:
    it = Scene()
    stream = await it.watch()
    it.feed.end_all(Draining("the node is going away"))

    with pytest.raises(Draining):
        await anext(stream)
