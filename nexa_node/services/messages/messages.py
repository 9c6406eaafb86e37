"""Messages on their way in: checked, paced, stamped, and into inboxes and topics.

A durable message is answered when the store has it. Signals are not stored at all: they
are gone if nobody listens, and nobody is told. An answer to a request goes to the call
that waits for it and nowhere else.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nexa_node.contract.agents import Agent
from nexa_node.contract.errors import (
    NexaError,
    NoAgentAvailable,
    NotFound,
    RateLimited,
)
from nexa_node.contract.ids import (
    DEFAULT_NAMESPACE,
    AgentId,
    Namespace,
    time_ordered_id,
)
from nexa_node.contract.messages import Message, NewMessage, Sent
from nexa_node.core import intake
from nexa_node.core.policies import SessionPolicy
from nexa_node.core.receivers import able, least_busy
from nexa_node.core.replies import is_reserved
from nexa_node.ports import InboxMessage
from nexa_node.services.means import Mail, Means
from nexa_node.services.messages.answers import Answers
from nexa_node.services.messages.delivery import Delivery
from nexa_node.services.messages.pace import Pace
from nexa_node.services.messages.rooms import Rooms

SEND_AT_ONCE = 64
"""Inboxes a broadcast is written to in parallel."""
TOLD_AT_MOST = 10
"""Names in the details of an error."""


Taken = Callable[[NewMessage, str], object]
"""Told a message that was taken, and who sent it."""
Refused = Callable[[NewMessage, NexaError], object]


@dataclass(frozen=True, slots=True)
class Routed:
    """What became of a message."""

    sent: Sent
    receiver: AgentId | None
    """If it went to one agent."""


class Messages:
    """Sends messages."""

    def __init__(
        self,
        mail: Mail,
        means: Means,
        *,
        delivery: Delivery,
        answers: Answers,
        rooms: Rooms,
        policy: SessionPolicy,
    ) -> None:
        """Join what sending needs.

        Args:
            mail: Inboxes and topics, and what is not stored.
            means: Who there is, time and chance.
            delivery: Knows who is connected here.
            answers: Knows who waits for one.
            rooms: How much inboxes hold.
            policy: Sizes and rates.
        """
        self.check_quota: Callable[[Namespace], None] = lambda _: None
        """Raises `RateLimited` where a namespace sends too much."""
        self._taken: list[Taken] = []
        self._refused: list[Refused] = []
        self.sent = 0
        """Messages taken since the start; the sampler's."""
        self._inboxes = mail.inboxes
        self._signals = mail.signals
        self._delivery = delivery
        self._answers = answers
        self._rooms = rooms
        self._sight = means.sight
        self._clock = means.clock
        self._entropy = means.entropy
        self._rng = means.rng
        self._policy = policy
        self.pace = Pace(means.clock, policy)

    def on_taken(self, listener: Taken) -> None:
        """Have `listener` told of every message that was taken, and who sent it."""
        self._taken.append(listener)

    def on_refused(self, listener: Refused) -> None:
        """Have `listener` told of every message that was not taken, and why."""
        self._refused.append(listener)

    async def send(
        self,
        sender: str,
        message: NewMessage,
        *,
        namespace: Namespace = DEFAULT_NAMESPACE,
    ) -> Sent:
        """Send a message; a durable one is in the store when this returns.

        Args:
            sender: An agent's id, or `token:<id>`: never what the sender says.
            message: What is said, to whom; checked here.
            namespace: The sender's; a message does not leave it.

        Raises:
            Invalid: The address means nothing.
            PayloadTooLarge: The data is too large.
            RateLimited: The sender is too fast, or the inbox is full: nothing was stored
                there. Of a broadcast, the details say whose inbox is full.
            NoAgentAvailable: Nobody connected has the capability; or the message is not
                durable, and its agent is connected nowhere.
            NotFound: It is an answer, and nobody waits for it any more.
            Unavailable: The store does not answer; with the same id it may be sent again.
        """
        routed = await self.route(sender, message, namespace=namespace)
        return routed.sent

    async def route(
        self, sender: str, message: NewMessage, *, namespace: Namespace
    ) -> Routed:
        """Send a message, as `send` does, and say to whom it went."""
        self.check_quota(namespace)
        try:
            routed = await self._route(sender, message, namespace)
        except NexaError as error:
            for refused in self._refused:
                refused(message, error)
            raise
        self.sent += 1
        for taken in self._taken:
            taken(message, sender)
        return routed

    async def _route(
        self, sender: str, message: NewMessage, namespace: Namespace
    ) -> Routed:
        intake.check_message(message)
        intake.check_size("data", message.data, self._policy.data_bytes)
        self.pace.spend(f"{namespace}/{sender}")
        stamped = self._stamped(message, sender)
        to = message.to
        if is_reserved(to.topic or to.agent or ""):
            await self._answer(to.topic or to.agent or "", stamped, namespace)
            routed = Routed(Sent(id=stamped.id), None)
        elif to.topic is not None:
            sent = await self._publish(to.topic, message, stamped, namespace)
            routed = Routed(sent, None)
        elif to.broadcast:
            sent = await self._broadcast(message, stamped, sender, namespace)
            routed = Routed(sent, None)
        else:
            receiver = self._receiver(message, namespace)
            sent = await self._to_one(receiver, message, stamped, namespace)
            routed = Routed(sent, receiver)
        return routed

    def _stamped(self, new: NewMessage, sender: str) -> Message:
        now = self._clock.now()
        millis = int(now.timestamp() * 1000)
        return Message(
            id=new.id or time_ordered_id(millis, self._entropy(10)),
            sender=sender,
            to=new.to,
            type=new.type,
            time=now,
            data=new.data,
            subject=new.to.topic,
            reply_to=new.reply_to,
            priority=new.priority,
        )

    def _receiver(self, new: NewMessage, namespace: Namespace) -> AgentId:
        """The one agent that gets a message."""
        if new.to.agent is not None:
            return new.to.agent
        wanted = new.to.capability or ""
        everybody = able(self._sight.every_agent(namespace), wanted)
        chosen = least_busy(everybody, self._waiting, self._rng)
        if chosen is None:
            raise NoAgentAvailable(
                f"no connected agent has the capability {wanted}",
                remedy="nexa agents list",
                retry_after_ms=1000,
            )
        return chosen.id

    def _waiting(self, agent: Agent) -> int:
        return self._answers.asked(agent.namespace, agent.id)

    async def _to_one(
        self,
        receiver: AgentId,
        new: NewMessage,
        stamped: Message,
        namespace: Namespace,
    ) -> Sent:
        if new.durable:
            await self._rooms.take(namespace, receiver)
            seq, duplicate = await self._inboxes.append(
                namespace, receiver, stamped, ttl_s=_ttl_s(new)
            )
            return Sent(id=stamped.id, seq=seq, duplicate=duplicate)
        if self._delivery.has(namespace, receiver):
            self._delivery.signal(InboxMessage(namespace, receiver, 0, stamped))
            return Sent(id=stamped.id)
        known = self._sight.agent(namespace, receiver)
        if known is None or not known.connected:
            raise NoAgentAvailable(
                f"{receiver} is not connected, and the message is not to be kept",
                remedy="send it durable, or try again later",
                retry_after_ms=1000,
            )
        await self._signals.send(namespace, receiver, stamped)
        return Sent(id=stamped.id)

    async def _publish(
        self, topic: str, new: NewMessage, stamped: Message, namespace: Namespace
    ) -> Sent:
        if not new.durable:
            await self._signals.publish(namespace, topic, stamped)
            return Sent(id=stamped.id)
        seq, duplicate = await self._inboxes.publish(
            namespace, topic, stamped, ttl_s=_ttl_s(new)
        )
        return Sent(id=stamped.id, seq=seq, duplicate=duplicate)

    async def _broadcast(
        self, new: NewMessage, stamped: Message, sender: str, namespace: Namespace
    ) -> Sent:
        """Send to all others; said again with the same id, only where it is missing."""
        everybody = self._sight.every_agent(namespace)
        receivers = [each.id for each in everybody if each.id != sender]
        if not new.durable:
            for receiver in receivers:
                await self._signals.send(namespace, receiver, stamped)
            return Sent(id=stamped.id)
        duplicate, full = bool(receivers), list[AgentId]()
        for start in range(0, len(receivers), SEND_AT_ONCE):
            some = receivers[start : start + SEND_AT_ONCE]
            stored = await asyncio.gather(
                *(self._append(namespace, each, stamped, _ttl_s(new)) for each in some)
            )
            full += [
                one for one, known in zip(some, stored, strict=True) if known is None
            ]
            duplicate = duplicate and all(stored)
        if full:
            raise _some_are_full(stamped, full, len(receivers))
        return Sent(id=stamped.id, duplicate=duplicate)

    async def _append(
        self,
        namespace: Namespace,
        receiver: AgentId,
        message: Message,
        ttl_s: int | None,
    ) -> bool | None:
        """Whether it was there already; None if the inbox is full."""
        try:
            await self._rooms.take(namespace, receiver)
        except RateLimited:
            return None
        _, known = await self._inboxes.append(namespace, receiver, message, ttl_s=ttl_s)
        return known

    async def _answer(
        self, address: str, answer: Message, namespace: Namespace
    ) -> None:
        if not await self._answers.pass_on(namespace, address, answer):
            raise NotFound(
                "nobody waits for this answer: the time was over, another one was faster,"
                " or there never was such a request",
                details={"reply_to": address},
            )


def _ttl_s(new: NewMessage) -> int | None:
    """Whole seconds, rounded up: the store counts in no smaller ones."""
    return None if new.ttl_ms is None else -(-new.ttl_ms // 1000)


def _some_are_full(message: Message, full: list[AgentId], wanted: int) -> RateLimited:
    return RateLimited(
        f"{len(full)} of {wanted} inboxes are full; the others have the message",
        remedy="send it again with the same id: only those that miss it get it",
        retry_after_ms=1000,
        details={
            "reason": "inbox_full",
            "id": message.id,
            "agents": full[:TOLD_AT_MOST],
            "stored": wanted - len(full),
        },
    )
