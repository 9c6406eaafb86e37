"""What becomes of alerts on the board: minded, reopened, unseen, flapping, in order."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from nexa_node.contract.alerts import Ack, Alert, Note
from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.core.alerting.board import (
    FLAP_WINDOW_S,
    NOTES_MAX,
    Flapping,
    acknowledged,
    escalates,
    looked_at,
    noted,
    reopened,
    severity_of,
    shown,
    triage,
)
from nexa_node.core.alerting.life import Active, Condition

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
T = NOON.timestamp()


def active(
    condition: Condition = "firing", *, severity: str = "warning", since: float = T
) -> Active:
    fired = None if condition == "pending" else since
    return Active(
        fingerprint="f" * 16,
        labels={"alertname": "Hot", "node": "a", "severity": severity},
        annotations={"summary": "hot"},
        value=3.0,
        condition=condition,
        since=since,
        fired=fired,
        resolved=since + 60 if condition == "resolved" else None,
    )


def on(
    condition: Condition = "firing", before: Alert | None = None, **given: str
) -> Alert:
    return shown(active(condition, **given), before, group="g", now=NOON)


def ack(**given: object) -> Ack:
    return Ack(**{"by": "token:ann", "at": NOON, **given})  # type: ignore[arg-type]


def test_what_the_rule_says_is_shown() -> None:
    alert = on("pending")
    fired = on("firing", alert)

    assert (alert.name, alert.state, alert.severity, alert.times) == (
        "Hot",
        "pending",
        "warning",
        0,
    )
    assert (fired.state, fired.fired, fired.times) == ("firing", NOON, 1)


def test_what_cleared_while_nobody_looked_stays_unseen() -> None:
    unseen = on("resolved", on())
    minded = on("resolved", acknowledged(on(), ack()))
    never = on("resolved", None)

    assert (unseen.unseen, minded.unseen) == (True, False)
    assert never.unseen


def test_an_acknowledgement_reopens_when_the_alert_gets_worse() -> None:
    minded = acknowledged(on(severity="warning"), ack(note="mine"))

    assert on("firing", minded, severity="warning").ack == minded.ack
    assert on("recovering", minded, severity="info").ack == minded.ack
    assert on("firing", minded, severity="critical").ack is None


def test_an_acknowledgement_ends_with_its_time_and_with_the_alert() -> None:
    short = acknowledged(on(), ack(until=NOON + timedelta(hours=1)))
    over = on("resolved", acknowledged(on(), ack()))

    assert looked_at(short, NOON + timedelta(minutes=59)).ack is not None
    assert looked_at(short, NOON + timedelta(hours=1)).ack is None
    assert on("firing", over).ack is None
    assert on("firing", over).times == 2


def test_it_can_be_taken_back() -> None:
    assert reopened(acknowledged(on(), ack())).ack is None


@pytest.mark.parametrize(
    ("alert", "given", "error"),
    [
        (on(), {"until": NOON}, Invalid),
        (on(), {"note": "x" * 2001}, Invalid),
        (msgspec.structs.replace(on("resolved", on()), unseen=False), {}, Conflict),
    ],
)
def test_what_can_not_be_minded_is_refused(
    alert: Alert, given: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        acknowledged(alert, ack(**given))


def test_what_was_unseen_is_seen_once_somebody_takes_it() -> None:
    assert not acknowledged(on("resolved", on()), ack()).unseen


def test_notes_are_kept_up_to_a_number() -> None:
    alert = on()
    for number in range(NOTES_MAX + 5):
        alert = noted(alert, Note(by="ann", at=NOON, text=str(number)))

    assert len(alert.notes) == NOTES_MAX
    assert alert.notes[-1].text == str(NOTES_MAX + 4)
    with pytest.raises(Invalid):
        noted(alert, Note(by="ann", at=NOON, text=" "))


def test_one_that_nobody_minds_escalates_once_its_time_is_over() -> None:
    after = timedelta(minutes=15)
    later = NOON + after

    assert escalates(on(), after=after, now=later)
    assert not escalates(on(), after=after, now=later - timedelta(seconds=1))
    assert not escalates(acknowledged(on(), ack()), after=after, now=later)
    silenced = msgspec.structs.replace(on(), silenced_by=("s1",))
    assert not escalates(silenced, after=after, now=later)


def test_what_needs_somebody_comes_first() -> None:
    base = on()
    change = msgspec.structs.replace
    wanted = [
        change(base, severity="critical", name="1"),
        change(base, escalated=NOON, name="2"),
        change(base, since=NOON - timedelta(hours=1), name="3"),
        change(base, name="4"),
        change(base, severity="info", name="5"),
        change(base, state="resolved", unseen=True, name="6"),
        change(base, ack=ack(), severity="critical", name="7"),
        change(base, state="recovering", name="8"),
        change(base, state="pending", name="9"),
        change(base, silenced_by=("s",), severity="critical", name="a"),
        change(base, state="resolved", name="b"),
    ]
    mixed = wanted.copy()
    random.Random(3).shuffle(mixed)

    assert [alert.name for alert in triage(mixed)] == list("123456789ab")


def test_five_changes_in_half_an_hour_are_flapping_until_two_are_left() -> None:
    flapping = Flapping()
    told = []
    for number in range(5):
        flapping.changed(number * 60.0)
        told.append(flapping.tick(number * 60.0))

    assert told == [False, False, False, False, True]
    assert flapping.on
    assert not flapping.tick(FLAP_WINDOW_S + 30)
    assert flapping.changes == 4
    assert flapping.tick(FLAP_WINDOW_S + 130)
    assert not flapping.on


@pytest.mark.parametrize(
    ("label", "severity"),
    [("critical", "critical"), ("PAGE", "critical"), ("odd", "warning"), ("", "none")],
)
def test_severities_have_many_names(label: str, severity: str) -> None:
    assert severity_of(label) == severity
