"""A node's services over the ports in memory, and agents that speak the protocol to it.

    async with Rig() as rig:
        agent = await rig.agent("wc-1", slots=2)
        await agent.call("task.submit", type="wc")
        await rig.clock.advance(1)

A second `Rig(store=rig.store)` is the same node after a crash, or another node.
"""

import asyncio
import itertools
import random
import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Unauthorized
from nexa_node.contract.frames import NodeRef
from nexa_node.contract.tasks import NewTask, Submitted, Task
from nexa_node.contract.version import PROTOCOL
from nexa_node.core.policies import (
    CanaryPolicy,
    LeasePolicy,
    QueuePolicy,
    SessionPolicy,
)
from nexa_node.core.strategies import of_queues
from nexa_node.services.api import Close, Output
from nexa_node.services.calls import AgentCalls
from nexa_node.services.cluster.quorum import Writable
from nexa_node.services.directory.directory import Directory
from nexa_node.services.means import Means
from nexa_node.services.messages.postoffice import PostOffice
from nexa_node.services.sessions.connection import Connection
from nexa_node.services.sessions.door import Door
from nexa_node.services.sessions.fences import Fences
from nexa_node.services.sessions.presence import Registry
from nexa_node.services.sessions.sessions import Sessions
from nexa_node.services.tasks.canary import Canary
from nexa_node.services.tasks.custody import Custody
from nexa_node.services.tasks.dead_letters import DeadLetters
from nexa_node.services.tasks.dispatch import Dispatch
from nexa_node.services.tasks.ledger import Ledger
from nexa_node.services.tasks.partials import PartialResults
from nexa_node.services.tasks.queues import Queues
from nexa_node.services.tasks.retirement import Retirement
from nexa_node.services.tasks.tasks import Tasks
from nexa_node.services.tasks.watches import Watches
from nexa_node.services.tasks.work import Work
from tests.builders import identity
from tests.fakes import CountingEntropy, MemoryStore, RecordingJournal, settle

URL = "ws://127.0.0.1:6392/v1/agent"
ENTROPY = CountingEntropy()
"""Shared, so that nodes over one store make no id twice."""


class Rig:
    """One node's services."""

    def __init__(
        self,
        *,
        store: MemoryStore | None = None,
        name: str = "alpha",
        sessions: SessionPolicy | None = None,
        leases: LeasePolicy | None = None,
        queues: tuple[QueuePolicy, ...] = (),
        canary: CanaryPolicy | None = None,
        seed: int = 1,
        is_controller: Callable[[], bool] = lambda: True,
        has_quorum: Callable[[], bool] = lambda: True,
        urls: Callable[[], tuple[str, ...]] = lambda: (URL,),
        fenced: bool = True,
    ) -> None:
        """Unless `fenced`, nobody tells this node that its agents went elsewhere."""
        self.name = name
        self.store = store or MemoryStore()
        self.clock = self.store.clock
        self.journal = RecordingJournal()
        self.tokens: dict[str, Identity] = {"agent-token": identity("agent")}
        session_policy = sessions or SessionPolicy()
        lease_policy = leases or LeasePolicy()
        rng = random.Random(seed)
        writable = Writable(has_quorum, node=name)
        store_, clock = self.store, self.clock
        self.directory = Directory(
            tasks=store_.tasks,
            agents=store_.agents,
            events=store_.events,
            clock=clock,
            in_touch=lambda: store_.health().connected and has_quorum(),
        )
        self.ledger = Ledger(store_.tasks, self.journal)
        self.custody = Custody(
            ledger=self.ledger,
            sight=self.directory,
            clock=clock,
            node=name,
            policy=lease_policy,
            rng=rng,
        )
        self.watches = Watches(
            ledger=self.ledger, sight=self.directory, clock=clock, node=name
        )
        self.partials = PartialResults(
            store_.partials, watches=self.watches, sight=self.directory, node=name
        )
        self.work = Work(
            self.custody, partials=self.partials.tell, clock=clock, rng=rng
        )
        self.dispatch = Dispatch(
            queue=store_.queue,
            custody=self.custody,
            policy=lease_policy,
            rng=rng,
            strategy_of=of_queues(queues),
        )
        means = Means(
            sight=self.directory,
            clock=clock,
            journal=self.journal,
            entropy=ENTROPY,
            rng=rng,
            node=f"id-{name}",
        )
        self.canary = Canary(
            queue=store_.queue,
            dispatch=self.dispatch,
            signals=store_.signals,
            means=means,
            policy=canary or CanaryPolicy(),
        )
        self.tasks = Tasks(
            queue=store_.queue,
            ledger=self.ledger,
            sight=self.directory,
            clock=clock,
            entropy=ENTROPY,
            policy=session_policy,
            is_controller=is_controller,
        )
        self.retirement = Retirement(
            surplus=self.directory.surplus,
            records=store_.tasks,
            queue=store_.queue,
            clock=clock,
            policy=store_.retention,
        )
        self.dead_letters = DeadLetters(
            directory=self.directory,
            ledger=self.ledger,
            repairs=self.tasks.repairs,
            forget=self.retirement.forget,
            clock=clock,
            journal=self.journal,
            node=name,
        )
        self.queues = Queues(
            backlogs=self.directory.backlogs, sight=self.directory, clock=clock
        )
        self.post = PostOffice(
            store_,
            means,
            sessions=session_policy,
            retention=store_.retention,
        )
        self.messages = self.post.messages
        self.registry = Registry(
            store_.agents,
            sight=self.directory,
            clock=clock,
            node=name,
            policy=lease_policy,
            tell=self.directory.observe_agent,
        )
        self.door = door = Door(
            records=store_.sessions,
            inboxes=store_.inboxes,
            authenticate=self._authenticate,
            entropy=ENTROPY,
            node=f"id-{name}",
            sight=self.directory,
            check_writable=writable.check,
        )
        self.sessions = Sessions(
            door,
            clock=clock,
            journal=self.journal,
            node=NodeRef(id=f"id-{name}", name=name),
            urls=urls,
            policy=session_policy,
            leases=lease_policy,
        )
        self.sessions.serve(
            AgentCalls(
                tasks=self.tasks,
                work=self.work,
                dispatch=self.dispatch,
                post=self.post,
                sight=self.directory,
                watches=self.watches,
                check_writable=writable.check,
            )
        )
        self.fences = Fences(
            here=self.sessions,
            door=door,
            sight=self.directory,
            let_go=self.custody.let_go,
            again=self.registry.again,
            clock=clock,
            node=name,
        )
        if fenced:
            self.directory.subscribe(self.fences.told)
        for audience in (self.registry, self.dispatch, self.watches, self.post):
            self.sessions.listen(audience)
        self.custody.on_count(self.registry.changed)
        self.group: asyncio.TaskGroup
        self._stack = AsyncExitStack()
        self._loops: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> "Rig":
        self.group = await self._stack.enter_async_context(asyncio.TaskGroup())
        for loop in (
            self.directory.watch_tasks(),
            self.directory.watch_agents(),
            self.sessions.run(),
            self.registry.run(),
            self.dispatch.run(),
            self.tasks.run(),
            self.post.run(),
            self.watches.run(),
            self.partials.run(),
            self.fences.run(),
        ):
            self.spawn(loop)
        await settle()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.crash()

    async def crash(self) -> None:
        """Stop at once, as a killed process does: nothing is said or written."""
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.cancel()
        await self._stack.aclose()

    def spawn(self, work: Any) -> None:
        self._loops.append(self.group.create_task(self._loud(work)))

    async def _loud(self, work: Any) -> None:
        """Show what ended a loop: the group's cancelling would hide it."""
        try:
            await work
        except Exception:
            traceback.print_exc()
            raise

    async def agent(self, id: str = "wc-1", **hello: Any) -> "FakeAgent":
        """An agent that is connected and welcome."""
        agent = FakeAgent(self, id)
        await agent.hello(**hello)
        assert agent.welcome is not None, agent.frames
        return agent

    def connect(
        self,
        *,
        text: bool = True,
        caller: Identity | None = None,
        stranger: bool = False,
    ) -> Connection:
        """A connection of somebody whose upgrade brought an identity, or of a stranger."""
        who = None if stranger else caller or identity("agent")
        return self.sessions.connect(who, text=text, address="127.0.0.1")

    async def submit(self, type: str = "wc", **fields: Any) -> Submitted:
        return await self.tasks.submit(
            "token:op1", NewTask(type=type, **{"data": "some words", **fields})
        )

    def task(self, task_id: str) -> Task:
        """The record as the store has it."""
        return self.store.tasks.now(task_id)

    async def _authenticate(self, token: str | None, address: str) -> Identity:
        del address
        if token not in self.tokens:
            raise Unauthorized("the token is not known here")
        return self.tokens[token]


class FakeAgent:
    """An agent, as far as a node can tell: one connection at a time, frames as dicts."""

    def __init__(self, rig: Rig, id: str, *, incarnation: str | None = None) -> None:
        self.rig = rig
        self.id = id
        self.incarnation = incarnation
        self.connection: Connection | None = None
        self.frames: list[dict[str, Any]] = []
        self.closed: Close | None = None
        self.welcome: dict[str, Any] | None = None
        self.reads = asyncio.Event()
        """Cleared, the agent takes nothing from its socket."""
        self.reads.set()
        self._numbers = itertools.count(1)

    async def hello(self, **fields: Any) -> dict[str, Any]:
        """Connect and say hello; the answer."""
        self.open()
        agent = {"id": self.id}
        if self.incarnation:
            agent["incarnation"] = self.incarnation
        params = {
            "protocol": PROTOCOL,
            "agent": agent,
            "capabilities": [{"name": "wc"}],
            **fields,
        }
        answer = await self.call("session.hello", **params)
        self.welcome = answer.get("result")
        return answer

    def open(self, **how: Any) -> None:
        """Connect, and read from now on."""
        self.frames, self.closed = [], None
        self.connection = self.rig.connect(**how)
        self.rig.spawn(self._read(self.connection))

    async def resume(self, *, last_seq: int = 0, **fields: Any) -> dict[str, Any]:
        """Connect again and take up the session."""
        assert self.welcome is not None
        resume = {
            "session": self.welcome["session"],
            "token": self.welcome["resume_token"],
            "epoch": self.welcome["epoch"],
            "last_seq": last_seq,
        }
        return await self.hello(resume=resume, **fields)

    async def lose(self) -> None:
        """The socket breaks."""
        assert self.connection is not None
        await self.connection.lost()
        await settle()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request; its answer, which must be there without time passing."""
        return self.answer(await self.ask(method, **params))

    async def ask(self, method: str, **params: Any) -> int:
        """Send a request that is answered later; its number."""
        number = next(self._numbers)
        await self.send({"id": number, "method": method, "params": params})
        return number

    def is_answered(self, number: int) -> bool:
        return any(
            frame.get("id") == number and "method" not in frame for frame in self.frames
        )

    async def notify(self, method: str, **params: Any) -> None:
        await self.send({"method": method, "params": params})

    async def send(self, frame: Any) -> None:
        if isinstance(frame, dict):
            frame = {"jsonrpc": "2.0", **frame}
        await self.send_bytes(msgspec.json.encode(frame))

    async def send_bytes(self, data: bytes) -> None:
        assert self.connection is not None
        await self.connection.receive(data)
        await settle()

    def answer(self, number: int) -> dict[str, Any]:
        found = [
            frame
            for frame in self.frames
            if frame.get("id") == number and "method" not in frame
        ]
        assert found, f"no answer to {number} among {self.frames}; {self.closed}"
        return found[-1]

    def told(self, method: str) -> list[dict[str, Any]]:
        """Parameters of everything the node said by this method."""
        return [each["params"] for each in self.frames if each.get("method") == method]

    def assigned(self) -> list[dict[str, Any]]:
        """Every `task.assign` so far, with the number of the request."""
        return [
            {**each["params"], "number": each["id"]}
            for each in self.frames
            if each.get("method") == "task.assign"
        ]

    async def accept(self) -> dict[str, Any]:
        """Accept the newest assignment; what it was."""
        newest = self.assigned()[-1]
        await self.send({"id": newest["number"], "result": {"accepted": True}})
        return newest

    async def reject(self, retry_after_ms: int | None = None) -> None:
        """Refuse the newest assignment."""
        data: dict[str, Any] = {
            "reason": "rejected",
            "retryable": True,
            "details": {"reason": "busy"},
        }
        if retry_after_ms is not None:
            data["retry_after_ms"] = retry_after_ms
        error = {"code": 1013, "message": "busy", "data": data}
        await self.send({"id": self.assigned()[-1]["number"], "error": error})

    async def complete(self, assigned: dict[str, Any], result: Any = "done") -> Any:
        return await self.call(
            "task.complete",
            id=assigned["task"]["id"],
            claim_epoch=assigned["claim_epoch"],
            result=result,
        )

    async def _read(self, connection: Connection) -> None:
        while True:
            await self.reads.wait()
            output = await connection.next_output()
            if isinstance(output, Close):
                if connection is self.connection:
                    self.closed = output
                return
            assert isinstance(output, Output)
            decoded = msgspec.json.decode(output.data)
            frames = decoded if isinstance(decoded, list) else [decoded]
            if connection is self.connection:
                self.frames.extend(frames)
