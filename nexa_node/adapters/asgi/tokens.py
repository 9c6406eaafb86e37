"""Tokens: make, list, end."""

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import DryRunQuery, PageQuery, page_of
from nexa_node.adapters.asgi.role_examples import ROTATE
from nexa_node.contract.access import NewToken, RotateToken, TokenCreated, TokenView
from nexa_node.contract.errors import Conflict, NotFound, Unavailable
from nexa_node.contract.rest import Page


async def list_tokens(call: Call[PageQuery, None]) -> Page[TokenView]:
    """Tokens without their secrets, by id."""
    tokens = call.api.list_tokens(call.identity)
    return page_of(tokens.items, call.query, key=lambda token: token.id)


async def create_token(call: Call[Query, NewToken]) -> TokenCreated:
    """Make one; its secret is told this once."""
    return await call.api.create_token(call.identity, call.body)


async def rotate_token(call: Call[Query, RotateToken]) -> TokenCreated:
    """Give one a new secret; it is told this once."""
    return await call.api.rotate_token(call.identity, call.token_id("id"), call.body)


async def revoke_token(call: Call[DryRunQuery, None]) -> None:
    """End one, and what is connected by it."""
    await call.api.revoke_token(call.identity, call.token_id("id"))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/tokens",
        action="list_tokens",
        tag="access",
        summary="List tokens, without their secrets",
        handler=list_tokens,
        query=PageQuery,
        answer=Page[TokenView],
        example=examples.TOKENS,
    ),
    Operation(
        method="POST",
        path="/v1/tokens",
        action="create_token",
        tag="access",
        summary="Make a token",
        description="The answer is the only time the token itself is told.",
        handler=create_token,
        body=NewToken,
        body_example=examples.NEW_TOKEN,
        answer=TokenCreated,
        example=examples.TOKEN_CREATED,
        status=201,
        errors=(Unavailable,),
    ),
    Operation(
        method="POST",
        path="/v1/tokens/{id}/rotate",
        action="rotate_token",
        tag="access",
        summary="Give a token a new secret",
        description="The secret before works for `overlap_s` yet; then what is connected"
        " by it is closed. The id, and what the token owns, stay.",
        handler=rotate_token,
        body=RotateToken,
        body_example=ROTATE,
        answer=TokenCreated,
        example=examples.TOKEN_CREATED,
        errors=(NotFound, Conflict, Unavailable),
    ),
    Operation(
        method="DELETE",
        path="/v1/tokens/{id}",
        action="revoke_token",
        tag="access",
        summary="End a token, and what is connected by it",
        handler=revoke_token,
        query=DryRunQuery,
        dangerous=True,
        status=204,
        errors=(NotFound, Conflict, Unavailable),
    ),
)
