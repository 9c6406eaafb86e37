"""Examples for the description of logins."""

from datetime import UTC, datetime

from nexa_node.contract.access import TokenCreated
from nexa_node.contract.login import (
    Challenge,
    KeyProof,
    LoginWays,
    NewChallenge,
    NewLogin,
    OidcProvider,
)

WAYS = LoginWays(
    oidc=OidcProvider(
        issuer="https://login.example.com",
        client_id="nexa",
        scopes=("openid", "email"),
    )
)
NEW_CHALLENGE = NewChallenge(id="k3v9q1x7m2d")
CHALLENGE = Challenge(
    nonce="dGhlIG5vZGUgbWFrZXMgYW5vdGhlciBvbmUgZWFjaCB0aW1l",
    node="0198f0c4a1b2c3d4e5f6",
    cluster="nexa",
    expires=datetime(2026, 3, 1, 12, 1, tzinfo=UTC),
)
NEW_LOGIN = NewLogin(
    key=KeyProof(
        id=NEW_CHALLENGE.id, nonce=CHALLENGE.nonce, signature="bm90IGEgcmVhbCBvbmU="
    )
)
LOGGED_IN = TokenCreated(
    id="p4w8s2k6d1f",
    token="nxa_p4w8s2k6d1f_0000000000000000000000000000000000000000000000000",  # noqa: S106  # an example
    role="operator",
    name="ada",
    expires=datetime(2026, 3, 1, 13, 0, tzinfo=UTC),
)
