"""What must hold when a trial is over. Pure: what was written down in, violations out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

from nexa_node.contract.tasks import Attempt, Task
from tests.system.crashes.facts import (
    Answered,
    Asked,
    Executed,
    Outcome,
    Refused,
    Told,
    number_of,
)


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be."""

    kind: str
    subject: str
    """A task's id or a submission's key."""
    words: str


@dataclass(frozen=True)
class Evidence:
    """Everything that is known of a trial."""

    keys: Sequence[str]
    """What was to be submitted."""
    asked: Sequence[Asked] = ()
    answered: Sequence[Answered] = ()
    refused: Sequence[Refused] = ()
    told: Sequence[Told] = ()
    executed: Sequence[Executed] = ()
    records: Mapping[str, Task | None] = field(default_factory=dict)
    """By id; None of one that was acknowledged, and is not there."""


def check(evidence: Evidence) -> list[Violation]:
    """Find every violation."""
    claims = {(one.id, one.claim_epoch) for one in evidence.executed}
    found = [*submissions(evidence), *watchers(evidence), *ownership(evidence)]
    for task_id, task in evidence.records.items():
        if task is None:
            found.append(Violation("lost", task_id, "acknowledged, and no record"))
            continue
        found.extend(attempts(task))
        found.extend(completion(task, claims))
    return found


def submissions(evidence: Evidence) -> Iterator[Violation]:
    """Every submission is acknowledged, under one id, and as new at most once."""
    answers: dict[str, list[Answered]] = defaultdict(list)
    for answer in evidence.answered:
        answers[answer.key].append(answer)
    for refusal in evidence.refused:
        if not refusal.passing:
            words = f"{refusal.reason}: {refusal.words}"
            yield Violation("refused", refusal.key, words)
    calls = Counter(one.key for one in evidence.asked)
    errors = Counter(one.key for one in evidence.refused)
    for key in evidence.keys:
        given = answers.pop(key, [])
        if not given:
            yield Violation("unanswered", key, "nobody acknowledged it")
        ids = {one.id for one in given}
        if len(ids) > 1:
            yield Violation("two_ids", key, f"acknowledged as {sorted(ids)}")
        fresh = sum(not one.duplicate for one in given)
        if fresh > 1:
            yield Violation("new_twice", key, f"{fresh} answers call it a new task")
        if len(given) + errors[key] != calls[key]:
            words = f"{calls[key]} calls, {len(given) + errors[key]} answers"
            yield Violation("answers", key, words)
    for key in answers:
        yield Violation("stray_answer", key, "nobody submitted that")
    yield from _shared_ids(evidence.answered)


def _shared_ids(answered: Iterable[Answered]) -> Iterator[Violation]:
    keys: dict[str, set[str]] = defaultdict(set)
    for answer in answered:
        keys[answer.id].add(answer.key)
    for task_id, sharing in keys.items():
        if len(sharing) > 1:
            yield Violation("shared_id", task_id, f"answers {sorted(sharing)}")


def ownership(evidence: Evidence) -> Iterator[Violation]:
    """Each acknowledged submission has one record, its own, and there are no others."""
    holders: dict[str | None, set[str]] = defaultdict(set)
    for task_id, task in evidence.records.items():
        if task is not None:
            holders[task.idempotency_key].add(task_id)
    known = set(evidence.keys)
    for key, ids in holders.items():
        if key not in known:
            yield Violation("stray", str(key), f"records nobody asked for: {ids}")
        elif len(ids) > 1:
            yield Violation("two_records", str(key), f"records {sorted(ids)}")
    for key, task_id in {(one.key, one.id) for one in evidence.answered}:
        task = evidence.records.get(task_id)
        if task_id not in evidence.records:
            yield Violation("lost", task_id, "acknowledged, and never read")
        elif task is not None and task.idempotency_key != key:
            words = f"acknowledged for {key}, is of {task.idempotency_key}"
            yield Violation("wrong_record", task_id, words)


def attempts(task: Task) -> Iterator[Violation]:
    """One lease at a time, each under a higher epoch, and one completion at most."""
    history = task.history
    completed = [one for one in history if one.outcome == "completed"]
    if len(completed) > 1:
        words = f"by claims {[one.claim_epoch for one in completed]}"
        yield Violation("completed_twice", task.id, words)
    for before, after in pairwise(history):
        if after.claim_epoch <= before.claim_epoch:
            words = f"claim {after.claim_epoch} came after {before.claim_epoch}"
            yield Violation("epoch", task.id, words)
        if before.ended is None or after.started < before.ended:
            words = f"{_interval(after)} began before the end of {_interval(before)}"
            yield Violation("double_lease", task.id, words)
    for one in history:
        if one.ended is not None and one.ended < one.started:
            yield Violation("backwards", task.id, _interval(one))
    if history and history[-1].claim_epoch != task.claim_epoch:
        words = f"at claim {task.claim_epoch}, its newest is {_interval(history[-1])}"
        yield Violation("epoch", task.id, words)


def completion(task: Task, claims: set[tuple[str, int]]) -> Iterator[Violation]:
    """It is completed with the right result, by an attempt that was really made."""
    if task.status != "completed":
        yield Violation("not_completed", task.id, f"{task.status}: {task.error!r}")
        return
    last = task.history[-1] if task.history else None
    if last is None or last.outcome != "completed" or last.ended is None:
        yield Violation("no_completion", task.id, f"completed, but history says {last}")
        return
    if (task.id, last.claim_epoch) not in claims:
        words = f"no agent came to the end of claim {last.claim_epoch}"
        yield Violation("never_executed", task.id, words)
    number = number_of(task.idempotency_key or "-1")
    right = Outcome(number**2, last.claim_epoch, last.agent)
    if _outcome(task.result) != right:
        words = f"the result is {task.result!r}, not {right}"
        yield Violation("wrong_result", task.id, words)


def watchers(evidence: Evidence) -> Iterator[Violation]:
    """What was told of an end is what the record says: told twice, it is one end."""
    for told in evidence.told:
        task = evidence.records.get(told.id)
        if told.status is None:
            yield Violation("untold", told.id, "the watcher was not told the end")
        elif told.status != "completed":
            yield Violation("told_otherwise", told.id, f"told {told.status}")
        elif task is not None and told.claim_epoch != task.claim_epoch:
            words = (
                f"told the completion of claim {told.claim_epoch}, "
                f"the record is of claim {task.claim_epoch}"
            )
            yield Violation("completed_twice", told.id, words)


def _interval(one: Attempt) -> str:
    return (
        f"claim {one.claim_epoch} of {one.agent} "
        f"({one.started} to {one.ended}, {one.outcome})"
    )


def _outcome(result: Any) -> Outcome | None:
    try:
        return msgspec.convert(result, Outcome)
    except msgspec.ValidationError:
        return None
