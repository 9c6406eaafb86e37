"""Records of alerts: laws of merging, and what becomes of them as time goes by."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, strategies as st

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import Ack, Alert, Note
from nexa_node.core.alerting import chronicle
from nexa_node.core.alerting.keeping import (
    Covers,
    Origin,
    differs,
    dropped,
    ended,
    gone_on,
    merged,
    settled,
    taken,
    vanished,
)
from nexa_node.core.alerting.life import Active

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORIGIN = Origin(rule="g/A", expression="up == 0", group="g", ack_after_s=600.0)
change = msgspec.structs.replace


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def active(condition: str = "firing", **over: object) -> Active:
    fields = {
        "fingerprint": "0" * 16,
        "labels": {"alertname": "A", "severity": "warning"},
        "annotations": {"summary": "a"},
        "value": 1.0,
        "condition": condition,
        "since": NOW.timestamp(),
        "fired": None if condition == "pending" else NOW.timestamp(),
        "resolved": NOW.timestamp() if condition == "resolved" else None,
        **over,
    }
    return Active(**fields)  # type: ignore[arg-type]  # a test's own fields


def record(condition: str = "firing", **over: object) -> AlertRecord:
    return taken(None, active(condition, **over), ORIGIN, NOW)


acks = st.none() | st.builds(
    Ack,
    by=st.sampled_from(["ann", "ben"]),
    at=st.integers(1, 50).map(at),
    note=st.sampled_from(["", "x"]),
)
notes = st.lists(
    st.builds(
        Note,
        by=st.sampled_from(["ann", "ben"]),
        at=st.integers(1, 50).map(at),
        text=st.sampled_from(["a", "b", "c"]),
    ),
    max_size=4,
    unique=True,
).map(tuple)


@st.composite
def records(draw: st.DrawFn) -> AlertRecord:
    made = record()
    alert = change(
        made.alert,
        ack=draw(acks),
        notes=tuple(sorted(draw(notes), key=lambda one: (one.at, one.text))),
        times=draw(st.integers(1, 5)),
    )
    flips = draw(st.lists(st.integers(-500, 0).map(at), max_size=4, unique=True))
    return change(made, alert=alert, flips=tuple(sorted(flips)))


def handling(one: AlertRecord) -> tuple[object, ...]:
    alert = one.alert
    return alert.ack, set(alert.notes), alert.times, one.flips


@given(records())
def test_a_record_merged_with_itself_is_itself(one: AlertRecord) -> None:
    assert handling(merged(one, one)) == handling(one)
    assert merged(one, None) == one


@given(records(), records())
def test_merging_loses_no_note_and_keeps_the_newest_acknowledgement(
    one: AlertRecord, other: AlertRecord
) -> None:
    both = merged(one, other).alert
    assert set(both.notes) == {*one.alert.notes, *other.alert.notes}
    known = [ack for ack in (one.alert.ack, other.alert.ack) if ack is not None]
    assert both.ack == (max(known, key=lambda ack: ack.at) if known else None) or (
        len({ack.at for ack in known}) < len(known)
    )
    assert both.times == max(one.alert.times, other.alert.times)


@given(records(), records())
def test_merged_again_nothing_changes(one: AlertRecord, other: AlertRecord) -> None:
    once = merged(one, other)
    assert merged(once, other) == once


@given(records(), records(), records())
def test_merging_does_not_depend_on_how_it_is_grouped(
    one: AlertRecord, two: AlertRecord, three: AlertRecord
) -> None:
    left = merged(merged(one, two), three)
    right = merged(one, merged(two, three))
    assert set(left.alert.notes) == set(right.alert.notes)
    assert left.alert.times == right.alert.times
    assert left.flips == right.flips


def test_an_acknowledgement_of_the_last_time_says_nothing_of_this_time() -> None:
    old = Ack(by="ann", at=at(-60), severity="warning")
    there = change(record(), alert=change(record().alert, ack=old))
    assert merged(record(), there).alert.ack is None


@given(st.sampled_from(["pending", "firing", "recovering"]))
def test_what_is_said_twice_changes_nothing_the_second_time(condition: str) -> None:
    once = record(condition)
    again = taken(once, active(condition), ORIGIN, at(5))
    assert not differs(once, again, fresh=True)
    assert msgspec.structs.replace(again, seen=once.seen) == once


@given(st.sampled_from(["pending", "firing", "recovering"]))
def test_an_evaluation_goes_on_from_a_record_as_from_its_own_memory(
    condition: str,
) -> None:
    clear = at(3).timestamp() if condition == "recovering" else None
    before = active(condition, clear_since=clear)
    assert gone_on(taken(None, before, ORIGIN, NOW)) == before


def test_what_is_over_is_not_gone_on_from() -> None:
    assert gone_on(record("resolved")) is None


def test_values_alone_are_worth_no_write_while_the_stored_one_is_young() -> None:
    one = record()
    other = change(one, alert=change(one.alert, value=2.0, annotations={"s": "b"}))
    assert not differs(one, other, fresh=True)
    assert differs(one, other, fresh=False)
    assert differs(None, one, fresh=True)
    acked = change(one, alert=change(one.alert, ack=Ack(by="ann", at=NOW)))
    assert differs(one, acked, fresh=True)


def test_a_pending_one_that_goes_leaves_nothing_behind() -> None:
    assert vanished(record("pending")) is None


def test_ending_what_no_rule_speaks_of_any_more_is_a_resolution() -> None:
    over = ended(record(), at(60))
    assert (over.alert.state, over.alert.unseen) == ("resolved", True)
    assert over.alert.resolved == at(60)
    assert ended(over, at(90)) == over
    assert ended(record("pending"), at(60)) == record("pending")


def test_it_escalates_when_its_time_is_over_unless_something_covers_it() -> None:
    one = record()
    assert settled(one, Covers(), at(599)).alert.escalated is None  # type: ignore[union-attr]
    late = settled(one, Covers(), at(600))
    assert late is not None
    assert late.alert.escalated == at(600)
    covered = settled(one, Covers(silenced_by=("s",)), at(900))
    assert covered is not None
    assert covered.alert.escalated is None


def test_one_that_nobody_had_to_see_leaves_after_five_minutes() -> None:
    quiet = record()
    quiet = change(quiet, silenced_while=True)
    quiet = settled(quiet, Covers(silenced_by=("s",)), NOW) or quiet
    over = taken(quiet, active("resolved"), ORIGIN, at(1))
    assert over.alert.unseen is False
    assert settled(over, Covers(), at(200)) is not None
    assert settled(over, Covers(), at(301)) is None


def test_a_silence_that_ends_while_it_fires_has_somebody_see_it_again() -> None:
    quiet = change(record(), silenced_while=True)
    open_again = settled(quiet, Covers(), at(10))
    assert open_again is not None
    assert not open_again.silenced_while
    assert taken(open_again, active("resolved"), ORIGIN, at(20)).alert.unseen


def test_the_oldest_unseen_ones_go_when_there_are_too_many() -> None:
    many = [
        change(
            record("resolved"),
            alert=change(
                record("resolved").alert,
                unseen=True,
                resolved=at(second),
                name=str(second),
            ),
        )
        for second in (30, 10, 20)
    ]
    assert [one.alert.name for one in dropped(many, 2)] == ["10"]
    assert dropped(many, 3) == []


def told(before: AlertRecord | None, after: AlertRecord | None) -> list[str]:
    return [what for what, _ in chronicle.told(before, after)]


def with_alert(one: AlertRecord, **over: object) -> AlertRecord:
    alert: Alert = change(one.alert, **over)
    return change(one, alert=alert)


def test_history_tells_each_difference_of_two_records_once() -> None:
    one = record()
    acked = with_alert(one, ack=Ack(by="ann", at=NOW, note="mine"))
    assert told(None, one) == ["firing"]
    assert told(one, one) == []
    assert told(one, acked) == ["acknowledged"]
    assert told(acked, one) == ["reopened"]
    noted = with_alert(one, notes=(Note(by="ann", at=NOW, text="a"),))
    assert told(one, noted) == ["noted"]
    assert told(one, with_alert(one, silenced_by=("s",))) == ["silenced"]
    assert told(with_alert(one, silenced_by=("s",)), one) == ["unsilenced"]
    assert told(one, with_alert(one, flapping=True, changes=5)) == ["flapping"]
    assert told(with_alert(one, flapping=True), one) == ["steady"]
    assert told(one, with_alert(one, escalated=NOW)) == ["escalated"]
    unseen = with_alert(record("resolved"), unseen=True)
    assert told(unseen, with_alert(unseen, unseen=False)) == ["dismissed"]
    assert told(unseen, None) == ["dismissed"]
    assert told(one, None) == []
    # What fires again once it was over is a new occurrence; nobody reopened it.
    over = with_alert(acked, state="resolved")
    assert told(over, one) == ["firing"]
