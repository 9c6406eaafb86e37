"""How much room inboxes have: the sender of one message too many is told so.

The store is not asked for every message: after a look, what this node sends and what it
hears of others is counted, and only when that would fill the inbox it looks again.
Nodes that fill one inbox at the same moment may go over by what is on its way.
"""

import asyncio
from dataclasses import dataclass, field

from nexa_node.contract.errors import RateLimited
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.ports import Arrived, Clock, Inboxes, InboxMessage
from nexa_node.services.sessions.live import AgentKey

ROOMS_MAX = 10_000
"""Inboxes whose room is remembered; those sent to the longest ago go first."""
LOOK_AGAIN_S = 0.2
"""A full inbox is looked at no more often."""


@dataclass(slots=True, eq=False)
class _Room:
    left: int = -1
    """At the last look."""
    sent: int = 0
    """By this node since."""
    heard: int = 0
    """Of all nodes since; our own are among them, a little later."""
    looked: float = float("-inf")
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self) -> bool:
        if max(self.sent, self.heard) >= self.left:
            return False
        self.sent += 1
        return True


class Rooms:
    """The room of each inbox that was sent to lately."""

    def __init__(self, inboxes: Inboxes, clock: Clock, *, most: int) -> None:
        """An inbox holds `most` messages."""
        self._inboxes = inboxes
        self._clock = clock
        self._most = most
        self._rooms: dict[AgentKey, _Room] = {}

    async def take(self, namespace: Namespace, agent: AgentId) -> None:
        """Take the room for one message.

        Raises:
            RateLimited: The inbox is full; nothing was stored.
            Unavailable: The store does not answer.
        """
        room = self._room((namespace, agent))
        if room.take():
            return
        async with room.turn:
            if room.take():
                return
            now = self._clock.monotonic()
            if now - room.looked >= LOOK_AGAIN_S:
                room.sent = room.heard = 0
                count = await self._inboxes.count(namespace, agent)
                room.left, room.looked = self._most - count, now
            if not room.take():
                raise self._full(agent)

    def heard(self, arrived: Arrived) -> None:
        """Count what was stored, by whomever."""
        if isinstance(arrived, InboxMessage):
            room = self._rooms.get((arrived.namespace, arrived.agent))
            if room is not None:
                room.heard += 1

    def _room(self, key: AgentKey) -> _Room:
        room = self._rooms.pop(key, None) or _Room()
        self._rooms[key] = room
        if len(self._rooms) > ROOMS_MAX:
            del self._rooms[next(iter(self._rooms))]
        return room

    def _full(self, agent: AgentId) -> RateLimited:
        return RateLimited(
            f"the inbox of {agent} holds {self._most:,} messages, and takes no more until"
            " some are acknowledged",
            remedy=f"see why {agent} is not reading, or raise retention.inbox_max",
            retry_after_ms=1000,
            details={"reason": "inbox_full", "agent": agent, "limit": self._most},
        )
