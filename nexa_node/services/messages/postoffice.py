"""All that messages need, joined: sending, delivering, topics, requests, large data."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nexa_node.contract.frames import (
    Ack,
    Nack,
    RequestMessage,
    Subscribe,
    Term,
    Unsubscribe,
)
from nexa_node.contract.messages import NewMessage
from nexa_node.core.policies import RetentionPolicy, SessionPolicy
from nexa_node.services.access.traffic import check_receive, check_send
from nexa_node.services.means import Mail, Means
from nexa_node.services.messages.answers import Answers
from nexa_node.services.messages.delivery import Delivery
from nexa_node.services.messages.inbox import Inbox
from nexa_node.services.messages.messages import Messages
from nexa_node.services.messages.objects import Objects
from nexa_node.services.messages.posts import Posts
from nexa_node.services.messages.requests import Requests
from nexa_node.services.messages.rooms import Rooms
from nexa_node.services.messages.standing import Standing
from nexa_node.services.messages.topics import Topics
from nexa_node.services.sessions.live import LiveAgent

Call = Callable[[LiveAgent, Any], Awaitable[Any]]


class PostOffice:
    """The services of messages. An `Audience`."""

    def __init__(
        self,
        mail: Mail,
        means: Means,
        *,
        sessions: SessionPolicy,
        retention: RetentionPolicy,
    ) -> None:
        """Nothing is delivered before `run`.

        Args:
            mail: The store's parts.
            means: The node's.
            sessions: Sizes and rates.
            retention: How much is kept, and how long.
        """
        inboxes, clock, entropy = mail.inboxes, means.clock, means.entropy
        standing = Standing(mail.sessions, inboxes, node=means.node)
        self.delivery = Delivery(
            inboxes=inboxes, signals=mail.signals, standing=standing, clock=clock
        )
        self.answers = Answers(
            mail.signals, clock=clock, entropy=entropy, node=means.node
        )
        rooms = Rooms(inboxes, clock, most=retention.inbox_max)
        self.delivery.on_arrival(rooms.heard)
        self.messages = Messages(
            mail,
            means,
            delivery=self.delivery,
            answers=self.answers,
            rooms=rooms,
            policy=sessions,
        )
        self.requests = Requests(self.messages, self.answers)
        self.topics = Topics(
            delivery=self.delivery,
            standing=standing,
            inboxes=inboxes,
            clock=clock,
            entropy=entropy,
        )
        self.inbox = Inbox(
            delivery=self.delivery,
            standing=standing,
            topics=self.topics,
            inboxes=inboxes,
            clock=clock,
            journal=means.journal,
        )
        self.posts = Posts(inboxes, clock, self.delivery.on_arrival)
        self.objects = Objects(mail.objects, clock=clock, retention=retention)

    async def run(self) -> None:
        """Serve, for ever."""
        async with asyncio.TaskGroup() as group:
            for part in (
                self.delivery,
                self.answers,
                self.topics,
                self.inbox,
                self.objects,
            ):
                group.create_task(part.run())

    def calls(self) -> dict[str, Call]:
        """What agents may ask for, by method."""
        return {
            "message.send": self._send,
            "message.request": self._request,
            "topic.subscribe": self._subscribe,
            "topic.unsubscribe": self._unsubscribe,
            "inbox.ack": self._ack,
            "inbox.nack": self._nack,
            "inbox.term": self._term,
        }

    def grant(self, agent: LiveAgent, number: int) -> None:
        """Take in credits for messages."""
        self.delivery.grant(agent, number)

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """Deliver what waits; what an older connection waited for is over."""
        self.answers.replaced(agent)
        self.delivery.joined(agent, restarted=restarted)

    def changed(self, agent: LiveAgent) -> None:
        """There may be room again."""
        self.delivery.changed(agent)

    def away(self, agent: LiveAgent) -> None:
        """Deliver nothing more; the store keeps it."""
        self.answers.ended(agent)
        self.delivery.away(agent)

    def left(self, agent: LiveAgent, *, in_order: bool) -> None:
        """As when it is away."""
        self.answers.ended(agent)
        self.delivery.left(agent, in_order=in_order)

    async def _send(self, agent: LiveAgent, said: NewMessage) -> Any:
        check_send(agent.identity, agent.namespace, said.to)
        return await self.messages.send(agent.id, said, namespace=agent.namespace)

    async def _request(self, agent: LiveAgent, said: RequestMessage) -> Any:
        check_send(agent.identity, agent.namespace, said.to)
        return await self.requests.request(
            agent.id, said, namespace=agent.namespace, asker=agent
        )

    async def _subscribe(self, agent: LiveAgent, said: Subscribe) -> Any:
        check_receive(agent.identity, agent.namespace, said.topic)
        return await self.topics.subscribe(agent, said)

    async def _unsubscribe(self, agent: LiveAgent, said: Unsubscribe) -> Any:
        return await self.topics.unsubscribe(agent, said)

    async def _ack(self, agent: LiveAgent, said: Ack) -> Any:
        return await self.inbox.ack(agent, said)

    async def _nack(self, agent: LiveAgent, said: Nack) -> Any:
        return await self.inbox.nack(agent, said)

    async def _term(self, agent: LiveAgent, said: Term) -> Any:
        return await self.inbox.term(agent, said)
