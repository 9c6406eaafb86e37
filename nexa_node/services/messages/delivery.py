"""Delivery: from inboxes and topics to this node's sessions, in the order of positions.

A session that is up to date is told of what arrives at once. One that has no room, or
has just come, is behind: it is read for from the store until it has caught up, and
meanwhile nothing is passed on to it directly. So of all a session is meant to get, what
it was told up to a position is whole, and the highest `seq` it saw is where it resumes.
Replays of a topic are apart: they tell older positions, before what is new.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.frames import Deliver
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.core.attempts import Attempts
from nexa_node.core.topics import Trie
from nexa_node.ports import (
    Arrived,
    Clock,
    Inboxes,
    InboxMessage,
    Signals,
    TopicMessage,
)
from nexa_node.services.access.traffic import may_receive
from nexa_node.services.messages.backlog import backlog
from nexa_node.services.messages.mailbox import Line, Mailbox
from nexa_node.services.messages.standing import Standing
from nexa_node.services.sessions.live import AgentKey, LiveAgent

READ_AT_ONCE = 64
"""Messages read for a session in one go."""
READERS = 4
"""Sessions that are read for at the same time."""
RETRY_S = 0.5

Told = Callable[[Arrived, int], object]
"""Told a message that was passed to an agent, and for the how many-th time."""
Resumed = Callable[[Mailbox, dict[int, int]], None]
"""Told a session's box and the messages it had put off: position → when, in ms."""


class Delivery:
    """Delivers to this node's sessions. An `Audience`."""

    def __init__(
        self, *, inboxes: Inboxes, signals: Signals, standing: Standing, clock: Clock
    ) -> None:
        """Nothing is delivered before `run`."""
        self.attempts: Attempts[AgentKey] = Attempts()
        self._inboxes = inboxes
        self._signals = signals
        self._standing = standing
        self._clock = clock
        self._heard = 0
        """The newest position that arrived."""
        self._boxes: dict[AgentKey, Mailbox] = {}
        self._lines: Trie[Line] = Trie()
        self._behind: dict[Mailbox, None] = {}
        self._stir = asyncio.Event()
        self._arrived: list[Callable[[Arrived], None]] = []
        self._resumed: list[Resumed] = []
        self._replayed: list[Callable[[Mailbox], None]] = []
        self._told: list[Told] = []
        self._missed: list[Callable[[Arrived], object]] = []

    def on_arrival(self, heard: Callable[[Arrived], None]) -> None:
        """Have `heard` called with everything that is stored from now on."""
        self._arrived.append(heard)

    def on_told(self, told: Told) -> None:
        """Have `told` called with every message that is passed to an agent."""
        self._told.append(told)

    def on_missed(self, missed: Callable[[Arrived], object]) -> None:
        """Have `missed` called with every signal whose receiver has no room for it."""
        self._missed.append(missed)

    def on_resumed(self, resumed: Resumed) -> None:
        """Have `resumed` called when it is known what a session had put off."""
        self._resumed.append(resumed)

    def on_replayed(self, replayed: Callable[[Mailbox], None]) -> None:
        """Have `replayed` called when a replay has caught up."""
        self._replayed.append(replayed)

    async def run(self) -> None:
        """Deliver, for ever."""
        stored, signals = self._inboxes.arrivals(), self._signals.arrivals()
        for box in self._boxes.values():
            box.busy = box.recall = False
            box.unread = True
            self._mark(box)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(stored))
            group.create_task(self._follow_signals(signals))
            for _ in range(READERS):
                group.create_task(self._read_on())

    # -- for the other services ------------------------------------------------

    def has(self, namespace: Namespace, agent: AgentId) -> bool:
        """Whether an agent is connected to this node."""
        return (namespace, agent) in self._boxes

    def box(self, agent: LiveAgent) -> Mailbox:
        """The box of a session.

        Raises:
            Unavailable: Its connection is over.
        """
        box = self._boxes.get(agent.key)
        if box is None or box.agent is not agent:
            raise Unavailable(f"the connection of {agent.id} is over")
        return box

    def is_current(self, box: Mailbox) -> bool:
        """Whether a box is still the one of its agent."""
        return self._boxes.get(box.agent.key) is box

    def grant(self, agent: LiveAgent, number: int) -> None:
        """Take in credits for messages."""
        box = self._boxes.get(agent.key)
        if box is not None:
            box.credits.grant(number)
            self._wake(box)

    @asynccontextmanager
    async def held(self, box: Mailbox) -> AsyncGenerator[None]:
        """Have a box's turn, and know what its session stands for.

        Raises:
            Unavailable: The store does not tell.
        """
        async with box.turn:
            if not box.loaded:
                await self._load(box)
            yield

    @asynccontextmanager
    async def still(self, box: Mailbox) -> AsyncGenerator[None]:
        """Hold back everything for a box, too; afterwards it is read for."""
        async with self.held(box):
            if not box.behind:
                box.upto = max(box.upto, self._heard)
                box.behind = True
            try:
                yield
            finally:
                box.unread = True
                self._mark(box)

    def add(self, line: Line) -> None:
        """Begin to deliver a subscription; its box is held still."""
        line.box.add(line)
        self._lines.add(line.tokens, line)

    def drop(self, line: Line) -> None:
        """Deliver nothing more of a subscription."""
        line.box.drop(line)
        self._lines.remove(line.tokens, line)

    def tell(self, box: Mailbox, arrived: Arrived, line: Line | None = None) -> bool:
        """Send one message; False if the connection is over.

        What a topic has for an agent that may not read it any more is passed over.
        """
        agent = box.agent
        if isinstance(arrived, TopicMessage) and not may_receive(
            agent.identity, agent.namespace, arrived.topic
        ):
            return True
        deliver = self._deliver(box, arrived, line)
        told = box.agent.tell("message.deliver", deliver)
        if told:
            box.credits.spend()
            for listener in self._told:
                listener(arrived, deliver.attempts)
        return told

    # -- what sessions tell ----------------------------------------------------

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """Deliver what waits in the inbox, from where the agent has read."""
        del restarted
        self._let_go(self._boxes.get(agent.key))
        box = Mailbox(agent, upto=agent.read_upto)
        self._boxes[agent.key] = box
        self._mark(box)

    def changed(self, agent: LiveAgent) -> None:
        """There may be room again."""
        box = self._boxes.get(agent.key)
        if box is not None:
            self._wake(box)

    def away(self, agent: LiveAgent) -> None:
        """Deliver nothing more; the store keeps it."""
        box = self._boxes.get(agent.key)
        if box is not None and box.agent is agent:
            del self._boxes[agent.key]
            self._let_go(box)

    def left(self, agent: LiveAgent, *, in_order: bool) -> None:
        """As when it is away."""
        del in_order
        self.away(agent)

    def _let_go(self, box: Mailbox | None) -> None:
        if box is None:
            return
        self._behind.pop(box, None)
        for line in tuple(box.lines.values()):
            self.drop(line)

    # -- what arrives ----------------------------------------------------------

    async def _follow(self, arrivals: AsyncIterator[Arrived]) -> None:
        async for arrived in arrivals:
            if isinstance(arrived, TopicMessage):
                self._topic_arrived(arrived)
            else:
                box = self._boxes.get((arrived.namespace, arrived.agent))
                if box is not None:
                    self._offer(box, arrived, None)
            self._heard = arrived.seq
            for heard in self._arrived:
                heard(arrived)

    def _topic_arrived(self, arrived: TopicMessage) -> None:
        """Offer it to each session once, by the first subscription that wants it."""
        first: dict[Mailbox, Line] = {}
        for line in self._matching(arrived):
            if not line.replaying and line.at < arrived.seq:
                best = first.get(line.box)
                if best is None or line.order < best.order:
                    first[line.box] = line
        for box, line in first.items():
            self._offer(box, arrived, line)

    def _offer(self, box: Mailbox, arrived: Arrived, line: Line | None) -> None:
        if arrived.seq <= box.upto:
            return
        if box.behind or not box.may_send():
            box.behind = True
            box.note_arrival(arrived.seq)
            self._mark(box)
        elif self.tell(box, arrived, line):
            box.upto = arrived.seq

    async def _follow_signals(self, arrivals: AsyncIterator[Arrived]) -> None:
        """Deliver what is not stored, or drop it."""
        async for arrived in arrivals:
            self.signal(arrived)

    def signal(self, arrived: Arrived) -> None:
        """Deliver what is not stored to who has room for it, here."""
        if isinstance(arrived, InboxMessage):
            box = self._boxes.get((arrived.namespace, arrived.agent))
            if box is not None and box.may_send():
                self.tell(box, arrived)
            elif box is not None:
                self._miss(arrived)
            return
        first: dict[Mailbox, Line] = {}
        for line in sorted(self._matching(arrived), key=lambda line: line.order):
            first.setdefault(line.box, line)
        for box, line in first.items():
            if box.may_send():
                self.tell(box, arrived, line)
            else:
                self._miss(arrived)

    def _miss(self, arrived: Arrived) -> None:
        for listener in self._missed:
            listener(arrived)

    def _matching(self, arrived: TopicMessage) -> list[Line]:
        return self._lines.match((arrived.namespace, *arrived.topic.split(".")))

    # -- catching up -----------------------------------------------------------

    async def _read_on(self) -> None:
        """Read for those that are behind, one round of each in turn."""
        while True:
            await self._stir.wait()
            if not self._behind:
                self._stir.clear()
                continue
            box = next(iter(self._behind))
            del self._behind[box]
            box.busy = True
            try:
                async with box.turn:
                    await self._round(box)
            except Unavailable:
                box.recall = True
                await self._clock.sleep(RETRY_S)
            finally:
                box.busy = False
            if box.recall:
                box.recall = False
                self._mark(box)

    async def _round(self, box: Mailbox) -> None:
        """Tell a box the next messages, as many as there is room for."""
        if not self.is_current(box):
            return
        if not box.loaded:
            await self._load(box)
        line = box.next_replay()
        if line is not None and box.may_send():
            await self._replay(box, line)
        if box.unread and box.may_send() and self.is_current(box):
            await self._catch_up(box)
        if not box.unread and box.next_replay() is None:
            box.behind = False
        elif box.may_send():
            box.recall = True

    async def _load(self, box: Mailbox) -> None:
        """Take up what the session stands for."""
        record = await self._standing.load(box)
        if box.upto > self._heard:
            box.upto = min(box.upto, await self._inboxes.last_seq())
        box.loaded = True
        if record is None or not self.is_current(box):
            return
        for each in record.subscriptions:
            replaying = not each.settled and each.after < box.upto
            line = Line(box, each.id, each.topic, each.after, each.after, replaying)
            self.add(line)
        for resumed in self._resumed:
            resumed(box, record.again)

    async def _replay(self, box: Mailbox, line: Line) -> None:
        """Tell the next older messages of one subscription."""
        limit = box.credits.may(READ_AT_ONCE)
        found = await self._inboxes.read_topics(
            box.agent.namespace, line.topic, after=line.at, limit=limit
        )
        for each in found:
            if not box.may_send() or line.id not in box.lines:
                return
            if not self.tell(box, each, line):
                return
            line.at = each.seq
        if len(found) < limit:
            # The box is behind: all it was told of was in the store when this was read.
            line.at = max(line.at, box.upto)
            box.caught_up(line)
            box.unread = True
            for replayed in self._replayed:
                replayed(box)

    async def _catch_up(self, box: Mailbox) -> None:
        """Tell the next messages past the position, of inbox and topics together."""
        limit = box.credits.may(READ_AT_ONCE)
        heard, box.missed = self._heard, 0
        found, horizon = await backlog(self._inboxes, box, limit=limit)
        if not self.is_current(box):
            return
        for each in found:
            line = None
            if isinstance(each, TopicMessage):
                line = box.choose(each.topic, each.seq)
                if line is None:
                    continue
            if not box.may_send() or not self.tell(box, each, line):
                return
            box.upto = each.seq
        if horizon is not None:
            box.upto = max(box.upto, horizon)
            return
        box.upto = max(box.upto, heard)
        box.unread = box.missed > box.upto

    def _wake(self, box: Mailbox) -> None:
        if box.behind and box.may_send():
            self._mark(box)

    def _mark(self, box: Mailbox) -> None:
        """Have a box read for."""
        if box.busy:
            box.recall = True
        else:
            self._behind[box] = None
            self._stir.set()

    def _deliver(self, box: Mailbox, arrived: Arrived, line: Line | None) -> Deliver:
        message, attempts = arrived.message, 1
        if isinstance(arrived, InboxMessage) and arrived.seq > 0:
            attempts = self.attempts.count(box.agent.key, arrived.seq)
        topic = isinstance(arrived, TopicMessage)
        return Deliver(
            seq=arrived.seq,
            id=message.id,
            sender=message.sender,
            to=message.to,
            type=message.type,
            data=message.data,
            time=message.time,
            attempts=attempts,
            subject=arrived.topic if topic else message.subject,
            reply_to=message.reply_to,
            priority=message.priority,
            subscription=None if line is None else line.id,
        )
