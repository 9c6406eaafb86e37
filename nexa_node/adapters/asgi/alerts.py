"""Alerts: what is wrong, who minds it, what became of it."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from nexa_node.adapters.asgi import alert_examples as examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import PageQuery
from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    AlertDetail,
    AlertSeverity,
    AlertState,
    Handover,
    NewAck,
    NewNote,
)
from nexa_node.contract.errors import Conflict, Invalid, NotFound, Unavailable
from nexa_node.contract.rest import Page
from nexa_node.services.alert_api import AlertFilter, ChangeFilter

Name = Annotated[str, msgspec.Meta(max_length=200, description="Of the alert.")]
Fingerprint = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
SHIFT_S = 8 * 3600


class AlertQuery(PageQuery, frozen=True, kw_only=True):
    """Which alerts to list."""

    state: AlertState | None = None
    severity: AlertSeverity | None = None
    name: Name | None = None
    match: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=4000,
                description='Conditions on labels: `{team=~"a|b", instance!="alpha"}`.',
            ),
        ]
        | None
    ) = None


class ChangeQuery(PageQuery, frozen=True, kw_only=True):
    """Which changes to list."""

    name: Name | None = None
    fingerprint: Fingerprint | None = None
    since: (
        Annotated[
            str, msgspec.Meta(max_length=40, description="RFC 3339, with a zone.")
        ]
        | None
    ) = None


class HandoverQuery(Query, frozen=True, kw_only=True):
    """How long the shift was."""

    since_s: Annotated[int, msgspec.Meta(ge=1, le=30 * 86_400)] = SHIFT_S


async def list_alerts(call: Call[AlertQuery, None]) -> Page[Alert]:
    """All on the board, what needs somebody first."""
    query = call.query
    return call.api.alerts(
        call.identity,
        AlertFilter(
            state=query.state,
            severity=query.severity,
            name=query.name,
            match=query.match,
            limit=query.limit,
            cursor=query.cursor,
        ),
    )


async def show_alert(call: Call[Any, None]) -> AlertDetail:
    """One of them."""
    return await call.api.alert(call.identity, fingerprint_of(call))


async def ack_alert(call: Call[Any, NewAck]) -> Alert:
    """Mind it."""
    return await call.api.ack_alert(call.identity, fingerprint_of(call), call.body)


async def unack_alert(call: Call[Any, None]) -> Alert:
    """Mind it no more."""
    return await call.api.unack_alert(call.identity, fingerprint_of(call))


async def note_alert(call: Call[Any, NewNote]) -> Alert:
    """Write something down."""
    return await call.api.note_alert(call.identity, fingerprint_of(call), call.body)


async def dismiss_alert(call: Call[Any, None]) -> Alert:
    """It is over, and was seen."""
    return await call.api.dismiss_alert(call.identity, fingerprint_of(call))


async def list_changes(call: Call[ChangeQuery, None]) -> Page[AlertChange]:
    """What became of alerts, the newest first."""
    query = call.query
    return await call.api.alert_history(
        call.identity,
        ChangeFilter(
            name=query.name,
            fingerprint=query.fingerprint,
            since=_moment(query.since),
            limit=query.limit,
            cursor=query.cursor,
        ),
    )


async def tell_handover(call: Call[HandoverQuery, None]) -> Handover:
    """The report of a shift."""
    return await call.api.handover(call.identity, since_s=call.query.since_s)


def fingerprint_of(call: Call[Any, Any]) -> str:
    """The fingerprint in the path.

    Raises:
        Invalid: It is none.
    """
    text = call.path["fingerprint"]
    if len(text) == 16 and set(text) <= set("0123456789abcdef"):
        return text
    raise Invalid(
        f"{text[:40]!r} is no fingerprint",
        remedy="16 hexadecimal digits: nexa alerts list",
        details={"field": "fingerprint"},
    )


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Invalid(
            f"{text[:40]!r} is no moment",
            remedy="write it as 2026-11-22T12:00:00Z",
            details={"field": "since"},
        )
    return moment.timestamp()


_ONE = "/v1/alerts/{fingerprint}"

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/alerts",
        action="alerts",
        tag="alerts",
        summary="List the alerts on the board, what needs somebody first",
        handler=list_alerts,
        query=AlertQuery,
        answer=Page[Alert],
        example=examples.ALERTS,
    ),
    Operation(
        method="GET",
        path="/v1/alerts/history",
        action="alert_history",
        tag="alerts",
        summary="List what became of alerts, the newest first",
        description="Kept for `[retention] alerts_hours`.",
        handler=list_changes,
        query=ChangeQuery,
        answer=Page[AlertChange],
        example=examples.CHANGES,
        errors=(Unavailable,),
    ),
    Operation(
        method="GET",
        path="/v1/alerts/handover",
        action="handover",
        tag="alerts",
        summary="What one shift tells the next",
        handler=tell_handover,
        query=HandoverQuery,
        answer=Handover,
        example=examples.HANDOVER,
    ),
    Operation(
        method="GET",
        path=_ONE,
        action="alert",
        tag="alerts",
        summary="Show one alert: evidence, history, runbook",
        handler=show_alert,
        answer=AlertDetail,
        example=examples.DETAIL,
        errors=(NotFound,),
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/ack",
        action="ack_alert",
        tag="alerts",
        summary="Acknowledge an alert",
        description="Until it is over, or for `duration_s`; it opens again when it gets"
        " worse. Of two who acknowledge at the same time, the second is answered with"
        " the first one's. The answer says in `ack.by` whose it is.",
        handler=ack_alert,
        body=NewAck,
        body_example=examples.NEW_ACK,
        answer=Alert,
        example=examples.ALERT,
        errors=(NotFound, Conflict, Unavailable),
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/unack",
        action="unack_alert",
        tag="alerts",
        summary="Take an acknowledgement back",
        handler=unack_alert,
        answer=Alert,
        example=examples.ALERT,
        errors=(NotFound, Unavailable),
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/note",
        action="note_alert",
        tag="alerts",
        summary="Write something down about an alert",
        handler=note_alert,
        body=NewNote,
        body_example=examples.NEW_NOTE,
        answer=Alert,
        example=examples.ALERT,
        errors=(NotFound, Unavailable),
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/dismiss",
        action="dismiss_alert",
        tag="alerts",
        summary="Take an alert that fired and cleared unseen off the board",
        handler=dismiss_alert,
        answer=Alert,
        example=examples.ALERT,
        errors=(NotFound, Conflict, Unavailable),
    ),
)
