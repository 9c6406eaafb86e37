"""Where a node lives, and as whom."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nexa_node.adapters.files.config import Loaded
from nexa_node.adapters.files.node_folder import Identity, NodeFolder
from nexa_node.adapters.tls.port import PortTls


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A locked folder, an address, and the settings."""

    folder: NodeFolder
    identity: Identity
    url: str
    state: Path
    """The folder of all nodes' state."""
    loaded: Loaded
    started: datetime
    port: PortTls | None = None
    """What the port shows, once that is read; None of a port that is plain."""
