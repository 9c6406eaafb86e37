"""What one kind's consumers are believed to have, and which of them to ask for how much.

Nothing here does I/O. A pull that waits stays open at the server: while it is open there
is nothing that we were not given, so its consumer needs no asking. Consumers that have
more are asked at once, the most urgent first, within a priority in fair turns.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from nexa_node.adapters.nats.kinds import Kind, Place, base, read_consumer
from nexa_node.adapters.nats.message import Msg
from nexa_node.contract.tasks import PRIORITIES, Priority
from nexa_node.core.fairness import PLAIN, Rounds

AHEAD = 8
"""The most a pull that waits may bring before it is renewed."""
IDLE_S = 300.0
"""A bucket that had nothing for so long is asked no more until it is expected again."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message that came, and when."""

    message: Msg
    at: float
    number: int


@dataclass(slots=True, eq=False)
class Source:
    """One consumer."""

    place: Place
    consumer: str
    filter: str
    rank: int
    """Of its priority; 0 is the most urgent."""
    used: float
    """When it last had, or was expected to have, something."""
    made: bool = False
    """It is known to exist."""
    fresh: bool = False
    """`known` is no older than our first look since we last paused."""
    known: int = 0
    """Believed to wait at the server, beyond what an open pull will bring."""
    reply: str = ""
    """Of the open pull."""
    credits: int = 0
    """What the open pull may still bring."""
    until: float = 0.0
    """When the open pull must have ended."""
    arrived: deque[Arrived] = field(default_factory=deque[Arrived])

    def close(self) -> None:
        """The open pull is over."""
        self.reply, self.credits = "", 0


@dataclass(frozen=True, slots=True)
class Ask:
    """A pull to be sent."""

    source: Source
    batch: int
    wait: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask for, and how much of it is whose turn."""

    asks: list[Ask]
    turns: dict[Source, int]


class Sources:
    """All consumers of one kind."""

    def __init__(self, kind: Kind, now: float) -> None:
        """Begin with those that every kind has."""
        self._kind = kind
        self._by_consumer: dict[str, Source] = {}
        self._by_reply: dict[str, Source] = {}
        self._of: dict[Priority, dict[str, Source]] = {each: {} for each in PRIORITIES}
        self._asking: set[Source] = set()
        self._rounds: dict[Priority, Rounds] = {each: Rounds() for each in PRIORITIES}
        self._last: Source | None = None
        self._numbers = itertools.count()
        for place in base():
            self.expect(place, now)

    def __iter__(self) -> Iterator[Source]:
        """All of them."""
        return iter(list(self._by_consumer.values()))

    def expect(self, place: Place, now: float) -> Source | None:
        """Ask at `place` from now on; the source if it is new."""
        name = self._kind.consumer(place)
        source = self._by_consumer.get(name)
        if source is not None:
            source.used = now
            return None
        source = self._by_consumer[name] = Source(
            place=place,
            consumer=name,
            filter=self._kind.filter(place),
            rank=PRIORITIES.index(place.priority),
            used=now,
        )
        self._of[place.priority][place.bucket] = source
        return source

    def wake(self) -> None:
        """Nobody asked for a while: only open pulls tell what there is."""
        for source in self._by_consumer.values():
            source.fresh = bool(source.reply)

    def missed(self, message: Msg) -> None:
        """A message came that nobody wanted any more."""
        source = self._by_consumer.get(read_reply(message.reply)[0])
        if source is not None:
            source.credits = max(0, source.credits - 1)
            if source.credits == 0:
                self._over(source)

    def forget_idle(self, now: float) -> None:
        """Ask no more where nothing came for a long time."""
        for source in self:
            idle = now - source.used > IDLE_S and not (source.known or source.arrived)
            if idle and source.place.bucket != PLAIN:
                self._over(source)
                del self._by_consumer[source.consumer]
                del self._of[source.place.priority][source.place.bucket]

    def pause(self) -> None:
        """No pull is open any more; what has arrived stays."""
        self._by_reply.clear()
        self._asking.clear()
        for source in self._by_consumer.values():
            source.close()
            source.fresh = False

    def here(self) -> int:
        """How many have arrived and were not taken."""
        return sum(len(source.arrived) for source in self._by_consumer.values())

    # -- what comes ------------------------------------------------------------

    def opened(self, source: Source, reply: str, ask: Ask, until: float) -> None:
        """A pull was sent."""
        self._over(source)
        source.reply, source.credits, source.until = reply, ask.batch, until
        self._by_reply[reply] = source
        if not ask.wait:
            self._asking.add(source)

    def ended(self, reply: str) -> Source | None:
        """The server said that a pull is over; whose it was."""
        source = self._by_reply.get(reply)
        if source is not None:
            self._over(source)
            source.known = 0
        return source

    def lost(self, consumer: str) -> bool:
        """What was open at a consumer is forgotten there; whether anything was."""
        source = self._by_consumer.get(consumer)
        if source is None or not source.reply:
            return False
        self._over(source)
        source.fresh = False
        return True

    def took(self, message: Msg, now: float) -> None:
        """A message came."""
        consumer, pending = read_reply(message.reply)
        source = self._by_consumer.get(consumer)
        if source is None:
            read = read_consumer(consumer)
            source = read and self.expect(read[1], now)
        if source is None:
            return
        source.used = now
        source.arrived.append(Arrived(message, now, next(self._numbers)))
        source.credits = max(0, source.credits - 1)
        source.known = max(0, pending - source.credits)
        if source.credits == 0:
            self._over(source)
        self._last = source

    @property
    def asking(self) -> bool:
        """Whether a pull is open that ends by itself at once."""
        return bool(self._asking)

    def _over(self, source: Source) -> None:
        self._by_reply.pop(source.reply, None)
        self._asking.discard(source)
        source.close()

    # -- what to do ------------------------------------------------------------

    def plan(self, room: int, now: float) -> Plan:
        """Say what to ask for when there is room for so many."""
        turns: dict[Source, int] = {}
        for source in self._by_consumer.values():
            if source.reply and now > source.until:
                self._over(source)
        for priority in PRIORITIES:
            if room > 0:
                room -= self._turns(priority, room, turns)
        lowest = max((each.rank for each in turns), default=0)
        asks = [
            Ask(source, number - len(source.arrived), wait=False)
            for source, number in turns.items()
            if number > len(source.arrived) and not source.reply
        ]
        for source in self._by_consumer.values():
            is_open = source.reply or source in turns or not source.fresh
            if not is_open and (room > 0 or source.rank <= lowest):
                asks.append(Ask(source, self._ahead(source, room), wait=True))
        return Plan(sorted(asks, key=_rank), turns)

    def pick(self, turns: dict[Source, int], room: int) -> list[Arrived]:
        """Take out what is to be handed out: whose turn it is, then what else came."""
        found: list[tuple[int, Arrived]] = []
        for source, number in turns.items():
            here = min(number, len(source.arrived), room - len(found))
            found += [(source.rank, source.arrived.popleft()) for _ in range(here)]
        if len(found) < room:
            more = [
                (source.rank, arrived, source)
                for source in self._by_consumer.values()
                for arrived in source.arrived
            ]
            more.sort(key=lambda each: (each[0], each[1].number))
            for rank, arrived, source in more[: room - len(found)]:
                source.arrived.remove(arrived)
                found.append((rank, arrived))
        found.sort(key=lambda each: (each[0], each[1].number))
        return [arrived for _, arrived in found]

    def leftover(self, before: float | None = None) -> list[Msg]:
        """Take out what arrived and nobody wanted, all or what came `before`."""
        found: list[Msg] = []
        for source in self._by_consumer.values():
            while source.arrived and (before is None or source.arrived[0].at <= before):
                found.append(source.arrived.popleft().message)
        return found

    def _turns(self, priority: Priority, room: int, turns: dict[Source, int]) -> int:
        mine = self._of[priority]
        waiting = {
            bucket: source.known + len(source.arrived)
            for bucket, source in mine.items()
            if source.fresh and (source.known or source.arrived)
        }
        if not waiting:
            return 0
        shares = self._rounds[priority].plan(waiting, room)
        for bucket, number in shares.items():
            turns[mine[bucket]] = number
        return sum(shares.values())

    def _ahead(self, source: Source, room: int) -> int:
        """Where something came last, more is likely to come."""
        return max(1, min(AHEAD, room // 2)) if source is self._last else 1


def read_reply(reply: str) -> tuple[str, int]:
    """Read the consumer's name and how many wait from where a message is acknowledged."""
    words = reply.split(".")
    if len(words) < 11:
        return words[3], int(words[8])
    return words[5], int(words[10])


def _rank(ask: Ask) -> int:
    return ask.source.rank
