"""Inboxes, topics and sessions against a reference model, in random stories.

Two nodes over one store, two readers, senders at both nodes. Letters are sent durable,
with ids that come again, with a time to live, and to topics; readers acknowledge one or
all up to one, put off, give up, subscribe with and without the past, are lost, resume on
either node from the highest position they saw, or begin anew; nodes are killed; the store
falls silent or loses its answers.

After every step: what was told was stored, for that reader, once, in order and in time;
nothing is told that was dealt with; and a reader that is connected knows all it is meant
to, as soon as the store has been well for a moment.

How to run more of it: see `test_tasks_model.py`.
"""

import sys
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import AgentId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.ports import Arrived
from tests.fakes import DUPLICATE_WINDOW_S
from tests.node.model.inbox_laws import Post, Reader
from tests.node.model.world import AILMENTS, NODES, ModelAgent, World, profile

READERS = ("r-0", "r-1")
SENDERS = ("token:ann", "token:bob")
TOPICS = ("a.x", "a.y", "b.x")
PATTERNS = ("a.*", "a.x", "*.x", ">")
MOMENT_S = 1.5
"""After it, a node has asked a store again that was silent."""

picks = st.integers(0, 11)
nodes = st.sampled_from(NODES)
readers = st.sampled_from(READERS)


class InboxesMachine(RuleBasedStateMachine):
    """One story."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = sys.exc_info()[1]
        self.world = World()
        self.post = Post()
        self.sent: list[tuple[NewMessage, str, int, float]] = []
        """Answered messages that have an id: with sender, position and time."""
        self.count = 0

    @initialize()
    def begin(self) -> None:
        inboxes = self.world.store.inboxes
        put, clock = inboxes._hub.publish, self.world.clock

        def stored(arrived: Arrived) -> None:
            kept = inboxes.kept[arrived.seq]
            assert kept.until is not None
            at = clock.monotonic()
            self.post.stored(arrived, kept.until - at, at)
            put(arrived)

        inboxes._hub.publish = stored
        self.world.run(self._start())

    async def _start(self) -> None:
        for name in NODES:
            await self.world.start(name)
        for name in READERS:
            self.post.readers[name] = Reader(name)
            await self._join(self.world.agent(name), NODES[0], resume=False)

    # -- sending ---------------------------------------------------------------

    @rule(
        node=nodes,
        to=st.sampled_from([*READERS, *READERS, *TOPICS]),
        sender=st.sampled_from(SENDERS),
        ttl_ms=st.sampled_from([None, None, None, 1500]),
        named=st.booleans(),
    )
    def send(
        self, node: str, to: str, sender: str, ttl_ms: int | None, named: bool
    ) -> None:
        self.count += 1
        where = Address(agent=AgentId(to)) if to in READERS else Address(topic=to)
        new = NewMessage(
            to=where,
            type="note",
            data=self.count,
            id=f"m-{self.count}" if named else None,
            ttl_ms=ttl_ms,
        )
        before = self.post.newest()
        told, sent = self.world.run(self._send(node, sender, new))
        self._expect(told, "ok")
        if told == "ok":
            assert not sent.duplicate
            assert sent.seq > before
            letter = self.post.letters[sent.seq]
            assert (letter.where, letter.data) == (to, self.count)
            if named:
                now = self.world.clock.monotonic()
                self.sent.append((new, sender, sent.seq, now))

    @precondition(lambda self: self.sent)
    @rule(node=nodes, pick=picks)
    def send_again(self, node: str, pick: int) -> None:
        """The same id to the same receiver is stored once."""
        new, sender, seq, at = self.sent[pick % len(self.sent)]
        before = self.post.newest()
        if self.world.clock.monotonic() - at >= DUPLICATE_WINDOW_S:
            return
        told, sent = self.world.run(self._send(node, sender, new))
        self._expect(told, "ok")
        assert self.post.newest() == before, "stored twice"
        if told == "ok":
            assert (sent.duplicate, sent.seq) == (True, seq)

    async def _send(self, node: str, sender: str, new: NewMessage) -> Any:
        try:
            return "ok", await self.world.rigs[node].messages.send(sender, new)
        except NexaError as error:
            return error.reason, None

    # -- readers come and go ---------------------------------------------------

    @rule(id=readers, node=nodes, resume=st.sampled_from([True, True, False]))
    def connect(self, id: str, node: str, resume: bool) -> None:
        agent = self.world.agent(id)

        async def move() -> None:
            if self.world.where(agent) not in (None, node):
                await self._lose(agent)
            await self._join(agent, node, resume=resume)

        self.world.run(move())

    async def _join(self, agent: ModelAgent, node: str, *, resume: bool) -> None:
        self._take(agent)
        reader = self.post.readers[agent.id]
        agent.rig = self.world.rigs[node]
        welcome = agent.welcome
        resume = resume and welcome is not None
        if resume:
            answer = await agent.resume(last_seq=reader.last)
        else:
            answer = await agent.hello()
        if "result" in answer:
            assert answer["result"]["resumed"] == resume, answer
            reader.begin(resumed=resume)
            return
        assert not self.world.is_healthy, answer
        # The hello may be recorded all the same, and then the old session is over.
        agent.welcome = welcome if resume else None

    @rule(id=readers)
    def lose(self, id: str) -> None:
        agent = self.world.agent(id)
        if agent.is_connected:
            self.world.run(self._lose(agent))

    async def _lose(self, agent: ModelAgent) -> None:
        self._take(agent)
        await agent.lose()
        agent.connection = None

    # -- what they say of their letters ----------------------------------------

    @rule(id=readers, pick=picks, upto=st.booleans())
    def ack(self, id: str, pick: int, upto: bool) -> None:
        """One, or all up to one; also what is no letter of its own."""
        agent, reader = self._reader(id)
        seq = self._seq(reader, pick)
        if not agent.is_connected or seq is None:
            return
        what = {"upto": seq} if upto else {"seq": seq}
        told, _ = self.world.run(agent.say("inbox.ack", **what))
        self._expect(told, "ok")
        meant = {
            each.seq
            for each in self.post.letters.values()
            if not each.is_topic
            and each.where == id
            and (each.seq <= seq if upto else each.seq == seq)
        }
        self._dealt(reader, meant, told)

    @rule(id=readers, pick=picks)
    def term(self, id: str, pick: int) -> None:
        agent, reader = self._reader(id)
        seq = self._seq(reader, pick)
        if not agent.is_connected or seq is None:
            return
        expected = self._there(reader, seq)
        told, error = self.world.run(agent.say("inbox.term", seq=seq, reason="no"))
        self._expect(told, *expected, why=(reader, seq, error))
        if told != "not_found":
            self._dealt(reader, {seq}, told)

    @rule(id=readers, pick=picks, delay_ms=st.sampled_from([0, 300, 2000]))
    def nack(self, id: str, pick: int, delay_ms: int) -> None:
        agent, reader = self._reader(id)
        seq = self._seq(reader, pick)
        if not agent.is_connected or seq is None:
            return
        expected = self._there(reader, seq)
        due = self.world.clock.monotonic() + delay_ms / 1000
        repeats, again = set(reader.repeats), dict(reader.again)
        reader.repeats.add(seq)
        if "ok" in expected:
            reader.again.pop(seq, None)
        told, error = self.world.run(
            agent.say("inbox.nack", seq=seq, delay_ms=delay_ms)
        )
        self._expect(told, *expected, why=(reader, seq, error))
        if told == "ok":
            reader.again[seq] = due
            self._take(agent)
        elif told == "not_found":
            reader.repeats, reader.again = repeats, again

    def _dealt(self, reader: Reader, meant: set[int], told: str) -> None:
        self._take(self.world.agent(reader.id))
        if told == "ok":
            reader.dealt |= meant
            reader.maybe -= meant
        else:
            reader.maybe |= meant - reader.dealt
        for seq in meant:
            reader.again.pop(seq, None)

    def _there(self, reader: Reader, seq: int) -> tuple[str, ...]:
        """What `nack` and `term` of a position are answered."""
        letter = self.post.letters[seq]
        now = self.world.clock.monotonic()
        mine = not letter.is_topic and letter.where == reader.id
        if not mine or seq in reader.dealt or now >= letter.until:
            return ("not_found",)
        if seq in reader.maybe:
            return ("ok", "not_found")
        return ("ok",)

    def _seq(self, reader: Reader, pick: int) -> int | None:
        """A position: mostly of a letter that was told, the newest first."""
        if pick > 9 and self.post.letters:
            known = [each for each in self.post.letters if each <= reader.last]
            return known[-1] if known else None
        told = list(reader.told)[::-1]
        return told[pick % len(told)] if told else None

    @rule(id=readers, number=st.integers(1, 3))
    def grant(self, id: str, number: int) -> None:
        """Take so many more, and from now on no more than granted."""
        agent, reader = self._reader(id)
        if agent.is_connected:
            reader.credits = (reader.credits or 0) + number
            self.world.run(agent.notify("flow.credit", scope="inbox", n=number))

    # -- topics ----------------------------------------------------------------

    @rule(
        id=readers,
        topic=st.sampled_from(PATTERNS),
        start=st.sampled_from(["new", "new", "all", "seq"]),
    )
    def subscribe(self, id: str, topic: str, start: str) -> None:
        agent, reader = self._reader(id)
        if not agent.is_connected:
            return
        newest = self.post.newest()
        seq = max(1, newest - 2)
        after = {"new": newest, "all": 0, "seq": seq - 1}[start]
        known = reader.allowed.get(topic)
        is_sure = known is None or topic in reader.subscribed
        reader.allowed[topic] = after if known is None else min(known, after)
        begin = {"seq": seq} if start == "seq" else start
        told, _ = self.world.run(
            agent.say("topic.subscribe", topic=topic, **{"from": begin})
        )
        self._expect(told, "ok")
        if told == "ok":
            since = min(after, reader.subscribed.get(topic, after))
            reader.subscribed[topic] = since if is_sure else max(after, newest)
        self._take(agent)

    @rule(id=readers, topic=st.sampled_from(PATTERNS))
    def unsubscribe(self, id: str, topic: str) -> None:
        agent, reader = self._reader(id)
        if not agent.is_connected:
            return
        self._take(agent)
        sure, perhaps = topic in reader.subscribed, topic in reader.allowed
        expected = (
            ("ok",) if sure else ("ok", "not_found") if perhaps else ("not_found",)
        )
        told, _ = self.world.run(agent.say("topic.unsubscribe", topic=topic))
        self._take(agent)
        self._expect(told, *expected)
        reader.subscribed.pop(topic, None)
        if told != "unavailable":
            reader.allowed.pop(topic, None)

    # -- what befalls them -----------------------------------------------------

    @rule(seconds=st.sampled_from([0.2, 0.6, 1.2, 2.5, 5]))
    def time_passes(self, seconds: float) -> None:
        self.world.run(self.world.clock.advance(seconds))

    @rule(node=nodes, away_s=st.sampled_from([0, 2]))
    def node_is_killed(self, node: str, away_s: float) -> None:
        for name in READERS:
            self._take(self.world.agent(name))
        self.world.run(self.world.crash(node, away_s))

    @rule(how=st.sampled_from(AILMENTS))
    def store_is(self, how: str) -> None:
        self.world.ail(how)

    # -- what holds after every step -------------------------------------------

    @invariant()
    def letters_hold(self) -> None:
        if not self.world.rigs:
            return
        now = self.world.clock.monotonic()
        for name in READERS:
            self._take(self.world.agent(name))
        assert not self.post.broken, "\n".join(self.post.broken)
        self.world.check()
        for name in READERS:
            agent, reader = self._reader(name)
            if agent.is_connected and self.world.steady_s() >= MOMENT_S:
                missing = self.post.missing(reader, now)
                assert not missing, f"{name} was not told {missing}; {reader}"

    @invariant()
    def all_letters_are_kept(self) -> None:
        """What nobody dealt with and whose time is not over is in the store."""
        now = self.world.clock.monotonic()
        kept = self.world.store.inboxes.kept
        for reader in self.post.readers.values():
            lost = [one for one in self.post.live(reader, now) if one.seq not in kept]
            assert not lost, lost

    # -- the end of the story --------------------------------------------------

    def teardown(self) -> None:
        try:
            if sys.exc_info()[1] is self.outer and self.world.rigs:
                self.all_is_told()
        finally:
            self.world.end()

    def all_is_told(self) -> None:
        """All is well, and everybody is back: they know all they are meant to."""
        self.world.ail("well")
        for number, name in enumerate(READERS):
            agent = self.world.agent(name)
            if not agent.is_connected:
                self.world.run(self._join(agent, NODES[number], resume=True))
            self.post.readers[name].credits = 10_000
            self.world.run(agent.notify("flow.credit", scope="inbox", n=10_000))
        self.world.run(self.world.clock.advance(4))
        self.letters_hold()
        for name in READERS:
            agent, reader = self._reader(name)
            now = self.world.clock.monotonic()
            left = {one.seq for one in self.post.live(reader, now)}
            self.world.run(self._lose(agent))
            self.world.run(self._join(agent, NODES[0], resume=False))
            self._take(agent)
            assert left <= set(reader.told) <= left | reader.maybe, (left, reader)

    # -- helpers ---------------------------------------------------------------

    def _reader(self, id: str) -> tuple[ModelAgent, Reader]:
        agent = self.world.agent(id)
        self._take(agent)
        return agent, self.post.readers[id]

    def _take(self, agent: ModelAgent) -> None:
        """Take in what a reader was told."""
        reader = self.post.readers[agent.id]
        for frame in agent.fresh():
            if frame.get("method") == "message.deliver":
                self.post.told(reader, frame["params"], frame["at"])

    def _expect(self, told: str, *expected: str, why: Any = None) -> None:
        allowed = expected if self.world.is_healthy else (*expected, "unavailable")
        assert told in allowed, (told, expected, why)


def test_inboxes_keep_to_the_model() -> None:
    run_state_machine_as_test(InboxesMachine, settings=profile(60))
