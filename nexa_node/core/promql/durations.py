"""Durations as Prometheus writes them."""

import re

_DURATION = re.compile(
    r"0|(?:(\d{1,6})y)?(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?"
    r"(?:(\d{1,9})s)?(?:(\d{1,9})ms)?"
)
_UNITS_S = (31536000, 604800, 86400, 3600, 60, 1, 0.001)


def duration_s(text: str) -> float:
    """Read a duration as Prometheus writes it: `5m`, `1h30m`, `0`.

    Raises:
        ValueError: It is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        raise ValueError(text)
    return sum(
        int(number) * unit
        for number, unit in zip(found.groups(), _UNITS_S, strict=True)
        if number
    )
