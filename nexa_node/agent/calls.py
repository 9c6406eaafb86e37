"""What an agent may ask of the cluster, besides doing tasks."""

import asyncio
import os
import time
from datetime import timedelta
from typing import Any, TypeVar

import msgspec

from nexa_node.contract.agents import AgentState
from nexa_node.contract.errors import DeadlineExceeded
from nexa_node.contract.frames import Empty, Find, Found, TaskList, TaskQuery, TaskRef
from nexa_node.contract.ids import AgentId, TaskId, time_ordered_id
from nexa_node.contract.messages import Address, NewMessage, Sent
from nexa_node.contract.tasks import FINISHED, Json, NewTask, Submitted, Task

T = TypeVar("T")
PATIENCE_S = 30.0
"""For one call, reconnects included."""
_POLL_S = 0.05
_POLL_SLOWEST_S = 1.0


class Calls:
    """The cluster's methods, as coroutines.

    Each may be awaited before there is a connection. A call that a reconnect leaves
    unanswered is made again, under the same id, so it takes effect once. All raise
    `errors.NexaError`: the node's answer, or `Unavailable` when no node answers.
    """

    async def call(
        self, method: str, params: Any, result: type[T], *, patience: float = PATIENCE_S
    ) -> T:
        """Call any method of the protocol that may safely be called twice.

        Args:
            method: Its name, such as `agents.find`.
            params: Its parameters; a Struct of `contract.frames`, or a dict.
            result: What the answer is read as.
            patience: Seconds until Unavailable, all tries together.
        """
        raise NotImplementedError

    async def submit(
        self, task: str | NewTask, data: Json = None, **fields: Any
    ) -> Submitted:
        """Submit a task; answered when it is safe in the store.

        Args:
            task: The capability that is asked for, or everything about the task.
            data: What the handler gets, if `task` is a capability.
            **fields: Other fields of `NewTask`, if `task` is a capability.
        """
        new = (
            task
            if isinstance(task, NewTask)
            else NewTask(type=task, data=data, **fields)
        )
        named = with_id(new, TaskId(new_id()))
        return await self.call("task.submit", named, Submitted)

    async def get(self, task_id: str) -> Task:
        """The whole record of a task; NotFound if there is none."""
        return await self.call("task.get", TaskRef(id=TaskId(task_id)), Task)

    async def result(self, task_id: str, *, timeout: float = 60.0) -> Task:
        """Wait until a task is finished, well or badly, and return its record.

        Raises:
            DeadlineExceeded: It was not, within `timeout` seconds.
        """
        pause = _POLL_S
        ends = time.monotonic() + timeout
        while True:
            task = await self.get(task_id)
            if task.status in FINISHED:
                return task
            if time.monotonic() + pause > ends:
                raise DeadlineExceeded(
                    f"task {task_id} is {task.status} after {timeout:g} s",
                    remedy=f"nexa task explain {task_id}",
                )
            await asyncio.sleep(pause)
            pause = min(_POLL_SLOWEST_S, pause * 1.5)

    async def tasks(self, query: TaskQuery | None = None) -> TaskList:
        """List tasks, newest first, without their payloads."""
        return await self.call("task.list", query or TaskQuery(), TaskList)

    async def cancel(self, task_id: str) -> None:
        """Call a task off, pending or running."""
        await self.call("task.cancel", TaskRef(id=TaskId(task_id)), Empty)

    async def send(
        self,
        to: str | Address,
        type: str,  # noqa: A002  # CloudEvents' word
        data: Json = None,
        *,
        ttl: timedelta | None = None,
        reply_to: str | None = None,
    ) -> Sent:
        """Send a message; answered when it is safe in the store.

        Args:
            to: An agent's id, or an address.
            type: What it is, for the receiver to choose by.
            data: At most 256 KiB of JSON.
            ttl: How long it is kept for a receiver that is away.
            reply_to: Where an answer is wanted.
        """
        address = Address(agent=AgentId(to)) if isinstance(to, str) else to
        message = NewMessage(
            to=address,
            type=type,
            data=data,
            ttl_ms=None if ttl is None else round(ttl.total_seconds() * 1000),
            reply_to=reply_to,
        )
        return await self.send_message(message)

    async def send_message(self, message: NewMessage) -> Sent:
        """Send a message with everything a message may have."""
        named = with_id(message, new_id())
        return await self.call("message.send", named, Sent)

    async def find(
        self,
        capability: str | None = None,
        *,
        labels: dict[str, str] | None = None,
        state: AgentState | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Found:
        """Find agents, by id; `Found.cursor` leads to the next ones."""
        query = Find(
            capability=capability,
            labels=labels or {},
            state=state,
            limit=limit,
            cursor=cursor,
        )
        return await self.call("agents.find", query, Found)


S = TypeVar("S", NewTask, NewMessage)


def with_id(struct: S, fresh: Any) -> S:
    """Name `struct` `fresh`, unless it has an id: what is sent twice counts once."""
    return struct if struct.id else msgspec.structs.replace(struct, id=fresh)


def new_id() -> str:
    """Make an id nobody else makes."""
    return time_ordered_id(time.time_ns() // 1_000_000, os.urandom(10))
