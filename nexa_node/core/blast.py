"""What a change of the cluster would do, and to whom: told before it is done.

Pure: facts in, sentences or a refusal out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nexa_node.contract.nodes import Cluster, StreamPlace

ELECTION = "4 to 9 s"
"""Raft's election time of nats-server; no setting changes it (research/nats.md, 3)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The change is not to be done."""

    reason: str
    remedy: str


def removal(
    cluster: Cluster, name: str, *, alive: bool, peers: Iterable[str], heard: int
) -> tuple[str, ...] | Refused:
    """Say what striking a member off does.

    Args:
        cluster: As it is seen now.
        name: Whom.
        alive: Whether anybody hears it.
        peers: The members of the store's meta group.
        heard: How many of them are heard.
    """
    members = set(peers)
    attached = cluster.store == "attached"
    if alive and attached:
        return Refused(f"{name} is alive", f"on it: nexa node stop --name {name}")
    if attached:
        return ("its record is removed; nothing of the attached NATS changes",)
    if alive:
        return Refused(
            f"{name} is alive", f"have it leave: nexa cluster leave --attach {name}"
        )
    need = len(members) // 2 + 1
    if heard < need:
        return Refused(
            f"only {heard} of {len(members)} members are heard, {need} must be:"
            " nobody can be struck off",
            "bring another member back first",
        )
    return (*_copies(cluster.streams, name), *_tolerance(len(members) - 1))


def departure(cluster: Cluster, name: str) -> tuple[str, ...] | Refused:
    """Say what it does that a member leaves in order."""
    if cluster.store == "attached":
        return Refused(
            f"{name} is attached to a NATS and has nothing there that others don't",
            f"on it: nexa node stop; then nexa cluster remove {name} on another one",
        )
    others = [node for node in cluster.nodes if node.name != name]
    if not others:
        return Refused(
            f"{name} is the only node: there is nobody to leave",
            "nexa node stop ends it",
        )
    only = [
        stream.name
        for stream in cluster.streams
        if [copy.node for copy in stream.replicas] == [name]
    ]
    if only:
        return Refused(
            f"the only copy of {', '.join(only)} is on {name}",
            "nexa cluster replicas 3 first, or nexa cluster backup FILE",
        )
    agents = sum(node.agents for node in cluster.nodes if node.name == name)
    moved = (f"{agents} agents are asked to move",) if agents else ()
    led = [stream.name for stream in cluster.streams if stream.leader == name]
    handed = (f"{', '.join(led)} get another leader first",) if led else ()
    return (
        *moved,
        *handed,
        *_copies(cluster.streams, name),
        *_tolerance(len(others)),
    )


def copying(cluster: Cluster, copies: int) -> tuple[str, ...] | Refused:
    """Say what keeping `copies` of everything does."""
    members = len(cluster.nodes)
    if cluster.store == "attached":
        return Refused(
            "the store is attached: copies are a setting, and its servers keep them",
            f"[store] replicas = {copies} on every node, then nexa node restart",
        )
    if copies not in (1, 3, 5):
        return Refused(
            f"{copies} copies make no better majority than {copies - 1}",
            "use 1, 3 or 5",
        )
    if copies > members:
        return Refused(
            f"{copies} copies need {copies} nodes; there are {members}",
            "nexa cluster join-token, then nexa node start --join TOKEN elsewhere",
        )
    moved = sum(stream.bytes for stream in cluster.streams)
    more = copies - cluster.replicas
    if more == 0:
        return (f"there are {copies} copies of everything already",)
    if more < 0:
        return (f"{-more} copies of {len(cluster.streams)} streams are given up",)
    return (f"{more * moved} bytes of {len(cluster.streams)} streams are copied",)


def _copies(streams: Iterable[StreamPlace], name: str) -> tuple[str, ...]:
    held = [s for s in streams if name in {copy.node for copy in s.replicas}]
    if not held:
        return ()
    return (f"{len(held)} streams get their copy on {name} made anew elsewhere",)


def _tolerance(left: int) -> tuple[str, ...]:
    lost = (left - 1) // 2
    if lost == 0:
        return (f"{left} nodes are left: none of them may fail",)
    return (f"{left} nodes are left: {lost} of them may fail",)
