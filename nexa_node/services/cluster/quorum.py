"""Without a quorum nothing can be stored: who asks for it is told at once.

The store itself would let a caller wait for its whole time-out. A leader that is being
elected is another matter: that is over within seconds, and is waited for.
"""

from collections.abc import Callable

from nexa_node.contract.errors import Unavailable

RETRY_MS = 1000
"""What callers are told to wait before the same call."""


class Writable:
    """Says whether the store can take writes."""

    def __init__(self, has_quorum: Callable[[], bool], *, node: str) -> None:
        """Ask `has_quorum`, from memory, for the node of that name."""
        self._has_quorum = has_quorum
        self._node = node
        self.refused = 0
        """Writes that were refused since the start."""

    def check(self) -> None:
        """Let pass while there is a quorum.

        Raises:
            Unavailable: There is none; the same call may be made again, here or at
                another node.
        """
        if not self._has_quorum():
            self.refused += 1
            raise Unavailable(
                f"{self._node} hears too few nodes of its cluster to store anything",
                remedy="nexa cluster status says which are missing; start them",
                retry_after_ms=RETRY_MS,
            )
