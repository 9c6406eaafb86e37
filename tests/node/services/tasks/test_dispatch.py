"""Dispatch, custody and work: a task's way through one node, and what may go wrong."""

from datetime import timedelta
from typing import Any

from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import RetryPolicy
from nexa_node.core.policies import LeasePolicy
from tests.fakes import settle
from tests.rig import FakeAgent, Rig


async def test_a_submitted_task_is_assigned_run_and_completed() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()

        assigned = await agent.accept()
        await rig.clock.advance(1.3)
        assert rig.task(submitted.id).status == "running"
        answer = await agent.complete(assigned, {"words": 2})
        await settle()

        assert answer["result"] == {}
        task = rig.task(submitted.id)
        assert (task.status, task.result, task.attempts) == (
            "completed",
            {"words": 2},
            1,
        )
        assert rig.store.queue.entries == {}
        assert rig.dispatch.in_hand() == 0


async def test_no_more_tasks_are_taken_than_there_are_slots() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=2)
        for _ in range(5):
            await rig.submit()
        await settle()

        assert len(agent.assigned()) == 2
        assert rig.dispatch.in_hand() == 2


async def test_a_finished_task_makes_room_for_the_next() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=1)
        await rig.submit()
        await rig.submit()
        await settle()
        first = await agent.accept()
        await agent.complete(first)
        await settle()

        assert len(agent.assigned()) == 2


async def test_a_rejected_task_goes_to_another_agent_without_counting() -> None:
    async with Rig() as rig:
        one, two = await rig.agent("wc-1"), await rig.agent("wc-2")
        submitted = await rig.submit()
        await settle()
        first, second = (one, two) if one.assigned() else (two, one)
        await first.reject()
        await settle()

        assert len(second.assigned()) == 1
        assert second.assigned()[0]["attempt"] == 1
        assert second.assigned()[0]["claim_epoch"] == 2
        assert rig.task(submitted.id).history[0].outcome == "rejected"


async def test_a_task_all_refuse_waits_and_is_offered_again() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.reject()
        await settle()
        assert rig.task(submitted.id).status == "pending"
        await rig.clock.advance(5)

        assert len(agent.assigned()) == 2
        assert rig.task(submitted.id).attempts == 1


async def test_an_agent_that_does_not_answer_in_time_loses_the_task() -> None:
    async with Rig() as rig:
        silent = await rig.agent("wc-1")
        submitted = await rig.submit()
        await settle()
        other = await rig.agent("wc-2")
        await rig.clock.advance(5.5)

        assert len(other.assigned()) == 1
        assert silent.told("task.cancelled") == [{"id": submitted.id, "claim_epoch": 1}]


async def test_a_lease_that_ends_gives_the_task_to_another_try() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        await rig.clock.advance(30.5)
        assert rig.task(submitted.id).status == "pending"
        await rig.clock.advance(2)

        again = agent.assigned()[-1]
        assert (again["claim_epoch"], again["attempt"]) == (2, 2)
        assert rig.task(submitted.id).history[0].outcome == "lease_expired"
        assert agent.told("task.cancelled") == [{"id": submitted.id, "claim_epoch": 1}]


async def test_progress_keeps_the_lease() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        assigned = await agent.accept()
        for pct in (10, 20, 30):
            await rig.clock.advance(20)
            answer = await agent.call(
                "task.progress", id=submitted.id, claim_epoch=1, pct=pct, note="on it"
            )
            assert "lease_until" in answer["result"]
        await rig.clock.advance(1.3)
        task = rig.task(submitted.id)

        assert (task.status, task.pct, task.note) == ("running", 30, "on it")
        assert (await agent.complete(assigned))["result"] == {}


async def test_a_lease_never_reaches_beyond_the_deadline() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit(deadline=rig.clock.now() + timedelta(seconds=40))
        await settle()
        await agent.accept()
        await rig.clock.advance(25)
        await agent.call("task.progress", id=submitted.id, claim_epoch=1)
        await rig.clock.advance(16)

        assert rig.task(submitted.id).status == "expired"
        assert agent.told("task.cancelled") == [{"id": submitted.id, "claim_epoch": 1}]
        late = await agent.call("task.complete", id=submitted.id, claim_epoch=1)
        assert late["error"]["data"]["reason"] == "deadline_exceeded"


async def test_a_killed_agents_task_goes_to_another_after_the_grace() -> None:
    async with Rig() as rig:
        one = await rig.agent("wc-1")
        submitted = await rig.submit()
        await settle()
        await one.accept()
        two = await rig.agent("wc-2")
        await one.lose()
        assert two.assigned() == []
        await rig.clock.advance(5)

        assert len(two.assigned()) == 1
        assert two.assigned()[0]["attempt"] == 2
        assert rig.task(submitted.id).history[0].outcome == "agent_lost"


async def test_an_agent_that_resumes_within_the_grace_keeps_its_task() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        assigned = await agent.accept()
        await agent.lose()
        await rig.clock.advance(2)
        answer = await agent.resume()
        await rig.clock.advance(10)

        assert answer["result"]["resumed"] is True
        assert (await agent.complete(assigned))["result"] == {}
        assert rig.task(submitted.id).attempts == 1


async def test_an_assignment_unanswered_when_the_socket_broke_is_made_again() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await rig.submit()
        await settle()
        await agent.lose()
        await agent.resume()
        await settle()

        again = agent.assigned()
        assert [each["claim_epoch"] for each in again] == [1]


async def test_a_restarted_agent_loses_what_it_had_at_once() -> None:
    async with Rig() as rig:
        agent = FakeAgent(rig, "wc-1", incarnation="one")
        await agent.hello()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        await agent.lose()
        agent.incarnation = "two"
        await agent.hello()
        await settle()

        assert rig.task(submitted.id).history[0].outcome == "agent_lost"
        await rig.clock.advance(1.5)
        assert agent.assigned()[-1]["attempt"] == 2


async def test_bye_returns_tasks_without_counting_an_attempt() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        await agent.call("session.bye")
        await settle()

        task = rig.task(submitted.id)
        assert (task.status, task.attempts) == ("pending", 0)
        assert agent.closed is not None
        assert agent.closed.code == 1000


async def test_after_max_attempts_the_task_is_dead_lettered_with_its_history() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit(retry=RetryPolicy(max_attempts=2, backoff_ms=10))
        for _ in range(2):
            await rig.clock.advance(1)
            assigned = await agent.accept()
            await agent.call(
                "task.fail",
                id=submitted.id,
                claim_epoch=assigned["claim_epoch"],
                error={"message": "no"},
            )
        await settle()
        task = rig.task(submitted.id)

        assert task.status == "dead_lettered"
        assert [each.outcome for each in task.history] == ["failed", "failed"]
        assert rig.store.queue.entries == {}


async def test_a_failure_that_is_not_retryable_ends_the_task() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        await agent.call(
            "task.fail", id=submitted.id, claim_epoch=1, error="no", retryable=False
        )
        await settle()

        assert rig.task(submitted.id).status == "failed"
        assert rig.store.queue.entries == {}


async def test_a_released_task_is_handed_out_again_uncounted() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        await agent.call("task.release", id=submitted.id, claim_epoch=1)
        await settle()

        again = agent.assigned()[-1]
        assert (again["claim_epoch"], again["attempt"]) == (2, 1)


async def test_a_stale_claim_changes_nothing() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        await rig.clock.advance(33)
        before = rig.task(submitted.id)
        for method in ("task.complete", "task.fail", "task.release", "task.progress"):
            answer = await agent.call(method, id=submitted.id, claim_epoch=1)
            assert answer["error"]["code"] == 1010
            assert answer["error"]["data"]["reason"] == "lease_lost"

        assert rig.task(submitted.id) == before


async def test_another_agent_cannot_use_a_claim() -> None:
    async with Rig() as rig:
        agent = await rig.agent("wc-1")
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        thief = await rig.agent("thief", capabilities=[])
        answer = await thief.call("task.complete", id=submitted.id, claim_epoch=1)

        assert answer["error"]["data"]["reason"] == "lease_lost"


async def test_another_namespace_does_not_see_the_task() -> None:
    async with Rig() as rig:
        agent = await rig.agent("wc-1")
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        twin = await rig.agent("wc-1", namespace="other")
        for method in ("task.complete", "task.get", "task.cancel", "task.progress"):
            params: dict[str, Any] = {"id": submitted.id}
            if method in ("task.complete", "task.progress"):
                params["claim_epoch"] = 1
            answer = await twin.call(method, **params)
            assert answer["error"]["data"]["reason"] == "not_found"


async def test_completing_twice_is_answered_twice_and_done_once() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        assigned = await agent.accept()
        await agent.complete(assigned, 1)
        finished = rig.task(submitted.id).finished
        await rig.clock.advance(1)

        assert (await agent.complete(assigned, 1))["result"] == {}
        other = await agent.complete(assigned, 2)
        assert other["error"]["data"]["reason"] == "lease_lost"
        assert rig.task(submitted.id).finished == finished


async def test_an_answer_the_store_lost_is_made_up_by_the_same_call() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        assigned = await agent.accept()
        rig.store.lose_answers = True
        lost = await agent.complete(assigned)
        rig.store.lose_answers = False

        assert lost["error"]["data"]["reason"] == "unavailable"
        assert (await agent.complete(assigned))["result"] == {}
        assert rig.task(submitted.id).status == "completed"
        await rig.clock.advance(40)
        assert rig.store.queue.entries == {}


async def test_a_claim_whose_answer_the_store_lost_is_carried_out() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.call("agent.report", state="maintenance")
        submitted = await rig.submit()
        await settle()
        rig.store.lose_answers = True
        await agent.call("agent.report", state="idle")
        assert rig.task(submitted.id).status == "assigned"
        assert agent.assigned() == []
        rig.store.lose_answers = False
        await rig.clock.advance(1)

        assert [each["claim_epoch"] for each in agent.assigned()] == [1]


async def test_a_cancelled_running_task_is_told_to_its_agent() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        task = await rig.tasks.cancel(submitted.id, by="token:op1")
        await settle()

        assert task.status == "cancelled"
        assert agent.told("task.cancelled") == [{"id": submitted.id, "claim_epoch": 1}]
        assert rig.store.queue.entries == {}
        assert rig.dispatch.in_hand() == 0
        late = await agent.call("task.complete", id=submitted.id, claim_epoch=1)
        assert late["error"]["data"]["reason"] == "cancelled"


async def test_a_cancelled_pending_task_is_never_assigned() -> None:
    async with Rig() as rig:
        submitted = await rig.submit()
        await rig.tasks.cancel(submitted.id, by="token:op1")
        agent = await rig.agent()
        await rig.clock.advance(1)

        assert agent.assigned() == []
        assert rig.store.queue.entries == {}


async def test_a_message_without_a_record_makes_its_record() -> None:
    async with Rig() as rig:
        submitted = await rig.submit()
        del rig.store.tasks.bucket.entries[submitted.id]
        agent = await rig.agent()
        await settle()

        assert len(agent.assigned()) == 1
        assert rig.task(submitted.id).status == "assigned"


async def test_what_is_in_hand_is_not_handed_out_again() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=2)
        submitted = await rig.submit()
        await settle()
        await agent.accept()
        for _ in range(6):
            await rig.clock.advance(20)
            await agent.call("task.progress", id=submitted.id, claim_epoch=1)

        assert len(agent.assigned()) == 1


async def test_labels_choose_the_agent() -> None:
    async with Rig() as rig:
        plain = await rig.agent("plain")
        gpu = await rig.agent(
            "gpu", capabilities=[{"name": "wc", "labels": {"gpu": "yes"}}]
        )
        await rig.submit(labels={"gpu": "yes"})
        await settle()

        assert plain.assigned() == []
        assert len(gpu.assigned()) == 1


async def test_a_draining_agent_gets_nothing_new() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        await agent.call("agent.report", state="draining")
        await rig.submit()
        await settle()
        assert agent.assigned() == []
        await agent.call("agent.report", state="idle")
        await settle()

        assert len(agent.assigned()) == 1


async def test_credits_limit_what_is_assigned() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=5)
        await agent.notify("flow.credit", scope="tasks", n=1)
        for _ in range(3):
            await rig.submit()
        await settle()
        assert len(agent.assigned()) == 1
        await agent.notify("flow.credit", scope="tasks", n=2)
        await settle()

        assert len(agent.assigned()) == 3


async def test_a_draining_node_takes_nothing_new() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=2)
        await rig.submit()
        await settle()
        rig.dispatch.stop_taking()
        await rig.submit()
        await rig.clock.advance(6)

        assert len(agent.assigned()) == 1


async def test_a_restarted_node_lets_an_agent_complete_by_its_old_claim() -> None:
    first = Rig()
    async with first:
        agent = await first.agent()
        submitted = await first.submit()
        await settle()
        assigned = await agent.accept()
        await first.clock.advance(0.3)
    async with Rig(store=first.store) as second:
        agent.rig = second
        await agent.resume()
        await settle()
        told_again = [each["claim_epoch"] for each in agent.assigned()]
        answer = await agent.complete(assigned)
        await second.clock.advance(35)

        assert told_again == [1]
        assert answer["result"] == {}
        assert second.task(submitted.id).status == "completed"
        assert second.store.queue.entries == {}


async def test_an_assignment_that_a_killed_node_had_no_time_to_say_is_said() -> None:
    first = Rig()
    async with first:
        agent = await first.agent(slots=1)
        submitted = await first.submit()
        await settle()
    async with Rig(store=first.store) as second:
        agent.rig = second
        await agent.resume(slots=1)
        await settle()
        assigned = await agent.accept()
        await agent.complete(assigned)
        await settle()

        assert second.task(submitted.id).status == "completed"
        assert second.task(submitted.id).claim_epoch == 1
        assert second.dispatch.in_hand() == 0


async def test_a_restarted_node_counts_what_agents_still_have() -> None:
    first = Rig()
    async with first:
        agent = await first.agent(slots=1)
        old = await first.submit()
        await settle()
        await agent.accept()
    async with Rig(store=first.store) as second:
        agent.rig = second
        await agent.resume(slots=1)
        await second.submit()
        await settle()

        assert [each["task"]["id"] for each in agent.assigned()] == [old.id]


async def test_after_a_restart_the_task_of_an_agent_that_stays_away_is_redone() -> None:
    first = Rig()
    async with first:
        agent = await first.agent("wc-1")
        submitted = await first.submit()
        await settle()
        await agent.accept()
    async with Rig(store=first.store) as second:
        other = await second.agent("wc-2")
        await second.clock.advance(70)

        assert [each["attempt"] for each in other.assigned()][:1] == [2]
        assert second.task(submitted.id).history[0].outcome == "lease_expired"


async def test_an_agent_may_complete_on_another_node() -> None:
    first = Rig(leases=LeasePolicy(grace_ms=10_000))
    async with first, Rig(store=first.store, name="beta") as second:
        agent = await first.agent()
        submitted = await first.submit()
        await settle()
        assigned = await agent.accept()
        await agent.lose()
        agent.rig = second
        answer = await agent.resume()
        assert answer["result"]["resumed"] is True
        done = await agent.complete(assigned)
        await first.clock.advance(1)

        assert done["result"] == {}
        assert first.task(submitted.id).agent == AgentId("wc-1")
        assert first.dispatch.in_hand() == 0
        assert first.store.queue.entries == {}


async def test_a_silent_store_is_asked_again() -> None:
    async with Rig() as rig:
        agent = await rig.agent()
        rig.store.available = False
        await rig.clock.advance(10)
        rig.store.available = True
        await rig.submit()
        await rig.clock.advance(1)

        assert len(agent.assigned()) == 1
