"""Namespaces: who is in them, what they may use, and what is left of it."""

from nexa_node.adapters.asgi import role_examples as examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import PageQuery, page_of
from nexa_node.contract.access import NamespaceView
from nexa_node.contract.errors import Invalid, NotFound, Unavailable
from nexa_node.contract.quotas import Quota
from nexa_node.contract.rest import Page


async def list_namespaces(call: Call[PageQuery, None]) -> Page[NamespaceView]:
    """The namespaces in which there is something, or that have limits."""
    found = call.api.namespaces(call.identity)
    return page_of(found.items, call.query, key=lambda one: one.name)


async def set_namespace(call: Call[Query, Quota]) -> Quota:
    """Set what one may use."""
    return await call.api.set_namespace(call.identity, call.body)


async def delete_namespace(call: Call[Query, None]) -> None:
    """End its limits."""
    await call.api.delete_namespace(call.identity, call.slug("name"))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/namespaces",
        action="namespaces",
        tag="access",
        summary="List the namespaces in which there is something, or that have limits",
        description="With what was set for each, and how its budget stands.",
        handler=list_namespaces,
        query=PageQuery,
        answer=Page[NamespaceView],
        example=examples.NAMESPACES,
    ),
    Operation(
        method="POST",
        path="/v1/namespaces",
        action="set_namespace",
        tag="access",
        summary="Set what a namespace may use",
        description="In place of what was set. Calls over a limit are answered 429; a task"
        " whose budget is spent waits until it resets, and its explanation says so.",
        handler=set_namespace,
        body=Quota,
        body_example=examples.QUOTA,
        answer=Quota,
        example=examples.QUOTA,
        status=201,
        errors=(Invalid, Unavailable),
    ),
    Operation(
        method="DELETE",
        path="/v1/namespaces/{name}",
        action="delete_namespace",
        tag="access",
        summary="End the limits of a namespace",
        description="What is in it stays.",
        handler=delete_namespace,
        status=204,
        errors=(NotFound, Unavailable),
    ),
)
