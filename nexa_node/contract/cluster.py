"""How several nodes become one cluster and stay one: what they tell each other."""

from datetime import datetime

import msgspec

from nexa_node.contract.nodes import Growth, Health, HostSample, NodeState, Opinion
from nexa_node.contract.plans import Plan

__all__ = [
    "Beat",
    "ClusterChange",
    "Copies",
    "Growth",
    "JoinToken",
    "Maintenance",
    "NewJoinToken",
    "NodeEntry",
]


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A node's sign of life, told to all others twice a second; never stored."""

    node: str
    id: str
    incarnation: str
    """Of this run of its process: a restarted node has another."""
    seq: int
    url: str
    version: str
    state: NodeState
    health: Health
    reasons: tuple[str, ...] = ()
    agents: int = 0
    started: datetime | None = None
    opinions: tuple[Opinion, ...] = ()
    host: HostSample | None = None
    """Its machine's figures, on the first beat after they were taken."""
    growth: Growth | None = None
    """How far the change of the cluster's shape is that it makes; None of no news."""
    pins: tuple[str, ...] = ()
    """Of all members, now and then: for one that was away while others joined."""


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A member as the cluster has it on record, in `nx_nodes` by its name."""

    name: str
    id: str
    url: str
    route: str
    """host:port where other stores reach its own."""
    version: str
    joined: datetime
    incarnation: str = ""
    """Of its newest run."""
    maintenance: bool = False
    left: bool = False
    pin: str = ""
    """SHA-256 of its certificate's public key, hexadecimal: its routes are known by it."""


class JoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """`nexa cluster join-token --json`; shown once, good for one node."""

    token: str
    expires: datetime


class ClusterChange(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a change of the cluster, done or only planned."""

    done: bool
    """False of a dry run."""
    what: str
    """In words: what was or would be done."""
    effects: tuple[str, ...] = ()
    """What it does to whom: its blast radius."""
    growth: Growth | None = None
    plan: Plan | None = None
    """Of a dry run: by its id just this is done."""


class NewJoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/cluster/join-tokens."""

    expires_s: int = 1800
    """From now, in seconds."""


class Copies(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/cluster/replicas."""

    copies: int


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/nodes/{id}/maintenance."""

    on: bool
