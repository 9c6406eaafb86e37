"""How long certificates live, and when one is due to be made anew."""

from dataclasses import dataclass
from datetime import datetime, timedelta

AUTHORITY_LIFE = timedelta(days=3650)
NODE_LIFE = timedelta(days=90)
CLIENT_LIFE = timedelta(days=90)
BACKDATED = timedelta(hours=1)
"""Certificates begin so long before they are made: clocks of machines differ."""
BACKDATED_PART = 24
"""But by no more than this part of their life."""


@dataclass(frozen=True, slots=True)
class Life:
    """From when until when a certificate is valid."""

    begins: datetime
    ends: datetime

    @property
    def renewal(self) -> datetime:
        """When it is to be made anew: two thirds of its life are over."""
        return self.begins + (self.ends - self.begins) * 2 / 3

    def is_due(self, now: datetime) -> bool:
        """Say whether to make it anew now: it is old, over, or of the future."""
        return now >= self.renewal or now < self.begins

    def is_overdue(self, now: datetime) -> bool:
        """Say whether it should have been made anew long ago: five sixths are over."""
        return now >= self.begins + (self.ends - self.begins) * 5 / 6

    def is_valid(self, now: datetime) -> bool:
        """Say whether it is good for anything now."""
        return self.begins <= now <= self.ends

    def remaining(self, now: datetime) -> timedelta:
        """How long it is good for; negative once it is over."""
        return self.ends - now


def new_life(now: datetime, length: timedelta, *, within: Life | None = None) -> Life:
    """Give a certificate made `now` its dates, to the second.

    Args:
        now: Aware.
        length: From now on.
        within: Of its issuer, which it must not outlive.
    """
    before = min(BACKDATED, length / BACKDATED_PART)
    begins = (now - before).replace(microsecond=0)
    ends = (now + length).replace(microsecond=0)
    if within is None:
        return Life(begins, ends)
    return Life(max(begins, within.begins), min(ends, within.ends))
