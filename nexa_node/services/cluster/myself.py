"""What a node tells the others of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nexa_node.contract.cluster import NodeEntry
from nexa_node.contract.nodes import HostSample, NodeState
from nexa_node.core.health import Assessment
from nexa_node.services.cluster.growths import Growths


@dataclass(frozen=True, slots=True, kw_only=True)
class Myself:
    """What this node tells of itself; what changes is asked each time."""

    entry: Callable[[], NodeEntry]
    """Who it is, and where; `joined` is when it is told first."""
    started: datetime
    state: Callable[[], NodeState]
    assess: Callable[[], Assessment]
    agents: Callable[[], int]
    host: Callable[[], HostSample | None]
    growths: Growths | None = None
    """How far a change is that this node makes, and what others tell of theirs."""
