"""The work queue: NX_TASKQ, one durable pull consumer for each kind and priority.

A kind is a namespace and a capability; its four consumers are shared by all nodes and
made when they are first asked for. What was delivered to us is either returned by
`take`, or given back at once: also when the waiting caller is cancelled.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, Refused
from nexa_node.adapters.nats.reader import parse
from nexa_node.adapters.nats.session import (
    NO_RESPONDERS,
    Inbox,
    Lost,
    NoResponders,
    Session,
    status,
)
from nexa_node.contract.errors import Invalid, NexaError, Unavailable
from nexa_node.contract.ids import Namespace
from nexa_node.contract.tasks import PRIORITIES, Priority, Task
from nexa_node.ports import Delivery

REDELIVER_S = 12.0
"""What is neither acknowledged nor kept for so long is delivered again."""
OURS = 11 / 12
"""For this part of it we consider a delivery ours: we give up before the server does."""
LONGEST_WAIT_S = 3600.0

_ACK, _NAK, _KEEP, _TERM = b"+ACK", b"-NAK", b"+WPI", b"+TERM"
_HEARTBEAT = "100"
_OVER = frozenset(("404", "408", "409"))
"""How the server says that a pull has ended."""

Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Run something to its end in the background."""

_log = structlog.get_logger("nexa.store")
_decoder = msgspec.json.Decoder(Task)


class NatsDelivery:
    """`ports.Delivery`.

    One whose time is over changes nothing any more, but by `ack`: NATS would take a late
    `-NAK` for the one who has the task now.
    """

    def __init__(
        self,
        connection: Connection,
        session: Session,
        message: Msg,
        task: Task,
        *,
        held_s: float,
    ) -> None:
        """Keep where to answer; it is held for `held_s` from now on."""
        self._connection = connection
        self._session = session
        self._reply = message.reply
        self._position = parse(message)[0].seq
        self._task = task
        self._held_s = held_s
        self._held_until = _now() + held_s

    @property
    def task(self) -> Task:
        """The task as it was submitted."""
        return self._task

    async def ack(self) -> None:
        """Take it off the queue for good; returns when the server has done it.

        A server that was killed forgets what it had just delivered, ignores its
        acknowledgement and does not even say so: then the task is removed by its place.
        """
        try:
            async with asyncio.timeout(self._connection.timeout_s / 2):
                await self._session.request(self._reply, _ACK)
        except (Lost, NoResponders, TimeoutError):
            await self._remove()

    async def _remove(self) -> None:
        try:
            await self._connection.call(
                f"STREAM.MSG.DELETE.{topology.TASKQ}",
                wire.DeleteMessage(seq=self._position),
                wire.Answer,
            )
        except Refused as refused:
            if refused.error.err_code not in wire.NO_MESSAGE:
                raise Unavailable(f"acknowledging failed: {refused}") from refused

    async def give_back(self, *, delay_s: float = 0.0) -> None:
        """Put it back, to be handed out again after `delay_s`."""
        if _now() < self._held_until:
            self._held_until = 0.0
            await self._connection.request(self._reply, _nak(delay_s))

    async def keep(self) -> None:
        """Say that it is still in hand."""
        asked = _now()
        if asked < self._held_until:
            await self._connection.request(self._reply, _KEEP)
            if self._held_until:
                self._held_until = asked + self._held_s


class NatsQueue:
    """`ports.TaskQueue`."""

    def __init__(
        self,
        connection: Connection,
        spawn: Spawn,
        *,
        redeliver_s: float = REDELIVER_S,
    ) -> None:
        """Use `connection`; `spawn` gives back what a cancelled caller left."""
        self.keep_every_s = redeliver_s / 3
        self._redeliver_s = redeliver_s
        self._connection = connection
        self._spawn = spawn
        self._made: set[str] = set()

    async def put(self, task: Task) -> bool:
        """Store `task` for delivery; True if its id was put in the last 2 min."""
        kind = _Kind(task.namespace, task.type)
        ack = await self._connection.store(
            topology.subject(kind.prefix(task.priority), task.id),
            msgspec.json.encode(task),
            message_id=task.id,
        )
        return ack.duplicate

    async def take(
        self, namespace: Namespace, capability: str, *, limit: int, wait_s: float
    ) -> list[Delivery]:
        """Take up to `limit` tasks, the most urgent first.

        Waits up to `wait_s` for the first one; an empty list when none came.
        """
        kind = _Kind(namespace, capability)
        if limit < 1:
            return []
        end = _now() + min(wait_s, LONGEST_WAIT_S)
        patience = max(end, self._connection.deadline())
        while True:
            session = await self._connection.session(patience)
            try:
                await self._make_consumers(kind)
                found = await self._once(session, kind, limit, end)
            except (Lost, NoResponders, TimeoutError) as error:
                if _now() >= patience:
                    raise Unavailable("the queue does not answer") from error
                await asyncio.sleep(0.05)
            else:
                taken = self._deliveries(session, found)
                if taken or _now() >= end:
                    return taken

    async def _once(
        self, session: Session, kind: "_Kind", limit: int, end: float
    ) -> list[Msg]:
        inbox = await session.inbox()
        pulling = _Pulling(session, inbox, kind, self._connection.timeout_s)
        try:
            await pulling.what_is_there(limit)
            if not pulling.found and _now() < end:
                await pulling.first_to_come(end)
                pulling.found += _messages(await self._finish(inbox))
            else:
                await inbox.close()
        except BaseException as error:
            if isinstance(error, NoResponders):
                self._made.clear()
            self._spawn(self._abandon(inbox, pulling.found))
            raise
        if len(pulling.found) > limit:
            self._spawn(self._give_back(pulling.found[limit:]))
        return pulling.found[:limit]

    async def _finish(self, inbox: Inbox) -> list[Msg]:
        async with asyncio.timeout(self._connection.timeout_s):
            return await inbox.finish()

    async def _abandon(self, inbox: Inbox, found: list[Msg]) -> None:
        """Stop listening, and give back all that came or is on its way."""
        try:
            late = await self._finish(inbox)
        except (Lost, NatsError, OSError, TimeoutError):
            late = inbox.rest()
        await self._give_back(found + _messages(late))

    async def _give_back(self, messages: list[Msg]) -> None:
        for message in messages:
            await self._answer(message.reply, _NAK)

    async def _answer(self, reply: str, word: bytes) -> None:
        try:
            await self._connection.request(reply, word)
        except NexaError as error:
            _log.warning("a task comes again by itself, later", cause=error.message)

    def _deliveries(self, session: Session, messages: list[Msg]) -> list[Delivery]:
        found: list[Delivery] = []
        for message in messages:
            try:
                task = _decoder.decode(message.data)
            except msgspec.DecodeError as error:
                _log.error(
                    "a queued task can't be read; it is dropped",
                    subject=message.subject,
                    cause=str(error),
                )
                self._spawn(self._answer(message.reply, _TERM))
            else:
                held_s = self._redeliver_s * OURS
                found.append(
                    NatsDelivery(
                        self._connection, session, message, task, held_s=held_s
                    )
                )
        return found

    async def _make_consumers(self, kind: "_Kind") -> None:
        wanted = [kind.consumer(priority) for priority in PRIORITIES]
        if not self._made.issuperset(wanted):
            await asyncio.gather(*(self._make_consumer(kind, p) for p in PRIORITIES))

    async def _make_consumer(self, kind: "_Kind", priority: Priority) -> None:
        name, subjects = kind.consumer(priority), f"{kind.prefix(priority)}.*"
        config = wire.ConsumerConfig(
            name=name,
            durable_name=name,
            ack_policy="explicit",
            filter_subject=subjects,
            ack_wait=int(self._redeliver_s * wire.SECOND),
            max_deliver=-1,
            max_ack_pending=-1,
        )
        try:
            await self._connection.call(
                f"CONSUMER.CREATE.{topology.TASKQ}.{name}.{subjects}",
                wire.NewConsumer(stream_name=topology.TASKQ, config=config),
                wire.ConsumerInfo,
            )
        except Refused as refused:
            raise Unavailable(f"the queue {name} can't be made: {refused}") from refused
        self._made.add(name)


class _Kind:
    """A namespace and a capability."""

    def __init__(self, namespace: str, capability: str) -> None:
        topology.subject("", namespace, capability)
        self._namespace = namespace
        self._capability = capability

    def prefix(self, priority: Priority) -> str:
        if priority not in PRIORITIES:
            raise Invalid(f"{str(priority)[:80]!r} is no priority")
        return topology.subject(
            topology.TASKQ_PREFIX, self._namespace, priority, self._capability
        )

    def consumer(self, priority: Priority) -> str:
        """Name its consumer; `=` is in no slug, so two kinds never share one."""
        return f"{self._namespace}={priority}={self._capability}"


class _Pulling:
    """One `take` on one session. What it found is in `found`, whatever happens."""

    def __init__(
        self, session: Session, inbox: Inbox, kind: _Kind, timeout_s: float
    ) -> None:
        self.found: list[Msg] = []
        self._session = session
        self._inbox = inbox
        self._kind = kind
        self._timeout_s = timeout_s
        self._number = itertools.count()

    async def what_is_there(self, limit: int) -> None:
        """Take what waits, priority by priority."""
        for priority in PRIORITIES:
            wanted = limit - len(self.found)
            if wanted > 0:
                asked = wire.Pull(batch=wanted, no_wait=True)
                reply = await self._pull(priority, asked)
                async with asyncio.timeout(self._timeout_s):
                    await self._collect(reply, wanted)

    async def first_to_come(self, end: float) -> None:
        """Wait on all priorities at once until one has something."""
        left = max(end - _now(), 0.001)
        asked = wire.Pull(batch=1, expires=int(left * wire.SECOND))
        waiting = {await self._pull(priority, asked) for priority in PRIORITIES}
        try:
            async with asyncio.timeout_at(end):
                while waiting and not self.found:
                    message = await self._inbox.get()
                    if self._is_message(message):
                        self.found.append(message)
                    elif status(message) in _OVER:
                        waiting.discard(message.subject)
        except TimeoutError:
            return

    async def _pull(self, priority: Priority, asked: wire.Pull) -> str:
        reply = f"{self._inbox.subject[:-1]}{next(self._number)}"
        consumer = self._kind.consumer(priority)
        await self._session.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{topology.TASKQ}.{consumer}",
            msgspec.json.encode(asked),
            reply=reply,
        )
        return reply

    async def _collect(self, reply: str, wanted: int) -> None:
        while wanted > 0:
            message = await self._inbox.get()
            if self._is_message(message):
                self.found.append(message)
                wanted -= 1
            elif message.subject == reply and status(message) != _HEARTBEAT:
                return

    @staticmethod
    def _is_message(message: Msg) -> bool:
        code = status(message)
        if code == NO_RESPONDERS:
            raise NoResponders(message.subject)
        return code is None


def _messages(late: list[Msg]) -> list[Msg]:
    return [message for message in late if status(message) is None]


def _nak(delay_s: float) -> bytes:
    if delay_s <= 0:
        return _NAK
    return _NAK + b" " + msgspec.json.encode({"delay": int(delay_s * wire.SECOND)})


def _now() -> float:
    return asyncio.get_running_loop().time()
