"""Addresses for the answers to requests: one slug that says which node waits.

It is valid as a topic and as an agent's id, so whoever answers needs to know nothing
else. The 128 random bits in it are what only the receiver of the request was told:
without them nobody can answer in its place.
"""

import hashlib
import re

REPLY_PREFIX = "nx-reply-"
"""No agent's id and no subscription begins like this."""
SECRET_BYTES = 16
TAG_LENGTH = 12

_ADDRESS = re.compile(rf"{REPLY_PREFIX}([0-9a-f]{{{TAG_LENGTH}}})-[0-9a-f]{{32}}")


def node_tag(node_id: str) -> str:
    """Make the part of an address that says which node it is of."""
    return hashlib.sha256(node_id.encode()).hexdigest()[:TAG_LENGTH]


def reply_address(tag: str, secret: bytes) -> str:
    """Make an address of the node with `tag` from `SECRET_BYTES` random bytes."""
    return f"{REPLY_PREFIX}{tag}-{secret[:SECRET_BYTES].hex()}"


def is_reserved(name: str) -> bool:
    """Say whether only the node itself may make such a name."""
    return name.startswith(REPLY_PREFIX)


def tag_of(address: str) -> str | None:
    """Read whose address it is; None if it is none."""
    found = _ADDRESS.fullmatch(address)
    return None if found is None else found[1]
