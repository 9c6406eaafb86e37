"""Maintenance: a node that takes no new agents and hands out no new tasks, until told.

What is in hand may finish, and everything else goes on: its console, submissions,
messages, its share of the store. Agents are asked to move if there is somewhere to go.
The state is in the node's entry, so a restart does not end it.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.contract.nodes import NodeState
from nexa_node.ports import NodeEntries
from nexa_node.services.api import Journal

TRIES = 5
"""Of an entry that others write, too."""
MAINTENANCE_REASON = "the node is in maintenance"


class Agents(Protocol):
    """This node's connections; `Sessions`."""

    def go_away(self, reason: str) -> None:
        """Ask all agents to move, and take no new ones."""
        ...

    def take_nobody(self) -> None:
        """Take no new agents; those that are here stay."""
        ...

    def open_again(self) -> None:
        """Take new agents."""
        ...


class Taking(Protocol):
    """Handing out tasks; `Dispatch`."""

    def stop_taking(self) -> None:
        """Take nothing more from the queue."""
        ...

    def take_again(self) -> None:
        """Take from it as before."""
        ...


class State(Protocol):
    """What the node is at; `Condition`."""

    @property
    def state(self) -> NodeState:
        """As it is told."""
        ...

    def enter(self, state: NodeState) -> None:
        """Change it, and tell."""
        ...


class Maintenance:
    """Takes this node out of service and back."""

    def __init__(
        self,
        *,
        entries: NodeEntries,
        sessions: Agents,
        dispatch: Taking,
        condition: State,
        others: Callable[[], bool],
        journal: Journal,
        node: str,
    ) -> None:
        """Be in service until told otherwise.

        Args:
            entries: Where the state is kept.
            sessions: Told to let no agents in.
            dispatch: Told to take nothing from the queue.
            condition: Told the state.
            others: Whether there is another node for agents to go to.
            journal: Told who did it.
            node: This node's name.
        """
        self._entries = entries
        self._sessions = sessions
        self._dispatch = dispatch
        self._condition = condition
        self._others = others
        self._journal = journal
        self._node = node

    async def begin(self) -> None:
        """Be as the entry says; for the start of a node, once it runs.

        Raises:
            Unavailable: The store does not answer.
        """
        seen = await self._entries.get(self._node)
        if seen is not None and seen.value.maintenance:
            self._apply(True)

    async def turn(self, *, on: bool, by: str) -> None:
        """Take the node out of service, or back. Again is no error.

        Raises:
            Conflict: The node is starting or stopping.
            Unavailable: The store does not answer; nothing has changed.
        """
        state = self._condition.state
        if state not in ("running", "maintenance"):
            raise Conflict(
                f"{self._node} is {state}: it can't enter or leave maintenance now",
                details={"state": state},
            )
        if on == (state == "maintenance"):
            return
        await self._store(on)
        self._apply(on)
        told = "takes nothing new" if on else "takes agents and tasks again"
        self._journal.record(
            "node.maintenance" if on else "node.in_service",
            subject=f"node/{self._node}",
            message=f"{self._node} {told}: set by {by}",
            data={"by": by},
        )

    def _apply(self, on: bool) -> None:
        if not on:
            self._sessions.open_again()
            self._dispatch.take_again()
            self._condition.enter("running")
            return
        self._condition.enter("maintenance")
        self._dispatch.stop_taking()
        if self._others():
            self._sessions.go_away(MAINTENANCE_REASON)
        else:
            self._sessions.take_nobody()

    async def _store(self, on: bool) -> None:
        for _ in range(TRIES):
            seen = await self._entries.get(self._node)
            if seen is None or seen.value.maintenance == on:
                return  # without an entry there is nobody to tell
            entry = msgspec.structs.replace(seen.value, maintenance=on)
            try:
                await self._entries.put(entry, revision=seen.revision)
            except Conflict:
                continue
            return
        raise Unavailable(
            f"the entry of {self._node} changes too fast to be written",
            retry_after_ms=500,
        )
