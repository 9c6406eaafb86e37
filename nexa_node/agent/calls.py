"""What an agent may ask of the cluster, besides doing tasks."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeVar

import msgspec

from nexa_node.agent.job import Failed
from nexa_node.contract.agents import AgentState
from nexa_node.contract.errors import DeadlineExceeded, Invalid
from nexa_node.contract.frames import (
    Deliver,
    Empty,
    Find,
    Found,
    TaskList,
    TaskQuery,
    TaskRef,
    TaskUpdate,
)
from nexa_node.contract.ids import AgentId, TaskId, time_ordered_id
from nexa_node.contract.messages import Address, NewMessage, Sent
from nexa_node.contract.tasks import (
    FINISHED,
    Json,
    NewTask,
    Priority,
    Submitted,
    Task,
    TaskStatus,
)

T = TypeVar("T")
PATIENCE_S = 30.0
"""For one call, reconnects included."""


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
        if new.idempotency_key is None:  # an id would be another name, and win
            new = with_id(new, TaskId(new_id()))
        return await self.call("task.submit", new, Submitted)

    async def _submit_and_watch(self, task: NewTask, *, timeout: float) -> Task:
        """Submit, and wait for the end."""
        submitted = await self.submit(task)
        return await self.result(submitted.id, timeout=timeout)

    async def get(self, task_id: str) -> Task:
        """The whole record of a task; NotFound if there is none."""
        return await self.call("task.get", TaskRef(id=TaskId(task_id)), Task)

    async def result(self, task_id: str, *, timeout: float = 60.0) -> Task:
        """Wait until a task is finished, well or badly; its record without its `data`.

        Raises:
            DeadlineExceeded: It was not, within `timeout` seconds.
        """
        status = "unknown"
        try:
            async with asyncio.timeout(timeout), aclosing(self.watch(task_id)) as told:
                async for update in told:
                    status = update.task.status
                    if status in FINISHED:
                        return update.task
        except TimeoutError:
            pass
        raise DeadlineExceeded(
            f"task {task_id} is {status} after {timeout:g} s",
            remedy=f"nexa task explain {task_id}",
        )

    def watch(
        self,
        task_id: str | None = None,
        *,
        type: str | None = None,  # noqa: A002  # the contract's word
        parent: str | None = None,
        status: TaskStatus | None = None,
    ) -> AsyncGenerator[TaskUpdate]:
        """Follow one task until it is finished, or all that match, for ever.

        Of one task, the first update tells how it is now. Each partial result comes, in
        order; after a reconnect the watch goes on, and what one was told is told again.
        Tasks come without their `data`.
        """
        raise NotImplementedError

    async def do(
        self,
        type: str,  # noqa: A002  # the contract's word
        data: Json = None,
        *,
        timeout: float = 60.0,
        **fields: Any,
    ) -> Json:
        """Submit a task, wait for it, and return its result.

        Raises:
            Failed: It did not complete; tells the error.
            DeadlineExceeded: It is not finished after `timeout` seconds; it goes on.
        """
        new = NewTask(type=type, data=data, **fields)
        if new.idempotency_key is None:
            new = with_id(new, TaskId(new_id()))
        task = await self._submit_and_watch(new, timeout=timeout)
        if task.status != "completed":
            raise Failed(
                {"task": task.id, "status": task.status, "error": task.error},
                retryable=False,
            )
        return task.result

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
        durable: bool = True,
        priority: Priority | None = None,
    ) -> Sent:
        """Send a message; answered when it is safe in the store.

        Args:
            to: An agent's id, or an address.
            type: What it is, for the receiver to choose by.
            data: At most 256 KiB of JSON.
            ttl: How long it is kept for a receiver that is away.
            reply_to: Where an answer is wanted.
            durable: False for the fast path: lost if the receiver is away.
            priority: Told to the receiver.
        """
        message = NewMessage(
            to=_address(to),
            type=type,
            data=data,
            ttl_ms=None if ttl is None else round(ttl.total_seconds() * 1000),
            reply_to=reply_to,
            durable=durable,
            priority=priority,
        )
        return await self.send_message(message)

    async def publish(self, topic: str, type: str, data: Json = None) -> Sent:  # noqa: A002  # CloudEvents' word
        """Send a message to whoever subscribes to a topic, now or later."""
        return await self.send(Address(topic=topic), type, data)

    async def request(
        self,
        to: str | Address,
        type: str,  # noqa: A002  # CloudEvents' word
        data: Json = None,
        *,
        timeout: float = 30.0,
        durable: bool = False,
    ) -> Json:
        """Send a message and wait for the answer's data. Never made twice.

        Raises:
            NoAgentAvailable: Nobody is there to answer.
            DeadlineExceeded: No answer within `timeout` seconds.
            Unavailable: The connection was lost meanwhile; it may have been answered.
        """
        raise NotImplementedError

    async def reply(self, message: Deliver, data: Json = None) -> Sent:
        """Answer a message that wants an answer.

        Raises:
            Invalid: It does not want one.
        """
        to = message.reply_to
        if to is None:
            raise Invalid(f"message {message.id} has no reply_to: nobody waits")
        is_topic = "." in to or to.startswith("nx-reply-")
        address = Address(topic=to) if is_topic else Address(agent=AgentId(to))
        return await self.send(
            address,
            f"{message.type}.reply",
            data,
            durable=not to.startswith("nx-reply-"),
        )

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


def _address(to: str | Address) -> Address:
    return Address(agent=AgentId(to)) if isinstance(to, str) else to


S = TypeVar("S", NewTask, NewMessage)


def with_id(struct: S, fresh: Any) -> S:
    """Name `struct` `fresh`, unless it has an id: what is sent twice counts once."""
    return struct if struct.id else msgspec.structs.replace(struct, id=fresh)


def new_id() -> str:
    """Make an id nobody else makes."""
    return time_ordered_id(time.time_ns() // 1_000_000, os.urandom(10))
