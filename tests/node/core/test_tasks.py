import random
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.errors import Cancelled, Conflict, DeadlineExceeded, LeaseLost
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import FINISHED, RetryPolicy, Task, Usage
from nexa_node.core import redriving, submitting, tasks
from nexa_node.core.past import HISTORY_LIMIT
from nexa_node.core.progression import stage
from nexa_node.core.tasks import Claim, Denied, Kept, Moved, Verdict
from tests.builders import NOW, new_task, task

WC1, WC2 = AgentId("wc-1"), AgentId("wc-2")


def rng() -> random.Random:
    return random.Random(1)


def moved(verdict: Verdict) -> Task:
    assert isinstance(verdict, Moved), verdict
    return verdict.task


def denied(verdict: Verdict) -> Exception:
    assert isinstance(verdict, Denied), verdict
    return verdict.error


def assigned(agent: AgentId = WC1, **overrides: Any) -> Task:
    return moved(tasks.assign(task(**overrides), agent=agent, node="alpha", now=NOW))


def test_a_submission_becomes_a_pending_record() -> None:
    new = new_task(priority="high", labels={"a": "b"}, deadline=NOW)
    first = submitting.submit(new, task_id=TaskId("t"), submitter="token:op1", now=NOW)

    assert (first.status, first.attempts, first.claim_epoch) == ("pending", 0, 0)
    assert (first.priority, first.labels, first.deadline) == ("high", {"a": "b"}, NOW)


def test_assigning_begins_a_claim_and_an_attempt() -> None:
    record = assigned()

    assert (record.status, record.agent, record.node) == ("assigned", WC1, "alpha")
    assert (record.claim_epoch, record.attempts) == (1, 1)
    assert record.history[-1].agent == WC1
    assert record.history[-1].outcome is None


@pytest.mark.parametrize("status", ["assigned", "running", *sorted(FINISHED)])
def test_only_pending_tasks_are_assigned(status: Any) -> None:
    verdict = tasks.assign(task(status=status), agent=WC2, node="b", now=NOW)

    assert isinstance(denied(verdict), Conflict)


def test_accepting_twice_is_the_same() -> None:
    running = moved(tasks.start(assigned(), Claim(WC1, 1), now=NOW))
    assert (running.status, running.started) == ("running", NOW)

    assert isinstance(tasks.start(running, Claim(WC1, 1), now=NOW), Kept)


def test_progress_says_that_it_runs_and_keeps_what_is_not_said() -> None:
    claim = Claim(WC1, 1)
    first = moved(tasks.progress(assigned(), claim, pct=10.0, note="reading", now=NOW))
    second = moved(tasks.progress(first, claim, pct=20.0, note=None, now=NOW))

    assert (second.status, second.pct, second.note) == ("running", 20.0, "reading")
    same = tasks.progress(second, claim, pct=None, note=None, now=NOW)
    assert isinstance(same, Kept)


def test_a_partial_result_is_kept_until_the_next_one_or_the_end() -> None:
    claim = Claim(WC1, 1)

    def told(record: Task, partial: Any) -> Task:
        return moved(
            tasks.progress(record, claim, pct=None, note=None, partial=partial, now=NOW)
        )

    second = told(told(assigned(), {"words": 1}), {"words": 2})
    assert second.partial == {"words": 2}
    silent = tasks.progress(second, claim, pct=None, note=None, now=NOW)
    assert isinstance(silent, Kept)

    done = moved(tasks.complete(second, claim, result=3, usage=None, now=NOW))
    back = moved(tasks.release(second, claim, now=NOW))
    assert (done.partial, back.partial) == (None, None)


def test_what_attempts_spent_adds_up() -> None:
    spent = Usage(model="small", input_tokens=5, cost_usd=0.5)
    record = moved(
        tasks.fail(
            assigned(), Claim(WC1, 1), error="e", retryable=True, usage=spent,
            now=NOW, rng=rng(),
        )
    )  # fmt: skip
    again = moved(tasks.assign(record, agent=WC2, node="alpha", now=NOW))
    more = Usage(model="large", input_tokens=2, output_tokens=1, cost_usd=0.25)
    done = moved(tasks.complete(again, Claim(WC2, 2), result=1, usage=more, now=NOW))

    assert record.usage == spent
    assert done.usage == Usage(
        model="large", input_tokens=7, output_tokens=1, cost_usd=0.75
    )
    silent = moved(tasks.complete(again, Claim(WC2, 2), result=1, usage=None, now=NOW))
    assert silent.usage == spent


def test_completing_keeps_result_and_usage() -> None:
    done = moved(
        tasks.complete(
            assigned(), Claim(WC1, 1), result=1, usage=Usage(input_tokens=5), now=NOW
        )
    )

    assert (done.status, done.result, done.finished) == ("completed", 1, NOW)
    assert done.usage == Usage(input_tokens=5)
    assert done.history[-1].outcome == "completed"
    assert done.started is not None


def test_the_same_completion_again_changes_nothing() -> None:
    claim = Claim(WC1, 1)
    done = moved(tasks.complete(assigned(), claim, result=1, usage=None, now=NOW))

    again = tasks.complete(done, claim, result=1, usage=None, now=NOW)
    other = tasks.complete(done, claim, result=2, usage=None, now=NOW)
    assert isinstance(again, Kept)
    assert isinstance(denied(other), LeaseLost)


def test_a_retryable_failure_goes_back_with_a_delay() -> None:
    record = assigned(retry=RetryPolicy(max_attempts=3, backoff_ms=1000))
    verdict = tasks.fail(
        record, Claim(WC1, 1), error="e", retryable=True, now=NOW, rng=rng()
    )

    assert isinstance(verdict, Moved)
    assert (verdict.task.status, verdict.task.attempts) == ("pending", 1)
    assert verdict.task.agent is None
    assert 0.5 <= verdict.delay_s <= 1.0
    assert verdict.task.not_before == NOW + timedelta(seconds=verdict.delay_s)
    again = moved(tasks.assign(verdict.task, agent=WC2, node="alpha", now=NOW))
    assert again.not_before is None
    assert verdict.task.history[-1].error == "e"


def test_the_last_failure_dead_letters() -> None:
    record = assigned(retry=RetryPolicy(max_attempts=1))
    done = moved(
        tasks.fail(record, Claim(WC1, 1), error="e", retryable=True, now=NOW, rng=rng())
    )

    assert (done.status, done.error, done.finished) == ("dead_lettered", "e", NOW)


def test_a_failure_that_may_not_be_retried_fails() -> None:
    done = moved(
        tasks.fail(
            assigned(), Claim(WC1, 1), error="e", retryable=False, now=NOW, rng=rng()
        )
    )

    assert (done.status, done.error) == ("failed", "e")


def test_the_same_failure_again_changes_nothing() -> None:
    claim = Claim(WC1, 1)
    for retryable in (True, False):
        record = moved(
            tasks.fail(
                assigned(), claim, error="e", retryable=retryable, now=NOW, rng=rng()
            )
        )
        again = tasks.fail(record, claim, error="e", retryable=True, now=NOW, rng=rng())
        assert isinstance(again, Kept)


def test_a_long_error_is_cut_in_the_history_only() -> None:
    error = {"trace": "x" * 10_000}
    done = moved(
        tasks.fail(
            assigned(), Claim(WC1, 1), error=error, retryable=False, now=NOW, rng=rng()
        )
    )

    assert done.error == error
    assert len(done.history[-1].error) < 2100


def test_releasing_and_rejecting_do_not_count() -> None:
    claim = Claim(WC1, 1)
    released = moved(tasks.release(assigned(), claim, now=NOW))
    rejected = moved(tasks.reject(assigned(), claim, now=NOW))

    assert (released.status, released.attempts) == ("pending", 0)
    assert (rejected.status, rejected.attempts) == ("pending", 0)
    assert rejected.history[-1].outcome == "rejected"
    assert isinstance(tasks.release(released, claim, now=NOW), Kept)


def test_a_lost_claim_counts_and_says_why() -> None:
    for loss in ("lease_expired", "agent_lost"):
        back = moved(tasks.lose(assigned(), 1, loss, now=NOW, rng=rng()))
        assert (back.status, back.attempts) == ("pending", 1)
        assert back.history[-1].outcome == loss


def test_a_lost_claim_past_the_deadline_expires() -> None:
    record = assigned(deadline=NOW)
    done = moved(tasks.lose(record, 1, "lease_expired", now=NOW, rng=rng()))

    assert done.status == "expired"


def test_the_last_lost_claim_dead_letters_with_the_reason() -> None:
    record = assigned(retry=RetryPolicy(max_attempts=1))
    done = moved(tasks.lose(record, 1, "agent_lost", now=NOW, rng=rng()))

    assert done.status == "dead_lettered"
    assert done.error["reason"] == "agent_lost"


def test_a_claim_that_is_over_cannot_be_lost_again() -> None:
    back = moved(tasks.lose(assigned(), 1, "agent_lost", now=NOW, rng=rng()))

    again = tasks.lose(back, 1, "agent_lost", now=NOW, rng=rng())
    assert isinstance(denied(again), LeaseLost)


@pytest.mark.parametrize("record", [task(), assigned()], ids=["pending", "assigned"])
def test_anything_unfinished_is_cancelled(record: Task) -> None:
    done = moved(tasks.cancel(record, by="token:op1", now=NOW))

    assert (done.status, done.finished) == ("cancelled", NOW)
    assert isinstance(tasks.cancel(done, by="token:op1", now=NOW), Kept)


def test_what_is_finished_is_not_cancelled() -> None:
    verdict = tasks.cancel(task(status="completed"), by="token:op1", now=NOW)

    assert isinstance(denied(verdict), Conflict)


def test_the_holder_of_a_cancelled_or_expired_task_is_told_so() -> None:
    record = assigned(deadline=NOW)
    claim = Claim(WC1, 1)
    cancelled = moved(tasks.cancel(record, by="token:op1", now=NOW))
    expired = moved(tasks.expire(record, now=NOW))

    late = tasks.complete(cancelled, claim, result=1, usage=None, now=NOW)
    assert isinstance(denied(late), Cancelled)
    late = tasks.complete(expired, claim, result=1, usage=None, now=NOW)
    assert isinstance(denied(late), DeadlineExceeded)


def test_a_task_expires_when_its_time_is_over_and_not_before() -> None:
    soon = NOW + timedelta(seconds=1)
    assert isinstance(tasks.expire(task(deadline=soon), now=NOW), Kept)
    assert moved(tasks.expire(task(deadline=soon), now=soon)).status == "expired"
    assert moved(tasks.expire(task(start_by=soon), now=soon)).status == "expired"
    assert isinstance(tasks.expire(assigned(start_by=soon), now=soon), Kept)
    retried = task(start_by=soon, attempts=1)
    assert isinstance(tasks.expire(retried, now=soon), Kept)
    redriven = task(start_by=soon, redriven=1)
    assert isinstance(tasks.expire(redriven, now=soon), Kept)
    assert isinstance(tasks.expire(task(status="completed"), now=NOW), Kept)


def test_the_history_is_bounded() -> None:
    record = task()
    for _ in range(50):
        record = moved(tasks.assign(record, agent=WC1, node="a", now=NOW))
        claim = Claim(WC1, record.claim_epoch)
        record = moved(tasks.reject(record, claim, now=NOW))

    assert len(record.history) == HISTORY_LIMIT
    assert record.claim_epoch == 50
    assert record.attempts == 0


@pytest.mark.parametrize("claim", [Claim(WC1, 0), Claim(WC1, 2), Claim(WC2, 1)])
def test_only_the_newest_claim_of_its_agent_moves_a_task(claim: Claim) -> None:
    record = assigned()
    now = NOW
    verdicts = [
        tasks.start(record, claim, now=now),
        tasks.progress(record, claim, pct=1.0, note=None, now=now),
        tasks.complete(record, claim, result=1, usage=None, now=now),
        tasks.fail(record, claim, error=1, retryable=True, now=now, rng=rng()),
        tasks.release(record, claim, now=now),
        tasks.reject(record, claim, now=now),
    ]

    assert all(isinstance(denied(verdict), LeaseLost) for verdict in verdicts)


MOVES = (
    "assign", "start", "progress", "complete", "fail", "fail!", "release", "reject",
    "agent_lost", "lease_expired", "cancel", "expire", "redrive",
)  # fmt: skip


def move(name: str, record: Task, claim: Claim, now: datetime) -> Verdict:
    match name:
        case "assign":
            return tasks.assign(record, agent=claim.agent, node="alpha", now=now)
        case "start":
            return tasks.start(record, claim, now=now)
        case "progress":
            return tasks.progress(record, claim, pct=5.0, note=None, now=now)
        case "complete":
            return tasks.complete(record, claim, result="r", usage=None, now=now)
        case "fail" | "fail!":
            retryable = name == "fail"
            return tasks.fail(
                record, claim, error="e", retryable=retryable, now=now, rng=rng()
            )
        case "release":
            return tasks.release(record, claim, now=now)
        case "reject":
            return tasks.reject(record, claim, now=now)
        case "cancel":
            return tasks.cancel(record, by="token:op1", now=now)
        case "expire":
            return tasks.expire(record, now=now)
        case loss:
            return tasks.lose(record, claim.epoch, loss, now=now, rng=rng())


STEPS = st.lists(
    st.tuples(st.sampled_from(MOVES), st.sampled_from([WC1, WC2]), st.integers(0, 4)),
    max_size=40,
)


@given(steps=STEPS, max_attempts=st.integers(1, 3), deadline=st.integers(1, 100))
def test_the_laws_of_a_tasks_life(
    steps: list[tuple[str, AgentId, int]], max_attempts: int, deadline: int
) -> None:
    record = task(
        retry=RetryPolicy(max_attempts=max_attempts),
        deadline=NOW + timedelta(seconds=deadline),
    )
    for second, (name, agent, epoch) in enumerate(steps):
        now = NOW + timedelta(seconds=second)
        before = record
        if name == "redrive":
            by, node = "token:op1", "alpha"
            verdict: Verdict = redriving.redrive(record, by=by, node=node, now=now)
        else:
            verdict = move(name, record, Claim(agent, epoch), now)
        if not isinstance(verdict, Moved):
            assert verdict.reason
            continue
        record = verdict.task
        if name == "redrive":
            assert before.status == "dead_lettered"
        else:
            assert before.status not in FINISHED
        assert stage(record) >= stage(before)
        assert record.claim_epoch - before.claim_epoch == (name == "assign")
        assert 0 <= record.attempts <= max_attempts
        assert tasks.is_claimed(record) == (record.agent is not None) or (
            record.status in FINISHED
        )
        assert (record.finished is not None) == (record.status in FINISHED)
        assert record.not_before is None or record.status == "pending"
        if tasks.is_claimed(before) and name not in ("cancel", "expire"):
            assert epoch == before.claim_epoch
        assert record.data == before.data
        assert verdict.delay_s >= 0
        assert verdict.reason
        assert msgspec.json.decode(msgspec.json.encode(record), type=Task) == record
