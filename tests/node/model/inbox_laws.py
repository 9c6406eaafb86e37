"""The reference of inboxes and topics: who is to be told what, when, and how often.

It hears of everything that is stored at the moment it is, and of what each agent said and
was answered. What was answered holds; what was asked while the store was not well may
have happened or not, and then both is right.
"""

from dataclasses import dataclass, field
from typing import Any

from nexa_node.core.topics import matches
from nexa_node.ports import Arrived, TopicMessage

SLACK_S = 0.001


@dataclass
class Letter:
    """A stored message, to an inbox or to a topic."""

    seq: int
    where: str
    is_topic: bool
    sender: str
    id: str
    data: Any
    until: float


@dataclass
class Reader:
    """An agent with an inbox, as it knows itself."""

    id: str
    dealt: set[int] = field(default_factory=set)
    """Acknowledged or terminated, and so answered."""
    maybe: set[int] = field(default_factory=set)
    """Perhaps; the store did not say."""
    again: dict[int, float] = field(default_factory=dict)
    """Put off, and so answered: position → when it is due."""
    repeats: set[int] = field(default_factory=set)
    """May be told once more: put off, or perhaps put off."""
    subscribed: dict[str, int] = field(default_factory=dict)
    """Topic → after which position, for sure."""
    allowed: dict[str, int] = field(default_factory=dict)
    """The same, perhaps."""
    start: int = 0
    """What is at or before it is not told on this connection, but again."""
    told: dict[int, int] = field(default_factory=dict)
    """On this connection: letter → the highest `attempts`."""
    seen: set[int] = field(default_factory=set)
    """In this session, topics included."""
    credits: int | None = None
    """What may still be told on this connection; None before it says so."""
    last: int = 0
    """The highest position that was told."""

    def begin(self, *, resumed: bool) -> None:
        """A connection begins."""
        self.told, self.credits = {}, None
        if resumed:
            self.start = self.last
            return
        self.start = self.last = 0
        self.seen = set()
        self.again, self.repeats = {}, set()
        self.subscribed, self.allowed = {}, {}


@dataclass
class Post:
    """All that is stored, and what was broken."""

    letters: dict[int, Letter] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def stored(self, arrived: Arrived, lives_s: float, at: float) -> None:
        """Take in a message that is stored."""
        topic = isinstance(arrived, TopicMessage)
        self.letters[arrived.seq] = Letter(
            seq=arrived.seq,
            where=arrived.topic if isinstance(arrived, TopicMessage) else arrived.agent,
            is_topic=topic,
            sender=arrived.message.sender,
            id=arrived.message.id,
            data=arrived.message.data,
            until=at + lives_s,
        )

    def newest(self) -> int:
        return max(self.letters, default=0)

    def live(self, reader: Reader, at: float) -> list[Letter]:
        """What is in an inbox for sure."""
        return [
            each
            for each in self.letters.values()
            if not each.is_topic
            and each.where == reader.id
            and each.seq not in reader.dealt | reader.maybe
            and at < each.until
        ]

    # -- what is told ----------------------------------------------------------

    def told(self, reader: Reader, params: dict[str, Any], at: float) -> None:
        """Take in a delivery."""
        seq = params["seq"]
        if reader.credits is not None:
            reader.credits -= 1
            if reader.credits < 0:
                self._broke(reader, params, "no credit left")
        letter = self.letters.get(seq)
        if letter is None:
            self._broke(reader, params, "it was never stored")
            return
        same = (params["data"], params["from"], params["id"])
        if same != (letter.data, letter.sender, letter.id):
            self._broke(reader, params, f"another was stored: {letter}")
        if at > letter.until + SLACK_S:
            self._broke(reader, params, "its time was over")
        if letter.is_topic:
            self._topic_told(reader, params, letter)
        else:
            self._letter_told(reader, params, at)
        reader.seen.add(seq)
        reader.last = max(reader.last, seq)

    def _topic_told(
        self, reader: Reader, params: dict[str, Any], letter: Letter
    ) -> None:
        wanted = any(
            matches(topic, letter.where) and after < letter.seq
            for topic, after in reader.allowed.items()
        )
        if not wanted or "subscription" not in params:
            self._broke(reader, params, f"nobody subscribed: {reader.allowed}")

    def _letter_told(self, reader: Reader, params: dict[str, Any], at: float) -> None:
        seq = params["seq"]
        if self.letters[seq].where != reader.id or "subscription" in params:
            self._broke(reader, params, "it is another's")
        if seq in reader.dealt:
            self._broke(reader, params, "it was dealt with")
        if seq in reader.told or seq <= reader.start:
            if seq not in reader.repeats:
                self._broke(reader, params, f"told again: {reader.told}")
            due = reader.again.pop(seq, None)
            if due is not None and at < due - SLACK_S:
                self._broke(reader, params, "before its delay was over")
            grows = params["attempts"] > reader.told.get(seq, 0)
            if not grows:
                self._broke(reader, params, "its attempts do not grow")
            reader.repeats.discard(seq)
        elif any(known > seq for known in self._first_told(reader)):
            self._broke(reader, params, f"out of order: {sorted(reader.told)}")
        if seq not in reader.told and seq > reader.start:
            self._check_order(reader, seq)
        reader.told[seq] = params["attempts"]

    def _first_told(self, reader: Reader) -> list[int]:
        return [seq for seq in reader.told if seq > reader.start]

    def _check_order(self, reader: Reader, seq: int) -> None:
        """One sender's letters come in the order it sent them."""
        sender = self.letters[seq].sender
        later = [
            self.letters[each].data
            for each in self._first_told(reader)
            if self.letters[each].sender == sender
            and self.letters[each].data > self.letters[seq].data
        ]
        if later:
            self.broken.append(f"{reader.id}: {sender}: {later} before {seq}")

    def _broke(self, reader: Reader, params: dict[str, Any], why: str) -> None:
        self.broken.append(f"{reader.id}: {why}: {params}")

    # -- what ought to have been told ------------------------------------------

    def missing(self, reader: Reader, at: float) -> list[Letter]:
        """What a connected agent that reads should know by now, and does not."""
        if reader.credits == 0:
            return []
        lost = [
            each
            for each in self.live(reader, at)
            if each.seq > reader.start and each.seq not in reader.told
        ]
        overdue = [
            self.letters[seq]
            for seq, due in reader.again.items()
            if due < at - 1 and self.letters[seq].until > at
        ]
        topics = [
            each
            for each in self.letters.values()
            if each.is_topic
            and at < each.until
            and each.seq not in reader.seen
            and any(
                matches(topic, each.where) and after < each.seq
                for topic, after in reader.subscribed.items()
            )
        ]
        return lost + overdue + topics
