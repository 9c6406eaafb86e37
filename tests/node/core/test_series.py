import random

import pytest
from hypothesis import given, strategies as st

from nexa_node.core.series import Buckets, Rate, Ring, Window


def test_a_ring_keeps_the_newest() -> None:
    ring: Ring[int] = Ring(3)
    assert ring.newest is None

    for number in range(5):
        ring.append(number)

    assert ring.items() == (2, 3, 4)
    assert ring.newest == 4


def test_a_rate_is_what_was_added_per_second() -> None:
    rate = Rate(100.0)

    assert rate.read(10, 102.0) == 5.0
    assert rate.read(10, 104.0) == 0.0
    assert rate.read(40, 104.0) == 0.0
    assert rate.read(40, 105.0) == 30.0


def test_a_total_that_fell_is_no_negative_rate() -> None:
    rate = Rate(0.0)
    rate.read(100, 1.0)

    assert rate.read(3, 2.0) == 0.0


def test_an_empty_window_has_no_quantiles() -> None:
    assert Window().quantiles(0.5, now=10.0) is None


@given(st.lists(st.floats(0.01, 1e7), min_size=1, max_size=300), st.floats(0, 1))
def test_a_quantile_is_right_to_a_few_percent(
    values: list[float], share: float
) -> None:
    window = Window()
    for value in values:
        window.observe(value, 0.0)

    rank = max(1, -int(-(share * len(values)) // 1))
    [found] = window.quantiles(share, now=0.0) or ()
    assert found == pytest.approx(sorted(values)[rank - 1], rel=0.026)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    window = Window(60)
    window.observe(1000, 0.0)
    window.observe(10, 59.0)

    assert window.quantiles(1.0, now=59.0) == pytest.approx((1000,), rel=0.03)
    assert window.quantiles(1.0, now=66.0) == pytest.approx((10,), rel=0.03)
    assert window.quantiles(1.0, now=200.0) is None


def test_a_window_stays_small_however_much_is_observed() -> None:
    window, chance = Window(60), random.Random(1)
    for number in range(20_000):
        window.observe(chance.lognormvariate(3, 1), number / 50)

    assert len(window._slices) <= 13
    assert sum(len(counts) for _, counts in window._slices) < 13 * 250


def test_nothing_took_no_time_at_all() -> None:
    window = Window()
    window.observe(0.0, 1.0)

    assert window.quantiles(0.5, now=1.0) == pytest.approx((0.001,), rel=0.03)


def test_a_share_above_one_is_refused() -> None:
    window = Window()
    window.observe(5, 1.0)

    with pytest.raises(ValueError, match="between 0 and 1"):
        window.quantiles(1.5, now=1.0)


def test_a_histogram_counts_values_at_a_bound_below_it() -> None:
    buckets = Buckets((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        buckets.observe(value)

    assert buckets.counts == (2, 1, 1)
    assert (buckets.count, buckets.total) == (4, pytest.approx(7.65))
