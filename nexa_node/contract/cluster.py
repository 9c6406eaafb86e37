"""How several nodes become one cluster and stay one: what they tell each other."""

from datetime import datetime
from typing import Literal

import msgspec

from nexa_node.contract.nodes import Health, NodeState, Opinion


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


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """How far a change of the cluster's shape is."""

    action: Literal["form", "join", "replicas", "remove", "backup", "restore"]
    phase: str
    """A word: snapshot, start, restore, verify, done, rolled_back, failed."""
    done: int = 0
    total: int = 0
    """Of messages; 0 while it is not known."""
    detail: str = ""
    error: str | None = None
    remedy: str | None = None


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
