"""What a trial measured. Pure."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from nexa_node.contract.tasks import Task
from tests.system.crashes.checker import Evidence, Violation
from tests.system.crashes.facts import Asked, Executed, Killed, Told


def recoveries(
    kills: Sequence[Killed], executed: Sequence[Executed], told: Sequence[Told]
) -> dict[str, list[float]]:
    """Seconds from each kill to the next completion, by kind.

    A completion counts when its watcher is told, and only of a task whose execution
    ended after the kill: what was on its way before proves nothing.
    """
    told_at = {one.id: one.at for one in told if one.status == "completed"}
    pairs = sorted((one.at, told_at[one.id]) for one in executed if one.id in told_at)
    ends = [end for end, _ in pairs]
    first = _smallest_after([at for _, at in pairs])
    found: dict[str, list[float]] = defaultdict(list)
    for kill in kills:
        index = bisect_right(ends, kill.at)
        if index < len(pairs):
            found[kill.kind].append(first[index] - kill.at)
    return dict(found)


def clearances(
    kills: Sequence[Killed], asked: Sequence[Asked], told: Sequence[Told]
) -> dict[str, list[float]]:
    """Seconds from each kill until all that was under way then is finished, by kind.

    The worst a kill did to anybody, later kills included.
    """
    begun: dict[str, float] = {}
    for call in asked:
        begun.setdefault(call.key, call.at)
    found: dict[str, list[float]] = defaultdict(list)
    for kill in kills:
        met = [
            one.at - kill.at
            for one in told
            if begun.get(one.key, kill.at) < kill.at < one.at
        ]
        if met:
            found[kill.kind].append(max(met))
    return dict(found)


def returns(kills: Sequence[Killed], executed: Sequence[Executed]) -> list[float]:
    """Seconds from the kill of an agent until it came to the end of a task again."""
    found: list[float] = []
    for kill in kills:
        if kill.kind != "agent":
            continue
        later = [e.at for e in executed if e.agent == kill.who and e.at > kill.at]
        if later:
            found.append(min(later) - kill.at)
    return found


def ends(asked: Sequence[Asked], told: Sequence[Told]) -> list[float]:
    """Seconds from the first call of each submission until its task's end is told."""
    first: dict[str, float] = {}
    for call in asked:
        first.setdefault(call.key, call.at)
    return [one.at - first[one.key] for one in told if one.key in first]


def quantiles(values: Sequence[float]) -> dict[str, float | int]:
    """Of seconds; with few of them p99 is the largest."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}

    def share(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3)

    return {
        "count": len(ordered),
        "p50_s": share(0.5),
        "p99_s": share(0.99),
        "max_s": round(ordered[-1], 3),
    }


def report(
    evidence: Evidence, kills: Sequence[Killed], violations: Sequence[Violation]
) -> dict[str, Any]:
    """All of it, for people and for JSON."""
    began = min((one.at for one in evidence.asked), default=0.0)
    ended = max((one.at for one in evidence.told), default=began)
    took = ended - began
    next_one = recoveries(kills, evidence.executed, evidence.told)
    all_met = clearances(kills, evidence.asked, evidence.told)
    return {
        "tasks": len(evidence.keys),
        "seconds": round(took, 1),
        "tasks_per_s": round(len(evidence.keys) / took, 1) if took else None,
        "submissions": len(evidence.asked),
        "repeated_after": dict(Counter(one.reason for one in evidence.refused)),
        "answered_as_duplicate": sum(one.duplicate for one in evidence.answered),
        "submission_to_its_end": quantiles(ends(evidence.asked, evidence.told)),
        "executions": len(evidence.executed),
        "attempts": outcomes(evidence.records),
        "kills": dict(Counter(one.kind for one in kills)),
        "kill_to_next_completion": _by_kind(next_one),
        "kill_to_the_end_of_all_under_way": _by_kind(all_met),
        "killed_agent_to_its_next_task": quantiles(returns(kills, evidence.executed)),
        "violations_by_kind": dict(Counter(one.kind for one in violations)),
        "violations": [
            {"kind": one.kind, "subject": one.subject, "words": one.words}
            for one in violations
        ],
    }


def outcomes(records: Mapping[str, Task | None]) -> dict[str, int]:
    """How attempts ended, all tasks together."""
    return dict(
        Counter(
            str(one.outcome)
            for task in records.values()
            if task is not None
            for one in task.history
        )
    )


def _by_kind(times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    return {kind: quantiles(some) for kind, some in sorted(times.items())}


def _smallest_after(values: Sequence[float]) -> list[float]:
    """Of each place the smallest from there on."""
    smallest = list(values)
    for index in range(len(smallest) - 2, -1, -1):
        smallest[index] = min(smallest[index], smallest[index + 1])
    return smallest
