"""What one session was sent, what it subscribed to, and what it has room for.

Changed only on the event loop, by delivery and by those who hold `turn`.
"""

import asyncio
import itertools
from dataclasses import dataclass, field

from nexa_node.core.flow import Credits
from nexa_node.core.topics import Trie, cover
from nexa_node.ports import SessionRecord, StandingSubscription, Versioned
from nexa_node.services.sessions.live import LiveAgent

_orders = itertools.count()


@dataclass(slots=True, eq=False)
class Line:
    """One subscription of one session."""

    box: "Mailbox"
    id: str
    topic: str
    since: int
    """From which position on it was asked for."""
    at: int
    """What is at or before this position is not wanted, or was told."""
    replaying: bool = False
    """Older messages are read; new ones wait until it has caught up."""
    order: int = field(default_factory=lambda: next(_orders))
    """Of several that match, the first one is told of a message."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """What it is found by, among all of the node."""
        return (self.box.agent.namespace, *self.topic.split("."))


@dataclass(slots=True, eq=False)
class Mailbox:
    """One session."""

    agent: LiveAgent
    upto: int
    """All that is meant for it up to this position was sent, replays apart."""
    behind: bool = True
    """It is read from the store, and nothing is passed on to it directly."""
    unread: bool = True
    """There may be more in the store."""
    missed: int = 0
    """The newest arrival since the store was last asked."""
    loaded: bool = False
    """What its session stands for is known."""
    record: Versioned[SessionRecord] | None = None
    """As it was read or written last."""
    busy: bool = False
    """Somebody reads for it."""
    recall: bool = False
    """It is to be read for again after that."""
    credits: Credits = field(default_factory=Credits)
    lines: dict[str, Line] = field(default_factory=dict[str, Line])
    """By subscription's id, in the order they were made."""
    put_off: dict[int, int] = field(default_factory=dict[int, int])
    """Position → when it is due again, in milliseconds since 1970."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who reads for it, and by who changes what it stands for."""
    _trie: Trie[Line] = field(default_factory=Trie[Line])
    _cover: tuple[str, ...] | None = None

    def may_send(self) -> bool:
        """Whether the connection and the agent take one more."""
        connection = self.agent.connection
        room = connection is not None and connection.is_roomy
        return room and self.credits.may(1) > 0

    def note_arrival(self, seq: int) -> None:
        """Something came that has to be read later."""
        self.missed = max(self.missed, seq)
        self.unread = True

    def add(self, line: Line) -> None:
        """Take in a subscription."""
        self.lines[line.id] = line
        self._trie.add(line.topic.split("."), line)
        self._cover = None

    def drop(self, line: Line) -> None:
        """Let go of one."""
        if self.lines.pop(line.id, None) is not None:
            self._trie.remove(line.topic.split("."), line)
            self._cover = None

    def line_of(self, topic: str) -> Line | None:
        """The subscription to a topic, as it was subscribed."""
        return next((each for each in self.lines.values() if each.topic == topic), None)

    def next_replay(self) -> Line | None:
        """The first subscription that has older messages to tell."""
        return next((each for each in self.lines.values() if each.replaying), None)

    def caught_up(self, line: Line) -> None:
        """A replay is done: what is new comes as it comes."""
        line.replaying = False
        self._cover = None

    def choose(self, topic: str, seq: int) -> Line | None:
        """By which subscription a message is told, if by any."""
        able = [
            line
            for line in self._trie.match(topic.split("."))
            if not line.replaying and line.at < seq
        ]
        return min(able, key=lambda line: line.order, default=None)

    def patterns(self) -> tuple[str, ...]:
        """What the store is asked for: few patterns that meet all that is wanted."""
        if self._cover is None:
            live = (line.topic for line in self.lines.values() if not line.replaying)
            self._cover = cover(live)
        return self._cover

    def topics_after(self) -> int:
        """From which position on topics are wanted."""
        live = (line.at for line in self.lines.values() if not line.replaying)
        return max(self.upto, min(live, default=0))

    def standing(self) -> tuple[StandingSubscription, ...]:
        """What its subscriptions are, for whoever resumes the session."""
        return tuple(
            StandingSubscription(
                id=line.id,
                topic=line.topic,
                after=line.since,
                settled=not line.replaying,
            )
            for line in self.lines.values()
        )
