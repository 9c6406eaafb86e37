"""What a node must be to be let into a cluster. Pure; the order is that of the checks."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from nexa_node.contract.cluster import NodeEntry
from nexa_node.contract.errors import Duplicate, Invalid, UnsupportedVersion
from nexa_node.contract.ids import is_slug
from nexa_node.core.addresses import Address, parse_address, parse_host
from nexa_node.core.join_tokens import JoinRequest

RESERVED = timedelta(minutes=10)
"""For so long a name is kept for a node that was admitted and has not come yet."""
MINOR_APART = 1
"""Minor versions by which members may differ: a rolling upgrade goes one at a time."""

_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})\.[0-9]{1,6}[-+.a-z0-9]{0,40}")
_URL = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?/?")
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Joiner:
    """A node that asks to be let in, checked."""

    name: str
    id: str
    route: Address
    url: str
    version: str
    pin: str = ""
    """SHA-256 of its key, by which its routes are known."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts that its certificate is for, besides this machine's own names."""
        found = _URL.fullmatch(self.url)
        told = found[1].strip("[]") if found else self.route.host
        return tuple(dict.fromkeys((self.route.host, parse_host(told))))


def check_joiner(asked: JoinRequest, *, version: str) -> Joiner:
    """Read what a joiner says of itself.

    Args:
        asked: Its words; the secret is settled elsewhere.
        version: Of the admitting node.

    Raises:
        Invalid: A name that is no slug, or an address or id that is none.
        UnsupportedVersion: Its nexa is too far from ours.
    """
    if not is_slug(asked.name):
        raise Invalid(
            "a node's name is a slug: a-z, 0-9, - and _, at most 63 characters",
            remedy="start it with --name NAME, or set [node] name",
        )
    if not compatible(asked.version, version):
        raise UnsupportedVersion(
            f"{asked.name} runs nexa {_shown(asked.version)}, this cluster {version}",
            remedy="install a nexa at most one minor version apart on the new node",
        )
    if not _ID.fullmatch(asked.id):
        raise Invalid("the joining node's id is none")
    if asked.url and not _URL.fullmatch(asked.url):
        raise Invalid("the joining node's URL is none: http(s)://host:port")
    joiner = Joiner(
        asked.name, asked.id, parse_address(asked.route), asked.url, asked.version
    )
    _ = joiner.hosts
    return joiner


def check_place(
    joiner: Joiner, *, members: tuple[str, ...], routes: tuple[str, ...]
) -> None:
    """Let a joiner pass whose name and route nobody has who is certainly here.

    Args:
        joiner: Who wants in.
        members: Names of the admitting node and of those it knows.
        routes: Their routes.

    Raises:
        Duplicate: Somebody has one of the two.
    """
    if joiner.name in members:
        raise taken(joiner.name)
    if str(joiner.route) in routes:
        raise Duplicate(
            f"the route {joiner.route} is another member's",
            remedy="set [cluster] host and route_port of the new node to its own",
        )


def may_replace(entry: NodeEntry, now: datetime) -> bool:
    """Say whether a name on record is free: its node left, or never came.

    A dead member's is not: it may be back any moment, until it is removed.
    """
    if entry.left:
        return True
    return not entry.incarnation and now - entry.joined >= RESERVED


def taken(name: str) -> Duplicate:
    """Say that a name is a member's."""
    return Duplicate(
        f"{name} is the name of a member",
        remedy=(
            "start the new node with another --name; if that member is dead and this one"
            f" replaces it, first: nexa cluster remove {name}"
        ),
    )


def compatible(theirs: str, ours: str) -> bool:
    """Say whether two versions of nexa may be in one cluster."""
    them, us = _VERSION.fullmatch(theirs), _VERSION.fullmatch(ours)
    if them is None or us is None:
        return False
    apart = abs(int(them[2]) - int(us[2]))
    return int(them[1]) == int(us[1]) and apart <= MINOR_APART


def _shown(version: str) -> str:
    return version if _VERSION.fullmatch(version) else "of an unknown version"
