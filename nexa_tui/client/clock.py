"""The console's clocks. Everything else takes the time as an argument."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for ages, one for showing."""

    def monotonic(self) -> float:
        """Seconds that never jump, whatever happens to the date."""
        ...

    def utc(self) -> datetime:
        """The date and time, as this machine believes it."""
        ...


class SystemClock:
    """This machine's clocks."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def utc(self) -> datetime:
        """The date and time."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands where it was put: for scenes, screenshots and tests."""

    def __init__(self, at: datetime, *, monotonic: float = 1000.0) -> None:
        """Stand at `at`."""
        self.at = at
        self.seconds = monotonic

    def monotonic(self) -> float:
        """The seconds that were set."""
        return self.seconds

    def utc(self) -> datetime:
        """The date that was set."""
        return self.at
