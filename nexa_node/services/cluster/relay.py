"""Relay: what an operator asks of one node and another one has to do.

An agent's connection is closed by the node that has it; a node is drained or maintained
by itself; what is known of an agent beyond the registry is known to its node. Whoever is
asked passes the question on, at most once, and the answer or the error back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.errors import Invalid, NexaError, NotFound
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.nodes import Profile, Stack
from nexa_node.contract.tasks import Considered, Explanation, Task
from nexa_node.core.explaining import explain
from nexa_node.core.routing import Facts, consider
from nexa_node.ports import NodeCalls, Profiler

TIMEOUT_S = 3.0
"""For another node to do what an operator asks."""
EXPLAIN_S = 1.0
"""For what other nodes know of their agents; without it the registry has to do."""

DISCONNECT, DRAIN, MAINTAIN, EXPLAIN = "disconnect", "drain", "maintain", "explain"
DRAIN_AGENT, PROFILE = "drain_agent", "profile"


class _Disconnect(msgspec.Struct, frozen=True):
    namespace: Namespace
    agent: AgentId


class _DrainAgent(msgspec.Struct, frozen=True):
    namespace: Namespace
    agent: AgentId
    on: bool


class _Drain(msgspec.Struct, frozen=True):
    by: str


class _Maintain(msgspec.Struct, frozen=True):
    on: bool
    by: str


class _Profile(msgspec.Struct, frozen=True):
    cpu_s: float


class _Explain(msgspec.Struct, frozen=True):
    task: TaskId


S = TypeVar("S", bound=msgspec.Struct)


class Agents(Protocol):
    """This node's connections; `Sessions`."""

    def disconnect(self, namespace: Namespace, agent_id: AgentId) -> None:
        """Close an agent's connection; NotFound if it is not connected here."""
        ...

    def drain(self, namespace: Namespace, agent_id: AgentId, *, on: bool) -> None:
        """Have an agent get nothing new; NotFound if it is not connected here."""
        ...


class WayOut(Protocol):
    """Ending in order; `Drain`."""

    def begin(self, why: str) -> None:
        """Begin to end, and return at once."""
        ...


class Turn(Protocol):
    """Out of service and back; `Maintenance.turn`."""

    async def __call__(self, *, on: bool, by: str) -> None:
        """Take this node out of service, or back."""
        ...


class Known(Protocol):
    """Tasks and agents of all nodes; `Directory`."""

    def task(self, task_id: TaskId) -> Task | None:
        """One task, without its payloads."""
        ...

    def every_agent(self, namespace: Namespace) -> tuple[Agent, ...]:
        """All agents of a namespace."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relay:
    """Does what is asked of this node and asks others for the rest."""

    calls: NodeCalls
    """Reaches other nodes, and is reached by them once `serve` was called."""
    node: str
    """This node's name."""
    living: Callable[[], Collection[str]]
    """Names of all nodes that are not known to be dead."""
    sessions: Agents
    """This node's connections."""
    way_out: WayOut
    """Drains this node."""
    turn: Turn
    """Takes this node out of service and back."""
    known: Known
    """What the store tells."""
    facts: Callable[[Task], Facts]
    """What this node knows of its own agents."""
    profiler: Profiler
    """Looks where this node spends its time."""

    def serve(self) -> None:
        """Answer other nodes from now on."""
        self._answer(DISCONNECT, _Disconnect, self._told_disconnect)
        self._answer(DRAIN_AGENT, _DrainAgent, self._told_drain_agent)
        self._answer(DRAIN, _Drain, self._told_drain)
        self._answer(MAINTAIN, _Maintain, self._told_maintain)
        self._answer(PROFILE, _Profile, self._told_profile)
        self._answer(EXPLAIN, _Explain, self._told_explain)

    async def disconnect(self, agent: Agent) -> None:
        """Close an agent's connection, wherever it is. It may come back.

        Raises:
            NotFound: It is not connected.
            Unavailable: Its node does not answer.
        """
        try:
            self.sessions.disconnect(agent.namespace, agent.id)
        except NotFound:
            said = _Disconnect(agent.namespace, agent.id)
            await self._ask(self._node_of(agent), DISCONNECT, said)

    async def drain_agent(self, agent: Agent, *, on: bool) -> None:
        """Have an agent get no new tasks, or get them again, wherever it is.

        Raises:
            NotFound: It is not connected.
            Unavailable: Its node does not answer.
        """
        try:
            self.sessions.drain(agent.namespace, agent.id, on=on)
        except NotFound:
            said = _DrainAgent(agent.namespace, agent.id, on)
            await self._ask(self._node_of(agent), DRAIN_AGENT, said)

    async def drain(self, name: str, *, by: str) -> None:
        """Have a node stop gracefully; answered when it has begun.

        Raises:
            NotFound: There is no such node, or it is dead.
            Unavailable: It does not answer.
        """
        if name == self.node:
            self.way_out.begin(f"drained by {by}")
        else:
            await self._ask(self._other(name), DRAIN, _Drain(by))

    async def maintain(self, name: str, *, on: bool, by: str) -> None:
        """Have a node take nothing new, or take it again.

        Raises:
            NotFound: There is no such node, or it is dead.
            Conflict: It is starting or stopping.
            Unavailable: It does not answer.
        """
        if name == self.node:
            await self.turn(on=on, by=by)
        else:
            await self._ask(self._other(name), MAINTAIN, _Maintain(on, by))

    async def profile(self, name: str, *, cpu_s: float) -> Profile:
        """Look where a node spends its CPU time, for so many seconds.

        Raises:
            NotFound: There is no such node, or it is dead.
            Conflict: Somebody else profiles it.
            Unavailable: It does not answer, or can't be profiled.
        """
        if name == self.node:
            return await self._profiled(cpu_s)
        payload = msgspec.json.encode(_Profile(cpu_s))
        answer = await self.calls.ask(
            self._other(name), PROFILE, payload, timeout_s=cpu_s + TIMEOUT_S
        )
        return msgspec.json.decode(answer, type=Profile)

    async def explain(self, task: Task) -> Explanation:
        """Say why a task is where it is, with what all nodes know of their agents."""
        agents = self.known.every_agent(task.namespace)
        living = self.living()
        nodes = {each.node for each in agents if each.connected and each.node in living}
        nodes.discard(self.node)
        answers = await asyncio.gather(
            *(self._considered(node, task.id) for node in nodes)
        )
        told: dict[str, Considered] = {
            each.agent: each for answer in answers for each in answer
        }
        return explain(task, agents, self.facts(task), told)

    # -- asking ----------------------------------------------------------------

    def _node_of(self, agent: Agent) -> str:
        there = agent.node
        if not agent.connected or there == self.node:
            raise NotFound(f"agent {agent.id} is not connected")
        if there not in self.living():
            raise NotFound(
                f"agent {agent.id} is not connected: its node {there} is dead"
            )
        return there

    def _other(self, name: str) -> str:
        if name not in self.living():
            raise NotFound(
                f"no living node {name!r} in this cluster", remedy="nexa cluster status"
            )
        return name

    async def _ask(self, node: str, what: str, said: msgspec.Struct) -> None:
        payload = msgspec.json.encode(said)
        await self.calls.ask(node, what, payload, timeout_s=TIMEOUT_S)

    async def _considered(self, node: str, task: TaskId) -> tuple[Considered, ...]:
        payload = msgspec.json.encode(_Explain(task))
        try:
            answer = await self.calls.ask(node, EXPLAIN, payload, timeout_s=EXPLAIN_S)
            return msgspec.json.decode(answer, type=tuple[Considered, ...])
        except (NexaError, msgspec.MsgspecError):
            return ()  # the registry's word on them has to do

    # -- answering -------------------------------------------------------------

    def _answer(
        self, what: str, kind: type[S], do: Callable[[S], Awaitable[bytes]]
    ) -> None:
        async def handle(payload: bytes) -> bytes:
            try:
                said = msgspec.json.decode(payload, type=kind)
            except msgspec.MsgspecError as error:
                raise Invalid(
                    f"a node asked for {what} in words unknown: {error}"
                ) from (None)
            return await do(said)

        self.calls.serve(self.node, what, handle)

    async def _told_disconnect(self, said: _Disconnect) -> bytes:
        self.sessions.disconnect(said.namespace, said.agent)
        return b""

    async def _told_drain_agent(self, said: _DrainAgent) -> bytes:
        self.sessions.drain(said.namespace, said.agent, on=said.on)
        return b""

    async def _told_drain(self, said: _Drain) -> bytes:
        self.way_out.begin(f"drained by {said.by}")
        return b""

    async def _told_maintain(self, said: _Maintain) -> bytes:
        await self.turn(on=said.on, by=said.by)
        return b""

    async def _told_profile(self, said: _Profile) -> bytes:
        return msgspec.json.encode(await self._profiled(said.cpu_s))

    async def _profiled(self, cpu_s: float) -> Profile:
        found = await self.profiler.cpu(cpu_s)
        return Profile(
            node=self.node,
            seconds=found.seconds,
            cpu_s=found.cpu_s,
            samples=found.samples,
            stacks=tuple(
                Stack(frames=frames, samples=many) for frames, many in found.stacks
            ),
        )

    async def _told_explain(self, said: _Explain) -> bytes:
        task = self.known.task(said.task)
        if task is None:
            return b"[]"
        facts = self.facts(task)
        mine = [
            consider(task, agent, facts)
            for agent in self.known.every_agent(task.namespace)
            if agent.id in facts.local
        ]
        return msgspec.json.encode(mine)
