"""What the link tells the agent, and the words it tells it in."""

from dataclasses import dataclass
from typing import Protocol

from nexa_node.agent.claims import Claim
from nexa_node.contract.errors import NexaError
from nexa_node.contract.frames import Deliver, Gap, TaskUpdate


@dataclass(frozen=True, slots=True)
class Connected:
    """A node welcomed the agent."""

    url: str
    node: str
    """The node's name."""
    session: str
    resumed: bool
    """Whether the session from before goes on."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """There is no connection now. The library goes on trying by itself."""

    url: str
    reason: str
    retry_in_s: float


class Upward(Protocol):
    """Called on the link's thread; must neither block nor raise."""

    def connection(self, change: Connected | Disconnected) -> None:
        """The connection came or went."""
        ...

    def gap(self, gap: Gap) -> None:
        """Messages are gone that were never delivered."""
        ...

    def assigned(self, claim: Claim) -> None:
        """A task was accepted: start working."""
        ...

    def revoked(self, claim: Claim) -> None:
        """Stop working: `claim.cancellation` says why."""
        ...

    def delivered(self, message: Deliver) -> None:
        """A new message; the link is to be told what became of it."""
        ...

    def updated(self, update: TaskUpdate) -> None:
        """A watched task changed."""
        ...

    def ended(self, error: NexaError | None) -> None:
        """Nothing will come any more; `error` when it was not us who ended it."""
        ...
