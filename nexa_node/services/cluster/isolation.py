"""Isolation: a node that is cut off sends its agents to the part that can still work.

Without a quorum it can store nothing for them, however well they reach it. They are asked
to move as soon as that is more than a moment, and only if the nodes that are not heard
could be a majority of their own: else everything stands still everywhere, and an agent
does best where it is, with the claims it has.
"""

from collections.abc import Callable
from typing import Protocol

from nexa_node.ports import Clock
from nexa_node.services.api import Journal

LOOK_S = 0.25
AFTER_S = 1.0
"""Without a quorum for so long, it is no hiccup."""
REASON = "the node is cut off from its cluster"


class Agents(Protocol):
    """This node's connections; `Sessions`."""

    def connected(self) -> int:
        """How many agents are connected."""
        ...

    def ask_to_move(self, reason: str) -> None:
        """Ask all agents to go to another node."""
        ...


class Isolation:
    """Notices that this node is cut off."""

    def __init__(
        self,
        *,
        has_quorum: Callable[[], bool],
        others_may_work: Callable[[], bool],
        sessions: Agents,
        clock: Clock,
        journal: Journal,
        node: str,
    ) -> None:
        """Look at nothing before `run`.

        Args:
            has_quorum: Whether this node can have things stored, from memory.
            others_may_work: Whether the nodes that are not heard are enough for a quorum.
            sessions: Whose agents are asked to move.
            clock: Counts.
            journal: Told; the event is stored when the node is back.
            node: This node's name.
        """
        self._has_quorum = has_quorum
        self._others_may_work = others_may_work
        self._sessions = sessions
        self._clock = clock
        self._journal = journal
        self._node = node

    async def run(self) -> None:
        """Ask agents to move, once for each time it is cut off, for ever. A service's loop."""
        since: float | None = None
        asked = False
        while True:
            now = self._clock.monotonic()
            if self._has_quorum():
                since, asked = None, False
            elif since is None:
                since = now
            elif not asked and now - since >= AFTER_S and self._others_may_work():
                asked = True
                self._ask()
            await self._clock.sleep(LOOK_S)

    def _ask(self) -> None:
        agents = self._sessions.connected()
        if agents == 0:
            return
        self._journal.record(
            "node.isolated",
            subject=f"node/{self._node}",
            message=f"{self._node} is cut off and asked its {agents} agents to move",
            severity="warning",
            data={"agents": agents},
        )
        self._sessions.ask_to_move(REASON)
