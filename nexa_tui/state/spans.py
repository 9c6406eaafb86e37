"""Spans of time as people type them: `90`, `90s`, `1.5m`, `2h`, `1d`."""

SECONDS_MAX = 10 * 365 * 24 * 3600
"""Further ahead nothing is planned."""
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """Read a span.

    Returns:
        Seconds, from 0 to `SECONDS_MAX`.

    Raises:
        ValueError: It is none; says what would be one.
    """
    unit = _UNITS_S.get(text[-1:], 0)
    try:
        number = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        number = -1.0
    if not 0 <= number <= SECONDS_MAX:
        raise ValueError(
            f"{text!a} is no number of seconds from 0 to {SECONDS_MAX:,},"
            " nor 90s, 5m, 2h or 1d"
        )
    return number
