"""Messages to agents, topics and capabilities."""

from typing import Annotated

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import Limit
from nexa_node.contract.errors import (
    Draining,
    Invalid,
    NoAgentAvailable,
    NotFound,
    Unavailable,
)
from nexa_node.contract.ids import DEFAULT_NAMESPACE, Namespace
from nexa_node.contract.messages import NewMessage, Posted, Sent
from nexa_node.contract.rest import PAGE_DEFAULT, PAGE_MAX, Page
from nexa_node.services.api import PostedFilter


async def send_message(call: Call[Query, NewMessage]) -> Sent:
    """Send; the header's idempotency key becomes the message's id."""
    message = call.body
    key = call.idempotency_key
    if key is not None and message.id not in (None, key):
        raise Invalid(
            "the Idempotency-Key header and id in the body differ",
            remedy="send one of them",
            details={"field": "id"},
        )
    if key is not None:
        message = msgspec.structs.replace(message, id=key)
    return await call.api.send(call.identity, message)


class PostedQuery(Query, frozen=True, kw_only=True):
    """Which messages to read."""

    topic: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=255,
            description="`*` stands for one token, a final `>` for the rest.",
        ),
    ]
    namespace: Annotated[str, msgspec.Meta(max_length=63)] = DEFAULT_NAMESPACE
    after: Annotated[
        int, msgspec.Meta(ge=0, description="Only what stands behind this position.")
    ] = 0
    last: (
        Annotated[
            int,
            msgspec.Meta(ge=0, le=PAGE_MAX, description="Only so many, the newest."),
        ]
        | None
    ) = None
    limit: Limit = PAGE_DEFAULT
    wait_s: Annotated[
        float, msgspec.Meta(ge=0, le=60, description="Wait so long for the first.")
    ] = 0.0


async def list_messages(call: Call[PostedQuery, None]) -> Page[Posted]:
    """The messages of topics, the oldest first."""
    query = call.query
    wanted = PostedFilter(
        topic=query.topic,
        namespace=Namespace(query.namespace),
        after=query.after,
        last=query.last,
        limit=query.limit,
        wait_s=query.wait_s,
    )
    return await call.api.posted(call.identity, wanted)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/messages",
        action="posted",
        tag="messages",
        summary="Read the messages of topics, the oldest first",
        description="`next_cursor` is the position to give as `after`; it is there on"
        " the last page, too, so that a reader can wait for more.",
        handler=list_messages,
        query=PostedQuery,
        answer=Page[Posted],
        example=examples.POSTED,
        errors=(Unavailable,),
    ),
    Operation(
        method="POST",
        path="/v1/messages",
        action="send",
        tag="messages",
        summary="Send a message",
        description="A durable message is in the store when this is answered. `from` is"
        " set by the node.",
        handler=send_message,
        body=NewMessage,
        body_example=examples.NEW_MESSAGE,
        answer=Sent,
        example=examples.SENT,
        status=201,
        errors=(NotFound, NoAgentAvailable, Draining, Unavailable),
        idempotent=True,
    ),
)
