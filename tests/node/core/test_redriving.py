from datetime import timedelta
from typing import Any

import pytest

from nexa_node.contract.errors import Conflict, DeadlineExceeded, Invalid
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Attempt, Redrive, Task, Usage
from nexa_node.core import redriving, tasks
from nexa_node.core.past import HISTORY_LIMIT
from nexa_node.core.tasks import Claim, Denied, Moved
from tests import builders
from tests.builders import EARLIER, NOW

ATTEMPT = Attempt(
    attempt=1, claim_epoch=1, agent=AgentId("wc-1"), node="alpha", started=EARLIER,
    ended=EARLIER, outcome="failed",
)  # fmt: skip


def dead(**fields: Any) -> Task:
    return builders.task(
        "d", status="dead_lettered", **{"history": (ATTEMPT,), **fields}
    )


def redriven(task: Task) -> Task:
    verdict = redriving.redrive(task, by="token:op1", node="alpha", now=NOW)
    assert isinstance(verdict, Moved)
    return verdict.task


def test_a_redriven_task_has_all_its_attempts_and_all_its_history() -> None:
    spent = Usage(input_tokens=3)
    task = redriven(dead(attempts=3, claim_epoch=7, usage=spent))

    assert (task.status, task.attempts, task.claim_epoch) == ("pending", 0, 7)
    assert (task.agent, task.node, task.error, task.finished) == (None,) * 4
    assert (task.redriven, task.usage) == (1, spent)
    assert task.history[0] == ATTEMPT
    entry = task.history[1]
    assert (entry.outcome, entry.agent, entry.ended) == ("redriven", "token:op1", NOW)


def test_nobody_of_its_first_life_can_touch_it() -> None:
    task = redriven(dead())

    verdict = tasks.complete(
        task, Claim(AgentId("wc-1"), 1), result=1, usage=None, now=NOW
    )
    assert isinstance(verdict, Denied)
    assigned = tasks.assign(task, agent=AgentId("wc-1"), node="alpha", now=NOW)
    assert isinstance(assigned, Moved)
    assert assigned.task.claim_epoch == 2


@pytest.mark.parametrize("status", ["pending", "running", "completed", "failed"])
def test_only_dead_letters_are_redriven(status: Any) -> None:
    verdict = redriving.redrive(
        builders.task(status=status), by="token:op1", node="alpha", now=NOW
    )

    assert isinstance(verdict, Denied)
    assert isinstance(verdict.error, Conflict)
    assert status in verdict.reason


def test_one_whose_deadline_is_over_is_refused_by_name() -> None:
    verdict = redriving.redrive(
        dead(deadline=NOW), by="token:op1", node="alpha", now=NOW
    )

    assert isinstance(verdict, Denied)
    assert isinstance(verdict.error, DeadlineExceeded)
    assert "task d: its deadline" in verdict.reason


def test_one_that_had_begun_in_time_need_not_begin_in_time_again() -> None:
    task = redriven(dead(start_by=EARLIER))

    assert tasks.overdue(task, NOW) is None


def test_each_life_has_a_message_of_its_own() -> None:
    task = redriven(dead())

    names = [
        redriving.message_id(each)
        for each in (dead(), task, redriven(dead(redriven=1)))
    ]
    assert names == ["d", "d.1", "d.2"]


def test_when_a_task_was_queued_last_is_known_until_somebody_has_it() -> None:
    again = redriven(dead())
    had = tasks.assign(again, agent=AgentId("wc-1"), node="alpha", now=NOW)
    assert isinstance(had, Moved)
    back = tasks.release(had.task, Claim(AgentId("wc-1"), 2), now=NOW)
    assert isinstance(back, Moved)

    assert redriving.queued_anew_at(builders.task()) == EARLIER
    assert redriving.queued_anew_at(again) == NOW
    assert redriving.queued_anew_at(had.task) is None
    assert redriving.queued_anew_at(back.task) is None
    assert redriving.queued_anew_at(builders.task(claim_epoch=1)) is None


def test_everything_is_meant_only_if_it_is_said() -> None:
    for wanted in (
        Redrive(all=True), Redrive(type="wc"), Redrive(ids=(TaskId("a"),)),
    ):  # fmt: skip
        redriving.check_redrive(wanted)
    with pytest.raises(Invalid, match="which dead letters"):
        redriving.check_redrive(Redrive())
    with pytest.raises(Invalid, match="10,001 ids"):
        redriving.check_redrive(Redrive(ids=(TaskId("a"),) * 10_001))


def test_the_history_stays_bounded() -> None:
    task = redriven(dead(history=(ATTEMPT,) * 32))

    assert len(task.history) == HISTORY_LIMIT
    assert task.history[-1].outcome == "redriven"
    assert task.history[-1].started - NOW == timedelta()
