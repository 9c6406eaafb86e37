from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from nexa_tui.state import formats

NUMBERS = st.one_of(st.none(), st.floats(min_value=-1e3, max_value=1e20))


@given(NUMBERS)
def test_every_figure_is_as_wide_as_its_column(number: float | None) -> None:
    assert len(formats.size(number)) == formats.BYTES_WIDTH
    assert len(formats.rate(number)) == formats.RATE_WIDTH
    assert len(formats.count(number)) == formats.COUNT_WIDTH
    assert len(formats.per_second(number)) == formats.PER_SECOND_WIDTH
    assert len(formats.percent(number)) == formats.PERCENT_WIDTH
    assert len(formats.duration(number)) == formats.DURATION_WIDTH
    assert len(formats.age(number)) == formats.AGE_WIDTH


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "   0 B  "),
        (512, " 512 B  "),
        (999.6, "0.98 KiB"),
        (1024, "1.00 KiB"),
        (9_995 * 1024, "9.76 MiB"),
        (1.3e9, "1.21 GiB"),
        (None, "       -"),
    ],
)
def test_bytes(count: float | None, told: str) -> None:
    assert formats.size(count) == told


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [
        (0.26, " 0.3 ms"),
        (9.96, "  10 ms"),
        (999.4, " 999 ms"),
        (1200, " 1.20 s"),
        (12_340, " 12.3 s"),
        (59_960, "    59s"),
        (192_000, "  3m12s"),
        (None, "      -"),
    ],
)
def test_durations(milliseconds: float | None, told: str) -> None:
    assert formats.duration(milliseconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "    0s"),
        (59.9, "   59s"),
        (192, " 3m12s"),
        (7_380, " 2h03m"),
        (5 * 86400 + 4 * 3600, " 5d04h"),
        (400 * 86400, "  400d"),
        (5000 * 86400, " >999d"),
        (-3, "    0s"),
    ],
)
def test_ages(seconds: float, told: str) -> None:
    assert formats.age(seconds) == told


def test_counts_rates_and_fractions() -> None:
    assert formats.count(42) == "   42"
    assert formats.count(1234) == "1.23k"
    assert formats.per_second(12.34) == " 12.3/s"
    assert formats.per_second(1234) == " 1.2k/s"
    assert formats.percent(0.075) == "  8%"
    assert formats.percent(55) == "999%"
    assert formats.rate(1.3e6) == "1.24 MiB/s"


def test_dates_and_times_are_utc_wherever_they_come_from() -> None:
    moment = datetime(2026, 11, 22, 14, 3, 22, tzinfo=UTC)
    there = moment.astimezone(timezone(timedelta(hours=11)))

    assert formats.clock(moment) == formats.clock(there) == "14:03:22"
    assert formats.date(there) == "2026-11-22 14:03:22"
    assert formats.clock(None) == "       -"
