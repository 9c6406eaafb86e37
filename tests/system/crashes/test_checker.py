"""The checker finds what is planted, each by its name, and nothing in a sound trial."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Attempt, Task
from tests.system.crashes.checker import Evidence, check
from tests.system.crashes.facts import Answered, Asked, Executed, Refused, Told, key_of

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
A, B = key_of(1, 2), key_of(1, 3)


def attempt(
    epoch: int, start: float, end: float | None, outcome: str | None
) -> Attempt:
    return Attempt(
        attempt=epoch,
        claim_epoch=epoch,
        agent=AgentId(f"agent-{epoch}"),
        node="alpha",
        started=BEGAN + timedelta(seconds=start),
        ended=None if end is None else BEGAN + timedelta(seconds=end),
        outcome=outcome,
    )


def record(key: str, *history: Attempt, **more: Any) -> Task:
    """A task that was completed by the last attempt of its history."""
    last = history[-1]
    number = int(key.rpartition("-")[2])
    task = Task(
        id=TaskId(f"task-of-{key}"),
        type="crash",
        status="completed",
        priority="normal",
        submitted=BEGAN,
        submitter="submitter-0",
        idempotency_key=key,
        claim_epoch=last.claim_epoch,
        agent=last.agent,
        result={
            "square": number**2,
            "claim_epoch": last.claim_epoch,
            "agent": last.agent,
        },
        history=history,
    )
    return msgspec.structs.replace(task, **more)


def executed(task: Task, epoch: int) -> Executed:
    return Executed(
        at=2, id=task.id, claim_epoch=epoch, agent="agent", pid=1, started=1
    )


def answered(task: Task, *, duplicate: bool = False) -> Answered:
    key = task.idempotency_key or ""
    return Answered(at=1, key=key, id=task.id, duplicate=duplicate)


def told(task: Task, epoch: int, status: str | None = "completed") -> Told:
    key = task.idempotency_key or ""
    return Told(at=3, key=key, id=task.id, status=status, claim_epoch=epoch)


LOST = attempt(1, 0, 5, "agent_lost")
FIRST = record(A, LOST, attempt(2, 5, 6, "completed"))
SECOND = record(B, attempt(1, 0, 1, "completed"))


def trial(**more: Any) -> Evidence:
    """Two tasks; the first met a crash in its submission and one in its execution."""
    sound: dict[str, Any] = {
        "keys": (A, B),
        "asked": (Asked(at=0, key=A), Asked(at=0, key=A), Asked(at=0, key=B)),
        "refused": (
            Refused(at=0.5, key=A, reason="unavailable", passing=True, words=""),
        ),
        "answered": (answered(FIRST, duplicate=True), answered(SECOND)),
        "told": (told(FIRST, 2), told(SECOND, 1)),
        "executed": (executed(FIRST, 1), executed(FIRST, 2), executed(SECOND, 1)),
        "records": {FIRST.id: FIRST, SECOND.id: SECOND},
    }
    return Evidence(**{**sound, **more})


def with_record(task: Task) -> Evidence:
    return trial(records={FIRST.id: task, SECOND.id: SECOND})


def kinds(evidence: Evidence) -> set[str]:
    return {one.kind for one in check(evidence)}


def test_a_sound_trial_has_no_violations() -> None:
    assert check(trial()) == []


def test_a_loss_is_found() -> None:
    assert kinds(trial(records={FIRST.id: None, SECOND.id: SECOND})) == {"lost"}


def test_an_acknowledged_task_that_was_never_read_is_lost() -> None:
    assert kinds(trial(records={SECOND.id: SECOND})) == {"lost"}


@pytest.mark.parametrize("status", ["pending", "running", "dead_lettered", "failed"])
def test_a_task_that_is_not_completed_is_found(status: str) -> None:
    found = with_record(msgspec.structs.replace(FIRST, status=status))

    assert kinds(found) == {"not_completed"}


def test_a_double_completion_in_the_history_is_found() -> None:
    twice = record(A, attempt(1, 0, 5, "completed"), attempt(2, 5, 6, "completed"))

    assert kinds(with_record(twice)) == {"completed_twice"}


def test_a_completion_that_was_told_and_then_undone_is_found() -> None:
    assert kinds(trial(told=(told(FIRST, 1), told(SECOND, 1)))) == {"completed_twice"}


@pytest.mark.parametrize(
    "first", [attempt(1, 0, 5.5, "agent_lost"), attempt(1, 0, None, None)]
)
def test_a_double_lease_is_found(first: Attempt) -> None:
    both = record(A, first, attempt(2, 5, 6, "completed"))

    assert kinds(with_record(both)) == {"double_lease"}


@pytest.mark.parametrize("epoch", [1, 0])
def test_an_epoch_that_does_not_grow_is_found(epoch: int) -> None:
    old = attempt(epoch, 5, 6, "completed")
    found = trial(
        records={FIRST.id: record(A, LOST, old), SECOND.id: SECOND},
        executed=(executed(FIRST, epoch), executed(SECOND, 1)),
        told=(told(FIRST, epoch),),
    )

    assert kinds(found) == {"epoch"}


def test_a_claim_that_its_history_does_not_know_is_found() -> None:
    ahead = msgspec.structs.replace(FIRST, claim_epoch=3)

    assert "epoch" in kinds(with_record(ahead))


def test_an_attempt_that_ends_before_it_begins_is_found() -> None:
    bent = record(A, LOST, attempt(2, 7, 6, "completed"))

    assert kinds(with_record(bent)) == {"backwards"}


def test_a_second_answer_with_another_id_is_found() -> None:
    other = Answered(at=2, key=A, id="another", duplicate=True)
    copy = msgspec.structs.replace(FIRST, id=TaskId("another"))
    found = trial(
        asked=(*trial().asked, Asked(at=1, key=A)),
        answered=(*trial().answered, other),
        records={FIRST.id: FIRST, SECOND.id: SECOND, copy.id: copy},
        executed=(*trial().executed, executed(copy, 2)),
    )

    assert kinds(found) == {"two_ids", "two_records"}


def test_a_second_record_that_nobody_was_told_of_is_found() -> None:
    copy = msgspec.structs.replace(FIRST, id=TaskId("hidden"))
    found = trial(
        records={FIRST.id: FIRST, SECOND.id: SECOND, copy.id: copy},
        executed=(*trial().executed, executed(copy, 2)),
    )

    assert kinds(found) == {"two_records"}


def test_a_record_of_a_key_that_nobody_submitted_is_found() -> None:
    stray = record(key_of(1, 9), attempt(1, 0, 1, "completed"))
    found = trial(
        records={FIRST.id: FIRST, SECOND.id: SECOND, stray.id: stray},
        executed=(*trial().executed, executed(stray, 1)),
    )

    assert kinds(found) == {"stray"}


def test_a_submission_that_nobody_answered_is_found() -> None:
    found = trial(answered=(answered(SECOND),))

    assert kinds(found) == {"unanswered", "answers"}


def test_a_call_that_was_answered_twice_is_found() -> None:
    found = trial(
        answered=(
            *trial().answered,
            answered(SECOND, duplicate=True),
        )
    )

    assert kinds(found) == {"answers"}


def test_two_answers_that_both_call_the_task_new_are_found() -> None:
    found = trial(
        asked=(*trial().asked, Asked(at=1, key=B)),
        answered=(*trial().answered, answered(SECOND)),
    )

    assert kinds(found) == {"new_twice"}


def test_an_answer_to_what_nobody_submitted_is_found() -> None:
    stray = Answered(at=1, key="crash-1-77", id="other", duplicate=False)

    assert kinds(trial(answered=(*trial().answered, stray))) >= {"stray_answer"}


def test_a_submission_that_was_refused_for_good_is_found() -> None:
    refused = Refused(at=1, key=A, reason="duplicate", passing=False, words="")

    assert kinds(trial(refused=(refused,))) == {"refused"}


def test_one_task_for_two_submissions_is_found() -> None:
    shared = Answered(at=1, key=B, id=FIRST.id, duplicate=False)
    found = trial(answered=(answered(FIRST, duplicate=True), shared))

    assert kinds(found) == {"shared_id", "wrong_record"}


@pytest.mark.parametrize(
    "result",
    [
        {"square": 5, "claim_epoch": 2, "agent": "agent-2"},
        {"square": 4, "claim_epoch": 1, "agent": "agent-1"},
        {"square": 4, "claim_epoch": 2, "agent": "agent-1"},
        None,
    ],
    ids=["wrong", "of an older claim", "of another agent", "none"],
)
def test_a_wrong_result_is_found(result: Any) -> None:
    found = with_record(msgspec.structs.replace(FIRST, result=result))

    assert kinds(found) == {"wrong_result"}


def test_a_completion_that_no_agent_made_is_found() -> None:
    found = trial(executed=(executed(FIRST, 1), executed(SECOND, 1)))

    assert kinds(found) == {"never_executed"}


@pytest.mark.parametrize("history", [(), (LOST,)])
def test_a_completion_without_its_attempt_is_found(
    history: tuple[Attempt, ...],
) -> None:
    found = with_record(msgspec.structs.replace(FIRST, history=history))

    assert "no_completion" in kinds(found)


@pytest.mark.parametrize(
    ("status", "kind"), [(None, "untold"), ("failed", "told_otherwise")]
)
def test_a_watcher_that_was_told_nothing_or_another_end_is_found(
    status: str | None, kind: str
) -> None:
    assert kinds(trial(told=(told(FIRST, 2, status),))) == {kind}
