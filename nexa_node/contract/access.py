"""Who may call, and as what."""

from datetime import datetime
from typing import Literal

import msgspec

RoleName = Literal["viewer", "operator", "admin", "auditor", "agent", "node"]
ROLES: tuple[RoleName, ...] = (
    "viewer",
    "operator",
    "admin",
    "auditor",
    "agent",
    "node",
)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A caller that proved who it is."""

    id: str
    """`token:<id>`."""
    role: RoleName
    name: str
    expires: datetime | None = None


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it may be shown: never the secret."""

    id: str
    role: RoleName
    name: str
    created: datetime
    expires: datetime | None


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/tokens."""

    role: RoleName
    name: str = ""
    expires_s: int | None = None
    """From now, in seconds; None takes the role's default (30 d, agents 90 d)."""


class TokenCreated(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: the only time the token itself is told."""

    id: str
    token: str
    role: RoleName
    name: str
    expires: datetime | None
