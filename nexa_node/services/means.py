"""What the services of messages are made of: parts of the store, and of the node."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nexa_node.ports import Clock, Inboxes, Objects, SessionRecords, Signals
from nexa_node.services.api import Journal
from nexa_node.services.directory.sight import Sight


class Mail(Protocol):
    """The parts of the store that messages are in."""

    @property
    def inboxes(self) -> Inboxes:
        """What is stored for agents and topics."""
        ...

    @property
    def signals(self) -> Signals:
        """What is not stored."""
        ...

    @property
    def sessions(self) -> SessionRecords:
        """What outlives a connection."""
        ...

    @property
    def objects(self) -> Objects:
        """Large data."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a node gives to its services."""

    sight: Sight
    """Who there is."""
    clock: Clock
    journal: Journal
    """Told of messages that were given up."""
    entropy: Callable[[int], bytes]
    """That many random bytes, fit for secrets."""
    rng: random.Random
    """Chooses between agents that are equally busy."""
    node: str
    """This node's id, as sessions' records hold it."""
