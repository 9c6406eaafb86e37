"""Identifiers: how each is made, and what is allowed to be one.

Ids from outside become NATS subject tokens, file names and cells on a screen. They
are slugs, and anything else is refused where it enters: never a subject fragment.
"""

import re
from typing import NewType

AgentId = NewType("AgentId", str)
TaskId = NewType("TaskId", str)
NodeId = NewType("NodeId", str)
Namespace = NewType("Namespace", str)
SessionId = NewType("SessionId", str)

DEFAULT_NAMESPACE = Namespace("default")

SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
TOPIC_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}(\.[a-z0-9][a-z0-9_-]{0,62}){0,15}$"

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NOT_SLUG = re.compile(r"[^a-z0-9_-]+")
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def is_slug(text: str) -> bool:
    """Say whether `text` may be an id."""
    return _SLUG.fullmatch(text) is not None


def slugify(text: str, *, default: str) -> str:
    """Make the nearest slug of `text` (a host name, say); `default` if none is left."""
    slug = _NOT_SLUG.sub("-", text.lower()).strip("-_")[:63]
    return slug or default


def time_ordered_id(now_ms: int, entropy: bytes) -> str:
    """Make a 26-character id that sorts by its time: a lower-case ULID.

    Args:
        now_ms: Milliseconds since 1970; 48 bits are kept.
        entropy: At least 10 random bytes; the first 10 are used.
    """
    number = (now_ms & (1 << 48) - 1) << 80 | int.from_bytes(entropy[:10], "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
