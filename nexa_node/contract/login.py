"""Logging in without a secret that travels: by an Ed25519 key, or by another's word.

The node gives a nonce; who has the key signs it, together with what it is for and which
node of which cluster asked, so that a signature is of no use anywhere else, or twice.
"""

from datetime import datetime
from typing import Literal

import msgspec

Purpose = Literal["login", "session"]
"""`login`: for a short-lived token. `session`: for `session.hello` on this node."""

NONCE_S = 60
"""How long a nonce may be used; once."""


class NewChallenge(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/login/challenge; the parameters of `session.challenge`."""

    id: str
    """The token's id. One that does not exist gets a nonce, too."""


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be signed, by `login_words`."""

    nonce: str
    node: str
    """The id of the node that asks."""
    cluster: str
    """The name of its cluster."""
    expires: datetime


class KeyProof(msgspec.Struct, frozen=True, kw_only=True):
    """A signature over a challenge."""

    id: str
    nonce: str
    signature: str
    """Ed25519 over `login_words`, base64."""


class NewLogin(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/login: one of the two."""

    key: KeyProof | None = None
    oidc: str | None = None
    """An ID token of the configured issuer."""


class OidcProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Where people log in: what `nexa login --oidc` needs."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...] = ()


class LoginWays(msgspec.Struct, frozen=True, kw_only=True):
    """How one can log in to this cluster, besides by a token."""

    key: bool = True
    oidc: OidcProvider | None = None


def login_words(
    challenge: Challenge | None = None,
    *,
    purpose: Purpose,
    token_id: str,
    node: str = "",
    cluster: str = "",
    nonce: str = "",
) -> bytes:
    """The bytes that are signed: no two different logins have the same."""
    if challenge is not None:
        node, cluster, nonce = challenge.node, challenge.cluster, challenge.nonce
    parts = ("nexa-auth-v1", purpose, cluster, node, token_id, nonce)
    return b"\0".join(part.encode() for part in parts)
