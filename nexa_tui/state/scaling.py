"""How large a cluster should be, and what would get it there. Pure."""

from collections.abc import Iterable

import msgspec

from nexa_node.contract.tasks import Queue
from nexa_tui.state.text import clean
from nexa_tui.state.topology import Part, Topology
from nexa_tui.state.topology_loss import count

SIZES = (1, 3, 5)
"""Of these each survives one loss more than the one before; more nodes than copies
spread the work and survive no more."""
_STUCK_S = 5.0
"""A task that waits for longer while all slots are taken wants another agent."""


class Plan(msgspec.Struct, frozen=True):
    """From so many nodes to so many."""

    have: int
    wanted: int
    add: int = 0
    """Nodes that would have to join."""
    strike: tuple[Part, ...] = ()
    """Dead nodes that would be struck off, first."""
    leave: tuple[Part, ...] = ()
    """Nodes that would leave in order."""
    notes: tuple[str, ...] = ()
    """What should be known before."""
    refused: str | None = None
    remedy: str | None = None

    @property
    def nothing(self) -> bool:
        """Whether it is as it is wanted."""
        return not (self.add or self.strike or self.leave)


class Wish(msgspec.Struct, frozen=True):
    """Agents that a queue could use."""

    queue: str
    why: str
    urgent: bool


def plan(view: Topology, wanted: int) -> Plan:
    """Say how to get to `wanted` nodes."""
    have = view.members
    if wanted < 1:
        return Plan(
            have, wanted, refused="a cluster has at least one node",
            remedy="nexa node stop ends the last one",
        )  # fmt: skip
    if wanted >= have:
        return Plan(have, wanted, add=wanted - have, notes=_notes(view, wanted))
    if wanted < view.cluster.replicas:
        return Plan(
            have, wanted,
            refused=f"{view.cluster.replicas} copies need as many nodes",
            remedy=f"nexa cluster replicas {_copies_for(wanted)}, then again",
        )  # fmt: skip
    newest = sorted(view.parts, key=lambda part: part.node.id, reverse=True)
    going = sorted(newest, key=_who_goes_first)[: have - wanted]
    return Plan(
        have,
        wanted,
        strike=tuple(part for part in going if part.down),
        leave=tuple(part for part in going if not part.down),
        notes=_notes(view, wanted),
    )


def wishes(queues: Iterable[Queue]) -> list[Wish]:
    """Queues that could use more agents, the urgent ones first."""
    found: list[Wish] = []
    for queue in queues:
        waiting = queue.pending - queue.delayed
        if waiting <= 0:
            continue
        tasks, name = count(waiting, "task"), clean(queue.name, 40)
        waits = "waits" if waiting == 1 else "wait"
        if queue.agents == 0:
            found.append(Wish(name, f"{tasks} {waits} and no agent can do them", True))
        elif queue.free_slots == 0 and (queue.oldest_wait_s or 0.0) >= _STUCK_S:
            why = (
                f"{tasks} {waits}, one for {queue.oldest_wait_s:.0f} s; all"
                f" {queue.slots} slots of {count(queue.agents, 'agent')} are taken"
            )
            found.append(Wish(name, why, False))
    return sorted(found, key=lambda one: (not one.urgent, one.queue))


def standing(view: Topology) -> str:
    """How large it is, and what that survives."""
    lose = view.cluster.tolerates
    survives = "survives no loss" if lose == 0 else f"any {lose} may stop"
    nodes = count(view.members, "node")
    copies = view.cluster.replicas
    noun = "copy" if copies == 1 else "copies"
    return f"{nodes}, {copies} {noun} of everything, {survives}"


def better(view: Topology) -> str | None:
    """Which size would survive more, if there is one."""
    members = view.members
    next_ = next((size for size in SIZES if size > members), None)
    if next_ is None:
        return None
    lose = next_ // 2
    return (
        f"with {count(next_, 'node')} any {lose} may stop: nexa cluster scale {next_}"
    )


def _notes(view: Topology, wanted: int) -> tuple[str, ...]:
    notes: list[str] = []
    if wanted % 2 == 0:
        notes.append(f"{wanted} nodes survive no more losses than {wanted - 1}")
    if wanted > max(SIZES):
        notes.append("more than 5 nodes share the work; they survive no more losses")
    if wanted >= 3 > view.cluster.replicas and view.members < 3:
        notes.append("with the third node everything is copied to three by itself")
    return tuple(notes)


def _copies_for(nodes: int) -> int:
    return max(size for size in SIZES if size <= nodes)


def _who_goes_first(part: Part) -> tuple[object, ...]:
    """The dead, then whoever leads least and has the fewest agents, then the newest."""
    leader = part.node.role == "leader"
    lead = len(part.leads)
    return (not part.down, leader, part.controller, lead, part.node.agents)
