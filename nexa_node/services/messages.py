"""Messages between agents: into durable inboxes, and from there to live sessions.

A durable message is answered when the store has it. It waits there until its agent
acknowledges it; a session is sent what its agent has room for, in order, and what does
not fit into the connection stays in the store. Signals are not stored at all.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from nexa_node.contract.agents import Agent
from nexa_node.contract.errors import (
    Invalid,
    NoAgentAvailable,
    RateLimited,
    Unavailable,
)
from nexa_node.contract.frames import Ack, Deliver
from nexa_node.contract.ids import (
    DEFAULT_NAMESPACE,
    AgentId,
    Namespace,
    time_ordered_id,
)
from nexa_node.contract.messages import Message, NewMessage, Sent
from nexa_node.core import intake
from nexa_node.core.flow import Bucket, Credits
from nexa_node.core.policies import SessionPolicy
from nexa_node.core.strategies import CLOSED_STATES
from nexa_node.ports import Clock, Inboxes, Signals
from nexa_node.services.live import AgentKey, LiveAgent
from nexa_node.services.sight import Sight

READ_AT_ONCE = 64
"""Messages read from an inbox in one go."""
SEND_AT_ONCE = 64
"""Inboxes a broadcast is written to in parallel."""
RETRY_S = 0.5
BUCKETS_MAX = 10_000
"""Senders whose pace is remembered; idle ones go first."""


@dataclass(slots=True, eq=False)
class Mailbox:
    """What one session was sent of its agent's inbox."""

    agent: LiveAgent
    upto: int
    """The position of the last message sent."""
    behind: bool = True
    """There may be more in the store."""
    credits: Credits = field(default_factory=Credits)

    def may_send(self) -> bool:
        """Whether the connection and the agent take one more."""
        connection = self.agent.connection
        room = connection is not None and connection.is_roomy
        return room and self.credits.may(1) > 0


class Messages:
    """Sends messages, and delivers those of this node's agents. An `Audience`."""

    def __init__(
        self,
        *,
        inboxes: Inboxes,
        signals: Signals,
        sight: Sight,
        clock: Clock,
        entropy: Callable[[int], bytes],
        policy: SessionPolicy,
        rng: random.Random,
    ) -> None:
        """Nothing is delivered before `run`.

        Args:
            inboxes: What is stored.
            signals: What is not.
            sight: Who has a capability, and who there is.
            clock: Times of messages, and senders' pace.
            entropy: That many random bytes, for ids.
            policy: Sizes and rates.
            rng: Chooses one of several agents.
        """
        self.sent = 0
        """Messages taken since the start; the sampler's."""
        self._inboxes = inboxes
        self._signals = signals
        self._sight = sight
        self._clock = clock
        self._entropy = entropy
        self._policy = policy
        self._rng = rng
        self._boxes: dict[AgentKey, Mailbox] = {}
        self._buckets: dict[str, Bucket] = {}
        self._behind: dict[AgentKey, Mailbox] = {}
        self._stir = asyncio.Event()

    async def run(self) -> None:
        """Deliver, for ever."""
        for box in self._boxes.values():
            self._mark_behind(box)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_inboxes())
            group.create_task(self._follow_signals())
            await self._catch_up()

    # -- sending ---------------------------------------------------------------

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
            Invalid: The address means nothing, or is a topic.
            PayloadTooLarge: The data is too large.
            RateLimited: The sender is too fast; nothing was stored.
            NoAgentAvailable: Nobody connected has the capability.
            Unavailable: The store does not answer; with the same id it may be sent again.
        """
        intake.check_message(message)
        intake.check_size("data", message.data, self._policy.data_bytes)
        self._pace(f"{namespace}/{sender}")
        stamped = self._stamped(message, sender)
        receivers = self._receivers(message, sender, namespace)
        self.sent += 1
        if not message.durable:
            for receiver in receivers:
                await self._signals.send(namespace, receiver, stamped)
            return Sent(id=stamped.id)
        ttl_ms = message.ttl_ms
        ttl_s = None if ttl_ms is None else -(-ttl_ms // 1000)
        if len(receivers) == 1:
            seq, duplicate = await self._inboxes.append(
                namespace, receivers[0], stamped, ttl_s=ttl_s
            )
            return Sent(id=stamped.id, seq=seq, duplicate=duplicate)
        return await self._send_to_all(stamped, receivers, namespace, ttl_s)

    async def ack(self, agent: LiveAgent, said: Ack) -> None:
        """Drop what an agent has dealt with."""
        await self._inboxes.ack(agent.namespace, agent.id, seq=said.seq, upto=said.upto)

    def grant(self, agent: LiveAgent, number: int) -> None:
        """Take in credits for messages."""
        box = self._boxes.get(agent.key)
        if box is not None:
            box.credits.grant(number)
            self._wake(box)

    # -- what sessions tell ----------------------------------------------------

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """Deliver what waits in the inbox, from where the agent has read."""
        del restarted
        box = Mailbox(agent, upto=agent.read_upto)
        self._boxes[agent.key] = box
        self._mark_behind(box)

    def changed(self, agent: LiveAgent) -> None:
        """There may be room again."""
        box = self._boxes.get(agent.key)
        if box is not None:
            self._wake(box)

    def away(self, agent: LiveAgent) -> None:
        """Deliver nothing more; the store keeps it."""
        box = self._boxes.get(agent.key)
        if box is not None and box.agent is agent:
            self._boxes.pop(agent.key)
            self._behind.pop(agent.key, None)

    def left(self, agent: LiveAgent, *, in_order: bool) -> None:
        """As when it is away."""
        del in_order
        self.away(agent)

    # -- sending, in parts -----------------------------------------------------

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
            reply_to=new.reply_to,
        )

    def _receivers(
        self, new: NewMessage, sender: str, namespace: Namespace
    ) -> list[AgentId]:
        to = new.to
        if to.agent is not None:
            return [to.agent]
        if to.topic is not None:
            raise Invalid(
                "to.topic: this node has no topics",
                remedy="send to an agent, a capability or broadcast",
            )
        everybody = list(self._sight.every_agent(namespace))
        if to.capability is not None:
            return [self._one_of(everybody, to.capability)]
        return [each.id for each in everybody if each.id != sender]

    def _one_of(self, everybody: list[Agent], capability: str) -> AgentId:
        able = [
            each.id
            for each in everybody
            if each.connected
            and each.state not in CLOSED_STATES
            and any(one.name == capability for one in each.capabilities)
        ]
        if not able:
            raise NoAgentAvailable(
                f"no connected agent has the capability {capability}",
                remedy="nexa agents list",
                retry_after_ms=1000,
            )
        return self._rng.choice(able)

    async def _send_to_all(
        self,
        message: Message,
        receivers: list[AgentId],
        namespace: Namespace,
        ttl_s: int | None,
    ) -> Sent:
        """Write to every inbox; said again with the same id, only where it is missing."""
        duplicate = bool(receivers)
        for start in range(0, len(receivers), SEND_AT_ONCE):
            some = receivers[start : start + SEND_AT_ONCE]
            stored = await asyncio.gather(
                *(
                    self._inboxes.append(namespace, receiver, message, ttl_s=ttl_s)
                    for receiver in some
                )
            )
            duplicate = duplicate and all(was_there for _, was_there in stored)
        return Sent(id=message.id, duplicate=duplicate)

    def _pace(self, sender: str) -> None:
        now = self._clock.monotonic()
        bucket = self._buckets.get(sender)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
                self._forget_idle(now)
            burst = float(self._policy.messages_burst)
            bucket = Bucket(self._policy.messages_per_s, burst, burst, now)
            self._buckets[sender] = bucket
        wait_s = bucket.spend(now)
        if wait_s > 0:
            raise RateLimited(
                f"more than {self._policy.messages_per_s:g} messages a second",
                remedy="send slower, or raise sessions.messages_per_s",
                retry_after_ms=int(wait_s * 1000) + 1,
            )

    def _forget_idle(self, now: float) -> None:
        idle = [name for name, bucket in self._buckets.items() if bucket.full(now)]
        for name in idle or list(self._buckets)[: BUCKETS_MAX // 2]:
            del self._buckets[name]

    # -- delivering ------------------------------------------------------------

    async def _follow_inboxes(self) -> None:
        """Deliver what arrives while its agent is up to date."""
        async for arrived in self._inboxes.arrivals():
            box = self._boxes.get((arrived.namespace, arrived.agent))
            if box is None or arrived.seq <= box.upto:
                continue
            if box.behind or not box.may_send():
                self._mark_behind(box)
            else:
                self._deliver(box, arrived.message, arrived.seq)

    async def _follow_signals(self) -> None:
        """Deliver what is not stored, or drop it."""
        async for namespace, agent, message in self._signals.arrivals():
            box = self._boxes.get((namespace, agent))
            if box is not None and box.may_send():
                self._deliver(box, message, 0)

    async def _catch_up(self) -> None:
        """Read for those that are behind, one round of each in turn."""
        while True:
            await self._stir.wait()
            self._stir.clear()
            behind, self._behind = self._behind, {}
            for box in behind.values():
                try:
                    await self._read_on(box)
                except Unavailable:
                    self._mark_behind(box)
                    await self._clock.sleep(RETRY_S)

    async def _read_on(self, box: Mailbox) -> None:
        """Deliver the next messages of an inbox, as many as there is room for."""
        if self._boxes.get(box.agent.key) is not box:
            return
        limit = box.credits.may(READ_AT_ONCE)
        if limit == 0 or not box.may_send():
            return
        box.behind = False
        try:
            waiting = await self._inboxes.read(
                box.agent.namespace, box.agent.id, after=box.upto, limit=limit
            )
        except Unavailable:
            box.behind = True
            raise
        for each in waiting:
            if not box.may_send():
                box.behind = True
                return
            if each.seq > box.upto:
                self._deliver(box, each.message, each.seq)
        if box.behind or len(waiting) >= limit:
            self._mark_behind(box)

    def _deliver(self, box: Mailbox, message: Message, seq: int) -> None:
        told = Deliver(
            seq=seq,
            id=message.id,
            sender=message.sender,
            to=message.to,
            type=message.type,
            data=message.data,
            time=message.time,
            attempts=1,
            subject=message.subject,
            reply_to=message.reply_to,
        )
        if not box.agent.tell("message.deliver", told):
            return
        box.credits.spend()
        box.upto = max(box.upto, seq)

    def _wake(self, box: Mailbox) -> None:
        if box.behind and box.may_send():
            self._mark_behind(box)

    def _mark_behind(self, box: Mailbox) -> None:
        box.behind = True
        self._behind[box.agent.key] = box
        self._stir.set()
