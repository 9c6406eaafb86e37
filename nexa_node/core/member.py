"""One member of a cluster as another one knows it, and what is told of it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from nexa_node.contract.cluster import Beat
from nexa_node.contract.nodes import HostSample, Suspicion

FLAP_WINDOW_S = 60.0
"""Recoveries within so long are counted together; so long steady, all is forgotten."""
FLAPS_MAX = 3
"""So many recoveries make a flapping node: that is told once, not each time."""
OLD_MAX = 16
"""Runs of one node that are remembered as over."""

Kind = Literal[
    "joined", "suspect", "dead", "back", "left", "flapping", "impostor", "disagree"
]


@dataclass(frozen=True, slots=True)
class MemberEvent:
    """Something that changed, told once."""

    kind: Kind
    node: str
    reason: str
    quiet: bool = False
    """Only for programs: an operator was told of the flapping already."""


@dataclass(slots=True, eq=False)
class Member:
    """One other node, as this one knows it."""

    name: str
    since: float
    """Waited for since then."""
    id: str = ""
    recorded: bool = False
    """It is on record as a member, so it counts for a majority."""
    beat: Beat | None = None
    """Its newest."""
    host: HostSample | None = None
    """The newest figures of its machine that it told."""
    heard: float | None = None
    suspicion: Suspicion = "alive"
    reason: str = ""
    rtt_ms: float | None = None
    dead_since: float | None = None
    flapping: bool = False
    over: deque[str] = field(default_factory=lambda: deque[str](maxlen=OLD_MAX))
    """Incarnations that were followed by a newer one."""
    flaps: deque[float] = field(default_factory=lambda: deque[float](maxlen=FLAPS_MAX))

    def silence(self, now: float) -> float:
        """Seconds without a sign of life."""
        return now - (self.since if self.heard is None else self.heard)

    @property
    def stopped(self) -> bool:
        """It said goodbye."""
        return self.beat is not None and self.beat.state == "stopped"
