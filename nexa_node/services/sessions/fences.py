"""Fences: one session of an agent in the whole cluster, the newest.

Two nodes may have an agent at the same time: it went on to another one, or two processes
call themselves so. The session's record, compared and swapped, says which node has it.
Here the other one finds out: the registry tells that the agent is elsewhere, or gone; the
session's record is asked; and either the agent is fenced here (4409), its claims left to
the node it is at, or the registry is put right.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from nexa_node.contract.errors import NexaError
from nexa_node.contract.events import AgentChanged, Change
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.ports import Clock, SessionRecord
from nexa_node.services.directory.sight import Sight
from nexa_node.services.sessions.live import AgentKey, LiveAgent

RETRY_S = 0.5
"""Before the store is asked again that did not answer."""


class Here(Protocol):
    """Agents with a session on this node; `Sessions`."""

    def find(self, namespace: Namespace, agent_id: AgentId) -> LiveAgent | None:
        """One of them; also in its grace."""
        ...

    def moved(self, live: LiveAgent, *, to: str, incarnation: str | None) -> None:
        """Let it go: its session goes on at another node."""
        ...


class Holders(Protocol):
    """Which node has an agent's session; `Door`."""

    async def gone_to(self, key: AgentKey) -> SessionRecord | None:
        """The session's record, if another node has it."""
        ...


class Fences:
    """Finds this node's agents that are another node's by now."""

    def __init__(
        self,
        *,
        here: Here,
        door: Holders,
        sight: Sight,
        let_go: Callable[[AgentKey], None],
        again: Callable[[LiveAgent], None],
        clock: Clock,
        node: str,
    ) -> None:
        """Doubt nobody yet; `told` listens to the directory.

        Args:
            here: This node's sessions.
            door: Knows which node has a session.
            sight: What the registry says.
            let_go: Leaves an agent's claims to the node it is at; `Custody.let_go`.
            again: Writes an agent's record anew; `Registry.again`.
            clock: Pauses.
            node: This node's name.
        """
        self._here = here
        self._door = door
        self._sight = sight
        self._let_go = let_go
        self._again = again
        self._clock = clock
        self._node = node
        self._doubted: dict[AgentKey, None] = {}
        self._stir = asyncio.Event()

    def told(self, change: Change) -> None:
        """Take in what the directory knows of an agent; fit for `Directory.subscribe`."""
        if not isinstance(change, AgentChanged):
            return
        key = (Namespace(change.agent.namespace), AgentId(change.agent.id))
        if self._here.find(*key) is not None and not self._is_ours(key):
            self._doubted[key] = None
            self._stir.set()

    async def run(self) -> None:
        """Clear up every doubt, for ever. A service's loop."""
        while True:
            await self._stir.wait()
            self._stir.clear()
            for key in list(self._doubted):
                del self._doubted[key]
                try:
                    await self._clear_up(key)
                except NexaError:
                    self._doubted[key] = None
                    self._stir.set()
                    await self._clock.sleep(RETRY_S)

    async def _clear_up(self, key: AgentKey) -> None:
        if self._is_ours(key):
            return
        record = await self._door.gone_to(key)
        live = self._here.find(*key)
        if live is None or self._is_ours(key):
            return
        if record is None:
            self._again(live)
            return
        known = self._sight.agent(*key)
        to = record.node if known is None else known.node
        self._let_go(key)
        self._here.moved(live, to=to, incarnation=record.incarnation)

    def _is_ours(self, key: AgentKey) -> bool:
        """Whether the registry says that an agent is here."""
        known = self._sight.agent(*key)
        return known is not None and known.connected and known.node == self._node
