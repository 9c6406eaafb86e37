"""Topics and inboxes: how much each keeps, and what waits in an inbox."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import Limit
from nexa_node.contract.errors import Unavailable
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId, Namespace
from nexa_node.contract.messages import Posted, Shelf
from nexa_node.contract.rest import PAGE_DEFAULT, Page

_Slug = Annotated[str, msgspec.Meta(max_length=63)]


class ShelfQuery(Query, frozen=True, kw_only=True):
    """Of which namespace."""

    namespace: _Slug = DEFAULT_NAMESPACE


class PeekQuery(Query, frozen=True, kw_only=True):
    """Which messages of the inbox."""

    namespace: _Slug = DEFAULT_NAMESPACE
    after: Annotated[
        int, msgspec.Meta(ge=0, description="Only what stands behind this position.")
    ] = 0
    limit: Limit = PAGE_DEFAULT


async def list_topics(call: Call[ShelfQuery, None]) -> Page[Shelf]:
    """Topics, the fullest first."""
    return await call.api.list_topics(call.identity, Namespace(call.query.namespace))


async def list_inboxes(call: Call[ShelfQuery, None]) -> Page[Shelf]:
    """Inboxes, the fullest first."""
    return await call.api.list_inboxes(call.identity, Namespace(call.query.namespace))


async def peek(call: Call[PeekQuery, None]) -> Page[Posted]:
    """What waits in an inbox, the oldest first."""
    query = call.query
    return await call.api.peek(
        call.identity,
        Namespace(query.namespace),
        AgentId(call.slug("id")),
        after=query.after,
        limit=query.limit,
    )


TOPICS = Page(items=(Shelf(name="orders.eu", messages=4711),))
INBOXES = Page(items=(Shelf(name="wc-1", messages=3),))
WAITING = Page(
    items=(
        Posted(
            seq=8120,
            id="01jn8qk0kx09",
            sender="planner",
            topic="inbox/wc-1",
            type="hint",
            time=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
            data={"file": "README.md"},
        ),
    ),
    next_cursor="8120",
)

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/topics",
        action="list_topics",
        tag="messages",
        summary="List the topics that keep something, the fullest first",
        description="At most 10,000 of them.",
        handler=list_topics,
        query=ShelfQuery,
        answer=Page[Shelf],
        example=TOPICS,
        errors=(Unavailable,),
    ),
    Operation(
        method="GET",
        path="/v1/inboxes",
        action="list_inboxes",
        tag="messages",
        summary="List the inboxes in which something waits, the fullest first",
        description="At most 10,000 of them.",
        handler=list_inboxes,
        query=ShelfQuery,
        answer=Page[Shelf],
        example=INBOXES,
        errors=(Unavailable,),
    ),
    Operation(
        method="GET",
        path="/v1/inboxes/{id}",
        action="peek",
        tag="messages",
        summary="Look into an inbox, the oldest message first",
        description="Nothing is delivered or dropped by that. `topic` is `inbox/<agent>`"
        " of what was sent to the agent itself.",
        handler=peek,
        query=PeekQuery,
        answer=Page[Posted],
        example=WAITING,
        errors=(Unavailable,),
    ),
)
