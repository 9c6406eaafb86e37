"""Topics an agent listens to: subscribed again whenever a fresh session begins.

A session that is resumed has its subscriptions still. In a fresh one each topic is
taken up behind the last message that was seen, so that nothing of it is missed.
Everything here runs on the author's loop.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from nexa_node.agent.upward import Connected, Disconnected
from nexa_node.contract.errors import NexaError
from nexa_node.contract.frames import Deliver, Subscribe, Subscribed

Start = Literal["new", "all"] | int | datetime
"""Where to begin: what comes, all that is kept, a position, a moment."""
Ask = Callable[[str, Any, type[Subscribed]], Awaitable[Subscribed]]
"""`Agent.call`."""

_log = logging.getLogger("nexa.agent")


@dataclass(slots=True, eq=False)
class Subscription:
    """One topic, and who handles its messages."""

    topic: str
    start: Start
    handler: Callable[[Deliver], Any]
    id: str | None = None
    """The node's name for it, in this session."""
    seen: int = 0
    """The position of the newest message; older ones come again only by mistake."""
    ended: bool = False
    beginning: bool = False
    """The node is being asked."""

    def request(self) -> Subscribe:
        """Say from where on it is wanted now."""
        if self.seen:
            return Subscribe(topic=self.topic, start={"seq": self.seen + 1})
        if isinstance(self.start, datetime):
            return Subscribe(topic=self.topic, start={"time": self.start.isoformat()})
        if isinstance(self.start, int):
            return Subscribe(topic=self.topic, start={"seq": self.start})
        return Subscribe(topic=self.topic, start=self.start)


class Subscriptions:
    """All of one agent."""

    def __init__(self) -> None:
        """Begin with none."""
        self._all: list[Subscription] = []
        self._by_id: dict[str, Subscription] = {}

    def __iter__(self):
        """All of them."""
        return iter(list(self._all))

    def add(self, subscription: Subscription) -> None:
        """Have it taken up with the next fresh session."""
        self._all.append(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Forget one."""
        subscription.ended = True
        self._all.remove(subscription)
        if subscription.id is not None:
            self._by_id.pop(subscription.id, None)

    def forget_session(self, change: Connected | Disconnected) -> bool:
        """Take in that the session is another; True if all are to be taken up again."""
        if isinstance(change, Disconnected) or change.resumed:
            return False
        self._by_id.clear()
        for each in self._all:
            each.id = None
        return bool(self._all)

    async def take_up(self, ask: Ask) -> None:
        """Subscribe what is not subscribed in this session."""
        for each in list(self._all):
            if each.id is None and not each.beginning:
                try:
                    await self.begin(each, ask)
                except NexaError as error:
                    _log.error("the topic %s is not subscribed: %s", each.topic, error)

    async def begin(self, subscription: Subscription, ask: Ask) -> None:
        """Subscribe one.

        Raises:
            NexaError: The node refuses it.
        """
        subscription.beginning = True
        try:
            told = await ask("topic.subscribe", subscription.request(), Subscribed)
        finally:
            subscription.beginning = False
        subscription.id = told.subscription
        self._by_id[told.subscription] = subscription

    def find(self, message: Deliver) -> Subscription | None:
        """Whose message it is; None for one that came before, or is nobody's.

        The node may tell a message before it has told the subscription's name: then
        the topic says whose it is.
        """
        found = self._by_id.get(message.subscription or "")
        if found is None:
            found = next((each for each in self._all if _covers(each, message)), None)
        if found is None or 0 < message.seq <= found.seen:
            return None
        found.seen = max(found.seen, message.seq)
        return found


def _covers(subscription: Subscription, message: Deliver) -> bool:
    if subscription.id is not None or message.subject is None:
        return False
    wanted, tokens = subscription.topic.split("."), message.subject.split(".")
    for number, word in enumerate(wanted):
        if word == ">":
            return len(tokens) > number
        if number >= len(tokens) or word not in ("*", tokens[number]):
            return False
    return len(wanted) == len(tokens)
