"""The self-test's row of the port's certificate: how long it lasts, and who minds it."""

from datetime import UTC, datetime, timedelta

import pytest

from nexa_node.adapters.checks.certificate import look
from nexa_node.core.certificates import Life
from nexa_node.services.health.self_test import Outcome

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def judged(begun_d: float, left_d: float, *, own: bool) -> Outcome:
    life = Life(NOW - timedelta(days=begun_d), NOW + timedelta(days=left_d))
    names = ("a", "b", "c", "d", "e", "f")
    return look(life, subject="CN=n", names=names, is_own=own, now=NOW, warn_days=21)


@pytest.mark.parametrize(
    ("begun", "left", "own", "status", "says"),
    [
        (10, 80, False, "pass", "80 days left"),
        (70, 20, False, "pass", "20 days left"),  # it is renewed any moment
        (80, 10, False, "warn", "10 days left"),
        (70, 20, True, "warn", "20 days left"),
        (10, 80, True, "pass", "80 days left"),
        (90, -1, False, "fail", "-1 days left"),
        (90, -1, True, "fail", "-1 days left"),
        (-1, 80, True, "fail", "80 days left"),
    ],
)
def test_it_is_judged_by_who_renews_it(
    begun: float, left: float, own: bool, status: str, says: str
) -> None:
    found = judged(begun, left, own=own)

    assert (found.status, says in (found.detail or "")) == (status, True)
    assert "and 2 more" in (found.detail or "")
    if status != "pass":
        remedy = found.remedy or ""
        assert ("cert_file" in remedy) is own
        assert ("nexa events" in remedy) is not own
