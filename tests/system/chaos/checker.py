"""What must hold when chaos is over. Pure: histories and records in, violations out."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from nexa_node.contract.tasks import Task
from tests.system.chaos.contested import locks, registers
from tests.system.chaos.controllers import controllers
from tests.system.chaos.evidence import Evidence, by_key
from tests.system.chaos.history import Op, Received
from tests.system.crashes.checker import Violation, attempts

BACK_S = 30.0
"""So long anybody may look for a node; while it is healed, too, all have to be found."""


def check(evidence: Evidence) -> list[Violation]:
    """Find every violation."""
    return [
        *messages(evidence),
        *submissions(evidence),
        *tasks(evidence),
        *watchers(evidence),
        *counters(evidence),
        *sessions(evidence),
        *audits(evidence),
        *controllers(evidence.reigns),
        *locks(evidence),
        *registers(evidence),
    ]


def messages(evidence: Evidence) -> Iterator[Violation]:
    """Acknowledged means delivered; each sender's in its order; stored once.

    A message may be delivered again (its acknowledgement was lost), under its position.
    """
    sends: dict[tuple[str, int], list[Op]] = defaultdict(list)
    for op in evidence.of("message.send"):
        sends[op.key, int(op.asked)].append(op)
    got: dict[str, dict[int, list[Received]]] = defaultdict(lambda: defaultdict(list))
    for one in sorted(evidence.received, key=lambda one: one.at):
        got[f"{one.sender}>{one.receiver}"][one.number].append(one)
    for (way, number), tries in sends.items():
        subject = f"{way} {number}"
        answers = {op.answer["seq"] for op in tries if op.outcome == "ok"}
        seen = {one.seq for one in got[way].get(number, ())}
        if answers and not seen:
            yield Violation("message_lost", subject, f"acknowledged at {answers}")
        if len(answers | seen) > 1:
            words = f"acknowledged at {sorted(answers)}, delivered at {sorted(seen)}"
            yield Violation("message_twice", subject, words)
        if sum(op.outcome == "ok" for op in tries) > 1:
            yield Violation("message_answers", subject, "one call was answered twice")
    for way, numbers in got.items():
        yield from _order(way, numbers)
        for number in numbers:
            if (way, number) not in sends:
                yield Violation("message_stray", f"{way} {number}", "nobody sent it")


def _order(way: str, numbers: Mapping[int, list[Received]]) -> Iterator[Violation]:
    """Number n comes first after number n - 1 came first, and lies behind it."""
    for before, after in pairwise(sorted(numbers)):
        one, other = numbers[before][0], numbers[after][0]
        if other.at < one.at or other.seq < one.seq:
            words = (
                f"at {other.at:.3f} in {other.seq}, number {before} "
                f"at {one.at:.3f} in {one.seq}"
            )
            yield Violation("message_order", f"{way} {after}", words)


def submissions(evidence: Evidence) -> Iterator[Violation]:
    """Every submission is answered, by one id, as new at most once; the record is there."""
    tries = by_key(evidence.of("task.submit"))
    owners: dict[str, str] = {}
    for key, ops in tries.items():
        ids = {str(op.answer["id"]) for op in ops if op.outcome == "ok"}
        yield from _answers(key, ops, ids)
        for one in ids:
            if owners.setdefault(one, key) != key:
                yield Violation("shared_id", one, f"answers {key} and {owners[one]}")
            if evidence.records.get(one) is None:
                yield Violation("task_lost", one, f"acknowledged for {key}, no record")
    holders: dict[str, set[str]] = defaultdict(set)
    for one, task in evidence.records.items():
        if task is not None:
            holders[str(task.idempotency_key)].add(one)
    for key, ids in holders.items():
        if key not in tries:
            yield Violation("task_stray", key, f"nobody submitted {sorted(ids)}")
        elif len(ids) > 1:
            yield Violation("two_records", key, f"records {sorted(ids)}")


def _answers(key: str, ops: Sequence[Op], ids: set[str]) -> Iterator[Violation]:
    refused = [op for op in ops if op.outcome == "failed"]
    if refused:
        yield Violation("refused", key, str(refused[0].answer))
    elif not ids:
        yield Violation("unanswered", key, f"{len(ops)} calls, no answer")
    if len(ids) > 1:
        yield Violation("two_ids", key, f"acknowledged as {sorted(ids)}")
    if sum(op.outcome == "ok" and not op.answer["duplicate"] for op in ops) > 1:
        yield Violation("new_twice", key, "two answers call it a new task")


def tasks(evidence: Evidence) -> Iterator[Violation]:
    """One lease at a time, one completion, by an execution that was; orders obeyed."""
    claims = {(one.id, one.claim_epoch) for one in evidence.executed}
    cancelled = by_key(evidence.of("task.cancel"))
    redriven = by_key(evidence.of("task.redrive"))
    for task in evidence.records.values():
        if task is None:
            continue
        claimed = tuple(one for one in task.history if one.outcome != "redriven")
        yield from attempts(msgspec.structs.replace(task, history=claimed))
        if task.status == "completed":
            yield from _completion(task, claims)
        key = str(task.idempotency_key)
        yield from _cancelled(task, cancelled.get(key, []))
        again = redriven.get(key, [])
        sure = sum(op.outcome == "ok" for op in again)
        if not sure <= task.redriven <= sure + sum(op.is_open for op in again):
            words = f"{task.redriven} times, answers: {[op.outcome for op in again]}"
            yield Violation("redriven", task.id, words)


def _completion(task: Task, claims: set[tuple[str, int]]) -> Iterator[Violation]:
    last = task.history[-1] if task.history else None
    if last is None or (task.id, last.claim_epoch) not in claims:
        yield Violation("never_executed", task.id, f"completed by {last}")
    elif task.result != last.claim_epoch:
        words = f"result {task.result!r} of claim {last.claim_epoch}"
        yield Violation("wrong_result", task.id, words)


def _cancelled(task: Task, calls: Sequence[Op]) -> Iterator[Violation]:
    if task.status not in {"completed", "cancelled"}:
        yield Violation("unfinished", task.id, f"{task.status}: {task.error!r}")
    elif task.status == "cancelled" and not calls:
        yield Violation("cancelled_by_nobody", task.id, "nobody asked for it")
    elif task.status == "completed" and any(op.outcome == "ok" for op in calls):
        yield Violation("cancel_lost", task.id, "cancelled, and completed")


def watchers(evidence: Evidence) -> Iterator[Violation]:
    """What was told of an end is what the record says."""
    for told in evidence.told:
        task = evidence.records.get(told.id)
        if told.status is None:
            yield Violation("untold", told.id, "its watcher was not told the end")
            continue
        if task is None or told.status == "dead_lettered":
            continue
        epoch = task.result if task.status == "completed" else None
        if (told.status, told.claim_epoch) != (task.status, epoch):
            words = f"{told.status} {told.claim_epoch}, it is {task.status} {epoch}"
            yield Violation("told_otherwise", told.id, words)


def sessions(evidence: Evidence) -> Iterator[Violation]:
    """Everybody of the crowd, whom nobody ever kills, is connected when all is over."""
    now = max((op.invoked for op in evidence.ops), default=0.0)
    last: dict[str, Op] = {}
    for op in evidence.ops:
        if op.kind in {"session.first", "session.back"} and op.client[:5] == "crowd":
            last[op.client] = op
    for client, op in last.items():
        if op.is_open and op.invoked < now - BACK_S:
            words = f"not connected for {now - op.invoked:.0f} s"
            yield Violation("session_lost", client, words)


def counters(evidence: Evidence) -> Iterator[Violation]:
    """What nodes count is what there is; no agent has what nobody has to do."""
    there = Counter(task.status for task in evidence.records.values() if task)
    for node, counts in evidence.counts.items():
        told = {state: count for state, count in counts.items() if count}
        if told != dict(there):
            words = f"it counts {told}, there are {dict(there)}"
            yield Violation("miscounted", node, words)
    for agent, count in evidence.inflight.items():
        if count:
            yield Violation("leaked_slots", agent, f"{count} tasks in hand, none there")


def audits(evidence: Evidence) -> Iterator[Violation]:
    """What was written down is all there, in its order, as it was written."""
    for node, told in evidence.audits.items():
        if told.get("status") != "ok":
            words = f"record {told.get('first_bad')}: {told.get('reason')}"
            yield Violation("audit_broken", node, words)
