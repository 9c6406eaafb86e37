"""The work queue: NX_TASKQ, durable pull consumers shared by all nodes.

Each kind of task (a namespace and a capability) has a consumer for each priority, and
more for the fairness keys in use (kinds.py). What was delivered to us is either returned
by `take`, or given back soon: also when the waiting caller is cancelled.
"""

import asyncio
from collections import defaultdict

import msgspec
import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, Refused
from nexa_node.adapters.nats.kinds import (
    OLD_SUBJECTS,
    Kind,
    Place,
    read_consumer,
    read_old_subject,
)
from nexa_node.adapters.nats.lane import Lane
from nexa_node.adapters.nats.pending import KEEP, NAK, Answers, Spawn
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.sources import Arrived
from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import Namespace
from nexa_node.contract.tasks import Task, TaskSummary
from nexa_node.core.fairness import bucket_of
from nexa_node.core.redriving import message_id
from nexa_node.ports import Delivery

REDELIVER_S = 12.0
"""What is neither acknowledged nor kept for so long is delivered again."""
OURS = 11 / 12
"""For this part of it we consider a delivery ours: we give up before the server does."""
LONGEST_WAIT_S = 3600.0

_log = structlog.get_logger("nexa.store")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Task)


class NatsDelivery:
    """`ports.Delivery`.

    One whose time is over changes nothing any more, but by `ack`: NATS would take a late
    `-NAK` for the one who has the task now.
    """

    __slots__ = (
        "_answers", "_connection", "_held_s", "_held_until", "_message", "_session",
        "_task",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        session: Session,
        answers: Answers,
        arrived: Arrived,
        task: Task,
        *,
        held_s: float,
    ) -> None:
        """Keep where to answer; it is held for `held_s` since it arrived."""
        self._connection = connection
        self._session = session
        self._answers = answers
        self._message = arrived.message
        self._task = task
        self._held_s = held_s
        self._held_until = arrived.at + held_s

    @property
    def task(self) -> Task:
        """The task as it was submitted."""
        return self._task

    def ack(self) -> None:
        """Take it off the queue for good, soon."""
        self._held_until = 0.0
        self._answers.ack(self._session, self._message)

    async def give_back(self, *, delay_s: float = 0.0) -> None:
        """Put it back, to be handed out again after `delay_s`."""
        if _now() < self._held_until:
            self._held_until = 0.0
            await self._connection.request(self._message.reply, _nak(delay_s))

    async def keep(self) -> None:
        """Say that it is still in hand."""
        asked = _now()
        if asked < self._held_until:
            await self._connection.request(self._message.reply, KEEP)
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
        """Use `connection`; `spawn` runs what nobody waits for."""
        self.keep_every_s = redeliver_s / 3
        self._redeliver_s = redeliver_s
        self._connection = connection
        self._spawn = spawn
        self._answers = Answers(connection, spawn)
        self._lanes: dict[Kind, Lane] = {}
        self._places: defaultdict[Kind, set[Place]] = defaultdict(set)
        self._surveyed = False
        self._surveying = asyncio.Lock()

    async def put(self, task: Task) -> bool:
        """Store `task` for delivery; True if it was put in the last 2 min."""
        kind = Kind(task.namespace, task.type)
        place = _place(task)
        if task.fairness_key is not None:
            self._expect(kind, place)
        ack = await self._connection.store(
            kind.subject(place, task.id),
            _encoder.encode(task),
            message_id=message_id(task),
        )
        return ack.duplicate

    async def take(
        self, namespace: Namespace, capability: str, *, limit: int, wait_s: float
    ) -> list[Delivery]:
        """Take up to `limit` tasks, the most urgent first, in fair turns.

        Waits up to `wait_s` for the first one; an empty list when none came.
        """
        kind = Kind(namespace, capability)
        if limit < 1:
            return []
        if not self._surveyed:
            await self._survey()
        session, arrived = await self._lane(kind).take(
            limit, min(wait_s, LONGEST_WAIT_S)
        )
        return self._deliveries(session, arrived)

    def expect(self, task: Task) -> None:
        """Have `take` look where `task` waits, whichever node put it there."""
        if task.fairness_key is not None:
            self._expect(Kind(task.namespace, task.type), _place(task))

    async def forget(self, task: Task | TaskSummary) -> None:
        """Remove a finished task's message, if it is still there."""
        asked = wire.Purge(filter=Kind(task.namespace, task.type).anywhere(task.id))
        try:
            await self._connection.call(
                f"STREAM.PURGE.{topology.TASKQ}", asked, wire.Answer
            )
        except Refused as refused:
            raise Unavailable(f"task {task.id} stays queued: {refused}") from refused

    def rebuild(self, namespace: Namespace, capability: str, *, thorough: bool) -> None:
        """Take anew: with new pulls and, if `thorough`, with new consumers."""
        lane = self._lanes.get(Kind(namespace, capability))
        if lane is not None:
            lane.rebuild(thorough=thorough)

    # -- kinds and places ------------------------------------------------------

    def _lane(self, kind: Kind) -> Lane:
        lane = self._lanes.get(kind)
        if lane is None:
            lane = self._lanes[kind] = Lane(
                self._connection,
                self._spawn,
                self._answers,
                kind,
                redeliver_s=self._redeliver_s,
            )
            for place in self._places[kind]:
                lane.expect(place)
        return lane

    def _expect(self, kind: Kind, place: Place) -> None:
        self._places[kind].add(place)
        lane = self._lanes.get(kind)
        if lane is not None:
            lane.expect(place)

    async def _survey(self) -> None:
        """Find out, once, where something waits that earlier runs and others put."""
        async with self._surveying:
            if self._surveyed:
                return
            try:
                for name in await self._consumers():
                    self._found(read_consumer(name))
                for subject in await self._old_subjects():
                    self._found(read_old_subject(subject))
            except Refused as refused:
                raise Unavailable(f"the queue can't be read: {refused}") from refused
            self._surveyed = True

    def _found(self, found: tuple[Kind, Place] | None) -> None:
        if found is not None:
            self._expect(*found)

    async def _consumers(self) -> list[str]:
        names: list[str] = []
        while True:
            page = await self._connection.call(
                f"CONSUMER.NAMES.{topology.TASKQ}",
                wire.Offset(offset=len(names)),
                wire.ConsumerNames,
            )
            names += page.consumers or ()
            if not page.consumers or len(names) >= page.total:
                return names

    async def _old_subjects(self) -> list[str]:
        info = await self._connection.call(
            f"STREAM.INFO.{topology.TASKQ}",
            wire.AskInfo(subjects_filter=OLD_SUBJECTS),
            wire.StreamInfo,
        )
        return list(info.state.subjects or ())

    def _deliveries(self, session: Session, arrived: list[Arrived]) -> list[Delivery]:
        found: list[Delivery] = []
        held_s = self._redeliver_s * OURS
        for each in arrived:
            try:
                task = _decoder.decode(each.message.data)
            except msgspec.DecodeError as error:
                _log.error(
                    "a queued task can't be read; it is dropped",
                    subject=each.message.subject,
                    cause=str(error),
                )
                self._answers.drop(each.message)
            else:
                found.append(
                    NatsDelivery(
                        self._connection,
                        session,
                        self._answers,
                        each,
                        task,
                        held_s=held_s,
                    )
                )
        return found


def _place(task: Task) -> Place:
    return Place(task.priority, bucket_of(task.fairness_key))


def _nak(delay_s: float) -> bytes:
    if delay_s <= 0:
        return NAK
    return NAK + b" " + msgspec.json.encode({"delay": int(delay_s * wire.SECOND)})


def _now() -> float:
    return asyncio.get_running_loop().time()
