"""Roles: who may do what, and where."""

from typing import Annotated

import msgspec

from nexa_node.adapters.asgi import role_examples as examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import DryRunQuery, PageQuery, page_of
from nexa_node.contract.access import (
    AccessDecision,
    NewRole,
    Role,
)
from nexa_node.contract.errors import Conflict, NotFound, Unavailable
from nexa_node.contract.rest import Page


class ExplainQuery(Query, frozen=True, kw_only=True):
    """What to ask about."""

    who: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=80,
            description="A token's id, a role, or an agent of this node: `id`, or `namespace.id`.",
        ),
    ]
    action: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=80,
            description="`tasks:submit`, or a method of the agent protocol.",
        ),
    ]
    resource: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=255,
            description="A dotted name, its namespace first; `*`: of anything at all.",
        ),
    ] = "*"


async def list_roles(call: Call[PageQuery, None]) -> Page[Role]:
    """All roles, by name."""
    roles = call.api.roles(call.identity)
    return page_of(roles.items, call.query, key=lambda role: role.name)


async def create_role(call: Call[Query, NewRole]) -> Role:
    """Make or replace one."""
    return await call.api.create_role(call.identity, call.body)


async def delete_role(call: Call[DryRunQuery, None]) -> None:
    """Forget one that no token has."""
    await call.api.delete_role(call.identity, call.slug("name"))


async def explain_access(call: Call[ExplainQuery, None]) -> AccessDecision:
    """Whether somebody may do something, and by which rule."""
    query = call.query
    return call.api.explain_access(
        call.identity, query.who, query.action, query.resource
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/roles",
        action="roles",
        tag="access",
        summary="List roles and what they may do",
        handler=list_roles,
        query=PageQuery,
        answer=Page[Role],
        example=examples.ROLES,
    ),
    Operation(
        method="POST",
        path="/v1/roles",
        action="create_role",
        tag="access",
        summary="Make or replace a role",
        description="It may nothing that its maker may not. Who has it is held to it at"
        " once, on every node.",
        handler=create_role,
        body=NewRole,
        body_example=examples.NEW_ROLE,
        answer=Role,
        example=examples.ROLE,
        status=201,
        errors=(Conflict, Unavailable),
    ),
    Operation(
        method="DELETE",
        path="/v1/roles/{name}",
        action="delete_role",
        tag="access",
        summary="Forget a role that no token has",
        handler=delete_role,
        query=DryRunQuery,
        dangerous=True,
        status=204,
        errors=(NotFound, Conflict, Unavailable),
    ),
    Operation(
        method="GET",
        path="/v1/roles/explain",
        action="explain_access",
        tag="access",
        summary="Say whether somebody may do something, and by which rule",
        handler=explain_access,
        query=ExplainQuery,
        answer=AccessDecision,
        example=examples.DECISION,
        errors=(NotFound,),
    ),
)
