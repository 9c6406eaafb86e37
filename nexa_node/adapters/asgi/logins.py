"""Logging in: by a key's signature, or by an ID token of the configured issuer."""

from nexa_node.adapters.asgi import login_examples as examples
from nexa_node.adapters.asgi.operation import OPEN, Call, Operation, Query
from nexa_node.contract.access import TokenCreated
from nexa_node.contract.errors import (
    Forbidden,
    Invalid,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from nexa_node.contract.login import Challenge, LoginWays, NewChallenge, NewLogin


async def ways(call: Call[Query, None]) -> LoginWays:
    """How one can log in, besides by a token."""
    return call.api.login_ways()


async def challenge(call: Call[Query, NewChallenge]) -> Challenge:
    """A nonce, whoever asks."""
    return call.api.challenge(call.body)


async def login(call: Call[Query, NewLogin]) -> TokenCreated:
    """A short-lived token for who proves who he is."""
    _, made = await call.api.login(call.body, address=call.address)
    return made


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/login",
        action=OPEN,
        tag="access",
        summary="How one can log in, besides by a token",
        handler=ways,
        answer=LoginWays,
        example=examples.WAYS,
    ),
    Operation(
        method="POST",
        path="/v1/login/challenge",
        action=OPEN,
        tag="access",
        summary="Get a nonce to sign",
        description="For a token that was made with a `public_key`. The signature is over"
        " `nexa-auth-v1`, the purpose `login`, the cluster, the node, the token's id and"
        " the nonce, with a zero byte between them. Good once, for a minute, on the node"
        " that gave it.",
        handler=challenge,
        body=NewChallenge,
        body_example=examples.NEW_CHALLENGE,
        answer=Challenge,
        example=examples.CHALLENGE,
    ),
    Operation(
        method="POST",
        path="/v1/login",
        action=OPEN,
        tag="access",
        summary="Log in: get a short-lived token",
        description="By a signature over a challenge, or by an ID token of the issuer in"
        " `[oidc]`.",
        handler=login,
        body=NewLogin,
        body_example=examples.NEW_LOGIN,
        answer=TokenCreated,
        example=examples.LOGGED_IN,
        status=201,
        errors=(Invalid, Unauthorized, Forbidden, RateLimited, Unavailable),
    ),
)
