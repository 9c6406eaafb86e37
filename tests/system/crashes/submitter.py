"""Two clients that submit, and watch what they submitted until it is finished.

    python -m tests.system.crashes.submitter SEED TASKS LOG     (NEXA_URL, NEXA_TOKEN)

Every call and every answer is written down. A submission that met `unavailable` is made
again, until it is answered; one in twenty is made again although it was answered.
"""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.agent import Agent, NewTask, NexaError, RetryPolicy
from nexa_node.contract.errors import DeadlineExceeded
from nexa_node.contract.tasks import Submitted
from tests.system.crashes.facts import (
    CAPABILITY,
    CLIENTS,
    Answered,
    Asked,
    Log,
    Outcome,
    Refused,
    Told,
    key_of,
)
from tests.system.crashes.worker import SOON

IN_FLIGHT = 48
"""Of each client: tasks that are submitted and not finished."""
PATIENCE_S = 3.0
"""For one call: less than an outage, so that clients meet `unavailable`, too."""
TOLD_WITHIN_S = 60.0
REPEATED = 0.05
WORK_MS = 300
"""The longest task: a killed agent has some in hand."""
RETRY = RetryPolicy(max_attempts=30, backoff_ms=100, max_backoff_ms=500)
"""Kills are no fault of the task: it is never to be a dead letter."""


class Client:
    """One of them."""

    def __init__(self, agent: Agent, log: Log) -> None:
        self._agent = agent
        self._log = log

    async def work(self, todo: Iterator[tuple[NewTask, bool]]) -> None:
        """Take one after the other from what all workers share."""
        for task, twice in todo:
            task_id = await self.submitted(task)
            if task_id is None:
                continue
            if twice:
                await self.submitted(task)
            await self.told(task.idempotency_key or "", task_id)

    async def submitted(self, task: NewTask) -> str | None:
        """Submit until it is answered; None if it is refused for good."""
        key = task.idempotency_key or ""
        while True:
            self._log.add(Asked(at=time.monotonic(), key=key))
            try:
                answer = await self._agent.call(
                    "task.submit", task, Submitted, patience=PATIENCE_S
                )
            except NexaError as error:
                self._log.add(
                    Refused(
                        at=time.monotonic(),
                        key=key,
                        reason=error.reason,
                        passing=error.retryable,
                        words=error.message,
                    )
                )
                if not error.retryable:
                    return None
                continue
            at = time.monotonic()
            self._log.add(
                Answered(at=at, key=key, id=answer.id, duplicate=answer.duplicate)
            )
            return answer.id

    async def told(self, key: str, task_id: str) -> None:
        """Watch it to its end."""
        status: str | None = None
        epoch: int | None = None
        while status is None:
            try:
                task = await self._agent.result(task_id, timeout=TOLD_WITHIN_S)
            except DeadlineExceeded:
                break
            except NexaError as error:
                if error.retryable:
                    continue
                break
            status, epoch = task.status, _epoch(task.result)
        at = time.monotonic()
        self._log.add(
            Told(at=at, key=key, id=task_id, status=status, claim_epoch=epoch)
        )


def _epoch(result: Any) -> int | None:
    try:
        return msgspec.convert(result, Outcome).claim_epoch
    except msgspec.ValidationError:
        return None


def tasks(seed: int, count: int) -> Iterator[tuple[NewTask, bool]]:
    """The trial's tasks, and of each whether it is submitted once more."""
    chance = random.Random(seed)
    for number in range(count):
        data = {"number": number, "work_ms": chance.randint(0, WORK_MS)}
        key = key_of(seed, number)
        task = NewTask(type=CAPABILITY, data=data, idempotency_key=key, retry=RETRY)
        yield task, chance.random() < REPEATED


async def main(seed: int, count: int, path: Path) -> None:
    log = Log(path)
    todo = tasks(seed, count)
    agents = [
        Agent(f"submitter-{number}", encoding="msgpack", timing=SOON)
        for number in range(CLIENTS)
    ]

    async def client(agent: Agent) -> None:
        async with agent, asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(Client(agent, log).work(todo))

    async with asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(client(agent))
    log.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
