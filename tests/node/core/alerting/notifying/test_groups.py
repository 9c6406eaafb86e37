"""When groups are due: group_wait, group_interval, and what is over."""

from datetime import timedelta
from typing import Any

import pytest

from nexa_node.core.alerting.notifying.groups import RESOLVE_S, Groups
from nexa_node.core.alerting.notifying.routes import routes_of
from nexa_node.core.policies import RoutePolicy
from tests.alerting import NOW, ack, alert, notice

TICK = 1000.0


def groups(**over: Any) -> Groups:
    return Groups(routes_of([RoutePolicy(**{"receivers": ("ops",), **over})], ("ops",)))


def told(made: Groups, *alerts: Any, after: float = 0.0) -> None:
    made.told(alerts, now=NOW + timedelta(seconds=after), tick=TICK + after)


def due(made: Groups, after: float) -> list[list[str]]:
    return [
        [f"{one.name}:{one.status}" for one in flush.notices]
        for flush in made.due(TICK + after)
    ]


def test_a_new_group_gathers_for_the_group_wait() -> None:
    made = groups(group_wait_ms=30_000)
    told(made, alert("A"), alert("A", labels={"node": "b"}))

    assert due(made, 29.9) == []
    assert due(made, 30) == [["A:firing", "A:firing"]]


def test_an_alert_that_is_older_than_the_wait_is_told_at_once() -> None:
    made = groups(group_wait_ms=30_000)
    told(made, alert("A", fired=NOW - timedelta(seconds=31)))

    assert due(made, 0) == [["A:firing"]]


def test_a_group_is_looked_at_again_after_its_interval() -> None:
    made = groups(group_wait_ms=0, group_interval_ms=60_000)
    told(made, alert("A"))
    made.done(made.due(TICK)[0], TICK)
    told(made, alert("A"), alert("A", labels={"node": "b"}), after=1)

    assert due(made, 59) == []
    assert due(made, 60) == [["A:firing", "A:firing"]]


def test_what_could_not_be_decided_is_due_again_soon() -> None:
    made = groups(group_wait_ms=0)
    told(made, alert("A"))
    made.again(made.due(TICK)[0], TICK)

    assert due(made, 0.5) == []
    assert due(made, 1) == [["A:firing"]]


def test_pending_alerts_are_nobodys_business() -> None:
    made = groups(group_wait_ms=0)
    told(made, alert("A", state="pending"))

    assert len(made) == 0


def test_one_that_was_never_known_to_fire_is_not_told_to_be_over() -> None:
    made = groups(group_wait_ms=0)
    told(made, alert("A", state="resolved", resolved=NOW))

    assert len(made) == 0


def test_what_is_over_is_told_once_and_forgotten() -> None:
    made = groups(group_wait_ms=0, group_interval_ms=1000)
    told(made, alert("A"))
    made.done(made.due(TICK)[0], TICK)
    over = alert("A", state="resolved", resolved=NOW)
    told(made, over, after=1)
    flush = made.due(TICK + 1)[0]
    made.done(flush, TICK + 1)

    assert [one.status for one in flush.notices] == ["resolved"]
    assert len(made) == 0
    told(made, over, after=2)
    assert len(made) == 0


def test_one_that_fires_again_between_decision_and_end_is_not_forgotten() -> None:
    made = groups(group_wait_ms=0, group_interval_ms=1000)
    told(made, alert("A"))
    made.done(made.due(TICK)[0], TICK)
    told(made, alert("A", state="resolved", resolved=NOW), after=1)
    flush = made.due(TICK + 1)[0]
    told(made, alert("A"), after=1)
    made.done(flush, TICK + 1)

    assert due(made, 2) == [["A:firing"]]


def test_one_that_nobody_speaks_of_is_over_after_five_minutes() -> None:
    made = groups(group_wait_ms=0)
    told(made, alert("A"))
    told(made, after=RESOLVE_S - 1)
    assert due(made, RESOLVE_S) == [["A:firing"]]
    told(made, after=RESOLVE_S)

    assert due(made, RESOLVE_S) == [["A:resolved"]]


def test_one_that_is_pending_again_is_not_gone() -> None:
    made = groups(group_wait_ms=0)
    told(made, alert("A"))
    for after in range(0, 900, 60):
        told(made, alert("A", state="pending"), after=after)

    assert due(made, 900) == [["A:firing"]]


def test_silenced_and_inhibited_ones_are_left_out_but_not_when_they_are_over() -> None:
    made = groups(group_wait_ms=0)
    told(
        made,
        alert("A", silenced_by=("s",)),
        alert("A", labels={"n": "1"}, inhibited_by=("f",)),
    )
    assert due(made, 0) == [[]]
    told(made, alert("A", silenced_by=("s",), state="resolved", resolved=NOW))

    assert due(made, 0) == [["A:resolved"]]


def test_a_flapping_one_fires_whatever_it_does() -> None:
    made = groups(group_wait_ms=0)
    told(made, alert("A"))
    told(made, alert("A", flapping=True, state="resolved", resolved=NOW))

    assert due(made, 0) == [["A:firing"]]


def test_an_acknowledgement_is_told_without_waiting_for_the_interval() -> None:
    made = groups(group_wait_ms=0)
    told(made, alert("A"))
    made.done(made.due(TICK)[0], TICK)
    told(made, alert("A", ack=ack()), after=1)
    flushes = made.due(TICK + 1)

    assert [flush.acks_only for flush in flushes] == [True]
    made.done(flushes[0], TICK + 1)
    assert due(made, 2) == []


def test_nobody_acknowledged_it_so_it_escalates() -> None:
    made = groups(group_wait_ms=0, escalate_to=("boss",), escalate_after_minutes=1)
    told(made, alert("A"), alert("B", ack=ack()), after=59)
    assert len(made) == 2
    told(made, alert("A"), alert("B", ack=ack()), after=60)
    escalated = [one for one in made.due(TICK + 60) if one.route.after_s]

    assert [one.route.receivers for one in escalated] == [("boss",)]
    assert [one.name for one in escalated[0].notices] == ["A"]


@pytest.mark.parametrize(
    ("own", "first", "second"),
    [("30s", 30, 60), ("off", None, None), ("0", None, None), ("soon", 60, 120)],
)
def test_what_a_rule_says_of_escalation_goes_before_the_route(
    own: str, first: int | None, second: int | None
) -> None:
    made = groups(
        group_wait_ms=0, escalate_to=("boss", "chief"), escalate_after_minutes=1
    )
    one = alert("A", annotations={"nexa_ack_timeout": own})
    heard: dict[str, int] = {}
    for after in range(0, 200, 10):
        told(made, one, after=after)
        for flush in made.due(TICK + after):
            heard.setdefault(flush.route.receivers[0], after)

    assert (heard.get("boss"), heard.get("chief")) == (first, second)


def test_a_watchdog_is_never_escalated() -> None:
    made = groups(group_wait_ms=0, escalate_to=("boss",), escalate_after_minutes=1)
    told(made, alert("W", labels={"severity": "none"}, severity="none"), after=600)

    assert {one.route.receivers for one in made.due(TICK + 600)} == {("ops",)}


def test_once_escalated_it_stays_so_until_it_is_over() -> None:
    made = groups(group_wait_ms=0, escalate_to=("boss",), escalate_after_minutes=1)
    told(made, alert("A"), after=60)
    told(made, alert("A", ack=ack()), after=61)
    told(made, alert("A", state="resolved", resolved=NOW), after=62)
    escalated = [one for one in made.due(TICK + 400) if one.route.after_s]

    assert [one.status for one in escalated[0].notices] == ["resolved"]


def test_what_another_node_told_fires_until_it_is_known_better() -> None:
    made = groups(group_wait_ms=30_000)
    key = '{}:{alertname="A"}'
    made.adopt(
        key,
        [notice("A"), notice("B"), notice("A", labels={"n": "1"}, ends=NOW)],
        now=NOW,
        tick=TICK,
    )
    assert len(made) == 1
    told(made, after=RESOLVE_S)

    assert due(made, RESOLVE_S) == [["A:resolved"]]


def test_annotations_lead_to_runbooks_that_others_can_open() -> None:
    route = routes_of([RoutePolicy(receivers=("ops",), group_wait_ms=0)], ("ops",))
    made = Groups(route, runbooks="https://runbooks.example/")
    told(
        made,
        alert("A", annotations={"runbook_url": "nexa://runbook/A", "summary": "s"}),
    )

    assert made.due(TICK)[0].notices[0].annotations == {
        "runbook_url": "https://runbooks.example/A",
        "summary": "s",
    }


def test_a_group_that_is_gone_is_neither_done_nor_due_again() -> None:
    made, other = groups(group_wait_ms=0), groups()
    told(made, alert("A"))
    flush = made.due(TICK)[0]
    other.done(flush, TICK)
    other.again(flush, TICK)

    assert len(other) == 0


def test_a_watchdog_is_told_to_nobody_but_an_alert_without_severity_is() -> None:
    made = Groups(routes_of((), ("ops",)))
    bare = alert("A", severity="none")
    told(made, alert("NexaWatchdog", severity="none"))
    assert len(made) == 0
    del bare.labels["severity"]
    told(made, bare)

    assert len(made) == 1
