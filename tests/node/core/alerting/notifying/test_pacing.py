"""How often a receiver is called, and when again."""

import random

import pytest

from nexa_node.core.alerting.notifying.pacing import Pace, retry_in_s


def test_no_minute_has_more_calls_than_are_allowed() -> None:
    pace = Pace(2)
    pace.called(0.0)
    pace.called(30.0)

    assert pace.wait_s(40.0) == 20.0
    assert pace.wait_s(60.0) == 0.0
    pace.called(60.0)
    assert pace.wait_s(61.0) == 29.0


@pytest.mark.parametrize(
    ("attempts", "least", "most"),
    [(1, 0.8, 1.2), (2, 1.6, 2.4), (9, 204, 308), (50, 240, 360)],
)
def test_each_failure_waits_longer_up_to_five_minutes(
    attempts: int, least: float, most: float
) -> None:
    assert least <= retry_in_s(attempts, None, random.Random(7)) <= most


def test_what_the_receiver_asks_for_is_granted_up_to_an_hour() -> None:
    assert retry_in_s(1, 120.0, random.Random(7)) == 120.0
    assert retry_in_s(1, 9e9, random.Random(7)) == 3600.0
