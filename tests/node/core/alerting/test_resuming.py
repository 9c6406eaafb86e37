"""`for` after a time in which nobody evaluated."""

from datetime import UTC, datetime
from typing import Any

import pytest

from nexa_node.core.alerting.life import Active
from nexa_node.core.alerting.resuming import BRIEF_S, FORGET_S, GRACE_S, resumed

BEGAN = 1_000_000.0


def pending(**over: Any) -> Active:
    fields: dict[str, Any] = {
        "fingerprint": "ab",
        "labels": {},
        "annotations": {},
        "value": 1.0,
        "condition": "pending",
        "since": BEGAN,
    }
    return Active(**{**fields, **over})


def left_after(for_s: float, *, seen: float, now: float) -> float | None:
    """How long it must yet be given before it fires."""
    told = resumed(
        pending(), for_s=for_s, interval_s=10.0, seen=BEGAN + seen, now=BEGAN + now
    )
    return None if told is None else told.since + for_s - (BEGAN + now)


def test_a_change_of_controllers_is_no_outage() -> None:
    assert left_after(300, seen=100, now=100 + BRIEF_S) == 200 - BRIEF_S


def test_the_time_nobody_looked_at_does_not_count() -> None:
    assert left_after(3600, seen=600, now=600 + 1200) == 3000


def test_what_is_nearly_over_waits_for_the_grace_and_does_not_fire_at_once() -> None:
    assert left_after(3600, seen=3590, now=3590 + 1200) == GRACE_S


def test_a_short_for_is_waited_for_once_more() -> None:
    assert left_after(60, seen=50, now=50 + 900) == 60
    assert left_after(0, seen=50, now=50 + 900) == 0


def test_after_an_hour_it_is_another_occurrence() -> None:
    assert left_after(3600, seen=100, now=101 + FORGET_S) is None


@pytest.mark.parametrize("condition", ["firing", "recovering"])
def test_what_fired_goes_on_however_long_it_was(condition: Any) -> None:
    on = pending(condition=condition, fired=BEGAN)

    assert (
        resumed(on, for_s=60, interval_s=10, seen=BEGAN, now=BEGAN + 9 * FORGET_S) is on
    )


def test_what_says_nothing_of_when_it_was_seen_is_taken_as_it_is() -> None:
    assert resumed(pending(), for_s=60, interval_s=10, seen=None, now=9e9) == pending()


def test_a_rule_that_is_seldom_evaluated_has_no_outage_between_two_times() -> None:
    seen = datetime.fromtimestamp(BEGAN, tz=UTC)
    one = pending()

    assert resumed(one, for_s=900, interval_s=300, seen=seen, now=BEGAN + 600) is one
