"""The registry's records of this node's agents: written on change, never on a beat.

Joining and leaving are written at once; what else changes is put together, at most once
a second for each agent and at most `PUTS_PER_PASS` for all, so that a busy node's
records cost the store no more than that.
"""

import asyncio
from collections.abc import Callable

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.core.policies import LeasePolicy
from nexa_node.ports import AgentRecords, Clock
from nexa_node.services.directory.sight import Sight
from nexa_node.services.sessions.live import AgentKey, LiveAgent, Presence

PASS_S = 1.0
PUTS_PER_PASS = 200


class Registry:
    """Keeps the store's records of this node's agents true. An `Audience`."""

    def __init__(
        self,
        records: AgentRecords,
        *,
        sight: Sight,
        clock: Clock,
        node: str,
        policy: LeasePolicy,
        tell: Callable[[Agent], None],
    ) -> None:
        """Nothing is written yet.

        Args:
            records: Where they are kept.
            sight: Tells what an earlier run of this node left behind.
            clock: The beat.
            node: This node's name.
            policy: The grace that agents of the earlier run get, too.
            tell: Told at once who joins and leaves here, long before the store tells it.
        """
        self._records = records
        self._sight = sight
        self._clock = clock
        self._node = node
        self._tell = tell
        self._grace_s = policy.grace_ms / 1000
        self._urgent: dict[AgentKey, Presence] = {}
        self._later: dict[AgentKey, Presence] = {}
        self._here: set[AgentKey] = set()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()

    def joined(self, agent: LiveAgent, *, restarted: bool) -> None:
        """Write it down at once."""
        del restarted
        self._here.add(agent.key)
        self._write_now(Presence(agent))

    def changed(self, agent: LiveAgent) -> None:
        """Write it down with the next pass; what an operator did, at once."""
        known = self._sight.agent(*agent.key)
        if agent.key not in self._here or agent.key in self._urgent:
            return
        if known is not None and known.drained != agent.seat.drained:
            self._write_now(Presence(agent))
        else:
            self._later[agent.key] = Presence(agent)

    def away(self, agent: LiveAgent) -> None:
        """It is still there: the grace runs."""

    def left(self, agent: LiveAgent, *, in_order: bool) -> None:
        """Write down that it is offline, at once, unless it went to another node."""
        del in_order
        self._here.discard(agent.key)
        self._later.pop(agent.key, None)
        known = self._sight.agent(*agent.key)
        if known is None or known.node == self._node or not known.connected:
            self._write_now(Presence(agent, gone=True))

    def again(self, agent: LiveAgent) -> None:
        """Write down at once that it is here: another node wrote that it is not."""
        if agent.key in self._here:
            self._write_now(Presence(agent))

    async def run(self) -> None:
        """Write, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tidy())
            group.create_task(self._write_urgent())
            while True:
                await self._clock.sleep(PASS_S)
                await self._write(self._later, PUTS_PER_PASS)

    def _write_now(self, presence: Presence) -> None:
        key = presence.agent.key
        self._later.pop(key, None)
        self._urgent[key] = presence
        self._tell(presence.record(self._node))
        self._wake.set()

    async def _write_urgent(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self._write(self._urgent, PUTS_PER_PASS):
                await self._clock.sleep(PASS_S)
            if self._urgent:
                self._wake.set()

    async def _write(self, waiting: dict[AgentKey, Presence], most: int) -> bool:
        """Write the oldest; False when the store did not take one, which then stays.

        One record at a time, so that an older one never lands on a newer one.
        """
        for key in list(waiting)[:most]:
            async with self._writing:
                presence = waiting.pop(key, None)
                if presence is None:
                    continue
                try:
                    await self._records.put(presence.record(self._node))
                except Unavailable:
                    if key not in self._urgent:
                        waiting.setdefault(key, presence)
                    return False
        return True

    async def _tidy(self) -> None:
        """Write down as offline whom an earlier run of this node left connected."""
        await self._sight.caught_up()
        await self._clock.sleep(self._grace_s)
        for agent in list(self._sight.all_agents()):
            key = (Namespace(agent.namespace), AgentId(agent.id))
            if agent.node != self._node or not agent.connected or key in self._here:
                continue
            now = self._clock.now()
            gone = msgspec.structs.replace(
                agent, connected=False, state="offline", inflight=0, since=now
            )
            try:
                await self._records.put(gone)
            except Unavailable:
                return
