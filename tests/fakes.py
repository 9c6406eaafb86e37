"""The ports in memory, with the same promises, driven by a clock that a test moves.

clock = FakeClock()
store = MemoryStore(clock)
await clock.advance(30)        # sleepers wake in order, tasks run until all wait
store.available = False        # every call answers Unavailable
store.lose_answers = True      # a write happens, and its caller is told Unavailable
"""

import asyncio
import hashlib
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from nexa_node.contract.access import Role
from nexa_node.contract.agents import Agent
from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import AlertChange, Evidence, Silence
from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.contract.events import Event
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.messages import Message
from nexa_node.contract.quotas import Quota
from nexa_node.contract.tasks import PRIORITIES, Task, TaskSummary
from nexa_node.core import redriving
from nexa_node.core.budgets import Share
from nexa_node.core.fairness import Rounds, bucket_of
from nexa_node.core.lifetimes import (
    inbox_ttl_s,
    objects_age_s,
    stream_age_s,
    topic_ttl_s,
)
from nexa_node.core.pieces import PIECE_BYTES, Cutter
from nexa_node.core.policies import RetentionPolicy
from nexa_node.core.topics import matches
from nexa_node.ports import (
    Arrived,
    Caught,
    Delivery,
    InboxMessage,
    Known,
    PartialResult,
    Removed,
    RoundTrip,
    SessionRecord,
    StoredObject,
    StoreHealth,
    TakeAnswer,
    TokenRecord,
    TopicMessage,
    Versioned,
)

T = TypeVar("T")

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
DUPLICATE_WINDOW_S = 120.0


async def settle(turns: int = 10_000) -> None:
    """Let every task run until all of them wait for time or for input."""
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        await asyncio.sleep(0)
        if not loop._ready:
            return
    raise AssertionError("the tasks never came to rest")


async def eventually(condition: Callable[[], object], turns: int = 10_000) -> None:
    """Give the loop turns until `condition` holds; for code that uses real threads or
    sockets, where `settle` cannot know."""
    for turn in range(turns):
        if condition():
            return
        await asyncio.sleep(0 if turn < 100 else 0.001)
    raise AssertionError("it never came true")


class FakeClock:
    """`ports.Clock` that stands still until the test moves it."""

    def __init__(self, start: datetime = START, monotonic: float = 1000.0) -> None:
        self._wall = start
        self._monotonic = monotonic
        self._sleepers: list[tuple[float, int, asyncio.Future[bool]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self.timer(seconds)

    def timer(self, seconds: float) -> "asyncio.Future[bool]":
        """A future that turns False after `seconds`, unless somebody sets it first."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.wake_at(self._monotonic + seconds, future)
        return future

    def wake_at(self, due: float, future: "asyncio.Future[bool]") -> None:
        heapq.heappush(self._sleepers, (due, next(self._order), future))

    @property
    def sleepers(self) -> int:
        """How many wait for time to pass."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move both clocks, waking sleepers in order; return when all tasks wait."""
        target = self._monotonic + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            self._move_to(self._sleepers[0][0])
            self._wake()
            await settle()
        self._move_to(target)
        await settle()

    def move(self, seconds: float) -> None:
        """Move both clocks and wake who is due, without letting anything run."""
        self._move_to(self._monotonic + seconds)
        self._wake()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; the monotonic one does not notice."""
        self._wall += timedelta(seconds=seconds)

    def _move_to(self, monotonic: float) -> None:
        step = max(0.0, monotonic - self._monotonic)
        self._wall += timedelta(seconds=step)
        self._monotonic += step

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(False)


class CountingEntropy:
    """Bytes that differ with each call and repeat with each test."""

    def __init__(self) -> None:
        self._calls = itertools.count(1)

    def __call__(self, size: int) -> bytes:
        return hashlib.shake_256(str(next(self._calls)).encode()).digest(size)


class FakeProbe:
    """`ports.HostProbe` that tells what the test says."""

    def __init__(self, **figures: float) -> None:
        self.figures: dict[str, float] = {
            "cpu": 0.25,
            "memory": 0.5,
            "memory_bytes": 8 * 1024**3,
            "memory_total_bytes": 16 * 1024**3,
            "disk": 0.4,
            "disk_free_bytes": 60 * 1024**3,
            "load_1m": 0.7,
            "net_rx_bytes_s": 1000.0,
            "net_tx_bytes_s": 2000.0,
            "rss_bytes": 90 * 1024**2,
            **figures,
        }

    def sample(self) -> Mapping[str, float]:
        return self.figures


class Hub(Generic[T]):
    """Tells every subscriber what is published after it subscribed."""

    def __init__(self) -> None:
        self._queues: list[asyncio.Queue[T]] = []

    def publish(self, item: T) -> None:
        for queue in self._queues:
            queue.put_nowait(item)

    def subscribe(self, first: Iterable[T] = ()) -> AsyncIterator[T]:
        queue: asyncio.Queue[T] = asyncio.Queue()
        for item in first:
            queue.put_nowait(item)
        self._queues.append(queue)
        return self._drain(queue)

    async def _drain(self, queue: "asyncio.Queue[T]") -> AsyncIterator[T]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.remove(queue)


class Door:
    """The way into the store: shut when it is unavailable."""

    def __init__(self) -> None:
        self.available = True
        self.lose_answers = False
        self.calls: list[str] = []
        """The name of each call, in order."""

    async def enter(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)  # a real store is never answered in the same step
        self._check(call)

    def leave(self, call: str) -> None:
        """After a write: the answer may get lost."""
        if self.lose_answers:
            raise Unavailable(f"store: no answer to {call}")

    def _check(self, call: str) -> None:
        if not self.available:
            raise Unavailable(f"store: {call} was not answered in time")


class Bucket(Generic[T]):
    """Keys and values with revisions."""

    def __init__(self, door: Door, name: str) -> None:
        self._door = door
        self._name = name
        self.entries: dict[str, Versioned[T]] = {}
        self._revisions = itertools.count(1)
        self._hub: Hub[Versioned[T] | Removed | Caught] = Hub()

    async def read(self, key: str) -> Versioned[T] | None:
        await self._door.enter(f"{self._name}.get")
        return self.entries.get(key)

    async def write(self, key: str, value: T) -> int:
        await self._door.enter(f"{self._name}.put")
        revision = self.set(key, value)
        self._door.leave(f"{self._name}.put")
        return revision

    async def create(self, key: str, value: T) -> int | None:
        await self._door.enter(f"{self._name}.create")
        if key in self.entries:
            return None
        revision = self.set(key, value)
        self._door.leave(f"{self._name}.create")
        return revision

    async def swap(self, key: str, value: T, revision: int) -> int:
        await self._door.enter(f"{self._name}.update")
        entry = self.entries.get(key)
        if entry is None or entry.revision != revision:
            at = "gone" if entry is None else f"at revision {entry.revision}"
            raise Conflict(f"{self._name}/{key} is {at}, not at {revision}: read again")
        new = self.set(key, value)
        self._door.leave(f"{self._name}.update")
        return new

    async def remove(self, key: str, *, revision: int | None = None) -> bool:
        await self._door.enter(f"{self._name}.delete")
        entry = self.entries.get(key)
        if entry is None:
            return False
        if revision not in (None, entry.revision):
            raise Conflict(f"{self._name}/{key} is at revision {entry.revision}")
        del self.entries[key]
        self._hub.publish(Removed(key))
        self._door.leave(f"{self._name}.delete")
        return True

    def set(self, key: str, value: T) -> int:
        """Store at once, as another node would have: watchers are told."""
        entry = Versioned(value, next(self._revisions))
        self.entries[key] = entry
        self._hub.publish(entry)
        return entry.revision

    def watch(self) -> AsyncIterator[Versioned[T] | Removed | Caught]:
        return self._hub.subscribe([*self.entries.values(), Caught()])


class MemoryTasks:
    """`ports.TaskRecords`."""

    def __init__(self, door: Door) -> None:
        self.bucket: Bucket[Task] = Bucket(door, "tasks")

    def seed(self, *tasks: Task) -> None:
        """Put records there without a call."""
        for task in tasks:
            self.bucket.set(task.id, task)

    def now(self, task_id: str) -> Task:
        """The record, read without a call."""
        return self.bucket.entries[task_id].value

    async def get(self, task_id: TaskId) -> Versioned[Task] | None:
        return await self.bucket.read(task_id)

    async def create(self, task: Task) -> int | None:
        return await self.bucket.create(task.id, task)

    async def update(self, task: Task, *, revision: int) -> int:
        return await self.bucket.swap(task.id, task, revision)

    async def delete(self, task_id: TaskId, *, revision: int | None = None) -> None:
        await self.bucket.remove(task_id, revision=revision)

    def watch(
        self, *, known: Known | None = None
    ) -> AsyncIterator[Versioned[Task] | Removed | Caught]:
        del known  # telling what is known is allowed
        return self.bucket.watch()


class MemoryAgents:
    """`ports.AgentRecords`."""

    def __init__(self, door: Door) -> None:
        self.bucket: Bucket[Agent] = Bucket(door, "agents")

    def seed(self, *agents: Agent) -> None:
        for agent in agents:
            self.bucket.set(f"{agent.namespace}.{agent.id}", agent)

    def now(self, agent_id: str, namespace: str = "default") -> Agent:
        return self.bucket.entries[f"{namespace}.{agent_id}"].value

    async def put(self, agent: Agent) -> None:
        await self.bucket.write(f"{agent.namespace}.{agent.id}", agent)

    async def delete(self, namespace: Namespace, agent_id: AgentId) -> None:
        await self.bucket.remove(f"{namespace}.{agent_id}")

    def watch(self) -> AsyncIterator[Versioned[Agent] | Removed | Caught]:
        return self.bucket.watch()


class MemorySessions:
    """`ports.SessionRecords`."""

    def __init__(self, door: Door) -> None:
        self.bucket: Bucket[SessionRecord] = Bucket(door, "sessions")

    async def get(
        self, namespace: Namespace, agent_id: AgentId
    ) -> Versioned[SessionRecord] | None:
        return await self.bucket.read(f"{namespace}.{agent_id}")

    async def put(
        self,
        namespace: Namespace,
        agent_id: AgentId,
        record: SessionRecord,
        *,
        revision: int | None = None,
    ) -> int:
        key = f"{namespace}.{agent_id}"
        if revision is None:
            return await self.bucket.write(key, record)
        return await self.bucket.swap(key, record, revision)


class MemoryTokens:
    """`ports.TokenRecords`."""

    def __init__(self, door: Door) -> None:
        self.bucket: Bucket[TokenRecord] = Bucket(door, "tokens")

    def seed(self, *records: TokenRecord) -> None:
        for record in records:
            self.bucket.set(record.id, record)

    async def put(self, record: TokenRecord) -> None:
        await self.bucket.write(record.id, record)

    async def replace(self, record: TokenRecord, *, revision: int) -> int:
        return await self.bucket.swap(record.id, record, revision)

    async def delete(self, token_id: str) -> bool:
        return await self.bucket.remove(token_id)

    def watch(self) -> AsyncIterator[Versioned[TokenRecord] | Removed | Caught]:
        return self.bucket.watch()


class MemoryRoles:
    """`ports.RoleRecords`."""

    def __init__(self, door: Door) -> None:
        self.bucket: Bucket[Role] = Bucket(door, "roles")

    async def put(self, role: Role) -> None:
        await self.bucket.write(role.name, role)

    async def delete(self, name: str) -> bool:
        return await self.bucket.remove(name)

    def watch(self) -> AsyncIterator[Versioned[Role] | Removed | Caught]:
        return self.bucket.watch()


class MemoryQuotas:
    """`ports.QuotaRecords`."""

    def __init__(self, door: Door) -> None:
        self.bucket: Bucket[Quota | Share] = Bucket(door, "quotas")

    async def put(self, quota: Quota) -> None:
        await self.bucket.write(f"q.{quota.name}", quota)

    async def delete(self, name: str) -> bool:
        return await self.bucket.remove(f"q.{name}")

    async def put_share(self, share: Share) -> None:
        await self.bucket.write(f"s.{share.namespace}.{share.node}", share)

    async def watch(
        self,
    ) -> AsyncIterator[Versioned[Quota] | Versioned[Share] | Removed | Caught]:
        async for told in self.bucket.watch():
            if isinstance(told, Removed):
                yield Removed(told.key.partition(".")[2])
            else:
                yield told


@dataclass
class Queued:
    """One task in the queue."""

    seq: int
    task: Task
    ready_at: float
    held_until: float | None = None
    deliveries: int = 0

    @property
    def rank(self) -> tuple[int, int]:
        return PRIORITIES.index(self.task.priority), self.seq


class MemoryDelivery:
    """`ports.Delivery`. A holder that comes too late changes nothing but by its ack."""

    def __init__(self, queue: "MemoryQueue", entry: Queued) -> None:
        self._queue = queue
        self._entry = entry
        self._number = entry.deliveries

    @property
    def task(self) -> Task:
        return self._entry.task

    def ack(self) -> None:
        self._queue.door.calls.append("queue.ack")
        if self._queue.door.available:
            self._queue.entries.pop(self._entry.seq, None)

    async def give_back(self, *, delay_s: float = 0.0) -> None:
        await self._queue.door.enter("queue.give_back")
        if self._mine():
            self._entry.held_until = None
            self._entry.ready_at = self._queue.clock.monotonic() + delay_s
            self._queue.changed()
        self._queue.door.leave("queue.give_back")

    async def keep(self) -> None:
        await self._queue.door.enter("queue.keep")
        if self._mine():
            self._entry.held_until = self._queue.hold_until()

    def _mine(self) -> bool:
        held = self._entry.held_until
        still = self._entry.deliveries == self._number and held is not None
        return still and held > self._queue.clock.monotonic()


class MemoryQueue:
    """`ports.TaskQueue`. What is not kept for three `keep_every_s` comes again."""

    def __init__(
        self, door: Door, clock: FakeClock, *, keep_every_s: float = 10.0
    ) -> None:
        self.door = door
        self.clock = clock
        self.keep_every_s = keep_every_s
        self.entries: dict[int, Queued] = {}
        self.expected: list[Task] = []
        """What `expect` was told, in order."""
        self.rebuilt: list[tuple[Namespace, str, bool]] = []
        """What `rebuild` was asked for, in order."""
        self.deaf: set[tuple[str, str]] = set()
        """Namespaces and capabilities whose tasks nobody gets."""
        self._rounds: dict[tuple[str, str, str], Rounds] = {}
        self._seen: dict[str, float] = {}
        self._sequence = itertools.count(1)
        self._waiting: list[asyncio.Future[bool]] = []

    async def put(self, task: Task) -> bool:
        await self.door.enter("queue.put")
        now = self.clock.monotonic()
        message_id = redriving.message_id(task)
        seen = self._seen.get(message_id)
        if seen is not None and now - seen < DUPLICATE_WINDOW_S:
            return True
        self._seen[message_id] = now
        seq = next(self._sequence)
        self.entries[seq] = Queued(seq, task, ready_at=now)
        self.changed()
        self.door.leave("queue.put")
        return False

    async def take(
        self, namespace: Namespace, capability: str, *, limit: int, wait_s: float
    ) -> list[Delivery]:
        await self.door.enter("queue.take")
        deadline = self.clock.monotonic() + wait_s
        while True:
            ready = self._ready(namespace, capability, limit)
            now = self.clock.monotonic()
            if ready or now >= deadline:
                return [self._hand_out(entry) for entry in ready]
            await self._wait(min(deadline, self._next_ready(now, deadline)))
            if not self.door.available:
                raise Unavailable("store: queue.take was not answered in time")

    def expect(self, task: Task) -> None:
        self.expected.append(task)

    async def forget(self, task: Task | TaskSummary) -> None:
        await self.door.enter("queue.forget")
        for seq, entry in list(self.entries.items()):
            if entry.task.id == task.id:
                del self.entries[seq]

    def rebuild(self, namespace: Namespace, capability: str, *, thorough: bool) -> None:
        self.rebuilt.append((namespace, capability, thorough))

    def waiting(self) -> list[Task]:
        """What nobody holds, in the order it would be handed out."""
        now = self.clock.monotonic()
        free = [entry for entry in self.entries.values() if not _held(entry, now)]
        return [entry.task for entry in sorted(free, key=lambda entry: entry.rank)]

    def held(self) -> list[Task]:
        """What somebody holds."""
        now = self.clock.monotonic()
        return [entry.task for entry in self.entries.values() if _held(entry, now)]

    def hold_until(self) -> float:
        return self.clock.monotonic() + 3 * self.keep_every_s

    def changed(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(True)

    def _ready(self, namespace: str, capability: str, limit: int) -> list[Queued]:
        """What comes next: the most urgent, fairness keys in turns, the oldest."""
        now = self.clock.monotonic()
        if (namespace, capability) in self.deaf:
            return []
        found: list[Queued] = []
        for priority in PRIORITIES:
            waiting: dict[str, list[Queued]] = {}
            for entry in self.entries.values():
                task = entry.task
                kind = (task.namespace, task.type, task.priority)
                is_free = entry.ready_at <= now and not _held(entry, now)
                if is_free and kind == (namespace, capability, priority):
                    bucket = bucket_of(task.fairness_key)
                    waiting.setdefault(bucket, []).append(entry)
            rounds = self._rounds.setdefault(
                (namespace, capability, priority), Rounds()
            )
            numbers = {bucket: len(each) for bucket, each in waiting.items()}
            turns = rounds.plan(numbers, limit - len(found))
            found += sorted(
                (each for bucket, n in turns.items() for each in waiting[bucket][:n]),
                key=lambda entry: entry.rank,
            )
        return found

    def _hand_out(self, entry: Queued) -> MemoryDelivery:
        entry.held_until = self.hold_until()
        entry.deliveries += 1
        return MemoryDelivery(self, entry)

    def _next_ready(self, now: float, default: float) -> float:
        times = [entry.held_until or entry.ready_at for entry in self.entries.values()]
        return min((time for time in times if time > now), default=default)

    async def _wait(self, until: float) -> None:
        future = self.clock.timer(until - self.clock.monotonic())
        self._waiting.append(future)
        await future


def _held(entry: Queued, now: float) -> bool:
    return entry.held_until is not None and entry.held_until > now


@dataclass
class Kept:
    """A message in the stream of inboxes and topics."""

    message: Arrived
    until: float | None
    stored: datetime


class MemoryInboxes:
    """`ports.Inboxes`. Its arrivals survive as long as the test."""

    def __init__(
        self, door: Door, clock: FakeClock, retention: RetentionPolicy
    ) -> None:
        self._door = door
        self._clock = clock
        self._retention = retention
        self._epoch = "epoch-1"
        self._last = 0
        self._seen: dict[tuple[object, ...], tuple[int, float]] = {}
        self.kept: dict[int, Kept] = {}
        self._hub: Hub[Arrived] = Hub()

    def lose_everything(self, epoch: str) -> None:
        """What a damaged stream looks like from outside."""
        self._epoch, self._last = epoch, 0
        self._seen.clear()
        self.kept.clear()

    async def epoch(self) -> str:
        await self._door.enter("inboxes.epoch")
        return self._epoch

    async def append(
        self,
        namespace: Namespace,
        agent: AgentId,
        message: Message,
        *,
        ttl_s: int | None,
    ) -> tuple[int, bool]:
        await self._door.enter("inboxes.append")
        lives_s = inbox_ttl_s(self._retention, ttl_s)
        stored = InboxMessage(namespace, agent, self._last + 1, message)
        known_as: tuple[str, ...] = (namespace, agent, message.id)
        if message.to.capability is not None:
            known_as = ("capability", namespace, message.to.capability, message.id)
        return self._store(stored, known_as, lives_s, "append")

    async def publish(
        self,
        namespace: Namespace,
        topic: str,
        message: Message,
        *,
        ttl_s: int | None,
    ) -> tuple[int, bool]:
        await self._door.enter("inboxes.publish")
        lives_s = topic_ttl_s(self._retention, namespace, ttl_s)
        stored = TopicMessage(namespace, topic, self._last + 1, message)
        known_as = ("topic", namespace, topic, message.id)
        return self._store(stored, known_as, lives_s, "publish")

    async def read(
        self, namespace: Namespace, agent: AgentId, *, after: int, limit: int
    ) -> list[InboxMessage]:
        await self._door.enter("inboxes.read")
        self._forget_expired()
        return self._inbox(namespace, agent, after)[:limit]

    async def read_topics(
        self, namespace: Namespace, pattern: str, *, after: int, limit: int
    ) -> list[TopicMessage]:
        await self._door.enter("inboxes.read_topics")
        self._forget_expired()
        kept = [each.message for each in self.kept.values()]
        return [
            each
            for each in kept
            if isinstance(each, TopicMessage)
            and each.namespace == namespace
            and matches(pattern, each.topic)
            and each.seq > after
        ][:limit]

    async def find(
        self, namespace: Namespace, agent: AgentId, seq: int
    ) -> InboxMessage | None:
        await self._door.enter("inboxes.find")
        self._forget_expired()
        mine = self._inbox(namespace, agent, 0)
        return next((each for each in mine if each.seq == seq), None)

    async def count(self, namespace: Namespace, agent: AgentId) -> int:
        await self._door.enter("inboxes.count")
        self._forget_expired()
        return len(self._inbox(namespace, agent, 0))

    async def counts(self, namespace: Namespace, *, topics: bool) -> dict[str, int]:
        await self._door.enter("inboxes.counts")
        self._forget_expired()
        found: dict[str, int] = {}
        for each in (kept.message for kept in self.kept.values()):
            if each.namespace == namespace and isinstance(each, TopicMessage) == topics:
                name = each.topic if isinstance(each, TopicMessage) else each.agent
                found[name] = found.get(name, 0) + 1
        return found

    async def ack(
        self,
        namespace: Namespace,
        agent: AgentId,
        *,
        seq: int | None = None,
        upto: int | None = None,
    ) -> None:
        await self._door.enter("inboxes.ack")
        for each in self._inbox(namespace, agent, 0):
            if each.seq == seq or (upto is not None and each.seq <= upto):
                del self.kept[each.seq]
        self._door.leave("inboxes.ack")

    async def last_seq(self) -> int:
        await self._door.enter("inboxes.last_seq")
        return self._last

    async def position(self, moment: datetime) -> int:
        await self._door.enter("inboxes.position")
        self._forget_expired()
        young = [at for at, kept in self.kept.items() if kept.stored >= moment]
        return min(young) - 1 if young else self._last

    def arrivals(self) -> AsyncIterator[Arrived]:
        return self._hub.subscribe()

    def _store(
        self, stored: Arrived, key: tuple[object, ...], lives_s: int | None, call: str
    ) -> tuple[int, bool]:
        now = self._clock.monotonic()
        seen = self._seen.get(key)
        if seen is not None and now - seen[1] < DUPLICATE_WINDOW_S:
            return seen[0], True
        self._last = stored.seq
        self._seen[key] = (stored.seq, now)
        lives_s = stream_age_s(self._retention) if lives_s is None else lives_s
        self.kept[stored.seq] = Kept(stored, now + lives_s, self._clock.now())
        self._hub.publish(stored)
        self._door.leave(f"inboxes.{call}")
        return stored.seq, False

    def _inbox(
        self, namespace: Namespace, agent: AgentId, after: int
    ) -> list[InboxMessage]:
        kept = [each.message for each in self.kept.values()]
        return [
            each
            for each in kept
            if isinstance(each, InboxMessage)
            and (each.namespace, each.agent) == (namespace, agent)
            and each.seq > after
        ]

    def _forget_expired(self) -> None:
        now = self._clock.monotonic()
        for at, kept in list(self.kept.items()):
            if kept.until is not None and kept.until <= now:
                del self.kept[at]


class MemorySignals:
    """`ports.Signals`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._hub: Hub[Arrived] = Hub()
        self._takers: dict[str, TakeAnswer] = {}

    async def send(
        self, namespace: Namespace, agent: AgentId, message: Message
    ) -> None:
        await self._door.enter("signals.send")
        self._hub.publish(InboxMessage(namespace, agent, 0, message))

    async def publish(self, namespace: Namespace, topic: str, message: Message) -> None:
        await self._door.enter("signals.publish")
        self._hub.publish(TopicMessage(namespace, topic, 0, message))

    def arrivals(self) -> AsyncIterator[Arrived]:
        return self._hub.subscribe()

    async def answer(
        self, tag: str, namespace: Namespace, address: str, message: Message
    ) -> bool:
        await self._door.enter("signals.answer")
        take = self._takers.get(tag)
        taken = take is not None and take(namespace, address, message)
        self._door.leave("signals.answer")
        return taken

    async def take_answers(self, tag: str, take: TakeAnswer) -> None:
        await self._door.enter("signals.take_answers")
        self._takers[tag] = take


class MemoryPartials:
    """`ports.Partials`. A node hears itself, too."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._hub: Hub[PartialResult] = Hub()

    async def send(self, told: PartialResult) -> None:
        await self._door.enter("partials.send")
        self._hub.publish(told)

    def arrivals(self) -> AsyncIterator[PartialResult]:
        return self._hub.subscribe()


class MemoryObjects:
    """`ports.Objects`."""

    def __init__(
        self, door: Door, clock: FakeClock, retention: RetentionPolicy
    ) -> None:
        self._door = door
        self._clock = clock
        self._age_s = objects_age_s(retention)
        self.kept: dict[str, tuple[bytes, float]] = {}

    async def put(
        self, chunks: AsyncIterator[bytes], *, limit: int, shelf: str = ""
    ) -> StoredObject:
        await self._door.enter("objects.put")
        cutter, whole = Cutter(limit), bytearray()
        async for chunk in chunks:
            for piece in cutter.feed(chunk):
                whole += piece
        whole += b"".join(cutter.finish())
        until = self._clock.monotonic() + self._age_s
        self.kept[cutter.sha256 + shelf] = bytes(whole), until
        self._door.leave("objects.put")
        return StoredObject(cutter.sha256, cutter.size)

    async def get(
        self, sha256: str, *, shelf: str = ""
    ) -> tuple[int, AsyncIterator[bytes]] | None:
        await self._door.enter("objects.get")
        content, until = self.kept.get(sha256 + shelf, (b"", 0.0))
        if until <= self._clock.monotonic():
            return None
        return len(content), self._pieces(content)

    async def sweep(self) -> int:
        await self._door.enter("objects.sweep")
        now = self._clock.monotonic()
        old = [name for name, (_, until) in self.kept.items() if until <= now]
        for name in old:
            del self.kept[name]
        return 0

    async def _pieces(self, content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), PIECE_BYTES):
            await self._door.enter("objects.piece")
            yield content[start : start + PIECE_BYTES]


class MemoryEvents:
    """`ports.EventLog`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.stored: list[Event] = []
        self._hub: Hub[Event] = Hub()

    async def append(self, event: Event) -> None:
        await self._door.enter("events.append")
        self.stored.append(event)
        self._hub.publish(event)
        self._door.leave("events.append")

    async def recent(self, *, limit: int) -> list[Event]:
        await self._door.enter("events.recent")
        return self.stored[-limit:]

    def arrivals(self) -> AsyncIterator[Event]:
        return self._hub.subscribe()


class MemoryAlerts:
    """`ports.AlertRecords`."""

    def __init__(self, door: Door) -> None:
        self.bucket: Bucket[AlertRecord] = Bucket(door, "alerts")

    def seed(self, *records: AlertRecord) -> None:
        for record in records:
            self.bucket.set(record.alert.fingerprint, record)

    async def get(self, fingerprint: str) -> Versioned[AlertRecord] | None:
        return await self.bucket.read(fingerprint)

    async def create(self, record: AlertRecord) -> int | None:
        return await self.bucket.create(record.alert.fingerprint, record)

    async def update(self, record: AlertRecord, *, revision: int) -> int:
        return await self.bucket.swap(record.alert.fingerprint, record, revision)

    async def delete(self, fingerprint: str, *, revision: int) -> None:
        await self.bucket.remove(fingerprint, revision=revision)

    def watch(self) -> AsyncIterator[Versioned[AlertRecord] | Removed | Caught]:
        return self.bucket.watch()


class MemorySilences:
    """`ports.SilenceRecords`."""

    def __init__(self, door: Door) -> None:
        self.bucket: Bucket[Silence] = Bucket(door, "silences")

    async def put(self, silence: Silence) -> None:
        await self.bucket.write(silence.id, silence)

    async def delete(self, silence_id: str) -> None:
        await self.bucket.remove(silence_id)

    def watch(self) -> AsyncIterator[Versioned[Silence] | Removed | Caught]:
        return self.bucket.watch()


class MemoryEvidence:
    """`ports.EvidenceRecords`."""

    def __init__(self, door: Door) -> None:
        self.bucket: Bucket[Evidence] = Bucket(door, "evidence")

    async def get(self, fingerprint: str) -> Evidence | None:
        seen = await self.bucket.read(fingerprint)
        return None if seen is None else seen.value

    async def put(self, fingerprint: str, evidence: Evidence) -> None:
        await self.bucket.write(fingerprint, evidence)


class MemoryAlertLog:
    """`ports.AlertLog`."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.lines: list[AlertChange] = []

    async def append(self, change: AlertChange) -> None:
        await self.door.enter("alert_log.append")
        if all(line.id != change.id for line in self.lines):
            self.lines.append(change)
        self.door.leave("alert_log.append")

    async def read(
        self, *, fingerprint: str | None = None, before: int | None = None, limit: int
    ) -> list[tuple[int, AlertChange]]:
        await self.door.enter("alert_log.read")
        found = [
            (seq, line)
            for seq, line in enumerate(self.lines, start=1)
            if fingerprint in (None, line.fingerprint)
            and (before is None or seq < before)
        ]
        return found[::-1][:limit]


class MemoryStore:
    """`ports.Store`: all of them behind one door."""

    def __init__(
        self,
        clock: FakeClock | None = None,
        *,
        keep_every_s: float = 10.0,
        retention: RetentionPolicy | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.retention = retention or RetentionPolicy()
        self.door = Door()
        self.tasks = MemoryTasks(self.door)
        self.queue = MemoryQueue(self.door, self.clock, keep_every_s=keep_every_s)
        self.agents = MemoryAgents(self.door)
        self.sessions = MemorySessions(self.door)
        self.inboxes = MemoryInboxes(self.door, self.clock, self.retention)
        self.signals = MemorySignals(self.door)
        self.partials = MemoryPartials(self.door)
        self.objects = MemoryObjects(self.door, self.clock, self.retention)
        self.events = MemoryEvents(self.door)
        self.tokens = MemoryTokens(self.door)
        self.roles = MemoryRoles(self.door)
        self.quotas = MemoryQuotas(self.door)
        self.alerts = MemoryAlerts(self.door)
        self.silences = MemorySilences(self.door)
        self.evidence = MemoryEvidence(self.door)
        self.alert_log = MemoryAlertLog(self.door)
        self.restarts = 0

    @property
    def available(self) -> bool:
        return self.door.available

    @available.setter
    def available(self, value: bool) -> None:
        self.door.available = value
        self.queue.changed()

    @property
    def lose_answers(self) -> bool:
        return self.door.lose_answers

    @lose_answers.setter
    def lose_answers(self, value: bool) -> None:
        self.door.lose_answers = value

    def health(self) -> StoreHealth:
        detail = "in memory" if self.available else "it was made unavailable"
        return StoreHealth(
            connected=self.available, detail=detail, pid=None, restarts=self.restarts
        )

    async def round_trip(self) -> RoundTrip:
        await self.door.enter("round_trip")
        return RoundTrip(publish_ms=1.0, read_ms=0.5, cas_ms=1.5)


@dataclass(frozen=True)
class Recorded:
    """One call of `Journal.record`."""

    kind: str
    subject: str
    message: str
    severity: str
    data: dict[str, object] = field(default_factory=dict)


class RecordingJournal:
    """`api.Journal` that keeps what it was told."""

    def __init__(self) -> None:
        self.records: list[Recorded] = []

    def record(
        self,
        kind: str,
        *,
        subject: str,
        message: str,
        severity: str = "info",
        data: dict[str, object] | None = None,
    ) -> None:
        self.records.append(Recorded(kind, subject, message, severity, data or {}))

    def kinds(self) -> list[str]:
        return [record.kind for record in self.records]

    def last(self, kind: str) -> Recorded:
        """The newest of that kind; an error that names what there is, if none."""
        found = [record for record in self.records if record.kind == kind]
        assert found, f"no {kind!r} among {self.kinds()}"
        return found[-1]
