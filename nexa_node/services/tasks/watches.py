"""Watches: agents that are told what becomes of tasks.

The watch of one task hears of this node's own writes as they are stored, in the same turn
of the loop, and of other nodes' by the watch of the store: so a submitter learns a result
without asking. A watch by type, parent or status hears what the store tells, in its order.
Nothing is read to tell it, but for a session that is slow: what it missed is remembered by
id and read when there is room. So changes coalesce, and the last one always comes.
Partial results are told at once, each one (`services/tasks/partials.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec

from nexa_node.contract.errors import NotFound, RateLimited, Unavailable
from nexa_node.contract.frames import Empty, Unwatch, Watch, Watching
from nexa_node.contract.ids import Namespace, TaskId
from nexa_node.contract.tasks import FINISHED, Json, Submitted, Task
from nexa_node.core.progression import is_news, mark
from nexa_node.ports import Clock
from nexa_node.services.directory.sight import Sight, TaskSeen
from nexa_node.services.sessions.live import AgentKey, LiveAgent
from nexa_node.services.tasks.ledger import Ledger
from nexa_node.services.tasks.watching import Follower, Many, One, Told

ONES_MAX = 1024
"""Single tasks that one session may watch."""
MANY_MAX = 64
"""Watches by type, parent or status of one session."""
RETRY_S = 0.5
"""Before the store is asked again that did not answer."""

K = TypeVar("K")
W = TypeVar("W")


class Watches:
    """Everything that is watched by sessions of this node. An `Audience`."""

    def __init__(
        self, *, ledger: Ledger, sight: Sight, clock: Clock, node: str
    ) -> None:
        """Nobody watches yet.

        Args:
            ledger: This node's writes, as they are stored.
            sight: Everybody's, as the store tells them.
            clock: Pauses.
            node: This node's name, as records hold it.
        """
        self._ledger = ledger
        self._sight = sight
        self._clock = clock
        self._node = node
        self._followers: dict[AgentKey, Follower] = {}
        self._ones: dict[TaskId, list[One]] = {}
        self._many: dict[Namespace, list[Many]] = {}
        self._room = asyncio.Event()
        ledger.on_write(self._written)
        sight.on_task(self._seen)

    async def run(self) -> None:
        """Tell slow sessions what they missed, for ever. A service's loop."""
        while True:
            await self._room.wait()
            self._room.clear()
            for follower in [each for each in self._followers.values() if each.behind]:
                if not await self._catch_up(follower):
                    await self._clock.sleep(RETRY_S)
                    self._room.set()

    # -- calls -----------------------------------------------------------------

    def watch_now(self, agent: LiveAgent, said: Watch) -> Watching | None:
        """Begin a watch if nothing has to be read for the answer; else None.

        Raises:
            RateLimited: The session watches as much as it may.
        """
        if said.id is None:
            return Watching(watch=self._seek(agent, said).id)
        task = self._sight.task(said.id)
        if task is None or task.namespace != agent.namespace or not _is_whole(task):
            return None
        one = self._follow(agent, task.id)
        one.known = mark(task)
        return Watching(watch=one.id, task=task)

    async def watch(self, agent: LiveAgent, said: Watch) -> Watching:
        """Begin the watch of one task; the answer tells how it is now.

        Raises:
            NotFound: The agent's namespace has no such task.
            RateLimited: The session watches as many as it may.
        """
        assert said.id is not None
        one = self._follow(agent, said.id)
        one.held = []
        try:
            task = (await self._ledger.need(said.id)).value
            if task.namespace != agent.namespace:
                raise NotFound(f"no task {said.id}", remedy="nexa task list")
        except BaseException:
            self._close(one)
            raise
        one.known = mark(task)
        if task.status in FINISHED:
            self._close(one)
        else:
            self._release_soon(one)
        return Watching(watch=one.id, task=_light(task))

    def unwatch(self, agent: LiveAgent, said: Unwatch) -> Empty:
        """End a watch; no error if it is over."""
        follower = self._followers.get(agent.key)
        watch = None if follower is None else follower.open.get(said.watch)
        if watch is not None:
            self._close(watch)
        return Empty()

    async def submitted(
        self, agent: LiveAgent, submit: Callable[[TaskSeen], Awaitable[Submitted]]
    ) -> Submitted:
        """Submit, and watch what comes of it; the watch's id is the task's.

        Args:
            agent: Whose session watches.
            submit: Submits, and tells the first record before it is stored.

        Raises:
            RateLimited: The session watches as many as it may; nothing is submitted.
        """
        watches: list[One] = []

        def begun(task: Task) -> None:
            one = self._follow(agent, task.id, named=task.id)
            one.known, one.held = mark(task), []
            watches.append(one)

        try:
            submitted = await submit(begun)
        except BaseException:
            for one in watches:
                self._close(one)
            raise
        for one in watches:
            if submitted.duplicate:
                one.known = None  # how it is now is read, and told first
                one.follower.miss(one, one.task)
            self._release_soon(one)
        return submitted

    # -- what sessions tell ----------------------------------------------------

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """A new connection watches nothing."""
        del restarted
        follower = self._followers.get(agent.key)
        if follower is not None and follower.agent is not agent:
            self.away(follower.agent)

    def changed(self, agent: LiveAgent) -> None:
        """There may be room again."""
        follower = self._followers.get(agent.key)
        if follower is not None and follower.behind and follower.is_roomy:
            self._room.set()

    def away(self, agent: LiveAgent) -> None:
        """A watch is gone with its connection."""
        follower = self._followers.get(agent.key)
        if follower is None or follower.agent is not agent:
            return
        del self._followers[agent.key]
        for watch in list(follower.open.values()):
            self._close(watch)

    def left(self, agent: LiveAgent, *, in_order: bool) -> None:
        """As when it is away."""
        del in_order
        self.away(agent)

    # -- what happens to tasks -------------------------------------------------

    def partial(self, task: Task, partial: Json) -> None:
        """Tell a partial result to all that watch here, slow or not.

        Args:
            task: As it is with it; what is told of it later is newer.
            partial: What was told.
        """
        ones = self._ones.get(task.id)
        many = self._many.get(task.namespace)
        if not ones and not many:
            return
        told = Told(_light(task), mark(task), partial=partial)
        for one in list(ones or ()):
            self._tell_one(one, told)
        for each in many or ():
            if each.wants(task):
                each.ahead[task.id] = told.mark
                each.follower.tell(each, told.task, partial)

    def _written(self, task: Task) -> None:
        ones = self._ones.get(task.id)
        if ones:
            self._tell_ones(ones, task, echo=False)

    def _seen(self, task: Task) -> None:
        ones = self._ones.get(task.id)
        if ones:
            self._tell_ones(ones, task, echo=task.node == self._node)
        many = self._many.get(task.namespace)
        if many:
            told = Told(_light(task), mark(task))
            for each in many:
                self._tell_many(each, told)

    # -- telling ---------------------------------------------------------------

    def _tell_ones(self, ones: Iterable[One], task: Task, *, echo: bool) -> None:
        told = Told(_light(task), mark(task), echo=echo)
        for one in list(ones):
            self._tell_one(one, told)

    def _tell_one(self, one: One, told: Told) -> None:
        """Tell the watcher of one task what it does not know."""
        if one.held is not None:
            one.held.append(told)
            return
        is_partial = told.partial is not None
        if is_partial:
            if one.known is not None and told.mark.stage < one.known.stage:
                return
        elif not is_news(one.known, told.mark, echo=told.echo):
            return
        elif not one.follower.is_roomy:
            one.known = None
            one.follower.miss(one, one.task)
            return
        one.known = told.mark
        one.follower.tell(one, told.task, told.partial)
        if told.task.status in FINISHED:
            self._close(one)

    def _tell_many(self, many: Many, told: Told) -> None:
        """Tell a watcher of many what the store told."""
        task = told.task
        ahead = many.ahead.get(task.id)
        if ahead is not None:
            if told.mark.stage < ahead.stage:
                return
            if told.mark.stage > ahead.stage:
                del many.ahead[task.id]
        if not many.wants(task):
            return
        if many.follower.is_roomy:
            many.follower.tell(many, task)
        else:
            many.follower.miss(many, task.id)

    async def _catch_up(self, follower: Follower) -> bool:
        """Read what a session missed, while it has room; False if the store is silent."""
        while follower.is_roomy and (key := follower.next_missed()) is not None:
            watch = follower.open.get(key[0])
            if watch is None:
                continue
            try:
                seen = await self._ledger.get(key[1])
            except Unavailable:
                follower.miss(watch, key[1])
                return False
            if seen is None or follower.reading != key or key[0] not in follower.open:
                continue
            told = Told(_light(seen.value), mark(seen.value))
            if isinstance(watch, One):
                self._tell_one(watch, told)
            else:
                self._tell_many(watch, told)
        return True

    # -- opening and closing ---------------------------------------------------

    def _follow(
        self, agent: LiveAgent, task_id: TaskId, *, named: str | None = None
    ) -> One:
        follower = self._follower(agent)
        if follower.ones >= ONES_MAX:
            raise _too_many(f"{ONES_MAX:,} tasks")
        old = None if named is None else follower.open.get(named)
        if old is not None:
            self._close(old)
        one = One(named or follower.number(), follower, task_id)
        follower.open[one.id] = one
        follower.ones += 1
        self._ones.setdefault(task_id, []).append(one)
        return one

    def _seek(self, agent: LiveAgent, said: Watch) -> Many:
        follower = self._follower(agent)
        if len(follower.open) - follower.ones >= MANY_MAX:
            raise _too_many(f"by {MANY_MAX} types, parents or statuses")
        many = Many(
            follower.number(),
            follower,
            agent.namespace,
            said.type,
            said.parent,
            said.status,
        )
        follower.open[many.id] = many
        self._many.setdefault(agent.namespace, []).append(many)
        return many

    def _follower(self, agent: LiveAgent) -> Follower:
        if agent.connection is None:
            raise Unavailable("the session is over: watch again on the next one")
        follower = self._followers.get(agent.key)
        if follower is not None and follower.agent is not agent:
            self.away(follower.agent)
            follower = None
        if follower is None:
            follower = self._followers[agent.key] = Follower(agent)
        return follower

    def _close(self, watch: One | Many) -> None:
        if watch.follower.open.get(watch.id) is not watch:
            return
        del watch.follower.open[watch.id]
        if isinstance(watch, One):
            watch.follower.ones -= 1
            _leave(self._ones, watch.task, watch)
        else:
            _leave(self._many, watch.namespace, watch)

    def _release_soon(self, one: One) -> None:
        """Tell what came meanwhile once the answer is on its way."""
        asyncio.get_running_loop().call_soon(self._release, one)

    def _release(self, one: One) -> None:
        held, one.held = one.held or [], None
        for told in held:
            if one.follower.open.get(one.id) is one:
                self._tell_one(one, told)
        if one.follower.behind:
            self._room.set()


def _leave(index: dict[K, list[W]], key: K, watch: W) -> None:
    left = [each for each in index.get(key, ()) if each is not watch]
    if left:
        index[key] = left
    else:
        index.pop(key, None)


def _light(task: Task) -> Task:
    return msgspec.structs.replace(task, data=None)


def _is_whole(task: Task) -> bool:
    """Whether a record without payloads lacks nothing but its data: nobody had it yet."""
    return task.status == "pending" and task.claim_epoch == 0


def _too_many(what: str) -> RateLimited:
    return RateLimited(
        f"this session watches {what} already, and more are not allowed",
        remedy="end some with task.unwatch; the watch of a finished task ends by itself",
    )
