"""What a trial measures."""

import pytest

from tests.system.crashes.checker import Evidence, Violation
from tests.system.crashes.facts import Asked, Executed, Killed, Told
from tests.system.crashes.figures import (
    clearances,
    quantiles,
    recoveries,
    report,
    returns,
)


def executed(name: str, at: float, agent: str = "crash-0") -> Executed:
    return Executed(at=at, id=name, claim_epoch=1, agent=agent, pid=1, started=at)


def told(name: str, at: float) -> Told:
    return Told(at=at, key=name, id=name, status="completed", claim_epoch=1)


def killed(kind: str, at: float, who: str = "crash-0") -> Killed:
    return Killed(at=at, after=1, kind=kind, who=who, back=at)


def test_what_was_done_before_the_kill_does_not_count_as_the_next_completion() -> None:
    done = [executed("before", 9.9), executed("late", 11), executed("soon", 12)]
    heard = [told("before", 10.1), told("late", 14), told("soon", 12.5)]

    found = recoveries([killed("node", 10), killed("agent", 20)], done, heard)

    assert found == {"node": [2.5]}


def test_the_last_task_that_was_under_way_at_the_kill_ends_it() -> None:
    asked = [Asked(at=1, key="a"), Asked(at=2, key="b"), Asked(at=2.5, key="b")]
    late = [*asked, Asked(at=6, key="c")]
    heard = [told("a", 9), told("b", 4), told("c", 30)]

    found = clearances([killed("node", 3), killed("agent", 40)], late, heard)

    assert found == {"node": [6]}


def test_a_killed_agent_is_back_with_its_own_next_task() -> None:
    done = [executed("a", 11, "crash-1"), executed("b", 13), executed("c", 14)]
    kills = [killed("agent", 10), killed("node", 10), killed("agent", 13.5, "crash-1")]

    assert returns(kills, done) == [3]


def test_quantiles_of_nothing_and_of_many() -> None:
    assert quantiles([]) == {"count": 0}
    assert quantiles([number / 100 for number in range(1, 201)]) == {
        "count": 200,
        "p50_s": 1.01,
        "p99_s": 1.99,
        "max_s": 2.0,
    }


def test_the_report_counts_and_names_every_violation() -> None:
    evidence = Evidence(
        keys=["a", "b"],
        asked=[Asked(at=1, key="a"), Asked(at=2, key="b")],
        told=[told("a", 3), told("b", 5)],
        executed=[executed("a", 2.5)],
    )

    made = report(evidence, [killed("node", 2)], [Violation("lost", "b", "gone")])

    assert made["tasks_per_s"] == pytest.approx(0.5)
    assert made["kills"] == {"node": 1}
    assert made["kill_to_next_completion"]["node"]["max_s"] == 1
    assert made["submission_to_its_end"]["max_s"] == 3
    assert made["violations"] == [{"kind": "lost", "subject": "b", "words": "gone"}]
    assert made["violations_by_kind"] == {"lost": 1}
