"""Whether there is news for a receiver: the rules of Alertmanager's notification log."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from nexa_node.core.alerting.notifying.groups import Flush
from nexa_node.core.alerting.notifying.notices import Notice
from nexa_node.core.alerting.notifying.routes import routes_of
from nexa_node.core.alerting.notifying.tracks import (
    FORGET_AFTER,
    NOTICES_MAX,
    Hearer,
    Track,
    decide,
    fitting,
    is_old,
)
from nexa_node.core.policies import RoutePolicy
from tests.alerting import NOW, notice

OPS = Hearer(name="ops", kind="webhook")
MUTE = Hearer(name="ops", kind="webhook", send_resolved=False)
PAGER = Hearer(name="pager", kind="pagerduty")
ROUTE = routes_of(
    [RoutePolicy(receivers=("ops",), repeat_hours=1, escalate_to=("ops",))], ("ops",)
)[0]
A, B = notice("A", labels={"n": "a"}), notice("A", labels={"n": "b"})


def over(one: Notice) -> Notice:
    return msgspec.structs.replace(one, ends=NOW)


def acked(one: Notice) -> Notice:
    return msgspec.structs.replace(one, acked="anna")


def flapping(one: Notice) -> Notice:
    return msgspec.structs.replace(one, flapping=True)


def flush(*notices: Notice, **more: Any) -> Flush:
    return Flush(
        **{
            "key": "{}:{}",
            "route": ROUTE,
            "labels": {},
            "notices": notices,
            **more,
        }
    )


def decided(
    track: Track | None,
    *notices: Notice,
    hearer: Hearer = OPS,
    hours: float = 0.0,
    **more: Any,
) -> Track | None:
    return decide(
        track, flush(*notices, **more), hearer, now=NOW + timedelta(hours=hours)
    )


def told(*notices: Notice, hearer: Hearer = OPS, delivered: bool = True) -> Track:
    track = decided(None, *notices, hearer=hearer)
    assert track is not None
    return msgspec.structs.replace(track, job=None) if delivered else track


def reason(track: Track | None) -> str | None:
    return None if track is None or track.job is None else track.job.reason


def test_a_group_that_was_never_told_is_told_if_something_fires() -> None:
    assert reason(decided(None, A)) == "firing"
    assert decided(None, over(A)) is None


def test_nothing_new_is_not_told() -> None:
    assert decided(told(A, B), A, B) is None
    assert decided(told(A, B), A) is None


def test_a_new_alert_is_told_with_those_that_fire_still() -> None:
    track = decided(told(A), A, B)

    assert reason(track) == "firing"
    assert track is not None
    assert [one.fingerprint for one in track.notices] == [A.fingerprint, B.fingerprint]


def test_what_is_over_is_told_once() -> None:
    track = decided(told(A, B), A, over(B))
    assert reason(track) == "resolved"
    assert track is not None

    again = msgspec.structs.replace(track, job=None)
    assert decided(again, A, over(B)) is None


def test_that_all_is_over_is_told_once() -> None:
    track = decided(told(A), over(A))
    assert reason(track) == "resolved"
    assert track is not None

    assert decided(msgspec.structs.replace(track, job=None), over(A)) is None


def test_one_that_fires_again_is_told_again() -> None:
    ended = decided(told(A), over(A))
    assert ended is not None

    assert reason(decided(msgspec.structs.replace(ended, job=None), A)) == "firing"


def test_who_does_not_want_to_hear_of_ends_hears_of_none() -> None:
    track = told(A, B, hearer=MUTE)
    assert decided(track, A, over(B), hearer=MUTE) is None
    ended = decided(track, over(A), over(B), hearer=MUTE)
    assert ended is not None
    assert ended.job is None

    again = decided(ended, A, hearer=MUTE)
    assert again is not None
    assert reason(again) == "firing"
    with_ends = decided(ended, A, over(B), hearer=MUTE)
    assert with_ends is not None
    assert [one.status for one in with_ends.notices] == ["firing"]


def test_what_still_fires_is_repeated_after_the_interval() -> None:
    assert decided(told(A), A, hours=0.99) is None
    assert reason(decided(told(A), A, hours=1)) == "repeat"


def test_what_is_acknowledged_is_not_repeated() -> None:
    assert decided(told(A), acked(A), hours=5) is None
    assert reason(decided(told(A, B), acked(A), B, hours=5)) == "repeat"


def test_all_silenced_says_nothing_about_ends() -> None:
    assert decided(told(A)) is None


def test_one_that_never_arrived_is_told_anew() -> None:
    track = msgspec.structs.replace(told(A), failed=True)

    assert reason(decided(track, A)) == "firing"


def test_flapping_is_told_when_it_begins_and_when_it_is_over() -> None:
    track = decided(told(A), flapping(A))
    assert reason(track) == "flapping"
    assert track is not None
    quiet = msgspec.structs.replace(track, job=None)
    assert decided(quiet, flapping(A)) is None
    assert decided(quiet, flapping(over(A))) is None

    assert reason(decided(quiet, A)) == "firing"
    assert reason(decided(quiet, over(A))) == "resolved"


def test_an_acknowledgement_is_told_to_who_can_take_it() -> None:
    pager = told(A, B, hearer=PAGER)
    assert decided(pager, acked(A), B, hearer=PAGER, acks_only=True) is None
    assert decided(told(A), acked(A), acks_only=True) is None
    track = decided(pager, acked(A), acked(B), hearer=PAGER, acks_only=True)
    assert reason(track) == "acknowledged"
    assert track is not None

    quiet = msgspec.structs.replace(track, job=None)
    assert decided(quiet, acked(A), acked(B), hearer=PAGER, acks_only=True) is None
    assert decided(quiet, acked(A), acked(B), hearer=PAGER, hours=9) is None


def test_an_acknowledgement_in_its_turn_is_told_too() -> None:
    assert (
        reason(decided(told(A, hearer=PAGER), acked(A), hearer=PAGER)) == "acknowledged"
    )


def test_an_acknowledgement_of_what_was_not_delivered_yet_goes_with_it() -> None:
    waiting = told(A, hearer=PAGER, delivered=False)
    track = decided(waiting, acked(A), hearer=PAGER, acks_only=True)

    assert reason(track) == "firing"
    assert track is not None
    assert track.acked


def test_an_acknowledgement_of_what_was_not_told_waits_for_its_turn() -> None:
    assert (
        decided(told(A, hearer=PAGER), acked(B), hearer=PAGER, acks_only=True) is None
    )


def test_who_is_escalated_to_is_told_why() -> None:
    assert reason(decided(None, A, route=ROUTE.escalates[0])) == "escalated"


def test_every_decision_has_an_id_of_its_own_that_nobody_draws() -> None:
    first = told(A, delivered=False)
    second = decided(first, A, B)
    again = decided(first, A, B)
    assert first.job is not None
    assert second is not None
    assert again is not None

    assert second.job != first.job
    assert second == again
    assert second.notification(external_url="x").id.endswith("-2")


def test_a_notification_holds_no_more_than_it_can() -> None:
    many, left = fitting([A] * (NOTICES_MAX + 7))
    assert (len(many), left) == (NOTICES_MAX, 7)
    huge = notice("H", annotations={"summary": "x" * 200_000})
    few, left = fitting([huge, huge, huge])

    assert (len(few), left) == (1, 2)


def test_the_largest_record_fits_into_the_store() -> None:
    wide = [notice("H", labels={"n": str(n), "l": "é" * 300}) for n in range(1000)]
    track = decided(None, *wide)

    assert track is not None
    assert track.truncated > 0
    assert len(msgspec.json.encode(track)) < 1024**2


@pytest.mark.parametrize(("hours", "old"), [(119, False), (120, True)])
def test_what_was_told_long_ago_is_forgotten(hours: float, old: bool) -> None:
    assert is_old(told(A), NOW + timedelta(hours=hours)) is old
    assert not is_old(told(A, delivered=False), NOW + FORGET_AFTER)


def test_the_worst_and_the_oldest_go_first() -> None:
    critical = told(A, delivered=False)
    info = told(notice("I", severity="info"), delivered=False)

    assert critical.urgency < info.urgency
