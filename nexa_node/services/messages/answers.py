"""Answers to requests: from whoever sends one to the call that waits for it.

An address holds the tag of the node that waits and 128 random bits; whoever was told it
may answer, once. Nothing of it is stored: an answer that nobody waits for is refused.
"""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable, Generator
from dataclasses import dataclass

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.messages import Message
from nexa_node.core.replies import SECRET_BYTES, node_tag, reply_address, tag_of
from nexa_node.ports import Clock, Signals
from nexa_node.services.sessions.live import AgentKey, LiveAgent

RETRY_S = 0.5
TICK_S = 0.05
"""How exactly time-outs are kept."""

Outcome = Message | str
"""The answer; or why there is none."""
TOO_LATE, ENDED = "the time is over", "the connection is over"


@dataclass(slots=True, eq=False)
class Waiting:
    """A call that waits."""

    address: str
    outcome: asyncio.Future[Outcome]
    until: float
    """Monotonic."""
    asker: LiveAgent | None
    receiver: AgentKey | None = None

    def end(self, outcome: Outcome) -> bool:
        """Give the call what it waits for; False if it has it already."""
        if self.outcome.done():
            return False
        self.outcome.set_result(outcome)
        return True


class Answers:
    """The calls of this node that wait for an answer."""

    def __init__(
        self,
        signals: Signals,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        node: str,
    ) -> None:
        """Nobody waits; `node` is this node's id."""
        self._signals = signals
        self._clock = clock
        self._entropy = entropy
        self._tag = node_tag(node)
        self._waiting: dict[tuple[Namespace, str], Waiting] = {}
        self._askers: dict[AgentKey, set[Waiting]] = {}
        self._times: list[tuple[float, int, Waiting]] = []
        self._order = itertools.count()
        self._stir = asyncio.Event()
        self._asked: dict[AgentKey, int] = {}

    async def run(self) -> None:
        """Take the answers that other nodes pass on, and mind the time, for ever."""
        while True:
            try:
                await self._signals.take_answers(self._tag, self._take)
            except Unavailable:
                await self._clock.sleep(RETRY_S)
            else:
                break
        while True:
            await self._stir.wait()
            self._expire()
            if self._times:
                await self._clock.sleep(TICK_S)
            else:
                self._stir.clear()

    @contextlib.contextmanager
    def expect(
        self, namespace: Namespace, *, timeout_s: float, asker: LiveAgent | None
    ) -> Generator[Waiting]:
        """Wait for an answer, to an address that was never used."""
        address = reply_address(self._tag, self._entropy(SECRET_BYTES))
        until = self._clock.monotonic() + timeout_s
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiting = Waiting(address, outcome, until, asker)
        self._waiting[namespace, address] = waiting
        heapq.heappush(self._times, (until, next(self._order), waiting))
        self._stir.set()
        if asker is not None:
            self._askers.setdefault(asker.key, set()).add(waiting)
        try:
            yield waiting
        finally:
            waiting.end(ENDED)
            del self._waiting[namespace, address]
            self._forget(waiting)

    def sent_to(self, waiting: Waiting, receiver: AgentKey) -> None:
        """Note who has to answer."""
        waiting.receiver = receiver
        self._count(receiver, 1)

    def asked(self, namespace: Namespace, agent: AgentId) -> int:
        """How many requests of this node an agent has not answered yet."""
        return self._asked.get((namespace, agent), 0)

    async def pass_on(
        self, namespace: Namespace, address: str, answer: Message
    ) -> bool:
        """Give an answer to the call that waits for it, on any node; False if none does.

        Raises:
            Unavailable: The other node may or may not have got it.
        """
        tag = tag_of(address)
        if tag is None:
            return False
        if tag == self._tag:
            return self._take(namespace, address, answer)
        return await self._signals.answer(tag, namespace, address, answer)

    def ended(self, asker: LiveAgent) -> None:
        """End the calls of a connection that is over."""
        for waiting in tuple(self._askers.get(asker.key, ())):
            if waiting.asker is asker:
                waiting.end(ENDED)

    def replaced(self, by: LiveAgent) -> None:
        """End the calls of an agent's older connections."""
        for waiting in tuple(self._askers.get(by.key, ())):
            if waiting.asker is not by:
                waiting.end(ENDED)

    def _expire(self) -> None:
        """End the calls whose time is over, and forget those that ended before."""
        now = self._clock.monotonic()
        while self._times and (
            self._times[0][0] <= now or self._times[0][2].outcome.done()
        ):
            heapq.heappop(self._times)[2].end(TOO_LATE)

    def _forget(self, waiting: Waiting) -> None:
        if waiting.receiver is not None:
            self._count(waiting.receiver, -1)
        if waiting.asker is not None:
            mine = self._askers[waiting.asker.key]
            mine.discard(waiting)
            if not mine:
                del self._askers[waiting.asker.key]

    def _take(self, namespace: Namespace, address: str, answer: Message) -> bool:
        waiting = self._waiting.get((namespace, address))
        return waiting is not None and waiting.end(answer)

    def _count(self, receiver: AgentKey, change: int) -> None:
        now = self._asked.get(receiver, 0) + change
        if now > 0:
            self._asked[receiver] = now
        else:
            self._asked.pop(receiver, None)
