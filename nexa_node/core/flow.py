"""How much may be on its way. Counting only; nobody waits here.

Credits an agent grants, bytes a connection holds, calls a second an identity makes.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Credits:
    """How many more things an agent takes. Without a grant there is no limit."""

    left: int | None = None

    def grant(self, number: int) -> None:
        """Add `number`; the first grant ends the time without limit."""
        self.left = (self.left or 0) + number

    def spend(self) -> bool:
        """Use one up; False when there was none."""
        if self.left is None:
            return True
        if self.left == 0:
            return False
        self.left -= 1
        return True

    def refund(self) -> None:
        """Give back what was spent on something that was not sent after all."""
        if self.left is not None:
            self.left += 1

    def may(self, wanted: int) -> int:
        """Say how many of `wanted` may go now."""
        return wanted if self.left is None else min(wanted, self.left)


@dataclass(slots=True)
class Outbound:
    """What waits to be sent on one connection, in frames and bytes."""

    frames_limit: int
    bytes_limit: int
    frames: int = 0
    bytes: int = 0

    def add(self, size: int) -> bool:
        """Count a frame in; False when it would go over a limit, and isn't counted."""
        if self.frames >= self.frames_limit or self.bytes + size > self.bytes_limit:
            return False
        self.frames += 1
        self.bytes += size
        return True

    def sent(self, size: int) -> None:
        """Count a frame out."""
        self.frames -= 1
        self.bytes -= size

    @property
    def roomy(self) -> bool:
        """Whether more than half is free: what can wait may go on."""
        return self.frames * 2 < self.frames_limit and self.bytes * 2 < self.bytes_limit

    def crowded(self, owed: int, size: int) -> bool:
        """Whether three quarters are taken, what is owed included.

        Never while nothing waits: then nobody would tell when it ends.

        Args:
            owed: Frames that will come anyway.
            size: Bytes one of them may have.
        """
        return self.frames > 0 and (
            (self.frames + owed) * 4 >= self.frames_limit * 3
            or (self.bytes + owed * size) * 4 >= self.bytes_limit * 3
        )


@dataclass(slots=True)
class Bucket:
    """A token bucket: `rate` calls a second, `burst` at once."""

    rate: float
    burst: float
    level: float
    filled: float
    """The monotonic time of the last look."""

    def spend(self, now: float) -> float:
        """Use one up; seconds until there is one when there is none, else 0."""
        self.level = min(self.burst, self.level + (now - self.filled) * self.rate)
        self.filled = now
        if self.level >= 1.0:
            self.level -= 1.0
            return 0.0
        return (1.0 - self.level) / self.rate

    def full(self, now: float) -> bool:
        """Whether it would be full by now: then it need not be kept."""
        return self.level + (now - self.filled) * self.rate >= self.burst
