"""Watching: whoever watches learns what becomes of a task, wherever it runs."""

import asyncio
from typing import Any

import pytest
from msgspec.json import encode

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import RetryPolicy
from nexa_node.core.policies import SessionPolicy
from nexa_node.services.tasks import watches, watching
from tests.builders import task
from tests.fakes import MemoryStore, settle
from tests.rig import FakeAgent, Rig

ONCE = RetryPolicy(max_attempts=1)


async def boss(rig: Rig, id: str = "boss-1", **hello: Any) -> FakeAgent:
    """An agent that does nothing but submit and watch."""
    return await rig.agent(id, capabilities=[], **hello)


async def submit(agent: FakeAgent, **fields: Any) -> str:
    answer = await agent.call("task.submit", **{"type": "wc", "data": "x", **fields})
    return answer["result"]["id"]


async def watch(agent: FakeAgent, **what: Any) -> dict[str, Any]:
    answer = await agent.call("task.watch", **what)
    assert "result" in answer, answer
    return answer["result"]


def updates(agent: FakeAgent, watch: str | None = None) -> list[dict[str, Any]]:
    told = agent.told("task.update")
    return [each for each in told if watch in (None, each["watch"])]


def statuses(agent: FakeAgent, watch: str | None = None) -> list[str]:
    return [each["task"]["status"] for each in updates(agent, watch)]


async def some_turns() -> None:
    """As a store that takes its time."""
    for _ in range(20):
        await asyncio.sleep(0)


async def progress(agent: FakeAgent, assigned: dict[str, Any], **said: Any) -> Any:
    return await agent.call(
        "task.progress",
        id=assigned["task"]["id"],
        claim_epoch=assigned["claim_epoch"],
        **said,
    )


class Stuck:
    """A connection whose other end does not read for a while."""

    def __init__(self, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
        self.agent = agent
        self.connection = agent.connection
        self.is_stuck = True
        kind = type(self.connection)
        plain = kind.is_roomy.fget
        monkeypatch.setattr(
            kind,
            "is_roomy",
            property(
                lambda it: plain(it) and not (it is self.connection and self.is_stuck)
            ),
        )

    async def let_go(self) -> None:
        self.is_stuck = False
        assert self.connection is not None
        self.agent.rig.sessions.roomy(self.connection)
        await settle()


# One task


async def test_a_submitter_learns_every_step_and_the_result() -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        task_id = await submit(asker)
        answer = await watch(asker, id=task_id)
        worker = await rig.agent()
        await worker.complete(await worker.accept(), 2)
        await rig.clock.advance(2)

        assert answer["task"]["status"] == "pending"
        assert statuses(asker) == ["assigned", "running", "completed"]
        final = updates(asker)[-1]
        assert (final["watch"], final["task"]["result"]) == (answer["watch"], 2)
        assert all(each["task"]["data"] is None for each in updates(asker))


async def test_the_watch_of_a_finished_task_ends_by_itself() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        task_id = await submit(asker)
        await watch(asker, id=task_id)
        await worker.complete(await worker.accept())
        await settle()

        assert rig.watches._ones == {}
        assert rig.watches._followers[("default", "boss-1")].open == {}


async def test_what_is_finished_already_is_in_the_answer() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        task_id = await submit(asker)
        await worker.complete(await worker.accept(), {"words": 2})
        await rig.clock.advance(1)
        answer = await watch(asker, id=task_id)

        assert answer["task"]["result"] == {"words": 2}
        assert answer["task"]["data"] is None
        assert rig.watches._ones == {}
        assert updates(asker) == []


async def test_the_result_is_told_in_the_turn_it_is_stored_and_nothing_is_read() -> (
    None
):
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        await watch(asker, id=await submit(asker))
        assigned = await worker.accept()
        stored: list[int] = []
        write = rig.ledger._records.update

        async def counted(task: Any, *, revision: int) -> int:
            new = await write(task, revision=revision)
            stored.append(len(rig.store.door.calls))
            return new

        rig.ledger._records.update = counted
        told_at: list[int] = []
        connection = asker.connection
        assert connection is not None
        notify = connection.notify

        def noted(method: str, params: Any) -> bool:
            told_at.append(len(rig.store.door.calls))
            return notify(method, params)

        connection.notify = noted
        await worker.complete(assigned)

        assert told_at == stored


async def test_submitting_may_watch_at_once() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        rig.store.door.calls.clear()
        task_id = await submit(asker, watch=True)
        answered = [each.get("id") is not None for each in asker.frames].index(True)
        await worker.complete(await worker.accept(), 7)
        await settle()

        assert statuses(asker, task_id) == ["assigned", "running", "completed"]
        assert updates(asker)[-1]["task"]["result"] == 7
        assert all("method" not in each for each in asker.frames[:answered])
        assert "tasks.get" not in rig.store.door.calls


async def test_a_submission_made_again_is_told_how_it_is_now() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        await submit(asker, id="t-1", watch=True)
        await worker.complete(await worker.accept(), 7)
        await rig.clock.advance(1)
        asker.frames.clear()
        again = await asker.call(
            "task.submit", type="wc", data="x", id="t-1", watch=True
        )

        assert again["result"]["duplicate"]
        assert [each["task"]["result"] for each in updates(asker, "t-1")] == [7]
        assert "method" not in asker.frames[0]
        assert rig.watches._ones == {}


async def test_a_submission_that_is_refused_is_not_watched() -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        rig.store.available = False
        answer = await asker.call("task.submit", type="wc", watch=True)

        assert answer["error"]["data"]["reason"] == "unavailable"
        assert rig.watches._ones == {}


async def test_nothing_is_lost_between_the_answer_and_the_first_update() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        task_id = await submit(asker)
        await worker.accept()
        get = rig.store.tasks.get

        async def slow(task_id: TaskId) -> Any:
            found = await get(task_id)
            rig.store.tasks.get = get
            params = {"id": task_id, "claim_epoch": 1, "result": 5}
            said = {"jsonrpc": "2.0", "id": 9, "method": "task.complete"}
            assert worker.connection is not None
            await worker.connection.receive(encode({**said, "params": params}))
            await some_turns()
            return found

        rig.store.tasks.get = slow
        answer = await watch(asker, id=task_id)

        assert answer["task"]["status"] in ("assigned", "running")
        assert updates(asker)[-1]["task"]["result"] == 5
        frames = [each.get("method", "answer") for each in asker.frames]
        assert frames.index("task.update") > frames.index("answer")


async def test_progress_is_told_once_each() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        await watch(asker, id=await submit(asker))
        assigned = await worker.accept()
        asker.frames.clear()
        for pct in (10, 20, 20, 30):
            await progress(worker, assigned, pct=pct)
            await rig.clock.advance(1.5)

        assert [each["task"]["pct"] for each in updates(asker)] == [10, 20, 30]


async def test_a_task_of_another_node_is_followed_as_well() -> None:
    store = MemoryStore()
    async with Rig(store=store) as here, Rig(store=store, name="beta") as there:
        asker, worker = await boss(here), await there.agent()
        await watch(asker, id=await submit(asker))
        await settle()
        assigned = await worker.accept()
        await progress(worker, assigned, pct=50)
        await here.clock.advance(2)
        await worker.complete(assigned, 2)
        await settle()

        assert statuses(asker) == ["running", "completed"]
        assert updates(asker)[0]["task"]["pct"] == 50
        assert updates(asker)[-1]["task"]["result"] == 2


async def test_another_attempt_is_told_and_the_watch_goes_on() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        await watch(asker, id=await submit(asker))
        first = await worker.accept()
        await worker.call("task.fail", id=first["task"]["id"], claim_epoch=1)
        await rig.clock.advance(2)
        await worker.complete(await worker.accept(), "second")
        await settle()

        assert statuses(asker) == [
            "running", "pending", "assigned", "running", "completed",
        ]  # fmt: skip


async def test_only_tasks_of_the_own_namespace_are_seen() -> None:
    async with Rig() as rig:
        red, blue = (
            await boss(rig, namespace="red"),
            await boss(rig, "b", namespace="blue"),
        )
        task_id = await submit(red)
        await rig.clock.advance(1)
        seen = await blue.call("task.watch", id=task_id)
        none = await blue.call("task.watch", id="none")
        many = await watch(blue, type="wc")
        await submit(red)

        assert seen["error"]["data"]["reason"] == "not_found"
        assert none["error"]["data"]["reason"] == "not_found"
        assert many.get("task") is None
        assert updates(blue) == []
        assert rig.watches._ones == {}


async def test_a_silent_store_is_told_and_leaves_no_watch() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        task_id = await submit(asker)
        await worker.accept()
        await settle()
        rig.store.available = False
        answer = await asker.call("task.watch", id=task_id)

        assert answer["error"]["data"]["reason"] == "unavailable"
        assert rig.watches._ones == {}


async def test_unwatching_ends_it_and_again_is_no_error() -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        task_id = await submit(asker)
        named = (await watch(asker, id=task_id))["watch"]
        for _ in range(2):
            assert (await asker.call("task.unwatch", watch=named))["result"] == {}
        await rig.tasks.cancel(TaskId(task_id), by="op")
        await settle()

        assert updates(asker) == []


async def test_watches_are_gone_with_the_connection() -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        task_id = await submit(asker, watch=True)
        await watch(asker, type="wc")
        await asker.lose()
        assert (rig.watches._ones, rig.watches._many) == ({}, {})

        await asker.resume(capabilities=[])
        await rig.tasks.cancel(TaskId(task_id), by="op")
        await settle()
        assert updates(asker) == []


async def test_a_connection_that_is_taken_over_takes_its_watches_along() -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        await watch(asker, id=await submit(asker))
        newer = FakeAgent(rig, "boss-1")
        await newer.hello(capabilities=[])

        assert rig.watches._ones == {}
        assert (await watch(newer, type="wc"))["watch"] == "w.1"


async def test_a_session_that_said_bye_watches_nothing() -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        await watch(asker, id=await submit(asker))
        await asker.call("session.bye")

        assert rig.watches._ones == {}
        assert rig.watches._followers == {}


async def test_a_session_watches_so_much_and_not_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches, "ONES_MAX", 2)
    monkeypatch.setattr(watches, "MANY_MAX", 1)
    async with Rig() as rig:
        asker = await boss(rig)
        for _ in range(2):
            await submit(asker, watch=True)
        refused = await asker.call("task.submit", type="wc", watch=True)
        await watch(asker, type="wc")
        also = await asker.call("task.watch", type="sum")

        assert refused["error"]["data"]["reason"] == "rate_limited"
        assert also["error"]["data"]["reason"] == "rate_limited"
        assert len(rig.store.queue.entries) == 2, "the third was not submitted"


async def test_a_batch_names_its_watches_first() -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        params = {"type": "wc"}
        calls = [
            {"jsonrpc": "2.0", "id": n, "method": "task.watch", "params": params}
            for n in range(3)
        ]
        await asker.send(calls)
        names = [asker.answer(n)["result"]["watch"] for n in range(3)]

        assert names == ["w.1", "w.2", "w.3"]


# Slow watchers


async def test_a_slow_watcher_gets_the_last_state_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        await watch(asker, id=await submit(asker))
        stuck = Stuck(asker, monkeypatch)
        asker.frames.clear()
        assigned = await worker.accept()
        await progress(worker, assigned, pct=50)
        await worker.complete(assigned, "end")
        await rig.clock.advance(2)
        assert updates(asker) == []

        await stuck.let_go()
        assert [each["task"]["result"] for each in updates(asker)] == ["end"]
        assert rig.watches._ones == {}


async def test_what_a_slow_watcher_missed_waits_for_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        await watch(asker, type="wc")
        await watch(asker, id=await submit(asker))
        stuck = Stuck(asker, monkeypatch)
        asker.frames.clear()
        await worker.complete(await worker.accept(), "end")
        await rig.clock.advance(1)
        rig.store.available = False
        await stuck.let_go()
        assert updates(asker) == []

        rig.store.available = True
        await rig.clock.advance(1)
        assert statuses(asker, "w.1") == ["completed"]
        assert statuses(asker, "w.2") == ["completed"]


async def test_what_is_told_while_it_is_read_is_not_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        named = await watch(asker, type="wc")
        stuck = Stuck(asker, monkeypatch)
        task_id = TaskId(await submit(asker))
        await settle()
        get = rig.store.tasks.get

        async def slow(wanted: TaskId) -> Any:
            rig.store.tasks.get = get
            found = await get(wanted)
            cancelled = task(
                task_id, status="cancelled", submitted=rig.clock.now(), data="x"
            )
            rig.store.tasks.seed(cancelled)
            await some_turns()
            return found

        rig.store.tasks.get = slow
        await stuck.let_go()

        assert statuses(asker, named["watch"]) == ["cancelled"]


async def test_one_that_ends_while_it_is_behind_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        named = (await watch(asker, type="wc"))["watch"]
        gone = (await watch(asker, type="wc"))["watch"]
        stuck = Stuck(asker, monkeypatch)
        task_id = await submit(asker)
        await settle()
        await asker.call("task.unwatch", watch=named)
        del rig.store.tasks.bucket.entries[task_id]
        await stuck.let_go()

        assert updates(asker, named) == updates(asker, gone) == []


async def test_one_that_misses_too_much_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "BEHIND_MAX", 3)
    async with Rig() as rig:
        asker, neighbour = await boss(rig), await boss(rig, "boss-2")
        await watch(asker, type="wc")
        await watch(neighbour, type="wc")
        Stuck(asker, monkeypatch)
        for _ in range(4):
            await rig.submit()
        await settle()

        assert asker.closed is not None
        assert asker.closed.code == 4408
        assert len(updates(neighbour)) == 4


# Partial results


async def test_every_partial_result_is_told_at_once_and_in_order() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        named = (await watch(asker, id=await submit(asker)))["watch"]
        assigned = await worker.accept()
        asker.frames.clear()
        for part in ("a", "b", "b", {"c": 1}):
            await progress(worker, assigned, partial=part)
        await progress(worker, assigned, pct=90)
        await worker.complete(assigned, "abbc")

        told = updates(asker, named)
        assert [each.get("partial") for each in told] == [
            "a", "b", "b", {"c": 1}, None, None,
        ]  # fmt: skip
        assert [each["task"]["partial"] for each in told[:4]] == [
            "a",
            "b",
            "b",
            {"c": 1},
        ]
        assert told[-1]["task"]["partial"] is None


async def test_a_partial_result_is_on_record_and_renews_the_lease() -> None:
    async with Rig() as rig:
        worker = await rig.agent()
        submitted = await rig.submit()
        await settle()
        assigned = await worker.accept()
        for _ in range(3):
            await rig.clock.advance(20)
            answer = await progress(worker, assigned, partial={"part": 1})
            assert "result" in answer
        await rig.clock.advance(2)

        assert rig.task(submitted.id).partial == {"part": 1}


async def test_a_partial_result_that_is_too_large_is_refused() -> None:
    async with Rig(sessions=SessionPolicy(data_bytes=100)) as rig:
        worker = await rig.agent()
        await rig.submit()
        await settle()
        answer = await progress(worker, await worker.accept(), partial="x" * 100)

        assert answer["error"]["data"]["reason"] == "payload_too_large"


async def test_partial_results_reach_watchers_of_other_nodes() -> None:
    store = MemoryStore()
    async with Rig(store=store) as here, Rig(store=store, name="beta") as there:
        asker, worker = await boss(here), await there.agent()
        named = (await watch(asker, id=await submit(asker)))["watch"]
        of_type = (await watch(asker, type="wc"))["watch"]
        await settle()
        assigned = await worker.accept()
        for part in ("a", "b"):
            await progress(worker, assigned, partial=part)
        await here.clock.advance(2)
        await worker.complete(assigned, "ab")
        await settle()

        for each in (named, of_type):
            parts = [one.get("partial") for one in updates(asker, each)]
            assert [part for part in parts if part] == ["a", "b"]
            assert statuses(asker, each)[-1] == "completed"


async def test_a_partial_result_that_was_overtaken_is_not_told() -> None:
    store = MemoryStore()
    async with Rig(store=store) as here, Rig(store=store, name="beta") as there:
        asker, worker = await boss(here), await there.agent()
        named = (await watch(asker, parent="p"))["watch"]
        store.tasks.seed(task("p"))
        await settle()
        task_id = await submit(asker, parent="p")
        await settle()
        assigned = await worker.accept()
        await here.clock.advance(2)
        running = there.task(task_id)
        await worker.complete(assigned, "ab")
        await settle()
        there.partials.tell(running, "late")
        await settle()

        assert statuses(asker, named)[-1] == "completed"
        assert all(each.get("partial") is None for each in updates(asker))


async def test_a_store_that_is_silent_loses_partial_results_of_others_only() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        await watch(asker, id=await submit(asker))
        assigned = await worker.accept()
        rig.store.available = False
        await progress(worker, assigned, partial="a")
        rig.store.available = True
        await progress(worker, assigned, partial="b")

        parts = [each.get("partial") for each in updates(asker)]
        assert [part for part in parts if part] == ["a", "b"]


async def test_an_agent_that_moved_tells_partial_results_through_its_new_node() -> None:
    store = MemoryStore()
    async with Rig(store=store) as here, Rig(store=store, name="beta") as there:
        asker, worker = await boss(here), await here.agent()
        await watch(asker, id=await submit(asker))
        assigned = await worker.accept()
        await worker.lose()
        worker.rig = there
        await worker.resume()
        await progress(worker, assigned, partial="from there")
        await settle()

        parts = [each.get("partial") for each in updates(asker)]
        assert "from there" in parts


# Many tasks


async def test_children_are_followed_by_their_parent() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent(slots=5)
        parent = await submit(asker)
        await worker.accept()
        named = (await watch(asker, parent=parent))["watch"]
        child = await submit(asker, parent=parent)
        other = await submit(asker)
        await settle()
        for assigned in worker.assigned()[1:]:
            await worker.send({"id": assigned["number"], "result": {"accepted": True}})
            await worker.complete(assigned, assigned["task"]["id"])
        await rig.clock.advance(1)

        told = updates(asker, named)
        assert {each["task"]["id"] for each in told} == {child} != {other}
        assert told[-1]["task"]["result"] == child
        assert statuses(asker, named)[0] == "pending"


async def test_a_status_is_followed() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        named = (await watch(asker, status="dead_lettered", type="wc"))["watch"]
        await rig.submit(retry=ONCE)
        await rig.submit(type="sum", retry=ONCE)
        await settle()
        assigned = await worker.accept()
        await worker.call("task.fail", id=assigned["task"]["id"], claim_epoch=1)
        await settle()

        assert statuses(asker, named) == ["dead_lettered"]


async def test_the_store_does_not_take_back_what_a_partial_result_told() -> None:
    async with Rig() as rig:
        asker, worker = await boss(rig), await rig.agent()
        named = (await watch(asker, type="wc"))["watch"]
        await submit(asker)
        assigned = worker.assigned()[-1]
        asker.frames.clear()
        await worker.send({"id": assigned["number"], "result": {"accepted": True}})
        await progress(worker, assigned, partial="a")
        stale = task(
            assigned["task"]["id"], status="assigned", submitted=rig.clock.now(),
        )  # fmt: skip
        rig.watches._seen(stale)
        await rig.clock.advance(2)
        await worker.complete(assigned, "a")
        await rig.clock.advance(1)

        assert statuses(asker, named) == ["running", "running", "completed"]
        assert rig.watches._many["default"][0].ahead == {}


async def test_the_protocol_is_kept_when_a_session_is_over_already() -> None:
    async with Rig() as rig:
        asker = await boss(rig)
        live = rig.sessions.find("default", "boss-1")
        assert live is not None
        await asker.lose()
        with pytest.raises(Unavailable):
            rig.watches.watch_now(live, watches.Watch(type="wc"))
