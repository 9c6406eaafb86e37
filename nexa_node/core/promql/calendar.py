"""What the functions of the calendar give for a moment: `hour()`, `day_of_week()`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np


def _date(seconds: float) -> datetime:
    if not np.isfinite(seconds) or abs(seconds) > 2e11:
        seconds = 0.0
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds))


def _days(date: datetime) -> int:
    following = date.replace(day=28) + timedelta(days=4)
    return (following - timedelta(days=following.day)).day


CALENDAR: Mapping[str, Callable[[float], float]] = {
    "minute": lambda at: _date(at).minute,
    "hour": lambda at: _date(at).hour,
    "day_of_week": lambda at: _date(at).isoweekday() % 7,
    "day_of_month": lambda at: _date(at).day,
    "day_of_year": lambda at: _date(at).timetuple().tm_yday,
    "month": lambda at: _date(at).month,
    "year": lambda at: _date(at).year,
    "days_in_month": lambda at: _days(_date(at)),
}
"""By name, for seconds since 1970; what is no moment is 1970. In UTC."""
