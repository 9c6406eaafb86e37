"""The clients of a run: programs of their own, each with a log, that stop at SIGTERM.

    python -m tests.system.chaos.clients ROLE NAME LOG SEED [WORDS…]
                                  (NEXA_URL: every node; NEXA_TOKEN; NEXA_CHAOS_ADMIN)

Each call that met `unavailable` is made again under the same identity until it is
answered, for as long as the run lasts and a while longer; every try is written down.
"""

import asyncio
import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec

from nexa_node.agent import (
    Address,
    Agent,
    Connected,
    Deliver,
    Disconnected,
    Failed,
    Job,
    NewMessage,
    NewTask,
    NexaError,
    RetryPolicy,
    Timing,
)
from nexa_node.contract.errors import DeadlineExceeded, NotFound
from nexa_node.contract.ids import AgentId
from nexa_node.contract.messages import Sent
from nexa_node.contract.tasks import Redrive, Redriven, Submitted, Task
from tests.system.chaos.history import Executed, Received, Recorder, Told
from tests.system.crashes.facts import CAPABILITY

PATIENCE_S = 3.0
"""For one try: less than an outage, so that clients meet `unavailable`, too."""
PASSING = {"unavailable", "internal", "draining", "rate_limited"}
"""The same call may be made again."""
LAST_S = 60.0
"""After the end, how long what was begun is tried again."""
TOLD_WITHIN_S = 90.0
FLOWS = 4
"""Calls that one client has under way."""
WORK_MS = 250
LONG_MS = 1500
RETRY = RetryPolicy(max_attempts=60, backoff_ms=100, max_backoff_ms=500)
"""Kills are no fault of the task; only a poisoned one is to be a dead letter."""
POISONED = RetryPolicy(max_attempts=2, backoff_ms=50)
SOON = Timing(backoff_base=0.1, backoff_cap=0.5, open_timeout=3.0, ping_every=2.0)
"""The library's own waits for up to half a minute would be most of a run."""


class Client:
    """What all roles share: a log, a chance of their own, and when to stop."""

    def __init__(self, name: str, log: Path, seed: int) -> None:
        self.name = name
        self.log = Recorder(log, name)
        self.chance = random.Random(f"{seed}/{name}")
        self.over = asyncio.Event()
        self._ended = 0.0

    def stop_at_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        self._ended = time.monotonic()
        self.over.set()

    @property
    def may_retry(self) -> bool:
        return not self.over.is_set() or time.monotonic() < self._ended + LAST_S

    def agent(self, **options: Any) -> Agent:
        """An agent of this name, whose absences are written down."""
        agent = Agent(self.name, encoding="msgpack", timing=SOON, **options)
        lost: list[str] = []

        def changed(change: Connected | Disconnected) -> None:
            if isinstance(change, Disconnected):
                self.log.note("disconnected", change.reason)
                if not lost:
                    lost.append(self.log.call("session.back", self.name))
                return
            self.log.note("connected", f"{change.node} {change.resumed}")
            if lost:
                answer = {"node": change.node, "resumed": change.resumed}
                self.log.back(lost.pop(), "ok", answer)

        agent.on_connection(changed)
        return agent

    async def pause(self, ms: float) -> None:
        """Wait a little, or until the end."""
        try:
            async with asyncio.timeout(self.chance.uniform(0.5, 1.5) * ms / 1000):
                await self.over.wait()
        except TimeoutError:
            pass

    async def until_answered(
        self, agent: Agent, kind: str, key: str, asked: Any, call: Any
    ) -> Any:
        """Make a call until it is answered; None if it is refused, or nobody answers.

        `call` is (method, params, type of the answer).
        """
        method, params, answer_type = call
        while self.may_retry:
            op = self.log.call(kind, key, asked)
            try:
                answer = await agent.call(
                    method, params, answer_type, patience=PATIENCE_S
                )
            except NexaError as error:
                sure = error.reason not in PASSING
                words = f"{error.reason}: {error.message}"
                self.log.back(op, "failed" if sure else "unknown", words)
                if sure:
                    return None
                await asyncio.sleep(0.02)
                continue
            self.log.back(op, "ok", msgspec.to_builtins(answer))
            return answer
        return None


async def worker(me: Client, slots: str) -> None:
    """Does tasks, and writes down each execution."""
    agent = me.agent(slots=int(slots))

    @agent.task(CAPABILITY)
    async def work(job: Job) -> int:
        began = time.monotonic()
        if job.data["poison"] and not job.task.redriven:
            raise Failed("poison")
        await asyncio.sleep(job.data["work_ms"] / 1000)  # the work
        me.log.add(
            Executed(
                at=time.monotonic(),
                id=job.id,
                claim_epoch=job.claim_epoch,
                agent=me.name,
                started=began,
            )
        )
        return job.claim_epoch

    async with agent:
        await me.over.wait()


async def submitter(me: Client) -> None:
    """Submits, watches to the end; cancels some, brings some dead letters back."""
    numbers = itertools.count()
    agent = me.agent()

    async def flow() -> None:
        while not me.over.is_set():
            await _one_task(me, agent, next(numbers))
            await me.pause(30)

    async with agent, asyncio.TaskGroup() as group:
        for _ in range(FLOWS):
            group.create_task(flow())


async def _one_task(me: Client, agent: Agent, number: int) -> None:
    key = f"{me.name}-{os.getpid()}-{number}"
    fate = me.chance.random()
    cancelled, poisoned = fate < 0.08, 0.08 <= fate < 0.14
    work_ms = LONG_MS if cancelled else me.chance.randint(0, WORK_MS)
    task = NewTask(
        type=CAPABILITY,
        data={"work_ms": work_ms, "poison": poisoned},
        idempotency_key=key,
        retry=POISONED if poisoned else RETRY,
    )
    call = ("task.submit", task, Submitted)
    whole = me.log.call("task.result", key)
    told: Submitted | None = await me.until_answered(
        agent, "task.submit", key, None, call
    )
    if told is None:
        return
    if me.chance.random() < 0.05:
        await me.until_answered(agent, "task.submit", key, None, call)
    if cancelled:
        await asyncio.sleep(me.chance.uniform(0, 1.2 * LONG_MS / 1000))
        params = {"id": told.id}
        await me.until_answered(
            agent, "task.cancel", key, None, ("task.cancel", params, Any)
        )
    while True:
        status, epoch = await _end(me, agent, told.id)
        line = Told(
            at=time.monotonic(), key=key, id=told.id, status=status, claim_epoch=epoch
        )
        me.log.add(line)
        if status != "dead_lettered" or not me.may_retry:
            break
        await _redrive(me, agent, key, told.id)
    if status is not None:
        me.log.back(whole, "ok", status)


async def _end(me: Client, agent: Agent, task_id: str) -> tuple[str | None, int | None]:
    while True:
        try:
            task = await agent.result(task_id, timeout=TOLD_WITHIN_S)
        except DeadlineExceeded:
            return None, None
        except NexaError as error:
            if error.retryable and me.may_retry:
                await asyncio.sleep(0.02)
                continue
            me.log.note("untold", f"{task_id} {error.reason}: {error.message}")
            return None, None
        return task.status, task.result if task.status == "completed" else None


async def _redrive(me: Client, agent: Agent, key: str, task_id: str) -> None:
    """Bring it back once; whether it was is asked before it is tried again."""
    urls = os.environ["NEXA_URL"].split()
    headers = {"Authorization": f"Bearer {os.environ['NEXA_CHAOS_ADMIN']}"}
    body = msgspec.json.encode(Redrive(ids=(task_id,)))  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(
        headers=headers, timeout=PATIENCE_S * 2, trust_env=False
    ) as http:
        while me.may_retry:
            op = me.log.call("task.redrive", key)
            url = f"{me.chance.choice(urls)}/v1/dead-letters/redrive"
            try:
                answer = await http.post(
                    url, content=body, headers={"content-type": "application/json"}
                )
            except httpx.ConnectError as error:
                me.log.back(op, "failed", repr(error))
            except httpx.TransportError as error:
                me.log.back(op, "unknown", repr(error))
            else:
                if answer.status_code == 200:
                    done = msgspec.json.decode(answer.content, type=Redriven)
                    won = task_id in done.done
                    me.log.back(op, "ok" if won else "failed", answer.text)
                else:
                    sure = answer.status_code in {400, 401, 403, 404}
                    me.log.back(op, "failed" if sure else "unknown", answer.text)
            if await _left_the_dead(agent, task_id):
                return
            await asyncio.sleep(0.1)


async def _left_the_dead(agent: Agent, task_id: str) -> bool:
    try:
        task: Task = await agent.get(task_id)
    except NotFound:
        return True
    except NexaError:
        return False
    return task.status != "dead_lettered"


async def sender(me: Client, *receivers: str) -> None:
    """Sends numbered durable messages, to each receiver one after the other."""
    agent = me.agent()
    who = f"{me.name}.{os.getpid()}"  # who is started again begins anew

    async def flow(receiver: str) -> None:
        for number in itertools.count():
            if me.over.is_set():
                return
            message = NewMessage(
                to=Address(agent=AgentId(receiver)),
                type="chaos",
                data={"sender": who, "number": number},
                id=f"{who}-{receiver}-{number}",
            )
            call = ("message.send", message, Sent)
            way = f"{who}>{receiver}"
            if (
                await me.until_answered(agent, "message.send", way, number, call)
                is None
            ):
                return  # nobody knows whether it is there: the next would be no proof
            await me.pause(40)

    async with agent, asyncio.TaskGroup() as group:
        for receiver in receivers:
            group.create_task(flow(receiver))


async def receiver(me: Client) -> None:
    """Writes down each message that comes."""
    agent = me.agent()

    @agent.on_message
    async def take(message: Deliver) -> None:
        me.log.add(
            Received(
                at=time.monotonic(),
                receiver=me.name,
                sender=message.data["sender"],
                number=message.data["number"],
                seq=message.seq or 0,
            )
        )

    @agent.on_gap
    def gap(gap: Any) -> None:
        me.log.note("gap", repr(gap))

    async with agent:
        await me.over.wait()


ROLES = {
    "worker": worker,
    "submitter": submitter,
    "sender": sender,
    "receiver": receiver,
}


async def main(role: str, name: str, log: str, seed: str, *words: str) -> None:
    from tests.system.chaos.crowd import crowd
    from tests.system.chaos.registrar import registrar

    roles: dict[str, Any] = {**ROLES, "registrar": registrar, "crowd": crowd}
    me = Client(name, Path(log), int(seed))
    me.stop_at_signals()
    await roles[role](me, *words)
    me.log.note("ended")
    me.log.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
