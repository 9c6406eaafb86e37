"""Notifications: the delivery log, a test of receivers, and watchdogs that call us."""

from typing import Annotated, Literal

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import PageQuery
from nexa_node.contract.errors import NotFound, Unavailable
from nexa_node.contract.notifications import (
    Delivery,
    ReceiversTested,
    ReceiverTest,
    WatchdogSeen,
)
from nexa_node.contract.rest import Page
from nexa_node.services.api import DeliveryFilter


class DeliveryQuery(PageQuery, frozen=True, kw_only=True):
    """Which notifications to list."""

    receiver: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    state: (
        Literal["waiting", "retrying", "delivered", "failed", "superseded"] | None
    ) = None
    local: Annotated[
        bool,
        msgspec.Meta(
            description="Only what the asked node told by itself; needs no quorum."
        ),
    ] = False


async def list_notifications(call: Call[DeliveryQuery, None]) -> Page[Delivery]:
    """Each notification as far as it has come, the newest first."""
    query = call.query
    return await call.api.notifications(
        call.identity,
        DeliveryFilter(
            receiver=query.receiver,
            state=query.state,
            local=query.local,
            limit=query.limit,
            cursor=query.cursor,
        ),
    )


async def test_receivers(call: Call[Query, ReceiverTest]) -> ReceiversTested:
    """Tell a receiver of an alert that is none, and say what came of it."""
    return await call.api.test_receivers(call.identity, call.body.receiver)


async def call_watchdog(call: Call[Query, None]) -> WatchdogSeen:
    """Somebody outside is there."""
    return call.api.watchdog(call.identity, call.slug("name"))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/notifications",
        action="notifications",
        tag="alerts",
        summary="List who was told of alerts, and whether it arrived",
        handler=list_notifications,
        query=DeliveryQuery,
        answer=Page[Delivery],
        example=examples.DELIVERIES,
        errors=(Unavailable,),
    ),
    Operation(
        method="POST",
        path="/v1/notifications/test",
        action="test_receivers",
        tag="alerts",
        summary="Send a test to a receiver, or to all",
        description="It goes out at once, past routes and limits. A test of PagerDuty"
        " opens an incident and resolves it.",
        handler=test_receivers,
        body=ReceiverTest,
        body_example=examples.RECEIVER_TEST,
        answer=ReceiversTested,
        example=examples.RECEIVERS_TESTED,
        errors=(NotFound,),
    ),
    Operation(
        method="POST",
        path="/v1/watchdog/{name}",
        action="watchdog",
        tag="alerts",
        summary="Say that a watchdog outside is there",
        description="One that is set up by [[watchdog]] and does not call is missed:"
        " nexa_watchdog_last_seen_timestamp_seconds tells when it did.",
        handler=call_watchdog,
        answer=WatchdogSeen,
        example=examples.WATCHDOG_SEEN,
        errors=(NotFound,),
    ),
)
