"""Figures as words of a fixed width: what changes is a digit, never the layout.

Every function answers exactly as many characters as its `…_WIDTH` says, aligned to the
right, and a row of dashes' worth of nothing for what is not known.

Dates and times of day are UTC everywhere: nodes, logs and operators of one cluster are
in many zones. A panel that shows any says `TIMES` in its border, once.
"""

from datetime import UTC, datetime

TIMES = "times in UTC"

BYTES_WIDTH = 8
RATE_WIDTH = 10
COUNT_WIDTH = 5
PER_SECOND_WIDTH = 7
PERCENT_WIDTH = 4
DURATION_WIDTH = 7
AGE_WIDTH = 6
CLOCK_WIDTH = 8

UNKNOWN = "-"
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_DECIMAL = ("", "k", "M", "G", "T")
_STEP = 1024
_THOUSAND = 1000
_FIGURES = 4
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DAYS_MAX = 999


def size(count: float | None) -> str:
    """Bytes, in binary units: ` 512 B  `, `1.21 GiB`."""
    if count is None:
        return UNKNOWN.rjust(BYTES_WIDTH)
    value, unit = _scaled(max(0.0, count), _BINARY, _STEP)
    return f"{_three(value, whole=unit == 'B'):>{_FIGURES}} {unit:<3}"


def rate(bytes_per_second: float | None) -> str:
    """Bytes per second: `1.21 MiB/s`."""
    if bytes_per_second is None:
        return UNKNOWN.rjust(RATE_WIDTH)
    # The unit's own blanks go in front, so that the `/s` always ends the column.
    return f"{size(bytes_per_second).rstrip()}/s".rjust(RATE_WIDTH)


def count(number: float | None) -> str:
    """How many: `  42`, `1.2k`, `38.1M`."""
    if number is None:
        return UNKNOWN.rjust(COUNT_WIDTH)
    value, unit = _scaled(max(0.0, number), _DECIMAL, _THOUSAND)
    return f"{_three(value, whole=not unit)}{unit}".rjust(COUNT_WIDTH)


def per_second(number: float | None) -> str:
    """Events per second: ` 0.0/s`, `12.3/s`, `1.2k/s`."""
    if number is None:
        return UNKNOWN.rjust(PER_SECOND_WIDTH)
    value, unit = _scaled(max(0.0, number), _DECIMAL, _THOUSAND)
    shown = f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
    return f"{shown}{unit}/s".rjust(PER_SECOND_WIDTH)


def percent(fraction: float | None) -> str:
    """A fraction as a percentage: `  7%`, `100%`; 999% at most."""
    if fraction is None:
        return UNKNOWN.rjust(PERCENT_WIDTH)
    return f"{min(999, max(0, round(fraction * 100)))}%".rjust(PERCENT_WIDTH)


def duration(milliseconds: float | None) -> str:
    """How long something took: ` 0.3 ms`, `  12 ms`, ` 1.20 s`, ` 3m12s`, ` 2h03m`."""
    if milliseconds is None:
        return UNKNOWN.rjust(DURATION_WIDTH)
    if milliseconds < 9.95:
        shown = f"{max(0.0, milliseconds):.1f} ms"
    elif milliseconds < 999.5:
        shown = f"{milliseconds:.0f} ms"
    elif milliseconds < 59_950:
        seconds = milliseconds / 1000
        shown = f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    else:
        shown = age(milliseconds / 1000).strip()
    return shown.rjust(DURATION_WIDTH)


def age(seconds: float | None) -> str:
    """How long ago, in two units at most: `   12s`, ` 3m12s`, ` 2h03m`, ` 5d04h`."""
    if seconds is None:
        return UNKNOWN.rjust(AGE_WIDTH)
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        shown = f"{whole}s"
    elif whole < _HOUR:
        shown = f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    elif whole < _DAY:
        shown = f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    elif whole // _DAY <= _DAYS_MAX:
        days, rest = whole // _DAY, whole % _DAY // _HOUR
        shown = f"{days}d{rest:02}h" if days < 100 else f"{days}d"
    else:
        shown = f">{_DAYS_MAX}d"
    return shown.rjust(AGE_WIDTH)


def clock(moment: datetime | None) -> str:
    """The time of day, in UTC: `14:03:22`."""
    if moment is None:
        return UNKNOWN.rjust(CLOCK_WIDTH)
    return moment.astimezone(UTC).strftime("%H:%M:%S")


def date(moment: datetime) -> str:
    """The day and the time of day, in UTC: `2026-03-01 14:03:22`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _scaled(value: float, units: tuple[str, ...], step: int) -> tuple[float, str]:
    """Divide until three figures are enough; 999.6 already takes the next unit."""
    for unit in units[:-1]:
        if value < _THOUSAND - 0.5:
            return value, unit
        value /= step
    return min(value, float(_THOUSAND - 1)), units[-1]


def _three(value: float, *, whole: bool) -> str:
    """Three figures: `1.21`, `12.1`, `121`; `121` of things that have no parts."""
    if whole:
        return f"{value:.0f}"
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
