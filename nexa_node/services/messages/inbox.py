"""What an agent says of its inbox: dealt with, not now, never.

A message that is put off is in the session's record before that is answered, so it comes
again on whichever node the session is resumed.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import NoReturn

from nexa_node.contract.errors import NotFound, RateLimited, Unavailable
from nexa_node.contract.frames import Ack, Empty, Nack, Term
from nexa_node.ports import Clock, Inboxes
from nexa_node.services.api import Journal
from nexa_node.services.messages.delivery import RETRY_S, Delivery
from nexa_node.services.messages.mailbox import Mailbox
from nexa_node.services.messages.standing import Standing
from nexa_node.services.messages.topics import Topics
from nexa_node.services.sessions.live import LiveAgent

PUT_OFF_LIMIT = 256
"""Messages one session may have put off at once."""
TICK_S = 0.1
DUE_MIN = 10_000
"""With more of them, those of connections that are over are looked for."""


class Inbox:
    """Acknowledges, puts off and terminates."""

    def __init__(
        self,
        *,
        delivery: Delivery,
        standing: Standing,
        topics: Topics,
        inboxes: Inboxes,
        clock: Clock,
        journal: Journal,
    ) -> None:
        """Join what is needed."""
        self._delivery = delivery
        self._standing = standing
        self._topics = topics
        self._inboxes = inboxes
        self._clock = clock
        self._journal = journal
        self._given_up: list[Callable[[], object]] = []
        self._due: list[tuple[float, int, Mailbox, int, int]] = []
        """When, monotonic; of whom, which, and as it was put off last: see `_again`."""
        self._most = DUE_MIN
        self._order = itertools.count()
        self._stir = asyncio.Event()
        delivery.on_resumed(self._resumed)

    def on_given_up(self, listener: Callable[[], object]) -> None:
        """Have `listener` told of each message that an agent gave up."""
        self._given_up.append(listener)

    async def run(self) -> None:
        """Deliver again what was put off, when it is due, for ever."""
        while True:
            await self._stir.wait()
            if not self._due:
                self._stir.clear()
                continue
            wait_s = self._due[0][0] - self._clock.monotonic()
            if wait_s > 0:
                await self._clock.sleep(min(wait_s, TICK_S))
                continue
            _, _, box, seq, due_ms = heapq.heappop(self._due)
            await self._again(box, seq, due_ms)

    async def ack(self, agent: LiveAgent, said: Ack) -> Empty:
        """Drop what an agent has dealt with; what is not its own stays."""
        await self._inboxes.ack(agent.namespace, agent.id, seq=said.seq, upto=said.upto)
        self._delivery.attempts.forget(agent.key, seq=said.seq, upto=said.upto)
        return Empty()

    async def nack(self, agent: LiveAgent, said: Nack) -> Empty:
        """Deliver a message again, after a delay.

        Raises:
            NotFound: It is not in the agent's inbox, or was not delivered yet.
            RateLimited: The session has put off as many as it may.
            Conflict: The session goes on elsewhere.
            Unavailable: The store does not answer, or the connection is over.
        """
        box = self._delivery.box(agent)
        async with self._delivery.held(box):
            await self._check(box, said.seq)
            if len(box.put_off) >= PUT_OFF_LIMIT and said.seq not in box.put_off:
                raise RateLimited(
                    f"{PUT_OFF_LIMIT} messages are put off already",
                    remedy="deal with some, or end them with inbox.term",
                    retry_after_ms=1000,
                    details={"limit": PUT_OFF_LIMIT},
                )
            due_ms = int(self._clock.now().timestamp() * 1000) + said.delay_ms
            again = {**box.put_off, said.seq: due_ms}
            await self._standing.write(box, again=again)
            box.put_off = again
        self._schedule(box, said.seq, due_ms, said.delay_ms / 1000)
        return Empty()

    async def term(self, agent: LiveAgent, said: Term) -> Empty:
        """Drop a message that can't be dealt with, and say so in the events.

        Raises:
            NotFound: It is not in the agent's inbox.
            Unavailable: The store does not answer.
        """
        found = await self._inboxes.find(*agent.key, said.seq)
        if found is None:
            _not_there(said.seq)
        await self._inboxes.ack(*agent.key, seq=said.seq)
        self._delivery.attempts.forget(agent.key, seq=said.seq, upto=None)
        for listener in self._given_up:
            listener()
        self._journal.record(
            "message.terminated",
            subject=f"agent/{agent.id}",
            message=f"{agent.id} gave up message {said.seq}: {said.reason or 'no reason'}",
            severity="warning",
            data={
                "namespace": agent.namespace,
                "seq": said.seq,
                "id": found.message.id,
                "from": found.message.sender,
                "type": found.message.type,
                "reason": said.reason,
            },
        )
        return Empty()

    async def _check(self, box: Mailbox, seq: int) -> None:
        delivered = 0 < seq <= box.upto
        if not delivered or await self._inboxes.find(*box.agent.key, seq) is None:
            _not_there(seq)

    def _resumed(self, box: Mailbox, again: dict[int, int]) -> None:
        """Take up what another connection of the session had put off."""
        box.put_off = dict(again)
        now_ms = self._clock.now().timestamp() * 1000
        for seq, due_ms in again.items():
            self._schedule(box, seq, due_ms, max(0.0, (due_ms - now_ms) / 1000))

    def _schedule(self, box: Mailbox, seq: int, due_ms: int, delay_s: float) -> None:
        due = self._clock.monotonic() + delay_s
        heapq.heappush(self._due, (due, next(self._order), box, seq, due_ms))
        if len(self._due) > self._most:
            self._due = [
                each for each in self._due if self._delivery.is_current(each[2])
            ]
            heapq.heapify(self._due)
            self._most = max(DUE_MIN, 2 * len(self._due))
        self._stir.set()

    async def _again(self, box: Mailbox, seq: int, due_ms: int) -> None:
        """Deliver it, unless it was put off anew since: then it has another time."""
        if not self._delivery.is_current(box) or box.put_off.get(seq) != due_ms:
            return
        if not box.may_send():
            self._schedule(box, seq, due_ms, RETRY_S)
            return
        try:
            found = await self._inboxes.find(*box.agent.key, seq)
        except Unavailable:
            self._schedule(box, seq, due_ms, RETRY_S)
            return
        box.put_off.pop(seq, None)
        if found is not None:
            self._delivery.tell(box, found)
        self._topics.tidy(box)


def _not_there(seq: int) -> NoReturn:
    raise NotFound(
        f"position {seq} is no message of this agent's inbox: acknowledged, expired,"
        " another's, or of a topic"
    )
