"""Whom this node's store is connected to: the others' addresses, and their keys."""

import asyncio
from dataclasses import dataclass

import msgspec

from nexa_node.adapters.files import membership
from nexa_node.adapters.files.membership import ClusterFile
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.adapters.tls.credentials import NodeCredentials
from nexa_node.wiring.fellowship import Fellowship
from nexa_node.wiring.place import Place

LOOK_S = 0.5
"""How often it is looked whether members have come or gone."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of all members now."""

    routes: tuple[str, ...]
    """Of the others, on record."""
    pins: tuple[str, ...] | None
    """On record; None: it was not read yet. Empty: not all have one."""
    told: frozenset[str]
    """Pins that others tell, while the record can't be read."""
    has_quorum: bool


class KeptRoutes:
    """Keeps `cluster.json` and the store's configuration as the members are."""

    def __init__(
        self,
        place: Place,
        store: NatsStore,
        fellowship: Fellowship,
        credentials: NodeCredentials,
    ) -> None:
        """Look at nothing yet."""
        self._folder = place.folder.path
        self._store, self._fellowship = store, fellowship
        self._credentials = credentials

    async def run(self) -> None:
        """Have the store and the next start know who is there, for ever. A service's loop."""
        members, settled = self._fellowship.members, None
        while True:
            await self._fellowship.clock.sleep(LOOK_S)
            if self._store.member is None:
                continue
            if not self._fellowship.pin:
                self._fellowship.pin = "".join(await own_pins(self._credentials))
            shape = self._store.cluster.shape()
            heard = Heard(
                members.routes(),
                members.pins(),
                members.told_pins(),
                has_quorum=shape.have >= shape.need,
            )
            if heard != settled and await self._keep(heard):
                settled = heard

    async def _keep(self, heard: Heard) -> bool:
        there = await asyncio.to_thread(membership.read, self._folder)
        if there is None or not there.formed:
            return False
        kept = known(there, heard)
        if kept != there:
            await asyncio.to_thread(membership.write, self._folder, kept)
            await self._store.reroute(kept.routes, kept.pins)
        return True


def known(there: ClusterFile, heard: Heard) -> ClusterFile:
    """What is known of the others by now; what is not known yet stays as it was.

    Nobody is shut out by a node that has no quorum: what it reads may be old.
    """
    pins = there.pins if heard.pins is None else heard.pins
    if pins and not heard.has_quorum:
        pins = tuple(sorted(heard.told.union(pins, there.pins)))
    routes = heard.routes or there.routes
    return msgspec.structs.replace(there, routes=routes, pins=pins)


async def own_pins(credentials: NodeCredentials) -> tuple[str, ...]:
    """The pin of this node's certificate; none if it has none."""
    facts = await credentials.facts()
    return () if facts is None else (facts.key_pin,)
