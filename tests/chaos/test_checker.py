"""The checker passes what is right, and finds each violation that is planted."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import Attempt, Task
from tests.chaos.histories import cas, op, read, write
from tests.system.chaos import checker, contested, controllers
from tests.system.chaos.checker import check
from tests.system.chaos.contested import tenures, weaknesses
from tests.system.chaos.controllers import Reign
from tests.system.chaos.evidence import Evidence
from tests.system.chaos.history import Executed, Op, Received, Told

START = datetime(2026, 1, 1, tzinfo=UTC)


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def attempt(
    epoch: int, begun: float, ended: float | None, outcome: str | None
) -> Attempt:
    return Attempt(
        attempt=epoch,
        claim_epoch=epoch,
        agent=AgentId(f"worker-{epoch}"),
        node="alpha",
        started=moment(begun),
        ended=None if ended is None else moment(ended),
        outcome=outcome,
    )


def record(number: int, **changes: Any) -> Task:
    task = Task(
        id=TaskId(f"t{number}"),
        type="crash",
        status="completed",
        priority="normal",
        submitted=START,
        submitter="s",
        claim_epoch=2,
        result=2,
        idempotency_key=f"k{number}",
        history=(
            attempt(1, 0, 1, "lease_expired"),
            attempt(2, 2, 3, "completed"),
        ),
    )
    return msgspec.structs.replace(task, **changes)


def sent(number: int, at: float, seq: int | None, **more: Any) -> Op:
    answer = None if seq is None else {"seq": seq, "id": f"m{number}"}
    end = None if seq is None else at + 0.5
    return op("message.send", number, at, end, answer, key="s>r", **more)


def got(number: int, at: float, seq: int) -> Received:
    return Received(at=at, receiver="r", sender="s", number=number, seq=seq)


def submitted(number: int, at: float, *, duplicate: bool = False, task: str = "") -> Op:
    answer = {"id": task or f"t{number}", "duplicate": duplicate}
    return op("task.submit", None, at, at + 0.5, answer, key=f"k{number}")


def lock(
    kind: str, client: str, at: float, end: float | None, answer: Any = None
) -> Op:
    return op(f"lock.{kind}", None, at, end, answer, client=client, key="l")


GOOD = Evidence(
    ops=[
        sent(0, 0, 5),
        sent(1, 1, None),
        sent(1, 2, 7),
        submitted(0, 0),
        submitted(0, 1, duplicate=True),
        submitted(1, 0),
        op("task.cancel", None, 2, 3, {}, key="k1"),
        lock("acquire", "a", 0, 1, 1),
        lock("renew", "a", 1.5, 1.6, 1),
        lock("release", "a", 2, 2.1),
        lock("acquire", "b", 2.2, 2.3, 4),
        write(0, 1, 1),
        read(2, 3, 1),
    ],
    received=[got(0, 1, 5), got(1, 3, 7), got(1, 4, 7)],
    executed=[Executed(at=3, id="t0", claim_epoch=2, agent="worker-2", started=2)],
    told=[
        Told(at=4, key="k0", id="t0", status="completed", claim_epoch=2),
        Told(at=4, key="k1", id="t1", status="cancelled"),
    ],
    records={
        "t0": record(0),
        "t1": record(1, status="cancelled", result=None, history=(), claim_epoch=0),
    },
    counts={"alpha": {"completed": 1, "cancelled": 1, "pending": 0}},
    inflight={"worker-2": 0},
    reigns=[
        Reign("alpha", 1, 0, 10),
        Reign("beta", 3, 9, 12),
        Reign("alpha", 4, 12, 40),
    ],
    lease_s=2.0,
)


def test_a_history_without_a_fault_has_no_violation() -> None:
    assert check(GOOD) == []


def ops(*more: Op) -> Callable[[Evidence], Evidence]:
    return lambda good: replace(good, ops=[*good.ops, *more])


def records(**changed: Task | None) -> Callable[[Evidence], Evidence]:
    return lambda good: replace(good, records={**good.records, **changed})


def without(kind: str) -> Callable[[Evidence], Evidence]:
    return lambda good: replace(good, ops=[o for o in good.ops if o.kind != kind])


def also(name: str, *more: Any) -> Callable[[Evidence], Evidence]:
    return lambda good: replace(good, **{name: [*getattr(good, name), *more]})


PLANTED: dict[str, tuple[str, Callable[[Evidence], Evidence]]] = {
    "an acknowledged message never came": ("message_lost", ops(sent(2, 5, 9))),
    "a message lies there twice": ("message_twice", also("received", got(1, 5, 8))),
    "acknowledged at one place, delivered at another": (
        "message_twice",
        lambda good: replace(good, received=[got(0, 1, 6), got(1, 3, 7)]),
    ),
    "one call is answered twice": ("message_answers", ops(sent(0, 9, 5))),
    "the second one came first": (
        "message_order",
        lambda good: replace(good, received=[got(1, 1, 7), got(0, 3, 5)]),
    ),
    "a message nobody sent": ("message_stray", also("received", got(7, 9, 9))),
    "an acknowledged task has no record": ("task_lost", records(t0=None)),
    "a submission is refused": (
        "refused",
        ops(op("task.submit", None, 1, 2, "no", key="k9", outcome="failed")),
    ),
    "a submission is never answered": (
        "unanswered", ops(op("task.submit", None, 1, None, key="k9"))
    ),
    "one submission has two ids": (
        "two_ids", ops(submitted(0, 5, duplicate=True, task="t9"))
    ),
    "one submission is new twice": ("new_twice", ops(submitted(0, 5))),
    "two submissions share an id": ("shared_id", ops(submitted(5, 5, task="t0"))),
    "one submission has two records": ("two_records", records(t8=record(0, id="t8"))),
    "a record nobody asked for": ("task_stray", records(t8=record(8))),
    "a task is completed twice": (
        "completed_twice",
        records(
            t0=record(
                0,
                history=(attempt(1, 0, 1, "completed"), attempt(2, 2, 3, "completed")),
            )
        ),
    ),
    "two agents hold one task at one time": (
        "double_lease",
        records(
            t0=record(
                0,
                history=(
                    attempt(1, 0, 2.5, "lease_expired"), attempt(2, 2, 3, "completed")
                ),
            )
        ),
    ),
    "an epoch goes back": (
        "epoch",
        records(
            t0=record(
                0,
                history=(
                    attempt(3, 0, 1, "lease_expired"), attempt(2, 2, 3, "completed")
                ),
            )
        ),
    ),
    "completed, and nobody did it": (
        "never_executed", lambda good: replace(good, executed=[])
    ),
    "the result is of an older claim": ("wrong_result", records(t0=record(0, result=1))),
    "a task is left": ("unfinished", records(t0=record(0, status="running"))),
    "cancelled, and completed all the same": (
        "cancel_lost", ops(op("task.cancel", None, 2, 3, {}, key="k0"))
    ),
    "cancelled by nobody": ("cancelled_by_nobody", without("task.cancel")),
    "a redrive is lost": (
        "redriven", ops(op("task.redrive", None, 2, 3, "", key="k0"))
    ),
    "a redrive nobody asked for": ("redriven", records(t0=record(0, redriven=1))),
    "a watcher is never told": (
        "untold", also("told", Told(at=5, key="k0", id="t0", status=None))
    ),
    "a watcher is told another end": (
        "told_otherwise",
        also("told", Told(at=5, key="k0", id="t0", status="completed", claim_epoch=1)),
    ),
    "a node miscounts": (
        "miscounted", lambda good: replace(good, counts={"beta": {"completed": 3}})
    ),
    "a slot is never given back": (
        "leaked_slots", lambda good: replace(good, inflight={"worker-1": 1})
    ),
    "one of the crowd does not come back": (
        "session_lost",
        ops(
            op("session.back", None, 5, None, client="crowd-7", key="crowd-7"),
            sent(2, 90, None),
        ),
    ),
    "a record of the audit was changed": (
        "audit_broken",
        lambda good: replace(
            good, audits={"beta": {"status": "broken", "first_bad": 7, "reason": "hash"}}
        ),
    ),
    "two are the controller": (
        "two_controllers", also("reigns", Reign("beta", 5, 20, 30))
    ),
    "a controller comes under an old fence": (
        "controller_fence", also("reigns", Reign("beta", 3, 41, 50))
    ),
    "somebody reads the past although all is well": (
        "not_linearizable",
        lambda good: replace(
            good,
            healed=5,
            ops=[*good.ops, write(4, 5, 2, client="c"), read(6, 7, 1, client="d")],
        ),
    ),
    "two hold a lock": ("two_holders", ops(lock("acquire", "c", 1.1, 1.2, 9))),
    "a fence goes back": (
        "fence",
        ops(
            lock("release", "b", 2.4, 2.5), lock("acquire", "c", 3, 3.1, 2),
        ),
    ),
    "a write is lost": (
        "not_linearizable",
        ops(
            cas(4, 5, 1, 2, won=True, client="c"),
            cas(6, 7, 1, 3, won=True, client="d"),
        ),
    ),
    "a read is of the past": (
        "stale_read", ops(write(4, 5, 2, client="c"), read(6, 7, 1, client="d"))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str) -> None:
    kind, plant = PLANTED[name]

    assert kind in {one.kind for one in check(plant(GOOD))}


def test_every_kind_of_violation_the_checker_knows_is_planted() -> None:
    modules = (checker, contested, controllers)
    source = "".join(Path(str(one.__file__)).read_text() for one in modules)
    known = set(re.findall(r'Violation\(\s*"(\w+)"', source)) | {
        "not_linearizable", "stale_read",
    }  # fmt: skip

    assert known <= {kind for kind, _ in PLANTED.values()}


def test_a_message_whose_answer_was_lost_may_be_there_or_not() -> None:
    lost = replace(GOOD, ops=[*GOOD.ops, sent(2, 5, None)])
    there = replace(lost, received=[*GOOD.received, got(2, 6, 9)])

    assert check(lost) == check(there) == []


def test_what_somebody_brought_back_has_its_claim_twice_in_its_history() -> None:
    again = record(
        0,
        redriven=1,
        claim_epoch=2,
        history=(
            attempt(1, 0, 1, "failed"),
            attempt(1, 1, 1, "redriven"),
            attempt(2, 2, 3, "completed"),
        ),
    )
    asked = op("task.redrive", None, 1, 2, "", key="k0")

    found = check(
        replace(GOOD, ops=[*GOOD.ops, asked], records={**GOOD.records, "t0": again})
    )

    assert found == []


def test_a_tenure_ends_with_the_lease_the_last_renewal_bought() -> None:
    calls = [
        lock("acquire", "a", 0, 1, 1),
        lock("renew", "a", 1.5, 1.6, 1),
        lock("renew", "a", 3, None),
        lock("acquire", "b", 3.6, 3.7, 2),
    ]

    first, second = tenures(calls, 2.0)

    assert (first.begins, first.ends) == (1, 3.5)
    assert (second.begins, second.ends) == (3.7, 5.6)


def test_who_takes_its_own_lock_anew_has_the_older_tenure_no_more() -> None:
    calls = [
        lock("acquire", "a", 0, 0.1, 1),
        lock("acquire", "a", 0.5, 0.6, 3),
        lock("release", "a", 0.7, 0.8),
        lock("acquire", "b", 1.0, 1.1, 5),
    ]

    assert check(Evidence(ops=calls, lease_s=2.0)) == []


def test_a_swap_that_is_refused_too_early_is_a_weakness_and_no_violation() -> None:
    calls = [
        cas(4, 9, 1, 2, won=True, client="c"),
        cas(5, 6, 1, 3, won=False, client="d"),
        read(7, 8, 1, client="d"),
    ]
    evidence = replace(GOOD, ops=[*GOOD.ops, *calls])

    assert check(evidence) == []
    assert weaknesses(evidence) == {"undecided": [], "early": ["x"]}
