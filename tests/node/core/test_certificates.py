from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st

from nexa_node.core.certificates import BACKDATED, NODE_LIFE, Life, new_life

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIFE = Life(NOW, NOW + timedelta(days=90))


def test_a_certificate_is_renewed_when_two_thirds_of_its_life_are_over() -> None:
    assert LIFE.renewal == NOW + timedelta(days=60)
    assert not LIFE.is_due(NOW + timedelta(days=59, hours=23))
    assert LIFE.is_due(NOW + timedelta(days=60))
    assert LIFE.is_due(NOW + timedelta(days=200))


def test_one_that_has_not_begun_is_made_anew_since_the_clock_was_wrong() -> None:
    assert LIFE.is_due(NOW - timedelta(seconds=1))
    assert not LIFE.is_valid(NOW - timedelta(seconds=1))


def test_what_is_left_of_it_can_be_negative() -> None:
    assert LIFE.remaining(NOW + timedelta(days=91)) == timedelta(days=-1)


@given(st.integers(0, 100 * 365 * 24 * 3600).map(lambda s: NOW + timedelta(seconds=s)))
def test_a_new_one_is_valid_not_due_and_within_its_issuers_life(now: datetime) -> None:
    issuer = Life(now - timedelta(minutes=5), now + timedelta(days=30))

    free, bound = new_life(now, NODE_LIFE), new_life(now, NODE_LIFE, within=issuer)

    assert free.is_valid(now)
    assert not free.is_due(now)
    assert now - free.begins >= BACKDATED
    assert bound.is_valid(now)
    assert (bound.begins, bound.ends) == (issuer.begins, issuer.ends)
