"""The agent's place in its inbox: what is new, what was seen, where to resume."""

from enum import Enum


class Seen(Enum):
    """What a delivered message is to us."""

    NEW = "new"
    """To be handled now."""
    OPEN = "open"
    """Here already, and not handled yet: to be ignored."""
    SETTLED = "settled"
    """Handled before, the acknowledgement was lost: to be acknowledged again."""


class Inbox:
    """Positions of one inbox, of one epoch.

    Must stay true: `last_seq` is never past a message that was not settled, so that
    resuming after it loses nothing; and a settled message is not handled again.
    Positions of 0 or less are of messages that are not durable, and are not counted.
    """

    def __init__(self) -> None:
        """Begin at the start of an unknown epoch."""
        self.epoch: str | None = None
        self._highest = 0
        self._open: set[int] = set()
        self._refused: set[int] = set()

    @property
    def last_seq(self) -> int:
        """The position up to which everything is settled."""
        waiting = self._open | self._refused
        return min(waiting) - 1 if waiting else self._highest

    def enter(self, epoch: str, next_seq: int) -> None:
        """Take up the epoch the welcome names; a new one begins before `next_seq`."""
        if epoch == self.epoch:
            return
        self.epoch = epoch
        self._highest = max(0, next_seq - 1)
        self._open.clear()
        self._refused.clear()

    def skip(self, upto: int) -> None:
        """Give up what a gap says is gone."""
        self._highest = max(self._highest, upto)
        self._refused = {seq for seq in self._refused if seq > upto}

    def pass_by(self, seq: int) -> None:
        """Note a position that is not of the inbox itself: a topic's."""
        self._highest = max(self._highest, seq)

    def receive(self, seq: int) -> Seen:
        """Say what the message at `seq` is, and count it as open if it is new."""
        if seq <= 0:
            return Seen.NEW
        if seq in self._open:
            return Seen.OPEN
        if seq <= self._highest and seq not in self._refused:
            return Seen.SETTLED
        self._refused.discard(seq)
        self._highest = max(self._highest, seq)
        self._open.add(seq)
        return Seen.NEW

    def settle(self, seq: int) -> None:
        """The message was handled."""
        self._open.discard(seq)

    def refuse(self, seq: int) -> None:
        """The message could not be handled: it is to come again."""
        if seq in self._open:
            self._open.discard(seq)
            self._refused.add(seq)
