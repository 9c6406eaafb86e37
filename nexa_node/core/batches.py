"""A batch's answers, gathered until they leave together in one frame.

JSON-RPC wants them in one array, and a peer takes no frame above the limit. So each
answer must find room beside those that came before and what the missing ones need at
least; one that does not becomes an error with its id, and can be asked for alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from nexa_node.contract.errors import PayloadTooLarge

KEPT_FOR_EACH = 512
"""Bytes kept free for each answer that is still missing: an error, or a small answer."""
FRAMING = 8
"""Bytes around the answers, whatever the encoding."""


@dataclass(slots=True, eq=False)
class Batch:
    """A batch whose answers leave together."""

    missing: int
    answers: list[bytes] = field(default_factory=list[bytes])
    size: int = FRAMING
    """Of the array, as far as it goes."""

    def has_room(self, frame: bytes, limit: int) -> bool:
        """Whether an answer may be added, and the array stay within `limit` bytes."""
        kept = KEPT_FOR_EACH * (self.missing - 1)
        return self.size + len(frame) + 1 + kept <= limit or len(frame) < KEPT_FOR_EACH

    def arrays(self, limit: int) -> Iterator[list[bytes]]:
        """Give the answers, in one array; in more if they are all errors with huge ids."""
        if self.size <= limit:
            yield self.answers
            return
        some, size = list[bytes](), FRAMING
        for frame in self.answers:
            if some and size + len(frame) + 1 > limit:
                yield some
                some, size = [], FRAMING
            some.append(frame)
            size += len(frame) + 1
        yield some

    def add(self, frame: bytes | None) -> None:
        """Take one answer; None for what needs none."""
        self.missing -= 1
        if frame is not None:
            self.answers.append(frame)
            self.size += len(frame) + 1


def no_room(size: int, limit: int) -> PayloadTooLarge:
    """Say that an answer did not fit beside the others."""
    return PayloadTooLarge(
        f"the answer is {size:,} bytes, and with the others of its batch more than the "
        f"{limit:,} of a frame; what was asked is done",
        remedy="ask again alone, or in a smaller batch",
        details={"size": size, "limit": limit},
    )
