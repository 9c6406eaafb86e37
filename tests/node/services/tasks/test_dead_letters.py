"""Dead letters come back, or go, whatever stops in between."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from nexa_node.contract.errors import Conflict, Invalid, NotFound, Unavailable
from nexa_node.contract.ids import Namespace, TaskId
from nexa_node.contract.tasks import Redrive, RetryPolicy
from nexa_node.core.policies import RetentionPolicy
from nexa_node.ports import Versioned
from nexa_node.services.tasks import dead_letters
from nexa_node.services.tasks.retirement import Retirement
from tests.builders import task
from tests.fakes import MemoryStore, settle
from tests.rig import Rig

ONCE = RetryPolicy(max_attempts=1)
BY = "token:op1"
ALL = Redrive(all=True)


def ids(*names: str) -> Redrive:
    return Redrive(ids=tuple(TaskId(name) for name in names))


def dead(name: str, **fields: Any) -> Any:
    return task(name, status="dead_lettered", **fields)


def queued(rig: Rig) -> list[str]:
    return sorted(each.task.id for each in rig.store.queue.entries.values())


async def test_a_redriven_task_is_done_with_its_history_kept() -> None:
    async with Rig() as rig:
        worker = await rig.agent()
        submitted = await rig.submit(retry=ONCE)
        await settle()
        assigned = await worker.accept()
        await worker.call("task.fail", id=submitted.id, claim_epoch=1, error="no luck")
        assert rig.task(submitted.id).status == "dead_lettered"

        told = await rig.dead_letters.redrive(ids(submitted.id), by=BY)
        await settle()
        again = await worker.accept()
        await worker.complete(again, "luck")
        await rig.clock.advance(1)

        assert (told.done, told.failed) == ((submitted.id,), {})
        assert (assigned["claim_epoch"], again["claim_epoch"]) == (1, 2)
        assert again["attempt"] == 1
        record = rig.task(submitted.id)
        assert (record.status, record.result, record.redriven) == (
            "completed", "luck", 1,
        )  # fmt: skip
        outcomes = [each.outcome for each in record.history]
        assert outcomes == ["failed", "redriven", "completed"]
        assert queued(rig) == []


async def test_redriving_is_noted_once_with_who_and_how_many() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(dead("a"), dead("b"))
        await settle()
        await rig.dead_letters.redrive(ALL, by=BY)
        rig.store.tasks.seed(dead("c"))
        await settle()
        await rig.dead_letters.purge(ALL, by=BY)

        redriven, purged = (
            rig.journal.last(kind) for kind in ("task.redriven", "task.purged")
        )
        assert redriven.message == "2 dead letters redriven by token:op1"
        assert redriven.data["number"] == 2
        assert purged.message == "1 dead letter purged by token:op1"
        assert (purged.subject, purged.data["by"]) == ("task/c", BY)


async def test_the_answer_says_why_not_for_each() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(
            dead("late", deadline=rig.clock.now()),
            dead("other", type="sum"),
            dead("foreign", namespace=Namespace("lab")),
            dead("fine"),
            task("waits"),
        )
        await settle()
        named = ("late", "other", "foreign", "fine", "waits", "none", "fine", "Ä.*")
        wanted = Redrive(ids=tuple(map(TaskId, named)), type="wc")
        expected = {
            "late": "its deadline",
            "other": "of the type sum",
            "foreign": "no task foreign",
            "waits": "is pending",
            "none": "no task none",
            "Ä.*": "no task",
        }

        for dry_run in (True, False):
            told = await rig.dead_letters.redrive(
                wanted, by=BY, namespace=Namespace("default"), dry_run=dry_run
            )
            assert told.done == ("fine",)
            assert told.failed.keys() == expected.keys()
            for name, words in expected.items():
                assert words in told.failed[TaskId(name)]
        assert queued(rig) == ["fine"]


async def test_a_dry_run_changes_nothing() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(dead("a"), dead("b", namespace=Namespace("lab")))
        await settle()
        for do in (rig.dead_letters.redrive, rig.dead_letters.purge):
            told = await do(Redrive(namespace=Namespace("lab")), by=BY, dry_run=True)
            assert told.done == ("b",)

        assert rig.task("b").status == "dead_lettered"
        assert (rig.journal.kinds(), queued(rig)) == ([], [])


async def test_everything_is_meant_only_if_it_is_said() -> None:
    async with Rig() as rig:
        for do in (rig.dead_letters.redrive, rig.dead_letters.purge):
            with pytest.raises(Invalid):
                await do(Redrive(), by=BY)
            with pytest.raises(Invalid):
                await do(Redrive(), by=BY, namespace=Namespace("lab"))
            with pytest.raises(NotFound):
                await do(
                    Redrive(namespace=Namespace("red")),
                    by=BY,
                    namespace=Namespace("lab"),
                )


async def test_many_are_redriven_in_batches() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(*(dead(f"d{n}") for n in range(200)))
        rig.store.tasks.seed(dead("sum", type="sum"))
        await settle()
        told = await rig.dead_letters.redrive(Redrive(type="wc"), by=BY)

        assert (len(told.done), told.failed) == (200, {})
        assert len(queued(rig)) == 200
        assert rig.task("sum").status == "dead_lettered"


async def test_a_silent_store_is_not_asked_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dead_letters, "AT_ONCE", 2)
    async with Rig() as rig:
        rig.store.tasks.seed(*(dead(f"d{n}") for n in range(5)))
        await settle()
        rig.store.available = False
        calls = len(rig.store.door.calls)
        told = await rig.dead_letters.redrive(ALL, by=BY)

        assert told.done == ()
        assert len(told.failed) == 5
        assert sum("not tried" in why for why in told.failed.values()) == 3
        assert len(rig.store.door.calls) - calls == 2
        assert "task.redriven" not in rig.journal.kinds()


async def test_one_that_did_not_reach_the_queue_is_put_there_soon() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(dead("d"))
        await settle()
        put = rig.store.queue.put

        async def silent(_: Any) -> bool:
            raise Unavailable("no answer")

        rig.store.queue.put = silent
        told = await rig.dead_letters.redrive(ids("d"), by=BY)
        rig.store.queue.put = put
        await rig.clock.advance(1)

        assert told.done == ("d",)
        assert queued(rig) == ["d"]


async def test_one_whose_answer_was_lost_reaches_the_queue_all_the_same() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(dead("d"), dead("e"))
        await settle()
        rig.store.lose_answers = True
        told = await rig.dead_letters.redrive(ids("d"), by=BY)
        rig.store.lose_answers = False
        assert told.done == ()
        assert rig.task("d").status == "pending"
        await rig.clock.advance(1)

        assert queued(rig) == ["d"]
        assert rig.task("e").status == "dead_lettered"


@pytest.mark.parametrize("turns", range(1, 9))
async def test_one_whose_operator_went_away_is_in_the_queue_or_dead(turns: int) -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(dead("d"))
        await settle()
        redrive = asyncio.ensure_future(rig.dead_letters.redrive(ALL, by=BY))
        for _ in range(turns):
            await asyncio.sleep(0)
        redrive.cancel()
        await rig.clock.advance(1)

        is_back = rig.task("d").status == "pending"
        assert queued(rig) == (["d"] if is_back else [])


async def test_one_that_a_crash_cut_off_is_found_at_the_next_start() -> None:
    store = MemoryStore()
    async with Rig(store=store) as rig:
        store.tasks.seed(
            dead("d"), dead("had"), task("old", submitted=store.clock.now())
        )
        await settle()

        async def cut_off(_: Any) -> bool:
            await asyncio.Event().wait()
            return False

        await rig.clock.advance(3600)
        store.queue.put = cut_off
        rig.spawn(rig.dead_letters.redrive(ids("d"), by=BY))
        await settle()
        assert store.tasks.now("d").status == "pending"
    del store.queue.put
    async with Rig(store=store) as rig:
        await rig.clock.advance(1)

        assert queued(rig) == ["d"]


async def test_a_second_redrive_is_refused() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(dead("d"))
        await settle()
        await rig.dead_letters.redrive(ids("d"), by=BY)
        again = await rig.dead_letters.redrive(ids("d"), by=BY)

        assert "is pending" in again.failed[TaskId("d")]
        assert rig.task("d").redriven == 1


async def test_a_purged_task_is_gone_from_queue_and_records() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(dead("d"))
        await rig.store.queue.put(dead("d"))  # its acknowledgement was lost
        await settle()
        told = await rig.dead_letters.purge(ALL, by=BY)
        await settle()

        assert told.done == ("d",)
        assert queued(rig) == []
        assert rig.store.tasks.bucket.entries == {}
        assert rig.directory.task(TaskId("d")) is None
        again = await rig.dead_letters.purge(ids("d"), by=BY)
        assert "no task d" in again.failed[TaskId("d")]


async def test_only_dead_letters_are_purged() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(task("waits"))
        await settle()
        told = await rig.dead_letters.purge(ids("waits"), by=BY)

        assert "only dead_lettered" in told.failed[TaskId("waits")]
        assert rig.task("waits").status == "pending"


async def test_of_a_purge_and_a_redrive_at_once_one_is_refused() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(dead("d"))
        await settle()
        forget = rig.store.queue.forget

        async def meanwhile(task: Any) -> None:
            await forget(task)
            await rig.dead_letters.redrive(ids("d"), by=BY)

        rig.store.queue.forget = meanwhile
        told = await rig.dead_letters.purge(ids("d"), by=BY)

        assert told.done == ()
        assert rig.task("d").status == "pending"
        assert queued(rig) == ["d"]


async def test_a_watcher_learns_of_the_second_life() -> None:
    async with Rig() as rig:
        asker = await rig.agent("boss-1", capabilities=[])
        rig.store.tasks.seed(dead("d"))
        await settle()
        await asker.call("task.watch", type="wc")
        await rig.dead_letters.redrive(ids("d"), by=BY)
        await settle()
        one = await asker.call("task.watch", id="d")

        assert [each["task"]["status"] for each in asker.told("task.update")] == [
            "pending"
        ]
        assert one["result"]["task"]["redriven"] == 1


async def test_a_start_by_that_was_met_is_met_for_good() -> None:
    async with Rig() as rig:
        start_by = rig.clock.now() + timedelta(seconds=5)
        rig.store.tasks.seed(dead("d", start_by=start_by))
        await rig.clock.advance(10)
        await rig.dead_letters.redrive(ids("d"), by=BY)
        await rig.clock.advance(10)

        assert rig.task("d").status == "pending"


# Retention


async def forgetful(rig: Rig, **policy: Any) -> Retirement:
    await settle()
    return Retirement(
        surplus=rig.directory.surplus,
        records=rig.store.tasks,
        queue=rig.store.queue,
        clock=rig.clock,
        policy=RetentionPolicy(**policy),
    )


async def test_a_message_that_was_left_behind_never_does_a_task_again() -> None:
    async with Rig() as rig:
        done = task("t", status="completed")
        rig.store.tasks.seed(done)
        await rig.store.queue.put(task("t"))
        retirement = await forgetful(rig, tasks_max=0)

        assert await retirement.retire() == 1
        worker = await rig.agent()
        await rig.clock.advance(60)
        assert worker.assigned() == []
        assert rig.store.tasks.bucket.entries == {}


async def test_a_record_is_kept_while_the_queue_does_not_answer() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(task("t", status="completed"))
        retirement = await forgetful(rig, tasks_max=0)

        async def silent(_: Any) -> None:
            raise Unavailable("no answer")

        rig.store.queue.forget = silent
        assert await retirement.retire() == 0
        assert rig.task("t").status == "completed"


async def test_what_changed_meanwhile_stays() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(dead("d"), task("t", status="completed"))
        retirement = await forgetful(rig, tasks_max=0)
        [seen, *_] = [
            each
            for each in rig.directory.surplus(finished_before=0, keep=0)
            if each.value.id == "d"
        ]
        await rig.dead_letters.redrive(ids("d"), by=BY)
        with pytest.raises(Conflict):
            await retirement.forget(seen)
        await settle()

        assert await retirement.retire() == 1
        assert rig.task("d").status == "pending"


async def test_a_fault_of_ours_is_not_swallowed() -> None:
    async with Rig() as rig:
        rig.store.tasks.seed(task("t", status="completed"))
        retirement = await forgetful(rig, tasks_max=0)

        async def broken(_: Any) -> None:
            raise RuntimeError("broken")

        rig.store.queue.forget = broken
        with pytest.raises(RuntimeError):
            await retirement.retire()


async def test_old_ones_leave_and_too_many_and_unfinished_ones_never() -> None:
    async with Rig() as rig:
        now = rig.clock.now()
        rig.store.tasks.seed(
            task("old", status="completed", finished=now - timedelta(hours=2)),
            task("new", status="completed", finished=now),
            task("waits", submitted=now - timedelta(hours=2)),
        )
        by_age = await forgetful(rig, tasks_hours=1)
        rig.spawn(by_age.run())
        await rig.clock.advance(61)
        assert sorted(rig.store.tasks.bucket.entries) == ["new", "waits"]

        rig.store.tasks.seed(
            *(
                task(
                    f"t{n:03}", status="completed", finished=now + timedelta(seconds=n)
                )
                for n in range(200)
            )
        )
        by_number = await forgetful(rig, tasks_max=10)
        assert await by_number.retire() == 191
        await settle()
        assert len(rig.store.tasks.bucket.entries) == 11


async def test_nothing_is_forgotten_before_all_is_known() -> None:
    rig = Rig()
    rig.directory.observe(Versioned(task("t", status="completed"), 10**9))

    assert rig.directory.surplus(finished_before=1e12, keep=0) == []
