"""Subscriptions to topics: part of a session, so they survive its connections.

A subscription is in the session's record before it is answered. What it begins with is
told in order before anything new of it; from then on it shares the session's position.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from nexa_node.contract.errors import Conflict, Invalid, NotFound, Unavailable
from nexa_node.contract.frames import Subscribe, Subscribed, Unsubscribe
from nexa_node.core.intake import parse_moment
from nexa_node.core.topics import SUBSCRIPTIONS_LIMIT
from nexa_node.ports import Clock, Inboxes, StandingSubscription
from nexa_node.services.messages.delivery import RETRY_S, Delivery
from nexa_node.services.messages.mailbox import Line, Mailbox
from nexa_node.services.messages.standing import Standing
from nexa_node.services.sessions.live import LiveAgent

ID_BYTES = 8


class Topics:
    """Subscribes and unsubscribes."""

    def __init__(
        self,
        *,
        delivery: Delivery,
        standing: Standing,
        inboxes: Inboxes,
        clock: Clock,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Join what is needed."""
        self._delivery = delivery
        self._standing = standing
        self._inboxes = inboxes
        self._clock = clock
        self._entropy = entropy
        self._untidy: dict[Mailbox, None] = {}
        self._stir = asyncio.Event()
        delivery.on_replayed(self.tidy)

    async def run(self) -> None:
        """Note in the records what has come to an end, for ever."""
        while True:
            await self._stir.wait()
            if not self._untidy:
                self._stir.clear()
                continue
            box = next(iter(self._untidy))
            del self._untidy[box]
            await self._tidy(box)

    def tidy(self, box: Mailbox) -> None:
        """Have a record say, soon, that a replay or a delay is over."""
        self._untidy[box] = None
        self._stir.set()

    async def subscribe(self, agent: LiveAgent, said: Subscribe) -> Subscribed:
        """Begin to deliver a topic; it is part of the session when this returns.

        A topic that is subscribed already keeps its subscription; if it asks for older
        messages, they are told once more.

        Raises:
            Invalid: The session has as many subscriptions as it may.
            Conflict: The session goes on elsewhere.
            Unavailable: The store does not answer, or the connection is over.
        """
        box = self._delivery.box(agent)
        async with self._delivery.still(box):
            known = box.line_of(said.topic)
            if known is not None and said.start == "new":
                return Subscribed(subscription=known.id)
            if known is None and len(box.lines) >= SUBSCRIPTIONS_LIMIT:
                raise Invalid(
                    f"this session has {SUBSCRIPTIONS_LIMIT} subscriptions already",
                    remedy="use a wildcard, or topic.unsubscribe",
                    details={"limit": SUBSCRIPTIONS_LIMIT},
                )
            at = await self._start(said.start)
            line = self._line(box, said.topic, at, known)
            await self._standing.write(box, subscriptions=_with(box, line))
            if not self._delivery.is_current(box):
                raise Unavailable(f"the connection of {agent.id} is over")
            if known is not None:
                self._delivery.drop(known)
            self._delivery.add(line)
        return Subscribed(subscription=line.id)

    async def unsubscribe(self, agent: LiveAgent, said: Unsubscribe) -> Subscribed:
        """End a subscription; nothing more of it is delivered when this returns.

        Raises:
            NotFound: There is none such.
            Conflict: The session goes on elsewhere.
            Unavailable: The store does not answer, or the connection is over.
        """
        box = self._delivery.box(agent)
        async with self._delivery.still(box):
            line = box.lines.get(said.subscription or "")
            if said.topic is not None:
                line = box.line_of(said.topic)
            if line is None:
                wanted = (said.topic or said.subscription or "")[:64]
                raise NotFound(f"this session has no subscription {wanted!a}")
            left = tuple(each for each in box.standing() if each.id != line.id)
            await self._standing.write(box, subscriptions=left)
            self._delivery.drop(line)
        return Subscribed(subscription=line.id)

    def _line(self, box: Mailbox, topic: str, at: int, known: Line | None) -> Line:
        named = self._entropy(ID_BYTES).hex() if known is None else known.id
        line = Line(box, named, topic, at, at, replaying=at < box.upto)
        if known is not None:
            line.order = known.order
        return line

    async def _start(self, start: Any) -> int:
        """The position after which messages are wanted."""
        if start == "new":
            return await self._inboxes.last_seq()
        if start == "all":
            return 0
        if "seq" in start:
            return max(0, start["seq"] - 1)
        moment: datetime = parse_moment(start["time"])
        return await self._inboxes.position(moment)

    async def _tidy(self, box: Mailbox) -> None:
        if not self._delivery.is_current(box):
            return
        try:
            async with self._delivery.held(box):
                await self._standing.write(box)
        except Unavailable:
            self.tidy(box)
            await self._clock.sleep(RETRY_S)
        except Conflict:
            return


def _with(box: Mailbox, line: Line) -> tuple[StandingSubscription, ...]:
    """What the session stands for once `line` is in it, or in the place of its like."""
    new = StandingSubscription(
        id=line.id, topic=line.topic, after=line.since, settled=not line.replaying
    )
    others = [new if each.id == line.id else each for each in box.standing()]
    return tuple(others) if line.id in box.lines else (*others, new)
