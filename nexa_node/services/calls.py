"""Which service does what an agent asks for: the agent protocol's table of methods."""

from collections.abc import Awaitable, Callable
from typing import Any

from nexa_node.contract.frames import (
    Complete,
    Credit,
    Empty,
    Fail,
    Find,
    Found,
    Release,
    TaskList,
    TaskQuery,
    TaskRef,
    Watch,
    Watching,
)
from nexa_node.contract.messages import NewMessage
from nexa_node.contract.tasks import NewTask, Submitted, Task
from nexa_node.core.authorization import demand
from nexa_node.core.session import Call
from nexa_node.services.api import AgentFilter, TaskFilter
from nexa_node.services.directory.sight import Sight, TaskSeen
from nexa_node.services.messages.postoffice import PostOffice
from nexa_node.services.sessions.live import LiveAgent
from nexa_node.services.tasks.dispatch import Dispatch
from nexa_node.services.tasks.tasks import Tasks
from nexa_node.services.tasks.watches import Watches
from nexa_node.services.tasks.work import Work

Now = Callable[[LiveAgent, Any], Any | None]
Later = Callable[[LiveAgent, Any], Awaitable[Any]]

READS = frozenset(("task.get", "task.watch"))
"""What needs the store and changes nothing in it."""


class AgentCalls:
    """What an open session's methods do. Satisfies `sessions.Calls`."""

    def __init__(
        self,
        *,
        tasks: Tasks,
        work: Work,
        dispatch: Dispatch,
        post: PostOffice,
        sight: Sight,
        watches: Watches,
        check_writable: Callable[[], None] | None = None,
    ) -> None:
        """Join the services that agents call.

        `check_writable` raises `Unavailable` while nothing can be stored.
        """
        self._check_writable = check_writable
        self._tasks = tasks
        self._work = work
        self._dispatch = dispatch
        self._post = post
        self._sight = sight
        self._watches = watches
        self._now: dict[str, Now] = {
            "agents.find": self._find,
            "flow.credit": self._credit,
            "task.list": self._list,
            "task.progress": work.progress_now,
            "task.watch": watches.watch_now,
            "task.unwatch": watches.unwatch,
        }
        self._later: dict[str, Later] = {
            **post.calls(),
            "task.submit": self._submit,
            "task.get": self._get,
            "task.cancel": self._cancel,
            "task.watch": self._watch,
            "task.progress": work.progress,
            "task.complete": self._complete,
            "task.fail": self._fail,
            "task.release": self._release,
        }

    def now(self, agent: LiveAgent, call: Call) -> Any | None:
        """Answer from memory; None for a call that must wait."""
        known = self._now.get(call.method)
        return None if known is None else known(agent, call.params)

    async def later(self, agent: LiveAgent, call: Call) -> Any:
        """Answer with the store's help."""
        if self._check_writable is not None and _writes(call):
            self._check_writable()
        return await self._later[call.method](agent, call.params)

    def notified(self, agent: LiveAgent, method: str, params: Any) -> None:
        """Take a notification; what only a request can ask for is ignored."""
        if method in ("flow.credit", "task.progress"):
            self._now[method](agent, params)

    def _find(self, agent: LiveAgent, said: Find) -> Found:
        query = AgentFilter(
            capability=said.capability,
            state=said.state,
            limit=said.limit,
            cursor=said.cursor,
        )
        page = self._sight.agents(query, namespace=agent.namespace)
        found = tuple(
            each
            for each in page.items
            if not said.labels
            or any(
                said.labels.items() <= one.labels.items()
                for one in each.capabilities
                if said.capability in (None, one.name)
            )
        )
        return Found(agents=found, cursor=page.next_cursor)

    def _list(self, agent: LiveAgent, said: TaskQuery) -> TaskList:
        query = TaskFilter(
            status=said.status,
            type=said.type,
            parent=said.parent,
            limit=said.limit,
            cursor=said.cursor,
        )
        page = self._sight.tasks(query, namespace=agent.namespace)
        return TaskList(tasks=page.items, cursor=page.next_cursor)

    def _credit(self, agent: LiveAgent, said: Credit) -> Empty:
        if said.scope == "tasks":
            self._dispatch.grant(agent, said.n)
        else:
            self._post.grant(agent, said.n)
        return Empty()

    async def _submit(self, agent: LiveAgent, said: NewTask) -> Submitted:
        demand(agent.identity, "task.submit", f"{agent.namespace}.{said.type}")

        def submit(begun: TaskSeen | None = None) -> Awaitable[Submitted]:
            return self._tasks.submit(
                agent.id, said, namespace=agent.namespace, begun=begun
            )

        if said.watch:
            return await self._watches.submitted(agent, submit)
        return await submit()

    async def _watch(self, agent: LiveAgent, said: Watch) -> Watching:
        return await self._watches.watch(agent, said)

    async def _get(self, agent: LiveAgent, said: TaskRef) -> Task:
        return await self._tasks.get(said.id, namespace=agent.namespace)

    async def _cancel(self, agent: LiveAgent, said: TaskRef) -> Empty:
        await self._tasks.cancel(said.id, by=agent.id, namespace=agent.namespace)
        return Empty()

    async def _complete(self, agent: LiveAgent, said: Complete) -> Empty:
        await self._work.complete(agent, said)
        return Empty()

    async def _fail(self, agent: LiveAgent, said: Fail) -> Empty:
        await self._work.fail(agent, said)
        return Empty()

    async def _release(self, agent: LiveAgent, said: Release) -> Empty:
        await self._work.release(agent, said)
        return Empty()


def _writes(call: Call) -> bool:
    """Whether a call needs to change the store; a signal passes by it."""
    if isinstance(call.params, NewMessage):
        return call.params.durable
    return call.method not in READS
