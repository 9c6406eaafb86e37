"""Pins: by which key each member's routes are known.

A certificate of the cluster's authority is not enough to open a route: its key must be
that of a member on record. So who was struck off is shut out, and a certificate that was
made with a stolen authority is good for nothing.
"""

from collections.abc import Iterable

from nexa_node.contract.cluster import NodeEntry

TOLD_EACH = 4
"""Each so many beats of a node tell all members' pins."""


class Pins:
    """What is known of them; nothing before it is told."""

    def __init__(self) -> None:
        """Know none."""
        self._told: dict[str, tuple[str, ...]] = {}

    def all(self, mine: str, others: Iterable[NodeEntry]) -> tuple[str, ...]:
        """Of all members' certificates, this node's included.

        Who leaves needs its routes to the end, so it is in until it is off the record.

        Returns:
            Empty: a member has told none, as an older nexa does; nobody is pinned then.
        """
        found = [mine, *(each.pin for each in others)]
        return tuple(sorted(set(found))) if all(found) else ()

    def hear(self, node: str, pins: tuple[str, ...]) -> None:
        """Take over what another node tells of all members."""
        if pins:
            self._told[node] = pins

    def told(self, *, has_quorum: bool) -> frozenset[str]:
        """What others told, while the record can't be read.

        A node that was away while others joined hears of them from those that it still
        knows; with a quorum it reads the record, which alone counts then.
        """
        if has_quorum:
            self._told.clear()
        return frozenset(pin for told in self._told.values() for pin in told)
