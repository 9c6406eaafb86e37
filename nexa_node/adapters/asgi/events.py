"""Events: what happened."""

from typing import Annotated

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation
from nexa_node.adapters.asgi.paging import PageQuery
from nexa_node.contract.events import Event, Severity
from nexa_node.contract.rest import Page
from nexa_node.services.api import EventFilter


class EventQuery(PageQuery, frozen=True, kw_only=True):
    """Which events to list."""

    kind: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=100, description="A prefix: `task.` finds all of them."
            ),
        ]
        | None
    ) = None
    severity: Severity | None = None


async def list_events(call: Call[EventQuery, None]) -> Page[Event]:
    """Events, the newest first."""
    query = call.query
    wanted = EventFilter(
        kind=query.kind,
        severity=query.severity,
        limit=query.limit,
        cursor=query.cursor,
    )
    return call.api.events(call.identity, wanted)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/events",
        action="events",
        tag="events",
        summary="List events, the newest first",
        handler=list_events,
        query=EventQuery,
        answer=Page[Event],
        example=examples.EVENTS,
    ),
)
