"""How far changes of the cluster's shape are, wherever they are made.

The node that makes a change tells of it with its beats, so every console sees it, whichever
node it asks. What is over is shown for a minute, what is not heard of any more for as long.
"""

from collections.abc import Callable

import msgspec

from nexa_node.contract.nodes import Growth
from nexa_node.ports import Clock

SHOWN_S = 60.0
"""So long after its end, or after the last word of it, a change is still shown."""
SENT_S = 5.0
"""So long news goes with each beat: one that is lost matters little."""

OnGrowth = Callable[[], object]


class Growths:
    """Our own, and what others tell."""

    def __init__(self, *, node: str, clock: Clock) -> None:
        """Know of no change.

        Args:
            node: This node's name.
            clock: Stamps, and counts how long something is shown.
        """
        self._node = node
        self._clock = clock
        self._heard: dict[str, tuple[float, Growth]] = {}
        self._listeners: list[OnGrowth] = []

    def on_change(self, listener: OnGrowth) -> None:
        """Have `listener` called at each piece of news."""
        self._listeners.append(listener)

    def tell(self, growth: Growth) -> None:
        """Know how far a change is that this node makes."""
        stamped = msgspec.structs.replace(
            growth, time=self._clock.now(), node=self._node
        )
        self._take(self._node, stamped)

    def hear(self, node: str, growth: Growth) -> None:
        """Know what another node tells of a change that it makes."""
        known = self._heard.get(node)
        if known is None or known[1] != growth:
            self._take(node, growth)

    def to_send(self) -> Growth | None:
        """What the others should be told now."""
        at, growth = self._heard.get(self._node, (0.0, None))
        fresh = growth is not None and self._clock.monotonic() - at < SENT_S
        return growth if fresh else None

    def current(self) -> Growth | None:
        """The change there was news of last; None once that is long ago."""
        now = self._clock.monotonic()
        fresh = [one for one in self._heard.values() if now - one[0] < SHOWN_S]
        return max(fresh, key=lambda one: one[0])[1] if fresh else None

    def _take(self, node: str, growth: Growth) -> None:
        self._heard[node] = (self._clock.monotonic(), growth)
        for listener in self._listeners:
            listener()
