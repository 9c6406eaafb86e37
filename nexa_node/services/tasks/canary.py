"""Canaries: does what is queued still come out?

Each minute, for each capability of this node's agents, one task that nobody works on goes
the way of all others: into the same stream, by the same consumer, through the same pulls.
Whichever node takes it acknowledges it and tells the node it came from. One that does not
come while there is room for it means that the queue has gone deaf: that is told, and the
pulls are made anew; when that does not help, the consumers are, too. Tasks that are seen
waiting beside free slots bring the next canary forward.
"""

import asyncio
from dataclasses import dataclass

from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.contract.ids import AgentId, Namespace, TaskId, time_ordered_id
from nexa_node.contract.messages import Address, Message
from nexa_node.contract.tasks import PRIORITIES, Task
from nexa_node.core.fairness import PLAIN, key_of
from nexa_node.core.policies import CanaryPolicy
from nexa_node.core.routing import missing_labels
from nexa_node.ports import Signals, TaskQueue
from nexa_node.services.means import Means
from nexa_node.services.tasks.dispatch import CANARY, Dispatch
from nexa_node.services.tasks.lanes import Lane, LaneKey, Place

TICK_S = 1.0
LOOK_S = 5.0
"""How often it is looked for tasks that wait beside free slots."""
IN_USE_S = 600.0
"""A bucket where something came within so long is tested, too."""
TAG_MAX = 63
TYPE = "nexa.canary"


@dataclass(slots=True, kw_only=True)
class CanaryFigures:
    """For the node's metrics."""

    passed: int = 0
    lost: int = 0
    latest_s: float | None = None
    """How long the newest that passed was under way."""


@dataclass(slots=True)
class _Watch:
    """One lane's canaries."""

    next_at: float
    turn: int = 0
    sent: Task | None = None
    place: Place = ("normal", PLAIN)
    sent_at: float = 0.0
    roomy_since: float | None = None
    """Since the newest was sent, there has been room without a break since then."""
    failures: int = 0
    """Canaries lost one after the other; more than none: it is deaf."""
    suspect: TaskId | None = None
    suspect_since: float = 0.0


class Canary:
    """Sends canaries, and tells where they do not arrive."""

    def __init__(
        self,
        *,
        queue: TaskQueue,
        dispatch: Dispatch,
        signals: Signals,
        means: Means,
        policy: CanaryPolicy,
    ) -> None:
        """Send nothing before `run`.

        Args:
            queue: What is tested.
            dispatch: Takes from it, and knows whose agents have room.
            signals: Tell another node that its canary came here.
            means: Who there is, what time it is, where events go.
            policy: How often, and how patiently.
        """
        self.figures = CanaryFigures()
        self._queue = queue
        self._dispatch = dispatch
        self._signals = signals
        self._sight = means.sight
        self._clock = means.clock
        self._journal = means.journal
        self._tag = f"canary-{means.node}"[:TAG_MAX]
        self._entropy = means.entropy
        self._rng = means.rng
        self._policy = policy
        self._watches: dict[LaneKey, _Watch] = {}
        self._strangers: asyncio.Queue[Task] = asyncio.Queue(1000)
        self._look_at = 0.0
        dispatch.on_canary(self._came)

    @property
    def deaf(self) -> tuple[LaneKey, ...]:
        """The queues that give nothing, by namespace and capability."""
        return tuple(key for key, each in self._watches.items() if each.failures)

    async def run(self) -> None:
        """Send and watch, for ever. A service's loop."""
        await self._signals.take_answers(self._tag, self._told)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell_strangers())
            while True:
                await self._clock.sleep(TICK_S)
                await self.tick()

    async def tick(self) -> None:
        """Look at every lane once."""
        now = self._clock.monotonic()
        lanes = {lane.key: lane for lane in self._dispatch.lanes()}
        for key in [key for key in self._watches if key not in lanes]:
            await self._give_up(self._watches.pop(key))
        for key in lanes:
            if key not in self._watches:
                first = now + self._rng.uniform(0.0, self._policy.every_ms / 1000)
                self._watches[key] = _Watch(next_at=first)
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._look_for_waiting(lanes, now)
        for key, lane in lanes.items():
            await self._watch(lane, self._watches[key], now)

    async def _watch(self, lane: Lane, watch: _Watch, now: float) -> None:
        if watch.sent is None:
            if now >= watch.next_at:
                await self._send(lane, watch, now)
            return
        if lane.came.get(watch.place, 0.0) > watch.sent_at:
            self._passed(watch, now)  # something else came the same way
            return
        if lane.room(1) == 0:
            watch.roomy_since = None
        elif watch.roomy_since is None:
            watch.roomy_since = now
        elif now - watch.roomy_since >= self._policy.patience_ms / 1000:
            await self._lost(lane, watch, now)

    # -- sending ---------------------------------------------------------------

    async def _send(self, lane: Lane, watch: _Watch, now: float) -> None:
        places = self._places(lane, now)
        if not watch.failures:
            watch.turn += 1
            watch.place = places[watch.turn % len(places)]
        sent = watch.sent = self._task(lane, watch.place)
        watch.sent_at, watch.roomy_since = now, None
        try:
            await self._queue.put(sent)
        except Unavailable:  # the store is told of elsewhere
            watch.sent = None
            watch.next_at = now + self._policy.patience_ms / 1000

    def _places(self, lane: Lane, now: float) -> list[Place]:
        """All priorities, and the buckets that are in use."""
        plain: list[Place] = [(priority, PLAIN) for priority in PRIORITIES]
        used = sorted(
            place
            for place, at in lane.came.items()
            if place[1] != PLAIN and now - at < IN_USE_S
        )
        return [*plain, *used]

    def _task(self, lane: Lane, place: Place) -> Task:
        now = self._clock.now()
        priority, bucket = place
        return Task(
            id=TaskId(time_ordered_id(int(now.timestamp() * 1000), self._entropy(10))),
            type=lane.capability,
            namespace=lane.namespace,
            status="pending",
            priority=priority,
            fairness_key=key_of(bucket),
            submitted=now,
            submitter=f"{CANARY}{self._tag}",
        )

    # -- arriving --------------------------------------------------------------

    def _came(self, task: Task) -> None:
        """One came out of the queue here: ours, or another node's."""
        if task.submitter == f"{CANARY}{self._tag}":
            self._arrived(task.id)
        elif not self._strangers.full():
            self._strangers.put_nowait(task)

    def _told(self, namespace: Namespace, address: str, message: Message) -> bool:
        """Another node tells that it took one of ours."""
        del namespace, message
        return self._arrived(TaskId(address))

    def _arrived(self, task_id: TaskId) -> bool:
        for watch in self._watches.values():
            if watch.sent is not None and watch.sent.id == task_id:
                now = self._clock.monotonic()
                self.figures.latest_s = now - watch.sent_at
                self._passed(watch, now)
                return True
        return False

    async def _tell_strangers(self) -> None:
        """Tell the nodes whose canaries were taken here."""
        while True:
            task = await self._strangers.get()
            told = Message(
                id=task.id,
                sender=self._tag,
                to=Address(agent=AgentId(task.id)),
                type=TYPE,
                time=self._clock.now(),
            )
            tag = task.submitter.removeprefix(CANARY)
            try:
                await self._signals.answer(tag, task.namespace, task.id, told)
            except NexaError:
                continue  # that node is gone, or will send another one

    # -- verdicts --------------------------------------------------------------

    def _passed(self, watch: _Watch, now: float) -> None:
        sent, watch.sent = watch.sent, None
        watch.next_at = now + self._policy.every_ms / 1000
        watch.suspect = None
        self.figures.passed += 1
        if watch.failures and sent is not None:
            lost, watch.failures = watch.failures, 0
            self._journal.record(
                "queue.recovered",
                subject=_subject(sent),
                message=f"tasks come again, after {lost} canaries did not",
                severity="info",
            )

    async def _lost(self, lane: Lane, watch: _Watch, now: float) -> None:
        watch.failures += 1
        self.figures.lost += 1
        thorough = watch.failures > 1
        if watch.sent is not None and watch.failures == 1:
            priority, bucket = watch.place
            self._journal.record(
                "queue.deaf",
                subject=_subject(watch.sent),
                message=(
                    f"nothing comes from the queue {lane.capability} ({priority}, "
                    f"bucket {bucket}) of {lane.namespace}, though agents have room; "
                    "its pulls are made anew"
                ),
                severity="critical",
            )
        await self._give_up(watch)
        self._queue.rebuild(lane.namespace, lane.capability, thorough=thorough)
        watch.next_at = now

    async def _give_up(self, watch: _Watch) -> None:
        """Take a canary back that did not come."""
        sent, watch.sent = watch.sent, None
        if sent is not None:
            try:
                await self._queue.forget(sent)
            except Unavailable:
                return  # whoever takes it drops it

    def _look_for_waiting(self, lanes: dict[LaneKey, Lane], now: float) -> None:
        """Bring the next canary forward where a task waits and could be placed."""
        roomy = {key: lane for key, lane in lanes.items() if lane.room(1) > 0}
        oldest: dict[LaneKey, TaskId] = {}
        if roomy:
            wall = self._clock.now()
            for task in self._sight.unfinished():
                key = (task.namespace, task.type)
                lane = roomy.get(key)
                if lane is None or key in oldest or task.status != "pending":
                    continue
                is_due = task.not_before is None or task.not_before <= wall
                if is_due and _fits(task, lane):
                    oldest[key] = task.id
        for key, watch in self._watches.items():
            suspect = oldest.get(key)
            if suspect is None or suspect != watch.suspect:
                watch.suspect, watch.suspect_since = suspect, now
            elif now - watch.suspect_since >= self._policy.waiting_ms / 1000:
                watch.next_at, watch.suspect_since = now, now


def _fits(task: Task, lane: Lane) -> bool:
    return any(
        not missing_labels(task.labels, candidate.capability)
        for candidate in lane.free.values()
    )


def _subject(task: Task) -> str:
    return f"queue/{task.namespace}.{task.type}"
