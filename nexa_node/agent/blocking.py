"""The agent for programs without an event loop: the same calls, each of which blocks.

with Cluster() as nexa:
    print(nexa.do("wc", open("README.md").read()))
"""

import asyncio
import queue
import threading
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar

from nexa_node.agent.agent import Agent
from nexa_node.agent.calls import new_id
from nexa_node.contract.errors import Invalid, NexaError
from nexa_node.contract.frames import Deliver, Found, TaskUpdate
from nexa_node.contract.messages import Address, ObjectRef, Sent
from nexa_node.contract.tasks import Json, NewTask, Submitted, Task

T = TypeVar("T")
_END = object()


class Cluster:
    """A connection to the cluster, for scripts. Every call may be made from any thread.

    What goes wrong is raised as from `Agent`: `errors.NexaError`, and `Failed` by `do`.
    """

    def __init__(self, agent: Agent | str | None = None, **options: Any) -> None:
        """Describe the connection; `with` opens it.

        Args:
            agent: An agent with its handlers, or only the id; one is drawn if none is
                given.
            **options: As for `Agent`: `url`, `token`, `namespace` and so on.
        """
        if isinstance(agent, Agent):
            self._agent = agent
        else:
            self._agent = Agent(agent or f"script-{new_id()}", **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to connect; calls wait for the connection."""
        if self._thread is not None:
            raise Invalid("this connection was opened before: make another")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="nexa-cluster", daemon=True
        )
        self._thread.start()
        self._wait(self._agent.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let running tasks end, and say bye."""
        assert self._thread is not None
        assert self._loop is not None
        try:
            self._wait(self._agent.__aexit__(kind, error, trace))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = None

    def run(self) -> None:
        """Be an agent until it must not go on, or Ctrl-C."""
        self._wait(self._agent.stopped())

    def submit(
        self, task: str | NewTask, data: Json = None, **fields: Any
    ) -> Submitted:
        """See `Agent.submit`."""
        return self._wait(self._agent.submit(task, data, **fields))

    def do(
        self,
        type: str,  # noqa: A002  # the contract's word
        data: Json = None,
        *,
        timeout: float = 60.0,
        **fields: Any,
    ) -> Json:
        """See `Agent.do`."""
        return self._wait(self._agent.do(type, data, timeout=timeout, **fields))

    def get(self, task_id: str) -> Task:
        """See `Agent.get`."""
        return self._wait(self._agent.get(task_id))

    def result(self, task_id: str, *, timeout: float = 60.0) -> Task:
        """See `Agent.result`."""
        return self._wait(self._agent.result(task_id, timeout=timeout))

    def cancel(self, task_id: str) -> None:
        """See `Agent.cancel`."""
        self._wait(self._agent.cancel(task_id))

    def watch(self, task_id: str) -> Iterator[TaskUpdate]:
        """See `Agent.watch`: blocks until the next update; ends with the task."""
        told: queue.SimpleQueue[Any] = queue.SimpleQueue()

        async def follow() -> None:
            try:
                async with aclosing(self._agent.watch(task_id)) as updates:
                    async for update in updates:
                        told.put(update)
            except NexaError as error:
                told.put(error)
            finally:
                told.put(_END)

        following = self._begin(follow())
        try:
            while (news := told.get()) is not _END:
                if isinstance(news, NexaError):
                    raise news
                yield news
        finally:
            following.cancel()

    def send(
        self,
        to: str | Address,
        type: str,  # noqa: A002  # CloudEvents' word
        data: Json = None,
        **options: Any,
    ) -> Sent:
        """See `Agent.send`."""
        return self._wait(self._agent.send(to, type, data, **options))

    def publish(self, topic: str, type: str, data: Json = None) -> Sent:  # noqa: A002  # CloudEvents' word
        """See `Agent.publish`."""
        return self._wait(self._agent.publish(topic, type, data))

    def request(
        self,
        to: str | Address,
        type: str,  # noqa: A002  # CloudEvents' word
        data: Json = None,
        *,
        timeout: float = 30.0,
    ) -> Json:
        """See `Agent.request`."""
        return self._wait(self._agent.request(to, type, data, timeout=timeout))

    def reply(self, message: Deliver, data: Json = None) -> Sent:
        """See `Agent.reply`."""
        return self._wait(self._agent.reply(message, data))

    def find(self, capability: str | None = None, **options: Any) -> Found:
        """See `Agent.find`."""
        return self._wait(self._agent.find(capability, **options))

    def put(self, content: bytes) -> ObjectRef:
        """See `Agent.put`."""
        return self._wait(self._agent.put(content))

    def fetch(self, reference: ObjectRef | Mapping[str, Any]) -> bytes:
        """See `Agent.fetch`."""
        return self._wait(self._agent.fetch(reference))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = self._begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C ends the call, too
            raise

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop is None:
            work.close()
            raise Invalid(
                "the connection is not open", remedy="use it inside of `with`"
            )
        return asyncio.run_coroutine_threadsafe(work, self._loop)
