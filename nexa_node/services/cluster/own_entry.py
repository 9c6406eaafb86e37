"""This node's entry among the members on record, kept as it should be.

Others write in it, too: that it is in maintenance, that it has left. What they wrote is
kept, an entry that was struck off stays so, and one of another node of the same name is
left alone as long as that node lives.
"""

import contextlib
from collections.abc import Callable

import msgspec

from nexa_node.contract.cluster import NodeEntry
from nexa_node.contract.errors import NexaError
from nexa_node.core.policies import ClusterPolicy
from nexa_node.ports import Clock, NodeEntries

LOOK_S = 1.0
"""How often it is looked whether the entry still says what it should."""


class OwnEntry:
    """Writes it when it differs from what it should be, and else never."""

    def __init__(
        self,
        *,
        entries: NodeEntries,
        entry: Callable[[], NodeEntry],
        has_namesake: Callable[[str], bool],
        clock: Clock,
        policy: ClusterPolicy,
    ) -> None:
        """Write nothing before it is known what is there.

        Args:
            entries: Where it is kept.
            entry: What it should be.
            has_namesake: Whether a node with that id was heard under our name.
            clock: The looks.
            policy: How long a namesake is waited for.
        """
        self._entries = entries
        self._entry = entry
        self._has_namesake = has_namesake
        self._clock = clock
        self._dead_s = policy.dead_ms / 1000
        self._seen: NodeEntry | None = None
        self._caught_up = False
        self._written = False

    def learn(self, name: str, entry: NodeEntry | None) -> None:
        """Know what is on record; None: it was removed. Others' are no matter."""
        if name == self._entry().name:
            self._seen = entry

    def caught_up(self) -> None:
        """Know that all that is on record was told."""
        self._caught_up = True

    async def run(self) -> None:
        """Look and write, for ever."""
        began = self._clock.monotonic()
        while True:
            mine = self._entry()
            if self._caught_up and self._may_write(mine, began):
                with contextlib.suppress(NexaError):  # the next look tries again
                    await self._write(mine)
            await self._clock.sleep(LOOK_S)

    def _may_write(self, mine: NodeEntry, began: float) -> bool:
        """Whether the entry is ours to write, and another than it should be."""
        seen = self._seen
        if seen is None:
            return not self._written  # one that was struck off stays so
        if seen.id != mine.id and not seen.left:
            waited = self._clock.monotonic() - began
            return waited >= self._dead_s and not self._has_namesake(seen.id)
        if seen.left and seen.incarnation == mine.incarnation:
            return False  # we are leaving
        return _merged(seen, mine) != seen

    async def _write(self, mine: NodeEntry) -> None:
        found = await self._entries.get(mine.name)
        if found is None:
            await self._entries.put(mine, revision=0)
        else:
            merged = _merged(found.value, mine)
            await self._entries.put(merged, revision=found.revision)
        self._written = True


def _merged(seen: NodeEntry, mine: NodeEntry) -> NodeEntry:
    """Our entry, with what others may have written in it."""
    same = seen.id == mine.id
    return msgspec.structs.replace(
        mine,
        joined=seen.joined if same else mine.joined,
        maintenance=seen.maintenance if same else False,
        pin=mine.pin or (seen.pin if same else ""),
    )
